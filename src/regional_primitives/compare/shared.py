"""What pictures share, as results: chance, pairs, and the fields that several have. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from regional_primitives.compare.across import listed, spreads
from regional_primitives.compare.likeness import Likeness
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.scores.spread import Spread

__all__ = ["Chance", "CommonField", "Pair", "PictureComparison", "SharedField", "Span"]


@dataclass(frozen=True)
class Span:
    """One number over several random draws."""

    mean: float
    least: float
    most: float


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

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        curves = {name: listed(getattr(self, name)) for name in ("curve", "least", "most")}
        return {
            "transfer": asdict(self.transfer),
            "strength_overlap": asdict(self.strength_overlap),
            **curves,
        }


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

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return asdict(self)


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
        return {
            "first": self.first,
            "second": self.second,
            **self.numbers(),
            "transfer_there": self.transfer_there,
            "transfer_back": self.transfer_back,
            "curve": listed(self.curve),
            "connected": self.connected.to_dict(),
            "subsets": self.subsets.to_dict(),
            "shared": [field.to_dict() for field in self.shared],
        }

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
class PictureComparison(RichResult):
    """What several pictures of one generator share; `rp.compare` makes it."""

    decompositions: tuple[Decomposition, ...]
    names: tuple[str, ...]
    """What each picture is called."""
    counted: tuple[tuple[int, ...], ...]
    """The components of each picture that count, strongest first."""
    a: int
    b: int
    draws: int
    seed: int
    transfer: Float[Tensor, "pictures pictures"]
    """t(a, b) from picture i (row) to picture j (column); NaN on the diagonal."""
    pairs: tuple[Pair, ...]
    """Every two pictures once, the earlier first."""
    common: tuple[CommonField, ...]
    """Fields of at least two pictures: those of most pictures first, then by strength."""

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
        """Say so where the decompositions answer different questions; else nothing."""
        asked = dict.fromkeys(d.provenance.purpose for d in self.decompositions)
        if len(asked) == 1:
            return ""
        told = ", ".join(
            f"{name}: {d.provenance.purpose}"
            for name, d in zip(self.names, self.decompositions, strict=True)
        )
        return f"these answer different questions, for which alone they would differ ({told})"

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
            "summary": {name: asdict(spread) for name, spread in self.summary.items()},
            "transfer": listed(self.transfer),
            "pairs": [pair.to_dict() for pair in self.pairs],
            "common": [{"pictures": f.pictures, **asdict(f)} for f in self.common],
        }
