"""The lattice of demands: all subsets of the chosen patches, and where each one's search starts.

Small demands come first, so that larger ones start from what was found for their subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.errors import InputError
from regional_primitives.regions import Regions
from regional_primitives.setfunctions import membership

MOST_PATCHES = 12
"""The most patches of which all 2ⁿ demands are taken."""

MOST_STARTS = 16
"""The most starts of one demand."""


def all_demands(patches: Sequence[int], regions: Regions) -> Bool[Tensor, "demands patches"]:
    """List the non-empty subsets of at most `MOST_PATCHES` patches; number i has bitmask i + 1."""
    if len(patches) > MOST_PATCHES:
        raise InputError(
            f"{len(patches)} patches have {2 ** len(patches):,} demands; all of them are taken for "
            f"up to {MOST_PATCHES} patches: choose some (patches=…), or use the structured form"
        )
    rows = torch.zeros(2 ** len(patches) - 1, regions.count, dtype=torch.bool)
    rows[:, list(patches)] = membership(len(patches))[1:]
    return rows


@dataclass(eq=False)
class Lattice:
    """In which order demands are minimised, and from where."""

    demands: Bool[Tensor, "demands patches"]

    @cached_property
    def orders(self) -> Int[Tensor, " demands"]:
        """How many patches each asks for."""
        return self.demands.sum(1)

    def batches(
        self, size: int, done: Bool[Tensor, " demands"], starts: int = 1
    ) -> list[Int[Tensor, " rows"]]:
        """Split what is to do into batches of demands with equally many patches.

        A batch holds at most `size` demands, each counted as often as it is repeated.
        """
        left = (~done).nonzero().flatten()
        batches = []
        for count in self.orders[left].unique().tolist():
            rows = left[self.orders[left] == count]
            batches += rows.split(max(1, size // self.repeats(rows[0], starts)))
        return batches

    def repeats(self, row: Int[Tensor, ""], starts: int) -> int:
        """Return from how many starts a demand is minimised: rare sizes from more.

        Errors of the few demands of one or two patches enter all larger ones, through their starts
        and through the components; those of the many others average out.
        """
        alike = int((self.orders == self.orders[row]).sum())
        return max(1, min(MOST_STARTS, -(-starts // alike)))

    def start(
        self,
        row: int,
        units: Float[Tensor, "demands units"],
        done: Bool[Tensor, " demands"],
        baseline: Float[Tensor, " units"],
    ) -> Float[Tensor, " units"]:
        """Go on from the subsets with two patches less to those with one less, and as far again.

        Where some of them are not done, start from what is there.
        """
        size = int(self.orders[row])
        within = done & ~(self.demands & ~self.demands[row]).any(1)
        less = [(within & (self.orders == size - by)).nonzero().flatten() for by in (1, 2)]
        if not len(less[0]):
            return baseline
        nearest = units[less[0]].mean(0)
        if len(less[0]) < size or (size > 2 and len(less[1]) < size * (size - 1) // 2):
            return nearest
        return 2 * nearest - (baseline if size == 2 else units[less[1]].mean(0))
