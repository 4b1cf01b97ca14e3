"""Which primitives pictures share: common action fields, and whether the same units make them.

Transfer t(a, b) is the paper's (arXiv 2410.04421). Ours: random fields beside it, the overlap of
strengths, and the likeness of the two components that serve one field.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.compare.likeness import Entries, Likeness, likeness
from regional_primitives.compare.part_units import PartUnits, part_units
from regional_primitives.compare.transfer import Shares, Span, Transfer, transfer
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.together import UNITS, check_together
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import all_of_kind, random_seed
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.scores.measured import plain
from regional_primitives.scores.spread import Spread, spreads


@dataclass(frozen=True, eq=False)
class Chance:
    """What random fields of the same sizes and strengths give."""

    transfer: Span
    """t(a, b), mean of both ways."""
    strength_overlap: Span
    curve: Float[Tensor, " counts"]
    """t(a, a), mean over draws."""
    least: Float[Tensor, " counts"]
    most: Float[Tensor, " counts"]


@dataclass(frozen=True)
class SharedField:
    """One action field that both pictures of a pair have; pairs of values are first and second."""

    patches: tuple[int, ...]
    components: tuple[int, int]
    """Their numbers in the two decompositions."""
    ranks: tuple[int, int]
    """By strength among the components that count; 1 is the strongest."""
    strengths: tuple[float, float]
    """‖Δf_k‖."""
    strength_shares: tuple[float, float]
    """Of the sum of all strengths that count in the picture."""
    likeness: Likeness
    """Of the two Δf_k: whether the same units are used."""


@dataclass(frozen=True, eq=False)
class Pair:
    """What two pictures share."""

    first: int
    second: int
    transfer: float
    """t(a, b), mean of both ways."""
    transfer_there: float
    """t(a, b) from the first to the second."""
    transfer_back: float
    curve: Float[Tensor, " counts"]
    """t(a, a) for a = 1, 2, …, which is the same both ways."""
    strength_overlap: float
    """Σ min / Σ max over fields of the strengths, each picture's adding up to 1."""
    connected: Chance
    """Of random connected fields, rectangles where the real ones are."""
    subsets: Chance
    """Of random sets of patches."""
    departure_cosine: float
    """Cosine of the two whole departures f − f0: how alike the features are anyway."""
    shared: tuple[SharedField, ...]
    """The common fields, those that are strong in both pictures first: by the smaller share."""

    @property
    def cosine(self) -> float | None:
        """Mean cosine of the two Δf_k over shared fields, weighted by the smaller share."""
        return self._mean([field.likeness.cosine for field in self.shared])

    @property
    def other_cosine(self) -> float | None:
        """The same of each first Δf_k with the second picture's nearest other field."""
        return self._mean([field.likeness.other_cosine for field in self.shared])

    @property
    def unit_overlap(self) -> float | None:
        """Mean overlap of the sets of units, weighted likewise."""
        return self._mean([field.likeness.unit_overlap for field in self.shared])

    def numbers(self) -> dict[str, float]:
        """Return all single numbers by name; what cannot be told is absent."""
        found = {
            "transfer": self.transfer,
            "transfer_connected_fields": self.connected.transfer.mean,
            "transfer_random_subsets": self.subsets.transfer.mean,
            "strength_overlap": self.strength_overlap,
            "strength_overlap_connected_fields": self.connected.strength_overlap.mean,
            "strength_overlap_random_subsets": self.subsets.strength_overlap.mean,
            "shared_fields": float(len(self.shared)),
            "cosine": self.cosine,
            "other_cosine": self.other_cosine,
            "departure_cosine": self.departure_cosine,
            "unit_overlap": self.unit_overlap,
        }
        return {name: value for name, value in found.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return plain(self) | self.numbers()

    def _mean(self, values: Sequence[float | None]) -> float | None:
        known = [
            (value, min(field.strength_shares))
            for value, field in zip(values, self.shared, strict=True)
            if value is not None
        ]
        weight = sum(share for _, share in known)
        return sum(value * share for value, share in known) / weight if weight > 0 else None


@dataclass(frozen=True)
class CommonField:
    """One action field that at least two of several pictures have."""

    patches: tuple[int, ...]
    components: tuple[int | None, ...]
    """Its component's number in each picture; None where a picture lacks it."""
    ranks: tuple[int | None, ...]
    strengths: tuple[float | None, ...]
    strength_share: float
    """Of the sum of all strengths, mean over all pictures, with 0 where it is absent."""

    @property
    def pictures(self) -> int:
        """How many pictures have it."""
        return sum(k is not None for k in self.components)


@dataclass(frozen=True, eq=False)
class PictureComparison(RichResult, Transfer):
    """What several pictures of one generator share; `rp.compare` makes it."""

    names: tuple[str, ...]
    """What each picture is called."""
    seed: int
    pairs: tuple[Pair, ...]
    """Every two pictures once, the earlier first."""
    common: tuple[CommonField, ...]
    """Fields of at least two pictures: those of most pictures first, then by strength."""
    parts: tuple[PartUnits, ...]
    """Which channels make each part, where the patches have names; of grids nothing."""

    @property
    def transfer(self) -> Float[Tensor, "pictures pictures"]:
        """t(a, b) from picture i (row) to picture j (column); NaN on the diagonal."""
        return self.found.strongest

    def __repr__(self) -> str:
        found, drawn = (
            self.summary[name].mean for name in ("transfer", "transfer_connected_fields")
        )
        return (
            f"<PictureComparison of {len(self.names)} pictures: t({self.a}, {self.b}) "
            f"{found:.0%}, of random connected fields {drawn:.0%}>"
        )

    @property
    def remark(self) -> str:
        """Say so where the decompositions answer different questions, or name patches otherwise."""
        remarks = []
        if len({d.provenance.purpose for d in self.decompositions}) > 1:
            told = ", ".join(
                f"{name}: {d.provenance.purpose}"
                for name, d in zip(self.names, self.decompositions, strict=True)
            )
            remarks.append(
                f"these answer different questions, for which alone they would differ ({told})"
            )
        if len({d.names for d in self.decompositions}) > 1:
            remarks.append(
                f"they name the same patches otherwise; told are those of {self.names[0]}"
            )
        return "; ".join(remarks)

    @cached_property
    def summary(self) -> dict[str, Spread]:
        """Mean, interval and range of each number over pictures.

        A picture's value is its mean over the pairs that it belongs to. Values share pictures, so
        that the interval is only a guide; of two pictures both values are the same.
        """
        rows = []
        for i in range(len(self.names)):
            mine = [pair.numbers() for pair in self.pairs if i in (pair.first, pair.second)]
            found = spreads(mine)
            rows.append({name: spread.mean for name, spread in found.items()})
        return spreads(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; the decompositions are left out."""
        origin = self.decompositions[0].provenance
        return {
            "generator": origin.generator,
            "layer": origin.layer,
            "weights_digest": origin.weights_digest,
            "regions": self.decompositions[0].regions.to_dict(),
            "a": self.a,
            "b": self.b,
            "draws": self.draws,
            "seed": self.seed,
            "pictures": [
                {
                    "name": name,
                    "purpose": d.provenance.purpose,
                    "picture_seed": d.provenance.picture_seed,
                    "picture_file": d.provenance.picture_file,
                    "components": len(counted),
                }
                for name, d, counted in zip(
                    self.names, self.decompositions, self.counted, strict=True
                )
            ],
            "summary": plain(self.summary),
            "transfer": plain(self.transfer),
            "pairs": [pair.to_dict() for pair in self.pairs],
            "common": [{"pictures": field.pictures, **plain(field)} for field in self.common],
            "parts": plain(self.parts),
        }


@ordinary()
def compared(
    decompositions: Sequence[Decomposition],
    names: Sequence[str] | None,
    a: int,
    b: int,
    draws: int,
    seed: int,
) -> PictureComparison:
    """Do what `rp.compare` says."""
    several = check_together(decompositions, "generators", *UNITS)
    called = _called(several, names)
    beside = transfer(several, a=a, b=b, draws=draws, seed=seed)
    shares = [
        d.strengths[own] / d.strengths[own].sum()
        for d, own in zip(several, map(list, beside.counted), strict=True)
    ]
    common = _common(beside, shares)
    entries = [Entries.of(d) for d in several]
    return PictureComparison(
        **vars(beside),
        names=called,
        seed=random_seed(seed),
        pairs=tuple(
            _pair(beside, _shared(common, beside, shares, entries, i, j), i, j)
            for i, j in itertools.combinations(range(len(several)), 2)
        ),
        common=common,
        parts=part_units(beside, random_seed(seed)),
    )


def _called(several: Sequence[Decomposition], names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        told = [d.provenance.picture_in_words for d in several]
        return tuple(name or f"picture {number}" for number, name in enumerate(told, start=1))
    called = all_of_kind(names, str, f"{len(several)} pictures take as many names")
    if len(called) != len(several):
        raise InputError(f"{len(several)} pictures take as many names, not {len(called)}")
    return called


def _common(beside: Transfer, shares: Sequence[Tensor]) -> tuple[CommonField, ...]:
    """Collect the fields that at least two pictures have."""
    ranks_of: dict[tuple[int, ...], dict[int, int]] = {}
    for i, (d, own) in enumerate(zip(beside.decompositions, beside.counted, strict=True)):
        for rank, row in enumerate(d.action_fields[list(own)]):
            ranks_of.setdefault(tuple(row.nonzero().flatten().tolist()), {})[i] = rank
    found = []
    for patches, ranks in ranks_of.items():
        if len(ranks) < 2:
            continue
        components = {i: beside.counted[i][rank] for i, rank in ranks.items()}
        every = range(beside.pictures)
        found.append(
            CommonField(
                patches=patches,
                components=tuple(components.get(i) for i in every),
                ranks=tuple(ranks[i] + 1 if i in ranks else None for i in every),
                strengths=tuple(
                    float(beside.decompositions[i].strengths[components[i]]) if i in ranks else None
                    for i in every
                ),
                strength_share=sum(float(shares[i][rank]) for i, rank in ranks.items())
                / beside.pictures,
            )
        )
    return tuple(sorted(found, key=lambda field: (-field.pictures, -field.strength_share)))


def _shared(
    common: Sequence[CommonField],
    beside: Transfer,
    shares: Sequence[Tensor],
    entries: Sequence[Entries],
    i: int,
    j: int,
) -> tuple[SharedField, ...]:
    """List the fields that two of the pictures have, and how alike their components are."""

    def both(values: tuple[Any, ...]) -> tuple[Any, Any]:
        return values[i], values[j]

    met = [field for field in common if None not in both(field.components)]
    pairs = [both(field.components) for field in met]
    found = [
        SharedField(
            patches=field.patches,
            components=pair,
            ranks=both(field.ranks),
            strengths=both(field.strengths),
            strength_shares=(
                float(shares[i][field.ranks[i] - 1]),  # type: ignore[operator]
                float(shares[j][field.ranks[j] - 1]),  # type: ignore[operator]
            ),
            likeness=same,
        )
        for field, pair, same in zip(
            met, pairs, likeness(entries[i], entries[j], pairs, beside.counted[j]), strict=True
        )
    ]
    # Of equal shares, the field that is stronger in the first picture comes first.
    return tuple(sorted(found, key=lambda field: (-min(field.strength_shares), field.ranks[0])))


def _pair(beside: Transfer, shared: tuple[SharedField, ...], i: int, j: int) -> Pair:
    found = beside.found
    mine, theirs = (
        (d.feature_units - d.baseline_units).double()
        for d in (beside.decompositions[i], beside.decompositions[j])
    )
    return Pair(
        first=i,
        second=j,
        transfer=found.both_ways(i, j),
        transfer_there=float(found.strongest[i, j]),
        transfer_back=float(found.strongest[j, i]),
        curve=found.pair_curves[i, j],
        strength_overlap=float(found.overlap[i, j]),
        connected=_chance(beside.connected_draws, i, j),
        subsets=_chance(beside.subsets_draws, i, j),
        departure_cosine=float(torch.cosine_similarity(mine, theirs)),
        shared=shared,
    )


def _chance(draws: Sequence[Shares], i: int, j: int) -> Chance:
    curves = torch.stack([draw.pair_curves[i, j] for draw in draws])
    return Chance(
        transfer=Span.over([draw.both_ways(i, j) for draw in draws]),
        strength_overlap=Span.over([float(draw.overlap[i, j]) for draw in draws]),
        curve=curves.mean(0),
        least=curves.amin(0),
        most=curves.amax(0),
    )
