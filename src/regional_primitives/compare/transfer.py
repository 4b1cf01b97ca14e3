"""Transferability: are the strongest action fields of one picture among those of another?

t(a, b) is the share of the a strongest fields of one picture that are among the b strongest of
another. The paper (arXiv 2410.04421) reports 76 to 88 % for t(20, 100); the symmetric curve
t(a, a), the overlap of strengths and the random fields of the same sizes are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.together import FIELDS, check_together
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import random_seed, refuse_too_large, whole
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.agreement import numbered, side_by_side
from regional_primitives.scores.components import counted_components
from regional_primitives.scores.measured import plain
from regional_primitives.scores.random_fields import random_connected, random_subsets
from regional_primitives.scores.spread import Spread

PAPER_COUNTS = (20, 100)
"""The a and b of the paper."""
PAPER_SHARE = (0.76, 0.88)
"""What the paper reports for t(a, b) with these counts."""

_TOLD = ("strongest", "curves")
_FieldsOfEach = Sequence[Bool[Tensor, "_ patches"]]
"""Action fields of several pictures, strongest first."""


@dataclass(frozen=True)
class Span:
    """One number over several random draws."""

    mean: float
    least: float
    most: float

    @staticmethod
    def over(values: Sequence[float]) -> Span:
        """Summarise one value a draw."""
        return Span(sum(values) / len(values), min(values), max(values))


@dataclass(frozen=True, eq=False)
class Shares:
    """What every two pictures have in common."""

    strongest: Float[Tensor, "pictures pictures"]
    """t(a, b) from picture i (row) to picture j (column); NaN on the diagonal."""
    pair_curves: Float[Tensor, "pictures pictures counts"]
    """t(a, a) for a = 1, 2, … of each pair, which is the same both ways; NaN on the diagonal."""
    overlap: Float[Tensor, "pictures pictures"]
    """Σ min / Σ max over fields of the strengths, each picture's adding up to 1."""

    @property
    def curves(self) -> Float[Tensor, "pictures counts"]:
        """t(a, a) for a = 1, 2, …; from each picture, mean over the others."""
        return self.pair_curves.nanmean(1)

    @property
    def by_picture(self) -> list[float]:
        """t(a, b) from each picture, mean over the others."""
        values: list[float] = self.strongest.nanmean(1).tolist()
        return values

    def both_ways(self, i: int, j: int) -> float:
        """Return the mean of t(a, b) from i to j and from j to i."""
        return float(self.strongest[i, j] + self.strongest[j, i]) / 2


def shares_of(fields: _FieldsOfEach, strengths: Sequence[Tensor], a: int, b: int) -> Shares:
    """Compare every two pictures' fields; a and b are at most as many as the least picture has."""
    count, least = len(fields), min(map(len, fields))
    ranks = [{row.numpy().tobytes(): rank for rank, row in reversed(list(enumerate(own)))}
             for own in fields]  # fmt: skip
    strongest = torch.full((count, count), float("nan"))
    curves = torch.full((count, count, least), float("nan"))
    for i, j in itertools.permutations(range(count), 2):
        # A field of rank r in one and s in the other is common from a = max(r, s) + 1 on.
        met = [(rank, ranks[j][key]) for key, rank in ranks[i].items() if key in ranks[j]]
        strongest[i, j] = sum(rank < a and other < b for rank, other in met) / a
        since = torch.tensor([max(pair) for pair in met if max(pair) < least], dtype=torch.long)
        curves[i, j] = since.bincount(minlength=least).cumsum(0) / torch.arange(1, least + 1)
    table = side_by_side(numbered(fields), [own / own.sum() for own in strengths])
    overlap = [torch.minimum(row, table).sum(1) / torch.maximum(row, table).sum(1) for row in table]
    return Shares(strongest, curves, torch.stack(overlap))


@dataclass(frozen=True, eq=False)
class Transfer:
    """Common action fields of several pictures, beside those of random fields of the same sizes."""

    decompositions: tuple[Decomposition, ...]
    counted: tuple[tuple[int, ...], ...]
    """The components of each picture that count, strongest first."""
    a: int
    b: int
    found: Shares
    connected_draws: tuple[Shares, ...]
    """Of random connected fields, rectangles where the real ones are."""
    subsets_draws: tuple[Shares, ...]
    """Of random sets of patches."""

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return len(self.decompositions)

    @property
    def draws(self) -> int:
        """How often random fields were drawn."""
        return len(self.subsets_draws)

    @cached_property
    def connected(self) -> Shares:
        """Of random connected fields, mean over draws."""
        return _mean(self.connected_draws)

    @cached_property
    def subsets(self) -> Shares:
        """Of random sets of patches, mean over draws."""
        return _mean(self.subsets_draws)

    @cached_property
    def summary(self) -> dict[str, Spread]:
        """Mean and interval over pictures.

        A picture's value is its mean over the others as the second of a pair. Values share
        pictures, so that the interval is only a guide.
        """
        columns = {
            "transfer": self.found.by_picture,
            "transfer_connected_fields": self.connected.by_picture,
            "transfer_random_subsets": self.subsets.by_picture,
            "symmetric_transfer": [float(curve[self.a - 1]) for curve in self.found.curves],
            "mean_symmetric_transfer": [float(curve.mean()) for curve in self.found.curves],
        }
        return {name: Spread.over(values) for name, values in columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return {
            "summary": plain(self.summary),
            "pictures": self.pictures,
            "a": self.a,
            "b": self.b,
            "draws": self.draws,
            "paper_share": PAPER_SHARE,
            **{
                name: {curve: plain(getattr(getattr(self, name), curve)) for curve in _TOLD}
                for name in ("found", "connected", "subsets")
            },
        }


def transfer(
    decompositions: Sequence[Decomposition],
    *,
    a: int = 20,
    b: int = 100,
    draws: int = 10,
    seed: int = 0,
) -> Transfer:
    """Compare the strongest action fields of every ordered pair of pictures.

    Args:
        decompositions: two or more, of the same patches; of the exact form, whose fields are sets
            of its chosen patches, also of the same choice. Its remainder does not count.
        a: strongest fields of the first; fewer where a picture has fewer components.
        b: strongest fields of the second, likewise.
        draws: how often the random fields are drawn.
        seed: their random stream.

    Raises:
        InputError: fewer than two pictures, other patches or another choice of them, or counts
            below 1.
    """
    a, b, draws = (whole(*one, 1) for one in (("a", a), ("b", b), ("draws", draws)))
    seed = random_seed(seed)
    several = check_together(decompositions, *FIELDS)
    counted = [counted_components(d) for d in several]
    fields = [d.action_fields[own] for d, own in zip(several, counted, strict=True)]
    strengths = [d.strengths[own] for d, own in zip(several, counted, strict=True)]
    least = min(map(len, fields))
    a, b = min(a, least), min(b, least)
    size = 2 * 8 * draws * len(several) ** 2 * (a + 2)
    refuse_too_large(f"draws={draws:,} of random fields", size, "lower draws")
    drawn = [
        [shares_of(rows, strengths, a, b) for rows in kinds]
        for kinds in random_alike(fields, several[0].regions, draws, seed)
    ]
    return Transfer(
        decompositions=several,
        counted=tuple(map(tuple, counted)),
        a=a,
        b=b,
        found=shares_of(fields, strengths, a, b),
        connected_draws=tuple(connected for connected, _ in drawn),
        subsets_draws=tuple(subsets for _, subsets in drawn),
    )


def random_alike(
    fields: _FieldsOfEach, regions: Regions, draws: int, seed: int
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Draw fields of the same sizes over the patches that each picture covers, a stream each.

    Yields connected fields, rectangles where all real ones are, and any sets of patches.
    """
    rectangles = _are_rectangles(fields, regions)
    for draw in range(draws):
        connected, subsets = [], []
        for i, own in enumerate(fields):
            rng = stream(seed, "random fields", draw, i)
            sizes, patches = own.sum(1), own.any(0)
            connected.append(random_connected(sizes, patches, regions, rng, rectangles=rectangles))
            subsets.append(random_subsets(sizes, patches, rng))
        yield connected, subsets


def _are_rectangles(fields: _FieldsOfEach, regions: Regions) -> bool:
    """Tell whether no field is empty and each fills the least rectangle of the grid around it."""
    if regions.rows is None or regions.columns is None:
        return False
    for row in torch.cat(list(fields)):
        cells = row.view(regions.rows, regions.columns).nonzero()
        if len(cells) == 0 or int((cells.amax(0) - cells.amin(0) + 1).prod()) != len(cells):
            return False
    return True


def _mean(draws: Sequence[Shares]) -> Shares:
    names = ("strongest", "pair_curves", "overlap")
    return Shares(*(torch.stack([getattr(one, name) for one in draws]).mean(0) for name in names))
