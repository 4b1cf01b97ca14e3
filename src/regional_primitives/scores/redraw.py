"""Redraw: does another draw of chosen patches give the same components on the common patches?

Reviewers of the paper (arXiv 2410.04421) asked how much its random choice of patches changes the
result. Ours: both decompositions are brought to Q, the patches that both draws contain. Under the
OR law u(S) = f0 + Σ {Δf_T : T ∩ S ≠ ∅}, and for S ⊆ Q only T ∩ Q matters, so that the component of
a field R ⊆ Q is the sum of all Δf_T with T ∩ Q = R; those with T ∩ Q = ∅ are never asked for.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.together import check_together
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.components import counted_components
from regional_primitives.scores.measured import Measured

_Restricted: TypeAlias = tuple[Bool[Tensor, "_ chosen"], Float[Tensor, "_ units"]]


@dataclass(frozen=True)
class Agreement:
    """How alike two decompositions are on the same patches Q."""

    overlap: float
    """Σ min / Σ max of the strengths ‖Δf_R‖ over the fields R ⊆ Q; 1 is the same."""
    cosine: float
    """Energy-weighted mean cosine of the two Δf_R; a field that one side lacks counts as 0."""
    common_fields: int
    """Fields that both sides have."""
    fields: int
    """Fields that either has."""


@dataclass(frozen=True)
class Redraw(Measured):
    """Two draws of patches of one picture, compared on the patches that both contain."""

    told = ("common", "found", "shuffled", "draws")
    common: tuple[int, ...]
    """Q."""
    found: Agreement
    shuffled: Agreement | None
    """The same with the patches of Q permuted on one side, mean over draws; None for one patch."""
    draws: int

    def numbers(self) -> dict[str, float]:
        """Return what can be averaged, by name."""
        found = {"common_patches": float(len(self.common))}
        for prefix, likeness in (("", self.found), ("shuffled_", self.shuffled)):
            if likeness is not None:
                found[f"{prefix}overlap"] = likeness.overlap
                found[f"{prefix}cosine"] = likeness.cosine
        return found


def redraw(
    one: Decomposition,
    other: Decomposition,
    patches: Sequence[int] | None = None,
    other_patches: Sequence[int] | None = None,
    *,
    draws: int = 16,
    seed: int = 0,
) -> Redraw:
    """Compare two draws of chosen patches of the same picture; a remainder is not counted.

    Args:
        one: the first draw's decomposition.
        other: the second draw's.
        patches: the patches chosen in the first; None: those that it names itself.
        other_patches: those chosen in the second, likewise.
        draws: how often the patches of Q are permuted, to compare with.
        seed: random stream of the permutations.

    Raises:
        InputError: no patch in common, another picture, layer or other patches.
    """
    whole("draws", draws, 1)
    _check_pair(one, other)
    patches = one.patches if patches is None else patches
    other_patches = other.patches if other_patches is None else other_patches
    chosen = one.regions.demand(patches) & one.regions.demand(other_patches)
    common: list[int] = chosen.nonzero().flatten().tolist()
    if not common:
        raise InputError(
            f"the draws {sorted(patches)} and {sorted(other_patches)} have no patch in common"
        )
    mine, theirs = restricted(one, common), restricted(other, common)
    shuffled = None
    if len(common) > 1:
        rng = stream(seed, "permuted patches")
        orders = [_other_order(len(common), rng) for _ in range(draws)]
        permuted = [_agreement(mine, (theirs[0][:, order], theirs[1])) for order in orders]
        shuffled = _mean(permuted)
    return Redraw(tuple(common), _agreement(mine, theirs), shuffled, draws)


def restricted(decomposition: Decomposition, patches: Sequence[int]) -> _Restricted:
    """Return the components on a subset of the patches: fields T ∩ Q, and their summed Δf.

    Components whose field does not meet Q are dropped.
    """
    decomposition.regions.demand(patches)
    counted = torch.zeros(decomposition.count, dtype=torch.bool)
    counted[counted_components(decomposition)] = True
    cut = decomposition.action_fields[:, list(patches)]
    fields, row = (cut & counted[:, None]).unique(dim=0, return_inverse=True)
    owner = row[decomposition.owners]
    dense = torch.zeros(len(fields), decomposition.unit_count)
    place = owner * decomposition.unit_count + decomposition.units.long()
    dense.view(-1).index_add_(0, place, decomposition.values)
    met = fields.any(1)
    return fields[met], dense[met]


def _agreement(one: _Restricted, other: _Restricted) -> Agreement:
    fields, place = torch.cat([one[0], other[0]]).unique(dim=0, return_inverse=True)
    sides = one[1].new_zeros(2, len(fields), one[1].shape[1])
    sides[0, place[: len(one[0])]] = one[1]
    sides[1, place[len(one[0]) :]] = other[1]
    strengths = sides.norm(dim=2)
    weight = strengths.square().sum(0)
    cosine = torch.nn.functional.cosine_similarity(sides[0], sides[1], dim=1)
    whole = strengths.amax(0).sum().clamp_min(1e-20)
    return Agreement(
        overlap=float(strengths.amin(0).sum() / whole),
        cosine=float((cosine * weight).sum() / weight.sum().clamp_min(1e-20)),
        common_fields=int((strengths > 0).all(0).sum()),
        fields=int((strengths > 0).any(0).sum()),
    )


def _other_order(count: int, rng: torch.Generator) -> Tensor:
    """Draw a permutation that is not the identity."""
    while True:
        order = torch.randperm(count, generator=rng)
        if not torch.equal(order, torch.arange(count)):
            return order


def _mean(several: list[Agreement]) -> Agreement:
    names = asdict(several[0])
    means = {name: statistics.fmean(getattr(one, name) for one in several) for name in names}
    return Agreement(
        means["overlap"], means["cosine"], round(means["common_fields"]), round(means["fields"])
    )


def _check_pair(one: Decomposition, other: Decomposition) -> None:
    check_together((one, other), "patches", "feature shapes")
    difference = one.feature_units - one.baseline_units
    gap = other.feature_units - other.baseline_units - difference
    if not float(gap.norm()) <= 1e-3 * float(difference.norm()):
        raise InputError(
            "redraw compares two decompositions of one picture; the features f − f0 of these "
            f"differ by {float(gap.norm() / difference.norm()):.1%}"
        )
