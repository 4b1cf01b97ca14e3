"""Pixel masks and label maps as SVG path data: exact pixel edges, merged into long segments."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Int
from torch import Tensor

__all__ = ["borders", "loops", "outline", "segments", "surroundings"]

_Point = tuple[int, int]
"""A corner of pixels, (x, y): pixel [y, x] has its corners at (x, y) … (x + 1, y + 1)."""


def loops(mask: Bool[Tensor, "height width"]) -> list[list[_Point]]:
    """Return the corners of closed loops round the marked pixels.

    Loops run clockwise, and counter-clockwise round holes. Pixels that touch at a corner only
    belong to different loops.
    """
    leaving = _directed_edges(mask)
    found = []
    while leaving:
        found.append(_corners(_walk(leaving)))
    return found


def segments(labels: Int[Tensor, "height width"]) -> list[tuple[_Point, _Point]]:
    """Return the lines between pixels of different labels, each as long as it runs straight."""
    upright = (labels[:, 1:] != labels[:, :-1]).T.tolist()
    level = (labels[1:] != labels[:-1]).tolist()
    lines = [
        ((x, start), (x, stop))
        for x, marked in enumerate(upright, start=1)
        for start, stop in _runs(marked)
    ]
    lines += [
        ((start, y), (stop, y))
        for y, marked in enumerate(level, start=1)
        for start, stop in _runs(marked)
    ]
    return lines


def outline(mask: Bool[Tensor, "height width"]) -> str:
    """Return the loops as a path that, filled with either SVG rule, covers the marked pixels."""
    return "".join(map(_path, loops(mask)))


def surroundings(path: str, height: int, width: int) -> str:
    """Return what lies outside an outline, to dim it; fill it with the rule `evenodd`."""
    return f"M0 0H{width}V{height}H0Z{path}"


def borders(labels: Int[Tensor, "height width"]) -> str:
    """Return the segments as a path to stroke."""
    return "".join(
        f"M{x} {y}V{end_y}" if x == end_x else f"M{x} {y}H{end_x}"
        for (x, y), (end_x, end_y) in segments(labels)
    )


def _directed_edges(mask: Bool[Tensor, "height width"]) -> dict[_Point, list[_Point]]:
    """List the edges between marked and unmarked, by start, the marked pixel to the right."""
    height, width = mask.shape
    padded = torch.nn.functional.pad(mask, (1, 1, 1, 1))
    leaving: dict[_Point, list[_Point]] = {}
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    neighbours = ((0, -1), (1, 0), (0, 1), (-1, 0))
    for side, (right, down) in enumerate(neighbours):
        there = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        (from_x, from_y), (to_x, to_y) = corners[side], corners[(side + 1) % 4]
        for y, x in (mask & ~there).nonzero().tolist():
            start = (x + from_x, y + from_y)
            leaving.setdefault(start, []).append((x + to_x, y + to_y))
    return leaving


def _walk(leaving: dict[_Point, list[_Point]]) -> list[_Point]:
    """Follow edges from the top left corner back to it, and take them out of `leaving`."""
    start = min(leaving, key=lambda point: (point[1], point[0]))
    corners = [start]
    came = (1, 0)
    while True:
        here = corners[-1]
        choices = leaving[here]
        # Where two pixels touch at a corner, turning right stays with the same pixel.
        right = (here[0] - came[1], here[1] + came[0])
        there = right if right in choices else choices[0]
        choices.remove(there)
        if not choices:
            del leaving[here]
        if there == start:
            return corners
        came = (there[0] - here[0], there[1] - here[1])
        corners.append(there)


def _corners(points: list[_Point]) -> list[_Point]:
    """Keep the points at which a closed loop of unit steps turns."""
    kept = []
    for before, here, after in zip(
        [points[-1], *points[:-1]], points, [*points[1:], points[0]], strict=True
    ):
        straight = before[0] == here[0] == after[0] or before[1] == here[1] == after[1]
        if not straight:
            kept.append(here)
    return kept


def _path(corners: list[_Point]) -> str:
    """Write a rectilinear loop; Z draws its last segment."""
    (x, y), *rest = corners
    parts = [f"M{x} {y}"]
    for next_x, next_y in rest:
        parts.append(f"H{next_x}" if next_y == y else f"V{next_y}")
        x, y = next_x, next_y
    return "".join([*parts, "Z"])


def _runs(marked: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each run of True."""
    start = None
    for place, value in enumerate([*marked, False]):
        if value and start is None:
            start = place
        elif not value and start is not None:
            yield start, place
            start = None
