"""The cells of a feature as places of the picture: which units a spatial crop switches on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.structured.candidates import Layout


@dataclass(frozen=True)
class CellMap:
    """Where the cells of one tensor of the feature lie in the picture."""

    side: tuple[int, int]
    """Rows and columns of cells; (1, 1) where the tensor has no places."""
    share: Float[Tensor, "cells patches"]
    """Each cell's share of pixels in each patch."""

    @staticmethod
    def of(layout: Layout, decomposition: Decomposition) -> CellMap:
        """Lay the cells over the picture: maps as they are, tokens where they form a square."""
        rows, columns = side = _side(layout)
        labels = decomposition.regions.label_map(*decomposition.image.shape[-2:])
        # Where cells are finer than pixels, pixels are repeated.
        for axis, cells in enumerate(side):
            labels = labels.repeat_interleave(-(-cells // labels.shape[axis]), axis)
        height, width = labels.shape
        row = torch.arange(height) * rows // height
        column = torch.arange(width) * columns // width
        cell = row[:, None] * columns + column
        inside = labels >= 0
        share = torch.zeros(rows * columns, decomposition.regions.count)
        share.index_put_((cell[inside], labels[inside]), torch.tensor(1.0), accumulate=True)
        size = torch.bincount(cell.flatten(), minlength=rows * columns)
        return CellMap(side, share / size[:, None])

    def held(self, demands: Bool[Tensor, "demands patches"]) -> Float[Tensor, "demands cells"]:
        """Return the share of each cell that lies in each demand."""
        return demands.float() @ self.share.T


def _side(layout: Layout) -> tuple[int, int]:
    if len(layout.shape) >= 3:
        return layout.shape[-2], layout.shape[-1]
    side = isqrt(layout.sites)
    return (side, side) if len(layout.shape) == 2 and side * side == layout.sites else (1, 1)


Choose: TypeAlias = Callable[[CellMap, Tensor], Tensor]
"""A rule: which cells count as lying in each demand, bool [demands, cells]."""
_HALF = 0.5 - 1e-6


def mostly(cells: CellMap, demands: Tensor) -> Bool[Tensor, "demands cells"]:
    """Choose the cells of which at least half lies in the demand."""
    return cells.held(demands) >= _HALF


def touching(cells: CellMap, demands: Tensor) -> Bool[Tensor, "demands cells"]:
    """Choose the cells of which any pixel lies in the demand."""
    return cells.held(demands) > 0


def and_neighbours(cells: CellMap, demands: Tensor) -> Bool[Tensor, "demands cells"]:
    """Choose the cells that touch the demand, and all cells beside them."""
    chosen = touching(cells, demands).float().unflatten(1, cells.side)
    grown = torch.nn.functional.max_pool2d(chosen[:, None], 3, stride=1, padding=1)
    return grown.flatten(1) > 0


def units_under(
    decomposition: Decomposition, choose: Choose
) -> Callable[[Bool[Tensor, "demands patches"]], Bool[Tensor, "demands units"]]:
    """Return a function that gives each demand the units of the cells that the rule chooses."""
    layouts = Layout.of(decomposition.feature_shape)
    maps = [CellMap.of(layout, decomposition) for layout in layouts]

    def under(demands: Bool[Tensor, "demands patches"]) -> Bool[Tensor, "demands units"]:
        on = []
        for layout, cells in zip(layouts, maps, strict=True):
            chosen = choose(cells, demands)  # [demands, cells]
            chosen = chosen.repeat(1, layout.sites // chosen.shape[1])
            on.append(layout.flat(chosen[..., None].expand(-1, -1, layout.channels)))
        return torch.cat(on, 1)

    return under
