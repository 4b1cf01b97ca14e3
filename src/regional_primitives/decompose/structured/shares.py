"""How units divide themselves among action fields: the unknowns of the structured form.

Every unit has two distributions over the candidate fields of its site, a and b (each ≥ 0 with sum
1, softmax of free logits), and its shares are

    w_T = (1 + g) · a_T − g · b_T,      Σ_T w_T = 1,      Σ_T |w_T| ≤ 1 + 2g.

With g = 0 a unit only switches on, and p_S = Σ_{T∩S≠∅} w_T grows with S. With g > 0 it may take
back up to g of itself at a border, where its neighbours spill over, and no more than that: without
a bound, corrections grow that cancel each other (docs/research/structured-form.md). Ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regional_primitives.axes import Demands, Dictionary, PerField, Switches, Units
from regional_primitives.decompose.structured.candidates import (
    Candidates,
    Layout,
    candidate_fields,
    level_sets,
)
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.subject import Subject

_MOST_UNKNOWNS = 24 * 2**20
"""Shares of one fit; a larger feature gets fewer candidate fields a site."""
_FEWEST_CANDIDATES = 16
_MOST_LEVEL_SETS = 64
"""Of one site, besides its connected fields."""
_OF_NO_PATCH = -2.0
"""Where the field of no patch starts: a unit that some field suits is hardly in it."""
_FIELDS_A_PATCH = 2
_COPIES = 5
_TINY = torch.finfo(torch.float32).tiny
_PART_PRICE = 2**13
"""What the calls for one more part cost, in shares that are computed for nothing."""


@dataclass(frozen=True, eq=False)
class Division:
    """How the units of a part divide themselves at one moment."""

    distributions: Float[Tensor, "distributions sites slots channels"]
    """a, and b unless nothing is given back."""
    components: Float[Tensor, "sites slots channels"]
    """Δf_T = w_T ⊙ (f − f0), over each site's candidates."""


@dataclass(frozen=True, eq=False)
class _Part:
    """The unknowns of some sites of one tensor, all with about as many candidate fields."""

    layout: Layout
    places: Int[Tensor, " sites"]
    """Which sites of the tensor these are."""
    candidates: Candidates
    difference: Float[Tensor, "sites channels"]
    by_distribution: Float[Tensor, "distributions sites 1 channels"]
    """(1 + g) · (f − f0), by which a is multiplied, and −g · (f − f0) of b."""
    give_back: float
    logits: Float[Tensor, "distributions sites slots channels"]
    """Of a, and of b unless nothing is given back."""

    @staticmethod
    def start(
        layout: Layout,
        places: Int[Tensor, " sites"],
        candidates: Candidates,
        influence: Float[Tensor, "patches sites channels"],
        units: Float[Tensor, " units"],
        settings: Structured,
    ) -> _Part:
        """Start from measured influence; a = b."""
        member = candidates.fields.float()[candidates.index]  # [sites, slots, n]
        logits = _suiting(layout, influence, member, settings)
        logits.masked_fill_(~candidates.valid[..., None], -torch.inf)
        logits = logits.expand(-1, -1, layout.channels)
        difference = layout.by_site(units)[places].contiguous()
        factors = [1 + settings.give_back, -settings.give_back] if settings.give_back else [1.0]
        return _Part(
            layout,
            places,
            candidates,
            difference,
            torch.stack([difference * factor for factor in factors])[:, :, None],
            settings.give_back,
            torch.stack([logits] * len(factors)),
        )

    def divide(self) -> Division:
        distributions = self.logits.softmax(2)
        return Division(distributions, self._shares(distributions).mul_(self.difference[:, None]))

    def _shares(self, distributions: Tensor) -> Float[Tensor, "sites slots channels"]:
        """Return w = (1 + g) · a − g · b."""
        if len(distributions) == 1:
            return distributions[0].clone()
        kept, returned = distributions
        return torch.lerp(returned, kept, 1 + self.give_back)

    def kept_shares(self, smallest: float) -> tuple[Tensor, Tensor, Tensor]:
        """Drop shares below `smallest` and list the rest as (field, unit, share)."""
        shares = self._shares(self.logits.softmax(2))
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


def _suiting(
    layout: Layout,
    influence: Float[Tensor, "patches sites channels"],
    member: Float[Tensor, "sites slots patches"],
    settings: Structured,
) -> Float[Tensor, "sites slots some"]:
    """Tell how well fields suit units, of which the start favours those that do.

    What generates asks how a field covers a unit's influence and is covered by it (a soft IoU):
    with r the unit's amplitude on each patch over its largest, Σ_{T} r / (|T| + Σ_{not T} r), which
    neither the number of patches nor the size of a field favours. What isolates asks for a field
    that holds the influence and is small. There all units of a place start alike: what few probes
    say of a single one is mostly noise. A vector has no places, and each of its units starts from
    its own influence.
    """
    size = member.sum(-1, keepdim=True)
    if settings.purpose == "generate":
        amplitude = (influence / influence.amax(0).clamp_min(_TINY)).sqrt().transpose(0, 1)
        held = member @ amplitude
        either = size + amplitude.sum(1, keepdim=True) - held
        overlap = settings.influence_sharpness * held / either.clamp_min(_TINY)
        return overlap.masked_fill(size == 0, _OF_NO_PATCH)
    if layout.sites > 1:
        influence = influence.sum(-1, keepdim=True)
    share = influence / influence.sum(0).clamp_min(_TINY)
    held = member @ share.transpose(0, 1)  # [sites, slots, channels or 1]
    return settings.influence_sharpness * held - settings.size_penalty * size


def bytes_of_shares(units: int, patches: int, settings: Structured) -> int:
    """Estimate the memory that a fit's shares take, with slopes and what Adam keeps of them.

    How many fields a site chooses among is seen in the fit alone; it was about two a patch.
    """
    fields = min(settings.most_candidates, _affordable(units), _FIELDS_A_PATCH * patches)
    return _COPIES * 4 * units * fields


def _affordable(units: int) -> int:
    return max(_FEWEST_CANDIDATES, _MOST_UNKNOWNS // units)


@dataclass(frozen=True, eq=False)
class FieldShares:
    """The unknowns of a whole feature, tensor by tensor."""

    fields: Dictionary
    layouts: list[Layout]
    parts: list[list[_Part]]
    """Of each tensor."""

    @staticmethod
    def start(
        subject: Subject, influence: Float[Tensor, "patches units"], settings: Structured
    ) -> FieldShares:
        """Choose each site's candidates and start from measured influence.

        What generates S has level sets and the empty field among its candidates, and starts by how
        well a field and a unit's own influence cover each other; what isolates, by how much of a
        site's influence a field holds.
        """
        layouts = Layout.of(subject.feature_shape)
        by_site = [layout.by_site(influence) for layout in layouts]
        affordable = _affordable(influence.shape[1])
        sites = (site for part in by_site for site in part.unbind(1))
        suggested = (level_sets(site, _MOST_LEVEL_SETS) for site in sites)
        candidates = candidate_fields(
            subject.regions,
            torch.cat([part.sum(-1) for part in by_site], 1),
            settings.reach_threshold,
            min(settings.most_candidates, affordable),
            *([suggested] if settings.purpose == "generate" else []),
        )
        of_tensors = candidates.split([layout.sites for layout in layouts])
        parts = [
            [
                _Part.start(layout, places, some, mine[:, places], subject.difference, settings)
                for places, some in of_tensor.alike(_PART_PRICE // layout.channels)
            ]
            for layout, of_tensor, mine in zip(layouts, of_tensors, by_site, strict=True)
        ]
        return FieldShares(candidates.fields, layouts, parts)

    @property
    def unknowns(self) -> list[Tensor]:
        """The tensors that are fitted."""
        return [part.logits for part in self._all]

    @property
    def _all(self) -> list[_Part]:
        return [part for parts in self.parts for part in parts]

    def divide(self) -> list[Division]:
        """Return how the units divide themselves now, part by part."""
        return [part.divide() for part in self._all]

    def asked(self, demands: Demands) -> Switches:
        """Mark the fields that each demand switches on: those with a patch in S."""
        return (demands.float() @ self.fields.float().T > 0).float()

    def on_sites(self, on: Switches) -> list[Tensor]:
        """Mark which of each site's candidates are on: one [sites, batch, slots] a part."""
        return [on.T[part.candidates.index].transpose(1, 2) for part in self._all]

    def switched(self, now: list[Division], on: list[Tensor]) -> Units:
        """Return p ⊙ (f − f0) where the fields are on that `on_sites` marked."""
        made_of_parts = (
            marked @ division.components for marked, division in zip(on, now, strict=True)
        )
        units = []
        for layout, parts in zip(self.layouts, self.parts, strict=True):
            made = on[0].new_empty(layout.sites, on[0].shape[1], layout.channels)
            for part in parts:
                made.index_copy_(0, part.places, next(made_of_parts))
            units.append(layout.flat_of_sites(made))
        return torch.cat(units, 1)

    def pulled_back(self, on: list[Tensor], slope: Units) -> list[Tensor]:
        """Return a loss's slope along the components, given that along what `switched` returned.

        One tensor [sites, slots, channels] a part.
        """
        slopes, marked = [], iter(on)
        for layout, parts in zip(self.layouts, self.parts, strict=True):
            by_site = layout.sites_first(slope)
            slopes += [next(marked).mT @ by_site.index_select(0, part.places) for part in parts]
        return slopes

    def energies(self, now: list[Division]) -> PerField:
        """Return ‖Δf_T‖² of every field in the dictionary."""
        parts = []
        for part, mine in zip(self._all, now, strict=True):
            energy = torch.linalg.vecdot(mine.components, mine.components)
            fields = energy.new_zeros(len(self.fields))
            parts.append(fields.index_add(0, part.candidates.index.flatten(), energy.flatten()))
        return torch.stack(parts).sum(0)

    def gather(self, now: list[Division], slopes: list[Tensor], at_energies: PerField) -> None:
        """Add to slopes along the components the slope along what `energies` returned."""
        for part, mine, slope in zip(self._all, now, slopes, strict=True):
            of_candidates = at_energies[part.candidates.index][..., None]
            slope.addcmul_(mine.components, of_candidates, value=2)  # ‖Δf‖² rises by 2 Δf

    def break_ties(
        self,
        now: list[Division],
        slopes: list[Tensor],
        ties: list[Tensor],
        at_energies: PerField,
        power: float,
    ) -> None:
        """Add a second loss's slopes `ties` to the first's, as far as each unit is undecided.

        A unit that is whole in one field has no ties to break, and the second loss leaves it there.
        `at_energies` is the second's slope along the energies, `power` that of 1 − the unit's
        largest share; `ties` are used up.
        """
        self.gather(now, ties, at_energies)
        for mine, slope, tie in zip(now, slopes, ties, strict=True):
            undecided = 1 - mine.distributions[0].amax(1, keepdim=True)
            slope.addcmul_(tie, undecided.clamp_min(0).pow(power))

    def descend(self, now: list[Division], slopes: list[Tensor]) -> None:
        """Leave the loss's slope in the unknowns' `grad`, given that along the components."""
        for part, mine, slope in zip(self._all, now, slopes, strict=True):
            of = mine.distributions
            at_distributions = slope * part.by_distribution
            part.logits.grad = torch.ops.aten._softmax_backward_data(
                at_distributions, of, 2, of.dtype
            )

    def moved(self, before: list[Division], after: list[Division]) -> float:
        """Return which share of ‖f − f0‖₁ changed its field between two moments."""
        pairs = zip(before, after, strict=True)
        moved = torch.stack([(b.components - a.components).abs().sum() for a, b in pairs])
        whole = torch.stack([part.difference.abs().sum() for part in self._all])
        return float(moved.sum() / whole.sum()) / 2

    def kept_shares(self, smallest: float) -> tuple[Tensor, Tensor, Tensor]:
        """Drop shares below `smallest` and list the rest as (field, unit, share), by field.

        A unit that equals its baseline belongs to no component.
        """
        lists = zip(*(part.kept_shares(smallest) for part in self._all), strict=True)
        field_of, unit_of, share = (torch.cat(entries) for entries in lists)
        units = sum(layout.units for layout in self.layouts)
        order = (field_of * units + unit_of).argsort()
        return field_of[order].cpu(), unit_of[order].cpu(), share[order].cpu()
