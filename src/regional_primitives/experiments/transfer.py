"""Transferability: are the strongest action fields of one picture among those of another?

t(a, b) is the share of the a strongest fields of one picture that are among the b strongest of
another. The paper (arXiv 2410.04421) reports 76 to 88 % for t(20, 100); the symmetric curve t(a, a)
and the comparison with random fields of the same sizes are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError, require_whole
from regional_primitives.evaluate.random_fields import random_connected, random_subsets
from regional_primitives.evaluate.spread import Spread
from regional_primitives.experiments.across import listed, spreads
from regional_primitives.experiments.counted import counted_components, same_patches
from regional_primitives.regions import Regions
from regional_primitives.runtime.streams import stream

__all__ = ["PAPER_COUNTS", "PAPER_SHARE", "Shares", "Transfer", "transfer", "transfer_share"]

PAPER_COUNTS = (20, 100)
"""The a and b of the paper."""
PAPER_SHARE = (0.76, 0.88)
"""What the paper reports for t(a, b) with these counts."""


@dataclass(frozen=True, eq=False)
class Shares:
    """t over the ordered pairs of pictures."""

    strongest: Float[Tensor, "pictures pictures"]
    """t(a, b) from picture i (row) to picture j (column); NaN on the diagonal."""
    curves: Float[Tensor, "pictures counts"]
    """t(a, a) for a = 1, 2, …; from each picture, mean over the others."""

    @property
    def by_picture(self) -> list[float]:
        """t(a, b) from each picture, mean over the others."""
        values: list[float] = self.strongest.nanmean(1).tolist()
        return values


@dataclass(frozen=True, eq=False)
class Transfer:
    """Common action fields of several pictures."""

    pictures: int
    a: int
    b: int
    found: Shares
    connected: Shares
    """Of random fields of the same sizes, rectangles where the real ones are, mean over draws."""
    subsets: Shares
    """Of random sets of patches of the same sizes, mean over draws."""
    draws: int

    @cached_property
    def summary(self) -> dict[str, Spread]:
        """Mean and interval over pictures.

        A picture's value is its mean over the others as the second of a pair. Values share
        pictures, so that the interval is only a guide.
        """
        return spreads(
            [
                {
                    "transfer": found,
                    "transfer_connected_fields": connected,
                    "transfer_random_subsets": subsets,
                    "symmetric_transfer": float(curve[self.a - 1]),
                    "mean_symmetric_transfer": float(curve.mean()),
                }
                for found, connected, subsets, curve in zip(
                    self.found.by_picture,
                    self.connected.by_picture,
                    self.subsets.by_picture,
                    self.found.curves,
                    strict=True,
                )
            ]
        )

    def numbers(self) -> dict[str, float]:
        """Return the means over pictures, by name."""
        return {name: spread.mean for name, spread in self.summary.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return {
            "summary": {name: asdict(spread) for name, spread in self.summary.items()},
            "pictures": self.pictures,
            "a": self.a,
            "b": self.b,
            "draws": self.draws,
            "paper_share": PAPER_SHARE,
            **{
                name: {"strongest": listed(shares.strongest), "curves": listed(shares.curves)}
                for name in ("found", "connected", "subsets")
                for shares in (getattr(self, name),)
            },
        }


def transfer(
    decompositions: Sequence[Decomposition],
    *,
    leave_out: Sequence[Sequence[int]] | None = None,
    a: int = 20,
    b: int = 100,
    draws: int = 10,
    seed: int = 0,
) -> Transfer:
    """Compare the strongest action fields of every ordered pair of pictures.

    Args:
        decompositions: two or more, of the same patches; of the exact form, whose fields are sets
            of its chosen patches, also of the same choice.
        leave_out: for each of them, the components that are not counted; None: the exact form's
            remainders.
        a: strongest fields of the first; fewer where a picture has fewer components.
        b: strongest fields of the second, likewise.
        draws: how often the random fields are drawn.
        seed: their random stream.

    Raises:
        InputError: fewer than two pictures, other patches or another choice of them, or counts
            below 1.
    """
    for name, value in {"a": a, "b": b, "draws": draws}.items():
        require_whole(name, value, 1)
    fields = _counted_fields(decompositions, leave_out)
    least = min(map(len, fields))
    a, b = min(a, least), min(b, least)
    regions = decompositions[0].regions
    rectangles = regions.is_grid and _all_rectangles(fields, regions)
    connected, subsets = [], []
    for draw in range(draws):
        pairs = [
            _random_alike(own, regions, rectangles, stream(seed, "random fields", draw, i))
            for i, own in enumerate(fields)
        ]
        connected.append(_shares([pair[0] for pair in pairs], a, b))
        subsets.append(_shares([pair[1] for pair in pairs], a, b))
    return Transfer(
        pictures=len(fields),
        a=a,
        b=b,
        found=_shares(fields, a, b),
        connected=_mean(connected),
        subsets=_mean(subsets),
        draws=draws,
    )


def transfer_share(
    first: Bool[Tensor, "some patches"], second: Bool[Tensor, "others patches"], a: int, b: int
) -> float:
    """Return t(a, b) of two lists of action fields, strongest first.

    Raises:
        InputError: a list that is shorter than asked for.
    """
    if not (1 <= a <= len(first) and 1 <= b <= len(second)):
        raise InputError(
            f"t({a}, {b}) needs that many fields; there are {len(first)} and {len(second)}"
        )
    known = {row.numpy().tobytes() for row in second[:b]}
    return sum(row.numpy().tobytes() in known for row in first[:a]) / a


def _counted_fields(
    decompositions: Sequence[Decomposition], leave_out: Sequence[Sequence[int]] | None
) -> list[Bool[Tensor, "_ patches"]]:
    if len(decompositions) < 2:
        raise InputError(f"transfer compares pictures, at least two; got {len(decompositions)}")
    if leave_out is not None and len(leave_out) != len(decompositions):
        raise InputError(
            f"leave_out names the components of each picture: {len(decompositions)} lists, "
            f"not {len(leave_out)}"
        )
    regions = decompositions[0].regions
    for decomposition in decompositions[1:]:
        if not same_patches(regions, decomposition.regions):
            raise InputError(
                f"fields can be compared only over the same patches: {regions.description} and "
                f"{decomposition.regions.description} differ"
            )
        if set(decomposition.patches) != set(decompositions[0].patches):
            raise InputError(
                "fields can be compared only over the same patches: those that were demanded "
                f"differ, {_demanded(decompositions[0])} and {_demanded(decomposition)}; explain "
                "every picture with the same `patches`, or in the structured form"
            )
    left_out = leave_out if leave_out is not None else [None] * len(decompositions)
    return [
        decomposition.action_fields[counted_components(decomposition, left)]
        for decomposition, left in zip(decompositions, left_out, strict=True)
    ]


def _demanded(decomposition: Decomposition) -> str:
    """Name the patches that were demanded."""
    patches = decomposition.patches
    if len(patches) == decomposition.regions.count:
        return f"all {len(patches)}"
    return ", ".join(map(str, sorted(patches)))


def _all_rectangles(fields: list[Bool[Tensor, "_ patches"]], regions: Regions) -> bool:
    known = {row.numpy().tobytes() for row in regions.rectangles()}
    return all(row.numpy().tobytes() in known for own in fields for row in own)


def _random_alike(
    fields: Bool[Tensor, "components patches"],
    regions: Regions,
    rectangles: bool,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw random fields of the same sizes, over the patches that the fields cover together."""
    sizes, patches = fields.sum(1), fields.any(0)
    connected = random_connected(sizes, patches, regions, rng, rectangles=rectangles)
    return connected, random_subsets(sizes, patches, rng)


def _shares(fields: list[Bool[Tensor, "_ patches"]], a: int, b: int) -> Shares:
    count, least = len(fields), min(map(len, fields))
    ranks = [{row.numpy().tobytes(): rank for rank, row in reversed(list(enumerate(own)))}
             for own in fields]  # fmt: skip
    strongest = torch.full((count, count), float("nan"))
    curves = torch.zeros(count, least)
    for i, j in itertools.permutations(range(count), 2):
        # A field of rank r in one and s in the other is common from a = max(r, s) + 1 on.
        met = [(rank, ranks[j][key]) for key, rank in ranks[i].items() if key in ranks[j]]
        strongest[i, j] = sum(rank < a and other < b for rank, other in met) / a
        since = torch.tensor([max(pair) for pair in met if max(pair) < least], dtype=torch.long)
        common = since.bincount(minlength=least).cumsum(0)
        curves[i] += common / torch.arange(1, least + 1) / (count - 1)
    return Shares(strongest, curves)


def _mean(draws: list[Shares]) -> Shares:
    def mean(tensors: list[Tensor]) -> Tensor:
        return torch.stack(tensors).mean(0)

    return Shares(mean([d.strongest for d in draws]), mean([d.curves for d in draws]))
