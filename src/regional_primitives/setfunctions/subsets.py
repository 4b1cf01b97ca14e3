"""Subsets of n patches as bitmasks: bit i set means that patch i is in, so ∅ is 0 and N is 2ⁿ − 1.

This is the only way in which the library stores a subset. Patch indices and bool rows are
converted here, at the border, and a set function is an array indexed by bitmask.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import SupportsIndex

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from regional_primitives.errors import InputError

MAX_DENSE_PATCHES = 20
"""The most patches for which `membership` and `orders` list all 2ⁿ subsets."""


def bitmask(patches: Iterable[SupportsIndex]) -> int:
    """Return the bitmask of a set of patch indices; an index given twice counts once.

    Raises:
        InputError: an index is negative or not an integer.
    """
    mask = 0
    for patch in patches:
        try:
            index = operator.index(patch)
        except TypeError:
            index = -1
        if index < 0 or isinstance(patch, bool):
            raise InputError(
                f"patch index {patch!r} is not a whole number from 0 up; "
                "bitmask takes patch indices, bitmasks takes bool rows"
            )
        mask |= 1 << index
    return mask


def patches_of(mask: int) -> tuple[int, ...]:
    """Return the patch indices in a bitmask, ascending.

    Raises:
        InputError: the mask is negative.
    """
    if mask < 0:
        raise InputError(f"bitmask {mask} is negative; a subset's bitmask is 0 (no patch) or more")
    return tuple(patch for patch in range(mask.bit_length()) if mask >> patch & 1)


def bitmasks(rows: Bool[Tensor, "rows patches"]) -> list[int]:
    """Return one bitmask per bool row, where column i says whether patch i is in; any width.

    Raises:
        InputError: the rows are not a two-dimensional bool tensor.
    """
    if rows.dtype != torch.bool or rows.ndim != 2:
        raise InputError(
            f"subsets as rows have to be bool and shaped [rows, patches], "
            f"got {rows.dtype} of shape {list(rows.shape)}"
        )
    # Python integers, because a 6 × 6 grid is within 64 bits but a 9 × 9 grid is not.
    return [bitmask(i for i, inside in enumerate(row) if inside) for row in rows.tolist()]


def membership(n: int) -> Bool[Tensor, "subsets n"]:
    """Return which patches each of the 2ⁿ subsets holds: row = bitmask, column = patch.

    Raises:
        InputError: n is negative or over `MAX_DENSE_PATCHES`.
    """
    _check_dense(n)
    masks = torch.arange(1 << n)
    return (masks[:, None] >> torch.arange(n) & 1).bool()


def orders(n: int) -> Int[Tensor, " subsets"]:
    """Return the order |S| of each of the 2ⁿ subsets, indexed by bitmask.

    Raises:
        InputError: n is negative or over `MAX_DENSE_PATCHES`.
    """
    _check_dense(n)
    counts = torch.zeros(1, dtype=torch.int64)
    for _ in range(n):
        counts = torch.cat([counts, counts + 1])
    return counts


def _check_dense(n: int) -> None:
    if not 0 <= n <= MAX_DENSE_PATCHES:
        raise InputError(
            f"{n} patches: all 2ⁿ subsets are listed only for n from 0 to {MAX_DENSE_PATCHES}"
        )
