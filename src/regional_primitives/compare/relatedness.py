"""Relatedness: how far the components of one picture are nested, act together and share patches.

A reviewer of the paper (arXiv 2410.04421) asked how components whose action fields overlap form a
hierarchy, and who gets the credit there. The relations are those of `rp.relations`; all numbers are
ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores.components import counted_components
from regional_primitives.scores.measured import Measured, listed
from regional_primitives.scores.relations import Relations, relations

TOGETHER = 0.5
"""Components that act together at least this often, on the mean, are one group."""


@dataclass(frozen=True, eq=False)
class Relatedness(Measured):
    """How the components of one picture relate, in numbers."""

    told = ("components",)
    components: Int[Tensor, " components"]
    """Their numbers in the decomposition."""
    relations: Relations
    """Of the counted components, numbered in their own order, strongest first."""

    @property
    def groups(self) -> list[list[int]]:
        """Groups of the hierarchy's components at a mean togetherness of `TOGETHER`."""
        return self.relations.groups(TOGETHER)

    @property
    def leading_share(self) -> Float[Tensor, " patches"]:
        """The share of each patch's credit that its largest contributor holds; NaN without one."""
        return self.relations.credit.amax(0) / self.relations.patch_totals

    def numbers(self) -> dict[str, float]:
        """Return what can be averaged over pictures, by name.

        Of all pairs, `contained_pairs` is the share in which one field strictly contains the other;
        `longest_chain` is how many fields lie each strictly inside the one before.
        """
        related, groups = self.relations, self.groups
        found = {
            "longest_chain": float(related.levels.max() + 1),
            "grouped": float(related.strongest),
            "groups": float(len(groups)),
            "largest_group": float(max(map(len, groups))),
        }
        pairs = math.comb(len(self.components), 2)
        if pairs:
            found["contained_pairs"] = int(related.contains.sum()) / pairs
            found["mean_overlap"] = related.mean_overlap
        if bool((related.patch_totals > 0).any()):
            found["leading_share"] = float(self.leading_share.nanmean())
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; tables of pairs are left out, since they are large.

        Groups name components by their numbers in the decomposition.
        """
        return {
            **super().to_dict(),
            "asked_share": self.relations.asked_share,
            "togetherness": TOGETHER,
            "levels": listed(self.relations.levels),
            "members": [listed(self.components[group]) for group in self.groups],
            "leading_share_of_each_patch": listed(self.leading_share),
        }


def relatedness(decomposition: Decomposition) -> Relatedness:
    """Measure how the components relate, but for the exact form's remainder.

    The hierarchy holds the 40 strongest of them.

    Raises:
        InputError: no component to count.
        MissingExtraError: scipy, which the report's extra brings, is not installed.
    """
    kept = counted_components(decomposition)
    return Relatedness(torch.tensor(kept), relations(decomposition.select(kept)))
