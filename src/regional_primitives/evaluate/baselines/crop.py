"""Spatial crop: switch on the feature's cells that lie where the demand is.

What one does without any explanation: a cell of a feature map stands for the pixels at the same
place of the picture. Three variants, by which cells count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isqrt
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.candidates import Layout
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.evaluate.baselines.scene import Scene, Way

__all__ = ["crops"]


@dataclass(frozen=True)
class _CellMap:
    """Where the cells of one tensor of the feature lie in the picture."""

    side: tuple[int, int]
    """Rows and columns of cells; (1, 1) where the tensor has no places."""
    share: Float[Tensor, "cells patches"]
    """Each cell's share of pixels in each patch."""

    @staticmethod
    def of(layout: Layout, decomposition: Decomposition) -> _CellMap:
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
        return _CellMap(side, share / size[:, None])

    def held(self, demands: Bool[Tensor, "demands patches"]) -> Float[Tensor, "demands cells"]:
        """Return the share of each cell that lies in each demand."""
        return demands.float() @ self.share.T


def _side(layout: Layout) -> tuple[int, int]:
    if len(layout.shape) >= 3:
        return layout.shape[-2], layout.shape[-1]
    side = isqrt(layout.sites)
    return (side, side) if len(layout.shape) == 2 and side * side == layout.sites else (1, 1)


_Choose: TypeAlias = Callable[[_CellMap, Tensor], Tensor]
_HALF = 0.5 - 1e-6


def _mostly(cells: _CellMap, demands: Tensor) -> Bool[Tensor, "demands cells"]:
    return cells.held(demands) >= _HALF


def _touching(cells: _CellMap, demands: Tensor) -> Bool[Tensor, "demands cells"]:
    return cells.held(demands) > 0


def _and_neighbours(cells: _CellMap, demands: Tensor) -> Bool[Tensor, "demands cells"]:
    touching = _touching(cells, demands).float().unflatten(1, cells.side)
    grown = torch.nn.functional.max_pool2d(touching[:, None], 3, stride=1, padding=1)
    return grown.flatten(1) > 0


def crops(scene: Scene) -> Iterator[Way]:
    """Yield the three variants."""
    yield _way(scene, "cells mostly in S", _mostly)
    yield _way(scene, "cells that touch S", _touching)
    yield _way(scene, "touching cells and their neighbours", _and_neighbours)


def _way(scene: Scene, setting: str, choose: _Choose) -> Way:
    layouts = Layout.of(scene.decomposition.feature_shape)
    maps = [_CellMap.of(layout, scene.decomposition) for layout in layouts]

    def answer(demands: Bool[Tensor, "demands patches"]) -> Float[Tensor, "demands units"]:
        on = []
        for layout, cells in zip(layouts, maps, strict=True):
            chosen = choose(cells, demands).float()  # [demands, cells]
            chosen = chosen.repeat(1, layout.sites // chosen.shape[1])
            on.append(layout.flat(chosen[..., None].expand(-1, -1, layout.channels)))
        return scene.switched(torch.cat(on, 1))

    return Way(setting, answer)
