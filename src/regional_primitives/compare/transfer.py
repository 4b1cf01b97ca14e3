"""Transferability: are the strongest action fields of one picture among those of another?

t(a, b) is the share of the a strongest fields of one picture that are among the b strongest of
another. The paper (arXiv 2410.04421) reports 76 to 88 % for t(20, 100); the symmetric curve t(a, a)
and the comparison with random fields of the same sizes are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from regional_primitives.compare.across import listed, spreads
from regional_primitives.compare.common_fields import (
    Shares,
    afford_draws,
    all_rectangles,
    comparable_components,
    random_alike,
    shares_of,
)
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.runtime.numbers import random_seed, whole
from regional_primitives.scores.spread import Spread

__all__ = ["PAPER_COUNTS", "PAPER_SHARE", "Shares", "Transfer", "transfer", "transfer_share"]

PAPER_COUNTS = (20, 100)
"""The a and b of the paper."""
PAPER_SHARE = (0.76, 0.88)
"""What the paper reports for t(a, b) with these counts."""


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
    a, b, draws = (whole(*one, 1) for one in (("a", a), ("b", b), ("draws", draws)))
    seed = random_seed(seed)
    counted = comparable_components(decompositions, leave_out)
    fields = [d.action_fields[own] for d, own in zip(decompositions, counted, strict=True)]
    least = min(map(len, fields))
    a, b = min(a, least), min(b, least)
    regions = decompositions[0].regions
    afford_draws(len(fields), a, draws)
    rectangles = all_rectangles(fields, regions)
    connected, subsets = [], []
    for draw in range(draws):
        drawn = random_alike(fields, regions, rectangles=rectangles, seed=seed, draw=draw)
        connected.append(shares_of(drawn[0], a, b))
        subsets.append(shares_of(drawn[1], a, b))
    return Transfer(
        pictures=len(fields),
        a=a,
        b=b,
        found=shares_of(fields, a, b),
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


def _mean(draws: list[Shares]) -> Shares:
    def mean(tensors: list[Tensor]) -> Tensor:
        return torch.stack(tensors).mean(0)

    return Shares(mean([d.strongest for d in draws]), mean([d.pair_curves for d in draws]))
