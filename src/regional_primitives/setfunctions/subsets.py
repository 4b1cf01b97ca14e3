"""Subsets of n patches as bitmasks: bit i set means that patch i is in, so ∅ is 0 and N is 2ⁿ − 1.

This is the only way in which the library stores a subset: a set function is an array indexed by
bitmask, and rows of bools are made from it here.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from regional_primitives.errors import InputError

MAX_DENSE_PATCHES = 20
"""The most patches of which all 2ⁿ subsets are listed."""


def membership(n: int) -> Bool[Tensor, "subsets n"]:
    """Return which patches each of the 2ⁿ subsets holds: row = bitmask, column = patch.

    Raises:
        InputError: n is negative or over `MAX_DENSE_PATCHES`.
    """
    _check_dense(n)
    masks = torch.arange(1 << n)
    return (masks[:, None] >> torch.arange(n) & 1).bool()


def orders(n: int) -> Int[Tensor, " subsets"]:
    """Return the order |S| of each of the 2ⁿ subsets; raises what `membership` raises."""
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
