"""The cells of a feature as places of the picture: which units a spatial crop switches on."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.decompose.subject import Subject

Choose: TypeAlias = Callable[[Float[Tensor, "demands cells"], tuple[int, int]], Tensor]
"""A rule: of which cells so large a share lies in each demand, and their rows and columns, to which
of them count, bool [demands, cells]."""
_HALF = 0.5 - 1e-6


def mostly(held: Tensor, side: tuple[int, int]) -> Bool[Tensor, "demands cells"]:
    """Choose the cells of which at least half lies in the demand."""
    return held >= _HALF


def touching(held: Tensor, side: tuple[int, int]) -> Bool[Tensor, "demands cells"]:
    """Choose the cells of which any pixel lies in the demand."""
    return held > 0


def and_neighbours(held: Tensor, side: tuple[int, int]) -> Bool[Tensor, "demands cells"]:
    """Choose the cells that touch the demand, and all cells beside them."""
    chosen = touching(held, side).float().unflatten(1, side)
    grown = torch.nn.functional.max_pool2d(chosen[:, None], 3, stride=1, padding=1)
    return grown.flatten(1) > 0


def side_of(layout: Layout) -> tuple[int, int]:
    """Return rows and columns of cells: maps as they are, tokens where they form a square.

    (1, 1) where the tensor has no places.
    """
    if len(layout.shape) >= 3:
        return layout.shape[-2], layout.shape[-1]
    side = isqrt(layout.sites)
    return (side, side) if len(layout.shape) == 2 and side * side == layout.sites else (1, 1)


def cell_shares(
    picture: Decomposition | Subject, side: tuple[int, int]
) -> Float[Tensor, "cells patches"]:
    """Return each cell's share of pixels in each patch, the cells laid over the picture."""
    rows, columns = side
    labels = picture.regions.label_map(*picture.image.shape[-2:])
    # Where cells are finer than pixels, pixels are repeated.
    for axis, cells in enumerate(side):
        labels = labels.repeat_interleave(-(-cells // labels.shape[axis]), axis)
    height, width = labels.shape
    row = torch.arange(height) * rows // height
    column = torch.arange(width) * columns // width
    cell = row[:, None] * columns + column
    inside = labels >= 0
    share = torch.zeros(rows * columns, picture.regions.count)
    share.index_put_((cell[inside], labels[inside]), torch.tensor(1.0), accumulate=True)
    return share / torch.bincount(cell.flatten(), minlength=rows * columns)[:, None]


def units_under(
    decomposition: Decomposition, choose: Choose
) -> Callable[[Bool[Tensor, "demands patches"]], Bool[Tensor, "demands units"]]:
    """Return a function that gives each demand the units of the cells that the rule chooses."""
    layouts = Layout.of(decomposition.feature_shape)
    sides = [side_of(layout) for layout in layouts]
    shares = [cell_shares(decomposition, side) for side in sides]

    def under(demands: Bool[Tensor, "demands patches"]) -> Bool[Tensor, "demands units"]:
        on = []
        for layout, side, share in zip(layouts, sides, shares, strict=True):
            chosen = choose(demands.float() @ share.T, side)  # [demands, cells]
            chosen = chosen.repeat(1, layout.sites // chosen.shape[1])
            on.append(layout.flat(chosen[..., None].expand(-1, -1, layout.channels)))
        return torch.cat(on, 1)

    return under
