"""Demands: random sets S of patches, half of them connected, each from a random stream of its own.

Half are random rectangles of the grid (connected regions of a label map), half include each patch
with one probability drawn uniformly a demand. Our definition; the paper enumerates all subsets.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from regional_primitives.axes import Region
from regional_primitives.errors import InputError
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import refuse_too_large
from regional_primitives.runtime.streams import stream


def draw_demands(
    regions: Regions, count: int, seed: int, purpose: str, start: int = 0
) -> Bool[Tensor, "count patches"]:
    """Draw demands number `start` … `start + count − 1` of the stream named by seed and purpose.

    Demand i depends on seed, purpose and i alone; empty draws are drawn again.
    """
    if count < 1:
        raise InputError(f"at least one demand must be drawn, not {count}")
    refuse_too_large(
        f"{count:,} demands of {regions.count:,} patches", count * regions.count, "ask for fewer"
    )
    neighbours = None if regions.is_grid else regions.neighbours()
    streams = (stream(seed, purpose, i) for i in range(start, start + count))
    return torch.stack([_draw(regions, neighbours, rng) for rng in streams])


def held_out_demands(
    regions: Regions, count: int = 128, seed: int = 0, within: Sequence[int] | None = None
) -> Bool[Tensor, "count patches"]:
    """Draw the demands that scores are measured on; no fit ever sees this stream.

    Of every demand only the patches `within` are kept; demands that miss them are left out.
    """
    if within is None or len(within) == regions.count:
        return draw_demands(regions, count, seed, "held-out demands")
    inside = regions.demand(within)
    found = torch.zeros(0, regions.count, dtype=torch.bool)
    for start in itertools.count(0, count):
        drawn = draw_demands(regions, count, seed, "held-out demands", start=start) & inside
        found = torch.cat([found, drawn[drawn.any(1)]])
        if len(found) >= count:
            break
    return found[:count]


def _draw(
    regions: Regions, neighbours: Bool[Tensor, "patches patches"] | None, rng: torch.Generator
) -> Region:
    while True:
        if torch.rand((), generator=rng).item() < 0.5:
            return _connected(regions, neighbours, rng)
        drawn = torch.rand(1 + regions.count, generator=rng)
        row = drawn[1:] < drawn[0]
        if bool(row.any()):
            return row


def _connected(
    regions: Regions, neighbours: Bool[Tensor, "patches patches"] | None, rng: torch.Generator
) -> Region:
    if neighbours is None:
        return regions.draw_rectangle(rng)
    size = int(torch.randint(1, regions.count + 1, (), generator=rng))
    row = torch.zeros(regions.count, dtype=torch.bool)
    newest = int(torch.randint(regions.count, (), generator=rng))
    reached = torch.zeros_like(row)
    row[newest] = True
    for _ in range(size - 1):
        reached |= neighbours[newest]
        frontier = (reached & ~row).nonzero().flatten()
        if len(frontier) == 0:
            break
        newest = int(frontier[int(torch.randint(len(frontier), (), generator=rng))])
        row[newest] = True
    return row


def single_patches(
    patches: int, count: int, seed: int, start: int = 0
) -> Bool[Tensor, "count patches"]:
    """Return turns `start` … `start + count − 1` of demands for one patch each.

    Every round asks for all patches, in an order of its own. Only such a demand tells a field from
    the same field without that patch: all others touch both.
    """
    turns = torch.arange(start, start + count)
    orders = {
        int(turn): torch.randperm(patches, generator=stream(seed, "single patches", int(turn)))
        for turn in (turns // patches).unique()
    }
    asked = torch.stack([orders[int(turn) // patches][int(turn) % patches] for turn in turns])
    return torch.nn.functional.one_hot(asked, patches).bool()
