"""Places for the nodes and arrows of a Hasse diagram: layers, few crossings, straight columns.

The layered drawing of Sugiyama, Tagawa and Toda (1981): an arrow that passes a level gets a place
there of its own, rows are ordered by the mean of their neighbours, and the order with the fewest
crossings is kept. Then nodes move under their neighbours as far as the order allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from regional_primitives.show.extras import report_extra

_Place = tuple[float, float]
_SWEEPS = 8
"""Rounds up and down; orders and places settle in fewer."""
_LANE = 0.34
"""Width of a passing arrow, in widths of a node."""


@dataclass(frozen=True)
class HasseLayout:
    """Where a diagram's nodes and arrows are; y is the level, one node is one wide."""

    places: dict[int, _Place]
    routes: dict[tuple[int, int], list[_Place]]
    """The points that each arrow runs through, from the larger node to the smaller."""
    columns: float
    """The width of all: x runs from −0.5 to columns − 0.5."""
    rows: int
    alone: list[int]
    """Nodes without arrows; they stand in a block to the right."""


def lay_out(levels: Sequence[int], pairs: Sequence[tuple[int, int]]) -> HasseLayout:
    """Lay out a Hasse diagram.

    Args:
        levels: of each node, above those of all nodes that it leads to.
        pairs: the arrows, (larger, smaller).
    """
    rows = max(levels, default=0) + 1
    related = {k for pair in pairs for k in pair}
    alone = [k for k in range(len(levels)) if k not in related]
    if not related:
        rows = max(1, round((len(alone) / 3) ** 0.5))
    places: dict[int, _Place] = {}
    routes: dict[tuple[int, int], list[_Place]] = {}
    start = 0.0
    for family in _families(pairs):
        layers = _Layers(levels, [pair for pair in pairs if pair[0] in family])
        layers.order()
        found = layers.straighten()
        # Half a node to the left of the leftmost, so that families stand side by side.
        left = min(x - layers.width(k) / 2 for k, (x, _) in found.items())
        right = max(x + layers.width(k) / 2 for k, (x, _) in found.items())
        moved = {k: (x - left + start - 0.5, y) for k, (x, y) in found.items()}
        places |= {k: moved[k] for k in family}
        routes |= {pair: [moved[k] for k in chain] for pair, chain in layers.chains.items()}
        start += right - left
    for place, k in enumerate(alone):
        places[k] = (start + place // rows, float(rows - 1 - place % rows))
    columns = start + -(-len(alone) // rows)
    return HasseLayout(places, routes, columns, rows, alone)


class _Layers:
    """One connected diagram while it is laid out: nodes, and lanes where arrows pass a level."""

    def __init__(self, levels: Sequence[int], pairs: Sequence[tuple[int, int]]) -> None:
        self._nodes = len(levels)
        self.chains: dict[tuple[int, int], list[int]] = {}
        level = {k: levels[k] for pair in pairs for k in pair}
        for larger, smaller in pairs:
            lanes = range(levels[larger] - 1, levels[smaller], -1)
            chain = [larger]
            for lane_level in lanes:
                lane = self._nodes + sum(k >= self._nodes for k in level)
                level[lane] = lane_level
                chain.append(lane)
            self.chains[larger, smaller] = [*chain, smaller]
        self._above: dict[int, list[int]] = {k: [] for k in level}
        self._below: dict[int, list[int]] = {k: [] for k in level}
        for chain in self.chains.values():
            for upper, lower in pairwise(chain):
                self._above[lower].append(upper)
                self._below[upper].append(lower)
        self._rows = [
            [k for k in level if level[k] == y]
            for y in range(min(level.values()), max(level.values()) + 1)
        ]
        self._lowest = min(level.values())

    def width(self, k: int) -> float:
        """Return how much of a row a node or a lane takes."""
        return 1.0 if k < self._nodes else _LANE

    def order(self) -> None:
        """Order the rows so that few arrows cross."""
        best, fewest = [list(row) for row in self._rows], self._crossings()
        for sweep in range(_SWEEPS):
            upwards = sweep % 2 == 0
            neighbours = self._below if upwards else self._above
            rows = self._rows if upwards else self._rows[::-1]
            for fixed, row in pairwise(rows):
                rank = {k: float(place) for place, k in enumerate(fixed)}
                middle = {
                    k: _mean([rank[other] for other in neighbours[k]], float(place))
                    for place, k in enumerate(row)
                }
                row.sort(key=middle.__getitem__)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self._rows], crossings
        self._rows = best

    def straighten(self) -> dict[int, _Place]:
        """Move nodes towards the middle of their neighbours, in order and without touching."""
        with report_extra():
            from scipy.optimize import isotonic_regression  # type: ignore[import-untyped]
        x: dict[int, float] = {}
        for row in self._rows:
            x |= dict(zip(row, self._offsets(row), strict=True))
        for sweep in range(2 * _SWEEPS):
            neighbours = self._below if sweep % 2 == 0 else self._above
            for row in self._rows if sweep % 2 == 0 else self._rows[::-1]:
                offsets = self._offsets(row)
                wanted = [_mean([x[other] for other in neighbours[k]], x[k]) for k in row]
                slack = [want - offset for want, offset in zip(wanted, offsets, strict=True)]
                settled = zip(row, offsets, isotonic_regression(slack).x, strict=True)
                x |= {k: offset + float(free) for k, offset, free in settled}
        return {k: (x[k], float(self._lowest + y)) for y, row in enumerate(self._rows) for k in row}

    def _offsets(self, row: Sequence[int]) -> list[float]:
        """Return the places of a row packed from 0."""
        places, edge = [], 0.0
        for k in row:
            places.append(edge + self.width(k) / 2)
            edge += self.width(k)
        return places

    def _crossings(self) -> int:
        rank = {k: place for row in self._rows for place, k in enumerate(row)}
        total = 0
        for row in self._rows[1:]:
            links = [(rank[k], rank[other]) for k in row for other in self._below[k]]
            total += sum(
                (a - c) * (b - d) < 0
                for place, (a, b) in enumerate(links)
                for c, d in links[:place]
            )
        return total


def _mean(values: Sequence[float], otherwise: float) -> float:
    """Return the mean, something else of nothing."""
    return sum(values) / len(values) if values else otherwise


def _families(pairs: Sequence[tuple[int, int]]) -> list[set[int]]:
    """Return the connected parts, the one with the smallest number first."""
    families: list[set[int]] = []
    for pair in pairs:
        touching = [family for family in families if family & set(pair)]
        families = [family for family in families if family not in touching]
        families.append(set(pair).union(*touching))
    return sorted(families, key=min)
