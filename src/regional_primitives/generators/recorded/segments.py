"""A gradient in less memory: a long program runs in segments, each of which runs again backwards.

Between two segments only the values that are still needed are kept, and all that lies within one
while its gradient is taken (Chen et al. 2016, arXiv 1604.06174): of a sampler's sixteen steps the
memory of one, for the time of one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Segment: TypeAlias = Callable[
    [int, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], list[Tensor]
]
"""(batch, feature tensors, side values, values still needed) → values still needed."""

_COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""How many segments are tried, about."""


@dataclass(frozen=True)
class Memory:
    """A piece of memory that lines of a program make and read."""

    first: int
    """The line that makes it."""
    last: int
    """The last line that reads it or writes into it."""
    written: int
    """The last line that writes into it."""
    size: int
    """Bytes."""


def split(lines: int, memories: Sequence[Memory]) -> tuple[list[int], int]:
    """Find the lines behind which to stop, so that a gradient takes the least memory.

    Returns them, none where all at once is best, and the bytes that it takes: values at all stops,
    and all those of the largest segment. No stop keeps what is written into behind it: run again,
    its segment would find other values.
    """
    made = np.zeros(lines, dtype=np.int64)
    kept = np.zeros(lines + 1, dtype=np.int64)
    changing = np.zeros(lines + 1, dtype=np.int64)
    for one in memories:
        made[one.first] += one.size
        kept[one.first] += one.size
        kept[one.last] -= one.size
        changing[one.first] += 1
        changing[max(one.first, one.written)] -= 1
    total, done = int(made.sum()), made.cumsum()
    kept, free = kept.cumsum()[:lines], changing.cumsum()[:lines] == 0
    best: tuple[list[int], int] = [], total
    for count in _COUNTS:
        stops = _stops(done, kept, free, total // count)
        edges = [0, *(int(done[stop]) for stop in stops), total]
        largest = max(after - before for before, after in pairwise(edges))
        size = sum(int(kept[stop]) for stop in stops) + largest
        if size < best[1]:
            best = stops, size
    return best


def _stops(
    done: Int[np.ndarray, " lines"],
    kept: Int[np.ndarray, " lines"],
    free: Bool[np.ndarray, " lines"],
    size: int,
) -> list[int]:
    """Stop where least is kept, each time between half of so much and all of it."""
    stops: list[int] = []
    before, most = 0, len(done) - 1
    while True:
        start, end = np.searchsorted(done, [before + size // 2, before + size])
        behind = stops[-1] + 1 if stops else 0
        places = np.arange(max(start, behind), min(end + 1, most))
        places = places[free[places]]
        if len(places) == 0:  # nowhere to stop: as soon as it can be
            places = np.arange(max(end, behind), most)
            places = places[free[places]][:1]
        if len(places) == 0:
            return stops
        places = places[::-1]  # the last of several that keep as little
        stops.append(int(places[kept[places].argmin()]))
        before = int(done[stops[-1]])


def run(
    segments: Sequence[Segment],
    batch: int,
    features: Sequence[Tensor],
    sides: Sequence[Tensor],
) -> Tensor:
    """Run a program's segments, of which only what passes from one to the next is kept."""
    live: list[Tensor] = []
    for segment in segments:
        live = checkpoint(
            segment, batch, features, sides, live, use_reentrant=False, preserve_rng_state=False
        )
    (image,) = live
    return image
