"""How units divide themselves among action fields: the unknowns of the structured form.

Every unit has two distributions over the candidate fields of its site, a and b (each ≥ 0 with sum
1, softmax of free logits), and its shares are

    w_T = (1 + g) · a_T − g · b_T,      Σ_T w_T = 1,      Σ_T |w_T| ≤ 1 + 2g.

With g = 0 a unit only switches on, and p_S = Σ_{T∩S≠∅} w_T grows with S. With g > 0 it may take
back up to g of itself at a border, where its neighbours spill over, and no more than that: without
a bound, corrections grow that cancel each other (docs/research/structured-form.md). Ours.

Pictures that are fitted in lockstep stand side by side: their sites one picture's after another's,
and their fields likewise, so that a step takes no more operations for many than for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.structured.candidates import (
    Candidates,
    Layout,
    candidate_fields,
    level_sets,
)
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.subjects import Subjects
from regional_primitives.regions import Regions

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
    """The unknowns of some sites of one tensor, all with about as many candidate fields.

    Sites and candidates are counted through all pictures.
    """

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
        units: Float[Tensor, "pictures units"],
        settings: Structured,
    ) -> _Part:
        """Start from measured influence; a = b."""
        member = candidates.fields.float()[candidates.index]  # [sites, slots, n]
        logits = _suiting(layout, influence, member, settings)
        logits.masked_fill_(~candidates.valid[..., None], -torch.inf)
        logits = logits.expand(-1, -1, layout.channels)
        difference = layout.by_site(units).flatten(0, 1)[places].contiguous()
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

    @property
    def picture(self) -> Int[Tensor, " sites"]:
        """Which picture each site is of."""
        return self.places // self.layout.sites

    def only(
        self, number: Int[Tensor, " pictures"], fields: int
    ) -> tuple[_Part, Int[Tensor, " rows"]]:
        """Keep the sites of pictures that get a new number, not −1, and tell which rows these are.

        A picture has so many `fields`.
        """
        new = number[self.picture]
        rows = (new >= 0).nonzero().flatten()
        earlier = (self.picture - new)[rows]  # by how many pictures each moves to the front
        index = self.candidates.index[rows] - earlier[:, None] * fields
        part = replace(
            self,
            places=self.places[rows] - earlier * self.layout.sites,
            candidates=replace(self.candidates, index=index, valid=self.candidates.valid[rows]),
            difference=self.difference[rows],
            by_distribution=self.by_distribution[:, rows],
            logits=self.logits[:, rows],
        )
        return part, rows

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
    """The unknowns of whole features, tensor by tensor."""

    fields: Bool[Tensor, "pictures fields patches"]
    """A picture's own come first; the others are of no patch, and nothing uses them."""
    counts: Int[Tensor, "pictures 1"]
    """How many are its own."""
    layouts: list[Layout]
    parts: list[list[_Part]]
    """Of each tensor."""

    @staticmethod
    def start(
        subjects: Subjects,
        influences: Sequence[Float[Tensor, "_ units"]],
        settings: Structured,
    ) -> FieldShares:
        """Choose each site's candidates and start from measured influence, [patches, units] each.

        What generates S has level sets and the empty field among its candidates, and starts by how
        well a field and a unit's own influence cover each other; what isolates, by how much of a
        site's influence a field holds.
        """
        layouts = Layout.of(subjects.feature_shape)
        by_site = [[layout.by_site(one) for layout in layouts] for one in influences]
        several = [
            _candidates(regions, mine, settings)
            for regions, mine in zip(subjects.regions, by_site, strict=True)
        ]
        joined = Candidates.joined(several)
        order = [layout.sites for layout in layouts]
        of_tensors = zip(*(one.split(order) for one in several), strict=True)
        patches = joined.fields.shape[1]
        parts = []
        for layout, of_pictures, mine in zip(
            layouts, of_tensors, zip(*by_site, strict=True), strict=True
        ):
            some = Candidates.joined(of_pictures)
            influence = torch.cat([_with_patches(one, patches) for one in mine], 1)
            # A part more costs as much for many pictures as for one; what stays empty, their sum.
            price = len(several) * (_PART_PRICE // layout.channels)
            parts.append(
                [
                    _Part.start(
                        layout, places, few, influence[:, places], subjects.difference, settings
                    )
                    for places, few in some.alike(price)
                ]
            )
        counts = torch.tensor([[len(one.fields)] for one in several], device=joined.fields.device)
        return FieldShares(joined.fields.unflatten(0, (len(several), -1)), counts, layouts, parts)

    def only(self, pictures: Sequence[int]) -> tuple[FieldShares, list[Int[Tensor, " rows"]]]:
        """Go on with some pictures; tells for each of the unknowns which rows are left of it.

        What has none left is no unknown any more.
        """
        chosen = torch.tensor(pictures, device=self.fields.device)
        number = chosen.new_full((len(self.fields),), -1)
        number[chosen] = torch.arange(len(pictures), device=chosen.device)
        parts, rows = [], []
        for of_tensor in self.parts:
            found = [part.only(number, self.fields.shape[1]) for part in of_tensor]
            parts.append([part for part, some in found if len(some)])
            rows += [some for _, some in found]
        return FieldShares(self.fields[chosen], self.counts[chosen], self.layouts, parts), rows

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

    def asked(
        self, demands: Bool[Tensor, "pictures batch patches"]
    ) -> Float[Tensor, "pictures batch fields"]:
        """Mark the fields that each demand switches on: those with a patch in S."""
        return (demands.float() @ self.fields.float().mT > 0).float()

    def on_sites(self, on: Float[Tensor, "pictures batch fields"]) -> list[Tensor]:
        """Mark which of each site's candidates are on: one [sites, batch, slots] a part."""
        of_fields = on.mT.flatten(0, 1)
        return [of_fields[part.candidates.index].transpose(1, 2) for part in self._all]

    def switched(
        self, now: list[Division], on: list[Tensor]
    ) -> Float[Tensor, "pictures batch units"]:
        """Return p ⊙ (f − f0) where the fields are on that `on_sites` marked."""
        made_of_parts = (
            marked @ division.components for marked, division in zip(on, now, strict=True)
        )
        pictures, batch = len(self.fields), on[0].shape[1]
        units = []
        for layout, parts in zip(self.layouts, self.parts, strict=True):
            made = on[0].new_empty(pictures * layout.sites, batch, layout.channels)
            for part in parts:
                made.index_copy_(0, part.places, next(made_of_parts))
            units.append(layout.flat_of_sites(made.unflatten(0, (pictures, layout.sites))))
        return torch.cat(units, -1)

    def pulled_back(
        self, on: list[Tensor], slope: Float[Tensor, "pictures batch units"]
    ) -> list[Tensor]:
        """Return a loss's slope along the components, given that along what `switched` returned.

        One tensor [sites, slots, channels] a part.
        """
        slopes, marked = [], iter(on)
        for layout, parts in zip(self.layouts, self.parts, strict=True):
            by_site = layout.sites_first(slope)
            slopes += [next(marked).mT @ by_site.index_select(0, part.places) for part in parts]
        return slopes

    def energies(self, now: list[Division]) -> Float[Tensor, "pictures fields"]:
        """Return ‖Δf_T‖² of every field in the dictionary."""
        parts = []
        for part, mine in zip(self._all, now, strict=True):
            energy = torch.linalg.vecdot(mine.components, mine.components)
            fields = energy.new_zeros(self.fields.shape[:2].numel())
            parts.append(fields.index_add(0, part.candidates.index.flatten(), energy.flatten()))
        return torch.stack(parts).sum(0).view(self.fields.shape[:2])

    def gather(
        self,
        now: list[Division],
        slopes: list[Tensor],
        at_energies: Float[Tensor, "pictures fields"],
    ) -> None:
        """Add to slopes along the components the slope along what `energies` returned."""
        for part, mine, slope in zip(self._all, now, slopes, strict=True):
            of_candidates = at_energies.flatten()[part.candidates.index][..., None]
            slope.addcmul_(mine.components, of_candidates, value=2)  # ‖Δf‖² rises by 2 Δf

    def break_ties(
        self,
        now: list[Division],
        slopes: list[Tensor],
        ties: list[Tensor],
        at_energies: Float[Tensor, "pictures fields"],
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

    def moved(self, before: list[Division], after: list[Division]) -> Float[Tensor, " pictures"]:
        """Return which share of ‖f − f0‖₁ changed its field between two moments."""
        moved, whole = torch.zeros(2, len(self.fields), device=self.fields.device)
        for part, b, a in zip(self._all, before, after, strict=True):
            of_sites = (b.components - a.components).abs().sum((1, 2))
            moved.index_add_(0, part.picture, of_sites)
            whole.index_add_(0, part.picture, part.difference.abs().sum(1))
        return moved / whole / 2

    def kept_shares(self, smallest: float, picture: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Drop a picture's shares below `smallest`; list others as (field, unit, share), by field.

        A unit that equals its baseline belongs to no component.
        """
        if len(self.fields) > 1:
            return self.only([picture])[0].kept_shares(smallest)
        lists = zip(*(part.kept_shares(smallest) for part in self._all), strict=True)
        field_of, unit_of, share = (torch.cat(entries) for entries in lists)
        units = sum(layout.units for layout in self.layouts)
        order = (field_of * units + unit_of).argsort()
        return field_of[order].cpu(), unit_of[order].cpu(), share[order].cpu()

    def dictionary(self, picture: int, patches: int) -> Dictionary:
        """Return the fields of one picture, which has so many patches."""
        return self.fields[picture, : int(self.counts[picture]), :patches].cpu()


def _candidates(
    regions: Regions,
    by_site: Sequence[Float[Tensor, "patches _ _"]],
    settings: Structured,
) -> Candidates:
    """List the candidate fields of one picture's sites, those of all tensors in a row."""
    units = sum(part.shape[1] * part.shape[2] for part in by_site)
    sites = (site for part in by_site for site in part.unbind(1))
    suggested = (level_sets(site, _MOST_LEVEL_SETS) for site in sites)
    return candidate_fields(
        regions,
        torch.cat([part.sum(-1) for part in by_site], 1),
        settings.reach_threshold,
        min(settings.most_candidates, _affordable(units)),
        *([suggested] if settings.purpose == "generate" else []),
    )


def _with_patches(
    influence: Float[Tensor, "patches sites channels"], count: int
) -> Float[Tensor, "more sites channels"]:
    """Add patches on which nothing acts."""
    missing = count - len(influence)
    return torch.nn.functional.pad(influence, (0, 0, 0, 0, 0, missing)) if missing else influence
