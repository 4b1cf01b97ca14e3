"""Pixel masks and label maps as lines and SVG paths: exact pixel edges, merged where straight."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from regional_primitives.axes import Mask

_Point = tuple[int, int]
"""A corner of pixels, (x, y): pixel [y, x] has its corners at (x, y) … (x + 1, y + 1)."""


def loops(mask: Mask) -> list[list[_Point]]:
    """Return the corners of closed loops round the marked pixels.

    Loops run clockwise, and counter-clockwise round holes. Pixels that touch at a corner only
    belong to different loops.
    """
    # Edges between marked and unmarked, by start, with the marked pixel to their right.
    around = torch.nn.functional.pad(mask, (1, 1, 1, 1))
    leaving: dict[_Point, list[_Point]] = {}
    for y, start, stop in _straight(mask & ~around[:-2, 1:-1]):
        leaving.setdefault((start, y), []).append((stop, y))
    for x, start, stop in _straight((mask & ~around[1:-1, 2:]).T):
        leaving.setdefault((x + 1, start), []).append((x + 1, stop))
    for y, start, stop in _straight(mask & ~around[2:, 1:-1]):
        leaving.setdefault((stop, y + 1), []).append((start, y + 1))
    for x, start, stop in _straight((mask & ~around[1:-1, :-2]).T):
        leaving.setdefault((x, stop), []).append((x, start))
    found = []
    while leaving:
        found.append(_walk(leaving))
    return found


def segments(labels: Int[Tensor, "height width"]) -> list[tuple[_Point, _Point]]:
    """Return the lines between pixels of different labels, each as long as it runs straight."""
    upright = _straight((labels[:, 1:] != labels[:, :-1]).T)
    level = _straight(labels[1:] != labels[:-1])
    return [
        *(((x + 1, start), (x + 1, stop)) for x, start, stop in upright),
        *(((start, y + 1), (stop, y + 1)) for y, start, stop in level),
    ]


def outline(mask: Mask) -> str:
    """Return the loops as a path that, filled with either SVG rule, covers the marked pixels."""
    path = ""
    for (x, y), *corners in loops(mask):
        path += f"M{x} {y}"
        for next_x, next_y in corners:  # Z draws the last segment
            path += f"H{next_x}" if next_y == y else f"V{next_y}"
            x, y = next_x, next_y
        path += "Z"
    return path


def surroundings(path: str, height: int, width: int) -> str:
    """Return what lies outside an outline, to dim it; fill it with the rule `evenodd`."""
    return f"M0 0H{width}V{height}H0Z{path}"


def borders(labels: Int[Tensor, "height width"]) -> str:
    """Return the segments as a path to stroke."""
    return "".join(
        f"M{x} {y}V{end_y}" if x == end_x else f"M{x} {y}H{end_x}"
        for (x, y), (end_x, end_y) in segments(labels)
    )


def _walk(leaving: dict[_Point, list[_Point]]) -> list[_Point]:
    """Follow edges from the top left corner back to it, and take them out of `leaving`."""
    start = min(leaving, key=lambda point: (point[1], point[0]))
    corners, came = [start], (1, 0)
    while True:
        x, y = corners[-1]
        # Where two pixels touch at a corner, turning right stays with the same pixel.
        there = max(leaving[x, y], key=lambda end: came[0] * (end[1] - y) - came[1] * (end[0] - x))
        leaving[x, y].remove(there)
        if not leaving[x, y]:
            del leaving[x, y]
        if there == start:
            return corners
        came = (there[0] - x, there[1] - y)
        corners.append(there)


def _straight(marked: Mask) -> Iterator[tuple[int, int, int]]:
    """Yield row, start and stop of each run of marked places in a row."""
    edges = torch.nn.functional.pad(marked.int(), (1, 1)).diff(dim=1)
    starts, stops = (edges == 1).nonzero(), (edges == -1).nonzero()
    for (row, start), (_, stop) in zip(starts.tolist(), stops.tolist(), strict=True):
        yield row, start, stop
