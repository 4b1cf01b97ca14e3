"""How units divide themselves among action fields: the unknowns of the structured form.

Every unit has two distributions over the candidate fields of its site, a and b (each ≥ 0 with sum
1, softmax of free logits), and its shares are

    w_T = (1 + g) · a_T − g · b_T,      Σ_T w_T = 1,      Σ_T |w_T| ≤ 1 + 2g.

With g = 0 a unit only switches on, and p_S = Σ_{T∩S≠∅} w_T grows with S. With g > 0 it may take
back up to g of itself at a border, where its neighbours spill over, and no more than that: without
a bound, corrections grow that cancel each other (docs/research/structured-form.md). Ours.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.decompose.candidates import Candidates, Layout, candidate_fields
from regional_primitives.decompose.subject import Subject

__all__ = ["FieldShares", "Start"]

_MOST_UNKNOWNS = 24 * 2**20
"""Shares of one fit; a larger feature gets fewer candidate fields a site."""
_FEWEST_CANDIDATES = 16


@dataclass(frozen=True)
class Start:
    """Where the shares begin, from measured influence, and what they may become."""

    sharpness: float
    """How much the start favours fields that hold a unit's influence."""
    size_penalty: float
    """How much it disfavours each further patch of a field."""
    reach_threshold: float
    """A site reaches the patches that get at least this share of its influence."""
    most_candidates: int
    """No site chooses among more fields than this."""
    give_back: float
    """g, the most of itself that a unit takes back."""


@dataclass(frozen=True, eq=False)
class _Part:
    """The unknowns of some sites of one tensor, all with about as many candidate fields.

    For each of a site's candidates there are two logits a unit.
    """

    layout: Layout
    places: Int[Tensor, " sites"]
    """Which sites of the tensor these are."""
    candidates: Candidates
    difference: Float[Tensor, "sites channels"]
    weight: Float[Tensor, "sites channels"]
    """Each unit's share of ‖f − f0‖₁ of the whole feature."""
    give_back: float
    logits: tuple[Float[Tensor, "sites slots channels"], ...]
    """Of a, and of b unless nothing is given back."""

    @staticmethod
    def start(
        layout: Layout,
        places: Int[Tensor, " sites"],
        candidates: Candidates,
        influence: Float[Tensor, "patches sites channels"],
        units: Float[Tensor, " units"],
        start: Start,
    ) -> _Part:
        """Start from measured influence: a field is likely that holds it and is small; a = b."""
        share = influence / influence.sum(0).clamp_min(torch.finfo(torch.float32).tiny)
        member = candidates.fields.float()[candidates.index]  # [sites, slots, n]
        held = member @ share.transpose(0, 1)  # [sites, slots, channels]
        size = member.sum(-1, keepdim=True)
        logits = start.sharpness * held - start.size_penalty * size
        logits.masked_fill_(~candidates.valid[..., None], -torch.inf)
        difference = layout.by_site(units)[places]
        count = 2 if start.give_back else 1
        return _Part(
            layout,
            places,
            candidates,
            difference,
            difference.abs() / units.abs().sum(),
            start.give_back,
            tuple(logits.clone().requires_grad_(True) for _ in range(count)),
        )

    def shares(self) -> Float[Tensor, "sites slots channels"]:
        """Return w_T of every unit over its site's candidates."""
        kept = self.logits[0].softmax(1)
        if len(self.logits) == 1:
            return kept
        return torch.lerp(self.logits[1].softmax(1), kept, 1 + self.give_back)

    def switched(
        self,
        shares: Float[Tensor, "sites slots channels"],
        on: Float[Tensor, "batch fields"],
    ) -> tuple[Float[Tensor, "sites batch channels"], Float[Tensor, " batch"]]:
        """Return p ⊙ (f − f0) where the given fields are on, and each row's cost."""
        on_site = on.T[self.candidates.index].transpose(1, 2)  # [sites, batch, slots]
        switched = on_site @ shares
        cost = (switched.abs() * self.weight[:, None]).sum((0, 2))
        return switched * self.difference[:, None], cost

    def energies(self, shares: Float[Tensor, "sites slots channels"]) -> Float[Tensor, " fields"]:
        """Return ‖Δf_T‖² of every field in the dictionary, within this tensor."""
        energy = (shares * self.difference[:, None]).square().sum(2)
        fields = energy.new_zeros(len(self.candidates.fields))
        return fields.index_add(0, self.candidates.index.flatten(), energy.flatten())

    @torch.no_grad()
    def kept_shares(self, smallest: float) -> tuple[Tensor, Tensor, Tensor]:
        """Drop shares below `smallest` and list the rest as (field, unit, share)."""
        shares = self.shares()
        # Every unit keeps its largest share even where all are small.
        largest = torch.zeros_like(shares).scatter_(1, shares.argmax(1, keepdim=True), 1.0)
        kept = shares * ((shares.abs() >= smallest) | (largest > 0))
        # What was dropped goes to the largest share, so that completeness stays exact.
        kept = kept + largest * (1 - kept.sum(1, keepdim=True))
        kept = kept * (self.difference != 0)[:, None]
        sites, slots, channels = kept.nonzero(as_tuple=True)
        end = self.layout.start + self.layout.units
        places = self.layout.by_site(torch.arange(end, device=kept.device))[self.places]
        return (
            self.candidates.index[sites, slots],
            places[sites, channels],
            kept[sites, slots, channels],
        )


@dataclass(frozen=True, eq=False)
class FieldShares:
    """The unknowns of a whole feature, tensor by tensor."""

    fields: Bool[Tensor, "fields patches"]
    layouts: list[Layout]
    parts: list[list[_Part]]
    """Of each tensor."""

    @staticmethod
    def start(
        subject: Subject, influence: Float[Tensor, "patches units"], start: Start
    ) -> FieldShares:
        """Choose each site's candidates and start from measured influence."""
        layouts = Layout.of(subject.feature_shape)
        by_site = [layout.by_site(influence) for layout in layouts]
        affordable = max(_FEWEST_CANDIDATES, _MOST_UNKNOWNS // influence.shape[1])
        candidates = candidate_fields(
            subject.regions,
            torch.cat([part.sum(-1) for part in by_site], 1),
            start.reach_threshold,
            min(start.most_candidates, affordable),
        )
        parts = [
            [
                _Part.start(layout, places, some, mine[:, places], subject.difference, start)
                for places, some in candidates.alike()
            ]
            for layout, candidates, mine in zip(
                layouts,
                candidates.split([layout.sites for layout in layouts]),
                by_site,
                strict=True,
            )
        ]
        return FieldShares(candidates.fields, layouts, parts)

    @property
    def unknowns(self) -> list[Tensor]:
        """The tensors that are fitted."""
        return [logits for part in self._all for logits in part.logits]

    @property
    def _all(self) -> list[_Part]:
        return [part for parts in self.parts for part in parts]

    def shares(self) -> list[Float[Tensor, "sites slots channels"]]:
        """Return w_T, part by part."""
        return [part.shares() for part in self._all]

    def asked(self, demands: Bool[Tensor, "batch patches"]) -> Float[Tensor, "batch fields"]:
        """Mark the fields that each demand switches on: those with a patch in S."""
        return (demands.float() @ self.fields.float().T > 0).float()

    def switched(
        self, shares: list[Tensor], on: Float[Tensor, "batch fields"]
    ) -> tuple[Float[Tensor, "batch units"], Float[Tensor, " batch"]]:
        """Return p ⊙ (f − f0) where the given fields are on, and each row's cost."""
        made = iter(part.switched(mine, on) for part, mine in zip(self._all, shares, strict=True))
        units, cost = [], on.new_zeros(len(on))
        for layout, parts in zip(self.layouts, self.parts, strict=True):
            some, costs = zip(*itertools.islice(made, len(parts)), strict=True)
            order = torch.cat([part.places for part in parts]).argsort()
            units.append(layout.flat(torch.cat(some)[order].transpose(0, 1)))
            cost = cost + torch.stack(costs).sum(0)
        return torch.cat(units, 1), cost

    def energies(self, shares: list[Tensor]) -> Float[Tensor, " fields"]:
        """Return ‖Δf_T‖² of every field in the dictionary."""
        parts = [part.energies(mine) for part, mine in zip(self._all, shares, strict=True)]
        return torch.stack(parts).sum(0)

    def moved(self, before: list[Tensor], after: list[Tensor]) -> float:
        """Return which share of the feature changed its field between two states."""
        moved = [
            ((b - a).abs().sum(1) * part.weight).sum()
            for part, a, b in zip(self._all, before, after, strict=True)
        ]
        return float(torch.stack(moved).sum()) / 2

    def kept_shares(self, smallest: float) -> tuple[Tensor, Tensor, Tensor]:
        """Drop shares below `smallest` and list the rest as (field, unit, share), by field.

        A unit that equals its baseline belongs to no component.
        """
        lists = zip(*(part.kept_shares(smallest) for part in self._all), strict=True)
        field_of, unit_of, share = (torch.cat(entries) for entries in lists)
        units = sum(layout.units for layout in self.layouts)
        order = (field_of * units + unit_of).argsort()
        return field_of[order].cpu(), unit_of[order].cpu(), share[order].cpu()
