"""Random action fields of given sizes, connected or not: what real ones are compared with. Ours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from regional_primitives.axes import Fields, Region
from regional_primitives.regions import Regions

_TRIES = 200
"""Draws in search of a field that is new; then fields of its size may repeat."""


def random_subsets(
    sizes: Int[Tensor, " components"], patches: Region, rng: torch.Generator
) -> Fields:
    """Draw sets of `sizes` patches out of `patches`, any set alike; no set twice where possible."""

    def draw(size: int) -> Tensor:
        return _mark(patches, torch.randperm(int(patches.sum()), generator=rng)[:size])

    return _distinct(sizes, draw)


def random_connected(
    sizes: Int[Tensor, " components"],
    patches: Region,
    regions: Regions,
    rng: torch.Generator,
    *,
    rectangles: bool,
) -> Fields:
    """Draw connected sets of `sizes` patches out of `patches`; no set twice where possible.

    Args:
        sizes: patches of each field.
        patches: those that may be taken.
        regions: tells which patches touch.
        rng: the random stream.
        rectangles: draw rectangles of the grid, where there are enough of a size.
    """
    fields = torch.zeros(len(sizes), regions.count, dtype=torch.bool)
    neighbours = regions.neighbours()
    known = regions.rectangles() if rectangles else fields[:0]
    known = known[~(known & ~patches).any(1)]
    areas = known.sum(1)

    for size in sizes.unique().tolist():
        mine = (sizes == size).nonzero().flatten()
        fitting = known[areas == size]
        taken = fitting[torch.randperm(len(fitting), generator=rng)[: len(mine)]]
        fields[mine[: len(taken)]] = taken
        if len(taken) < len(mine):
            others = sizes[mine[len(taken) :]]
            grown = _distinct(others, lambda some: grow(some, patches, neighbours, rng), taken)
            fields[mine[len(taken) :]] = grown
    return fields


def grow(
    size: int,
    patches: Region,
    neighbours: Bool[Tensor, "patches patches"],
    rng: torch.Generator,
) -> Region:
    """Grow a set of `size` patches out of `patches` by random neighbours.

    Where no neighbour is left, it goes on from a random other patch.
    """
    row = torch.zeros_like(patches)
    for _ in range(min(size, int(patches.sum()))):
        frontier = neighbours[row].any(0) & patches & ~row
        choices = (frontier if bool(frontier.any()) else patches & ~row).nonzero().flatten()
        row[choices[int(torch.randint(len(choices), (), generator=rng))]] = True
    return row


def _mark(patches: Region, chosen: Int[Tensor, " size"]) -> Tensor:
    row = torch.zeros_like(patches)
    row[patches.nonzero().flatten()[chosen]] = True
    return row


def _distinct(
    sizes: Int[Tensor, " components"], draw: Callable[[int], Tensor], taken: Tensor | None = None
) -> Fields:
    """Draw each field anew until it is none of the others, or patience with its size ends."""
    seen = set() if taken is None else {row.numpy().tobytes() for row in taken}
    rows = []
    exhausted: set[int] = set()
    for size in sizes.tolist():
        for _ in range(1 if size in exhausted else _TRIES):
            row = draw(size)
            if row.numpy().tobytes() not in seen:
                break
        else:
            exhausted.add(size)
        seen.add(row.numpy().tobytes())
        rows.append(row)
    return torch.stack(rows)
