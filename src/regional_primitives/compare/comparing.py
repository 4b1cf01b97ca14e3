"""Which primitives pictures share: common action fields, and whether the same units make them.

Transfer t(a, b) is the paper's (arXiv 2410.04421). Ours: random fields beside it, the overlap of
strengths, and the likeness of the two components that serve one field.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.compare.common_fields import (
    afford_draws,
    all_rectangles,
    comparable_components,
    random_alike,
    shares_of,
)
from regional_primitives.compare.likeness import Entries, likeness
from regional_primitives.compare.shared import (
    Chance,
    CommonField,
    Pair,
    PictureComparison,
    SharedField,
    Span,
)
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import all_of_kind, random_seed, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.scores.agreement import numbered, side_by_side

__all__ = ["compare"]


@ordinary()
def compare(
    decompositions: Sequence[Decomposition],
    *,
    names: Sequence[str] | None = None,
    leave_out: Sequence[Sequence[int]] | None = None,
    a: int = 20,
    b: int = 100,
    draws: int = 10,
    seed: int = 0,
) -> PictureComparison:
    """Tell which primitives pictures share, every two of them.

    Args:
        decompositions: two or more, of one generator cut at one layer, over the same patches; of
            the exact form also with the same choice of patches.
        names: what each picture is called; its seed or file unless given.
        leave_out: for each of them, the components that are not counted; None: the exact form's
            remainders.
        a: strongest fields of one; fewer where a picture has fewer components.
        b: strongest fields of the other, likewise.
        draws: how often random fields are drawn.
        seed: their random stream.

    Raises:
        InputError: fewer than two pictures, what is no decomposition, another generator, layer or
            feature, other patches, another number of names, or counts below 1.
    """
    a, b, draws = (whole(*one, 1) for one in (("a", a), ("b", b), ("draws", draws)))
    seed = random_seed(seed)
    decompositions = _of_one_generator(decompositions)
    called = _called(decompositions, names)
    counted = comparable_components(decompositions, leave_out)
    fields = [d.action_fields[own] for d, own in zip(decompositions, counted, strict=True)]
    strengths = [d.strengths[own] for d, own in zip(decompositions, counted, strict=True)]
    shares = [own / own.sum() for own in strengths]
    least = min(map(len, fields))
    a, b = min(a, least), min(b, least)
    found = _Drawn.of(fields, shares, a, b)
    regions = decompositions[0].regions
    afford_draws(len(fields), a, draws)
    rectangles = all_rectangles(fields, regions)
    connected, subsets = [], []
    for draw in range(draws):
        drawn = random_alike(fields, regions, rectangles=rectangles, seed=seed, draw=draw)
        connected.append(_Drawn.of(drawn[0], shares, a, b))
        subsets.append(_Drawn.of(drawn[1], shares, a, b))
    places = [
        {tuple(row.nonzero().flatten().tolist()): rank for rank, row in enumerate(own)}
        for own in fields
    ]
    entries = [Entries.of(d) for d in decompositions]
    pairs = tuple(
        Pair(
            first=i,
            second=j,
            transfer=found.both_ways(i, j),
            transfer_there=float(found.strongest[i, j]),
            transfer_back=float(found.strongest[j, i]),
            curve=found.curves[i, j],
            strength_overlap=float(found.overlap[i, j]),
            connected=_chance(connected, i, j),
            subsets=_chance(subsets, i, j),
            departure_cosine=_departure_cosine(decompositions[i], decompositions[j]),
            shared=_shared(
                (entries[i], entries[j]),
                (counted[i], counted[j]),
                (places[i], places[j]),
                (shares[i], shares[j]),
            ),
        )
        for i, j in itertools.combinations(range(len(fields)), 2)
    )
    return PictureComparison(
        decompositions=decompositions,
        names=called,
        counted=tuple(map(tuple, counted)),
        a=a,
        b=b,
        draws=draws,
        seed=seed,
        transfer=found.strongest,
        pairs=pairs,
        common=_common(decompositions, counted, places, shares),
    )


def _of_one_generator(decompositions: Sequence[Decomposition]) -> tuple[Decomposition, ...]:
    """Refuse what cannot be compared unit by unit."""
    several = all_of_kind(
        decompositions,
        Decomposition,
        "compare takes decompositions, as rp.explain and rp.Decomposition.load give them",
    )
    if len(several) < 2:
        raise InputError(f"compare takes at least two pictures; got {len(several)}")
    first = several[0].provenance
    for other in several[1:]:
        origin = other.provenance
        told = (
            ("generators", first.generator, origin.generator)
            if first.generator != origin.generator
            else ("values of hold", first.hold, origin.hold)
            if first.hold != origin.hold
            else (
                f"weights of {first.generator!r}",
                f"{first.weights_digest[:12]}…",
                f"{origin.weights_digest[:12]}…",
            )
            if first.weights_digest != origin.weights_digest
            else ("layers", first.layer, origin.layer)
            if first.layer != origin.layer
            else ("feature shapes", several[0].feature_shape, other.feature_shape)
        )
        if told[1] != told[2]:
            raise InputError(
                "pictures can be compared only within one generator cut at one layer; their "
                f"{told[0]} differ: {told[1]} and {told[2]}"
            )
    return several


def _called(
    decompositions: Sequence[Decomposition], names: Sequence[str] | None
) -> tuple[str, ...]:
    if names is not None:
        called = all_of_kind(names, str, f"{len(decompositions)} pictures take as many names")
        if len(called) != len(decompositions):
            raise InputError(
                f"{len(decompositions)} pictures take as many names, not {len(called)}"
            )
        return called
    return tuple(
        d.provenance.picture_in_words or f"picture {number}"
        for number, d in enumerate(decompositions, start=1)
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """All pairs' numbers of real fields, or of one draw of random ones."""

    strongest: Float[Tensor, "pictures pictures"]
    curves: Float[Tensor, "pictures pictures counts"]
    overlap: Float[Tensor, "pictures pictures"]

    @staticmethod
    def of(
        fields: Sequence[Bool[Tensor, "_ patches"]],
        shares: Sequence[Float[Tensor, " _"]],
        a: int,
        b: int,
    ) -> _Drawn:
        common = shares_of(fields, a, b)
        table = side_by_side(numbered(fields), shares)
        overlap = torch.stack(
            [torch.minimum(row, table).sum(1) / torch.maximum(row, table).sum(1) for row in table]
        )
        return _Drawn(common.strongest, common.pair_curves, overlap)

    def both_ways(self, i: int, j: int) -> float:
        return float(self.strongest[i, j] + self.strongest[j, i]) / 2


def _chance(draws: Sequence[_Drawn], i: int, j: int) -> Chance:
    curves = torch.stack([draw.curves[i, j] for draw in draws])
    return Chance(
        transfer=_span([draw.both_ways(i, j) for draw in draws]),
        strength_overlap=_span([float(draw.overlap[i, j]) for draw in draws]),
        curve=curves.mean(0),
        least=curves.amin(0),
        most=curves.amax(0),
    )


def _span(values: Sequence[float]) -> Span:
    return Span(sum(values) / len(values), min(values), max(values))


def _departure_cosine(one: Decomposition, other: Decomposition) -> float:
    mine, theirs = ((d.feature_units - d.baseline_units).double() for d in (one, other))
    return float(torch.cosine_similarity(mine, theirs))


def _shared(
    pictures: tuple[Entries, Entries],
    counted: tuple[Sequence[int], Sequence[int]],
    places: tuple[dict[tuple[int, ...], int], dict[tuple[int, ...], int]],
    shares: tuple[Tensor, Tensor],
) -> tuple[SharedField, ...]:
    met = [(patches, rank, places[1][patches]) for patches, rank in places[0].items()
           if patches in places[1]]  # fmt: skip
    components = [(counted[0][rank], counted[1][other]) for _, rank, other in met]
    alike = likeness(*pictures, components, counted[1])
    strengths = [picture.decomposition.strengths for picture in pictures]
    found = [
        SharedField(
            patches=patches,
            components=(k, m),
            ranks=(rank + 1, other + 1),
            strengths=(float(strengths[0][k]), float(strengths[1][m])),
            strength_shares=(float(shares[0][rank]), float(shares[1][other])),
            likeness=one,
        )
        for (patches, rank, other), (k, m), one in zip(met, components, alike, strict=True)
    ]
    return tuple(sorted(found, key=lambda field: -min(field.strength_shares)))


def _common(
    decompositions: Sequence[Decomposition],
    counted: Sequence[Sequence[int]],
    places: Sequence[dict[tuple[int, ...], int]],
    shares: Sequence[Tensor],
) -> tuple[CommonField, ...]:
    found = []
    for patches in dict.fromkeys(patches for own in places for patches in own):
        ranks = [own.get(patches) for own in places]
        components = [None if r is None else own[r] for r, own in zip(ranks, counted, strict=True)]
        share = sum(
            float(own[r]) for r, own in zip(ranks, shares, strict=True) if r is not None
        ) / len(places)
        one = CommonField(
            patches=patches,
            components=tuple(components),
            ranks=tuple(None if rank is None else rank + 1 for rank in ranks),
            strengths=tuple(
                None if k is None else float(d.strengths[k])
                for k, d in zip(components, decompositions, strict=True)
            ),
            strength_share=share,
        )
        if one.pictures >= 2:
            found.append(one)
    return tuple(sorted(found, key=lambda field: (-field.pictures, -field.strength_share)))
