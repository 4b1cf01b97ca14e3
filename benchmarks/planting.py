"""Planted networks: generators whose components are known, of many kinds; truth for any method.

Every unit paints a random pattern of its own on one set of patches, its field, and nothing else;
what they paint is added up and ends in a function of each pixel. So the demand for S needs the
units whose field touches S and no others: the OR law of arXiv 2410.04421 holds exactly, and the
components are the groups of units of one field. Units of no field are what no demand needs. Ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from regional_primitives.errors import ImageRangeWarning
from regional_primitives.generators.cut import cut
from regional_primitives.generators.generator import Generator
from regional_primitives.regions import Regions
from regional_primitives.runtime.streams import stream

_ENDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda sums: sums,
    "tanh": torch.tanh,
    "clamp": lambda sums: sums.clamp(-1, 1),
    "sigmoid": lambda sums: 2 * torch.sigmoid(3 * sums) - 1,
}


@dataclass(frozen=True, eq=False)
class Planted:
    """One network, and the components that its pictures have."""

    name: str
    generator: Generator
    regions: Regions
    fields: Bool[Tensor, "components patches"]
    owner: Int[Tensor, " units"]
    """Which field each unit has."""
    held_out: bool
    """Left out of every choice of settings."""

    def components(self, difference: Float[Tensor, "1 units"]) -> Float[Tensor, "components units"]:
        """Split f − f0 among the fields."""
        return (self.owner == torch.arange(len(self.fields))[:, None]) * difference


class _Painter(nn.Module):
    """Units [B, D] become a picture: patterns added up, and an ending a pixel."""

    def __init__(
        self,
        patterns: Float[Tensor, "units hidden height width"],
        arranged: tuple[int, ...] | None,
        ending: str,
        shift: float,
        border: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        units, self.painted = len(patterns), patterns.shape[1:]
        self.arranged, self.ending, self.shift = arranged, ending, shift
        self.mix = nn.Linear(units, units, bias=False)
        self.first, self.second = nn.Identity(), nn.Identity()
        self.paint = nn.Linear(units, patterns[0].numel(), bias=False)
        self.last = nn.Conv2d(self.painted[0], 3, 1, bias=False)
        rows = torch.zeros(self.painted)
        rows[:, :2], rows[:, -2:] = -border, -border
        self.border = nn.Parameter(rows)
        with torch.no_grad():
            self.mix.weight.copy_(torch.linalg.qr(torch.randn(units, units, generator=rng))[0])
            self.paint.weight.copy_(patterns.flatten(1).T)
            self.last.weight.copy_(torch.randn(self.last.weight.shape, generator=rng) / 2)

    def forward(self, latent: Tensor) -> Tensor:
        units = torch.tanh(self.mix(latent)) + self.shift
        if self.arranged == ():  # a bundle of two tensors
            half = units.shape[1] // 2
            units = torch.cat([self.first(units[:, :half]), self.second(units[:, half:])], 1)
        elif self.arranged is None:
            units = self.first(units)
        else:
            units = self.first(units.unflatten(1, self.arranged)).flatten(1)
        sums: Tensor = self.paint(units).unflatten(1, self.painted) + self.border
        if self.ending == "relu":
            image: Tensor = torch.tanh(self.last(torch.relu(sums)))
            return image
        return _ENDINGS[self.ending](sums)


def _build(
    name: str,
    regions: Regions,
    fields: Bool[Tensor, "components patches"],
    *,
    units: int | Sequence[int] = 5,
    owner: Tensor | None = None,
    arranged: tuple[int, ...] | None = None,
    ending: str = "tanh",
    strengths: Sequence[float] | None = None,
    strength: float = 1.0,
    in_common: float = 0.0,
    shift: float = 0.0,
    border: float = 0.0,
    baseline: float | None = None,
    held_out: bool = False,
) -> Planted:
    """Build one.

    Args:
        units: of each field; `owner` names the field of each unit instead.
        arranged: the feature's shape; None is a vector, () a bundle of two.
        strengths: of each field's patterns, 1 unless given; `strength` is that of all.
        in_common: which share of every pattern's energy is one pattern that all have.
        border: how dark rows at the top and the bottom are by themselves, so that they saturate.
        baseline: f0 in every unit; the mean unless given.
    """
    rng = stream(0, "planting", name)
    if owner is None:
        counts = [units] * len(fields) if isinstance(units, int) else list(units)
        owner = torch.repeat_interleave(torch.arange(len(fields)), torch.tensor(counts))
    height, width = 30, 30
    if regions.rows and regions.columns:
        pixels = 4 if regions.count > 16 else 6
        height, width = pixels * regions.rows, pixels * regions.columns
    hidden = 8 if ending == "relu" else 3
    coarse = torch.randn(len(owner) + 1, hidden, height // 3, width // 3, generator=rng)
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    patterns = (1 - in_common) ** 0.5 * smooth[1:] + in_common**0.5 * smooth[:1]
    inside = fields.float() @ regions.masks(height, width).flatten(1).float()
    patterns = patterns * inside.view(len(fields), 1, height, width)[owner]
    if strengths is not None:
        patterns = patterns * torch.tensor(strengths)[owner][:, None, None, None]
    # Sums of patterns depart from grey by about this much, so that an ending bends but keeps them.
    patterns = 1.1 * strength * patterns / patterns.square().sum(0).mean().sqrt()
    network = _Painter(patterns, arranged, ending, shift, border, rng).eval()
    given: dict[str, Any] = {}
    if baseline is not None:
        given["baseline"] = torch.full((len(owner),), baseline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageRangeWarning)  # a linear picture has no range
        generator = cut(
            network,
            ["first", "second"] if arranged == () else "first",
            sample_latents=lambda count, rng: torch.randn(count, len(owner), generator=rng),
            baseline_count=1024,
            name=name,
            **given,
        )
    return Planted(name, generator, regions, fields, owner, held_out)


def _rectangles(side: int, *boxes: tuple[int, int, int, int]) -> Bool[Tensor, "fields patches"]:
    """Fields of (top, left, bottom, right) in cells of a square grid, ends excluded."""
    fields = torch.zeros(len(boxes), side, side, dtype=torch.bool)
    for field, (top, left, bottom, right) in zip(fields, boxes, strict=True):
        field[top:bottom, left:right] = True
    return fields.flatten(1)


def _sets(patches: int, *fields: Sequence[int]) -> Bool[Tensor, "fields patches"]:
    found = torch.zeros(len(fields), patches, dtype=torch.bool)
    for row, field in zip(found, fields, strict=True):
        row[list(field)] = True
    return found


def _map(
    side: int, *channels: Callable[[int, int], Sequence[tuple[int, int]]]
) -> tuple[Bool[Tensor, "fields patches"], Int[Tensor, " units"]]:
    """Fields of a map's units, a channel a rule: which cells the unit at (row, column) paints."""
    rows = []
    for rule in channels:
        for site in range(side * side):
            row = torch.zeros(side, side, dtype=torch.bool)
            for y, x in rule(*divmod(site, side)):
                if 0 <= y < side and 0 <= x < side:
                    row[y, x] = True
            rows.append(row.flatten())
    return torch.stack(rows).unique(dim=0, return_inverse=True)


def _irregular(patches: int) -> Regions:
    """A label map of cells around random points (Voronoi), 30 × 30."""
    points = 30 * torch.rand(patches, 2, generator=stream(0, "planting", "points"))
    places = torch.cartesian_prod(torch.arange(30.0), torch.arange(30.0))
    return Regions.from_labels(torch.cdist(places, points).argmin(1).view(30, 30))


def planted_networks() -> list[Planted]:
    """Build 24 networks, of which a quarter is held out of every choice of settings."""
    three, four, six = (Regions.grid(side, side) for side in (3, 4, 6))
    nine = _rectangles(
        3, (0, 0, 1, 1), (0, 0, 2, 2), (0, 1, 1, 3), (1, 1, 2, 2), (1, 0, 3, 1), (1, 2, 3, 3),
        (2, 0, 3, 3), (2, 1, 3, 2), (0, 0, 3, 3),
    )  # fmt: skip
    some = _rectangles(
        4, (0, 0, 1, 1), (0, 1, 2, 3), (1, 0, 3, 2), (2, 2, 4, 4), (0, 3, 3, 4), (3, 0, 4, 4)
    )
    few = _sets(9, [0, 1], [2, 5], [4], [6, 7, 3], [8], [0, 4])
    small_map, small_owner = _map(
        4,
        lambda y, x: [(y, x)],
        lambda y, x: [(y, x), (y, x + 1)],
        lambda y, x: [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)],
        lambda y, x: [(y, x), (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)],
    )
    large_map, large_owner = _map(
        6,
        lambda y, x: [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)],
        lambda y, x: [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)],
        lambda y, x: [(y, x), (y, 5 - x)],
    )
    stripes = [[i for i in range(36) if (i // 6 + i % 6) % 4 == k] for k in range(4)]
    return [
        _build("overlapping", three, nine),
        _build("disjoint", three, _sets(9, [0, 1], [2, 5], [3], [4, 7], [6], [8])),
        _build(
            "nested",
            four,
            _rectangles(
                4,
                (0, 0, 1, 1),
                (0, 0, 2, 2),
                (0, 0, 3, 3),
                (0, 0, 4, 4),
                (3, 3, 4, 4),
                (2, 2, 4, 4),
            ),
            held_out=True,
        ),
        _build(
            "disconnected",
            four,
            _sets(16, [0, 3], [5, 10], [12, 15, 3], [1, 2], [6, 9], [4, 7, 11]),
            held_out=True,
        ),
        _build(
            "two eyes",
            six,
            _sets(
                36,
                [7, 10],
                [14, 15],
                [25, 26, 27, 28],
                list(range(6)),
                [0, 5, 30, 35],
                [19, 22],
                [31, 32, 33, 34],
                [20, 21],
            ),
        ),
        _build(
            "rectangles",
            six,
            _rectangles(
                6,
                (0, 0, 2, 2),
                (1, 1, 4, 3),
                (0, 4, 2, 6),
                (2, 2, 5, 5),
                (4, 0, 6, 2),
                (5, 2, 6, 6),
                (3, 5, 6, 6),
                (0, 2, 1, 4),
                (2, 0, 3, 1),
                (0, 0, 6, 6),
            ),
        ),
        _build(
            "1 to 64 units",
            three,
            _sets(9, [0], [1, 2], [3, 4], [5], [6, 7, 8], [2, 5, 8], [4]),
            units=(1, 2, 4, 8, 16, 32, 64),
        ),
        _build("linear", four, some, ending="linear"),
        _build("clamp", four, some, ending="clamp", strength=1.3),
        _build("ReLU and convolution", three, nine[:6], ending="relu"),
        _build("saturated border", four, some, border=3.0),
        _build(
            "units that do nothing",
            three,
            torch.cat([few[:5], torch.zeros(1, 9, dtype=torch.bool)]),
            units=(5, 5, 5, 5, 5, 12),
        ),
        _build("tiny effect", three, few, strengths=(1.0, 1.0, 1.0, 1.0, 1.0, 0.15)),
        _build("in common", three, nine, in_common=0.6, held_out=True),
        _build(
            "label map",
            _irregular(10),
            _sets(10, [0], [1, 4], [2, 3, 7], [5], [6, 8, 9], [0, 9], [7, 1]),
        ),
        _build("bundle", three, nine, units=6, arranged=()),
        _build("far baseline", three, nine, baseline=1.5),
        _build("map", four, small_map, owner=small_owner, arranged=(4, 4, 4)),
        _build("large map", six, large_map, owner=large_owner, arranged=(3, 6, 6)),
        _build(
            "sigmoid",
            three,
            _sets(9, [0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [4, 8], [2, 4]),
            ending="sigmoid",
            strength=0.5,
            shift=0.2,
        ),
        _build(
            "tokens",
            four,
            _sets(
                16,
                [0, 1],
                [2, 3],
                [0, 1, 2, 3],
                [4, 5, 8],
                [5],
                [4, 8, 12],
                [6, 7, 11],
                [10],
                [3, 6, 9, 12],
                [13, 14],
                [15, 11],
                [14],
            ),
            units=2,
            arranged=(4, 6),
            held_out=True,
        ),
        _build(
            "stripes",
            six,
            _sets(36, *stripes, [0, 1, 6, 7], [14, 15, 20, 21], [28, 29, 34, 35]),
            units=8,
            held_out=True,
        ),
        _build("whole picture", four, _sets(16, list(range(16)), [0], [5], [10], [15], [3, 12])),
        _build("ReLU, larger", four, some, ending="relu", held_out=True),
    ]
