"""Whether two pictures use the same units for one action field: are its components alike? Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition

__all__ = ["Likeness", "likeness"]


@dataclass(frozen=True)
class Likeness:
    """How alike the components Δf_k and Δf_m of two pictures are."""

    cosine: float
    """⟨Δf_k, Δf_m⟩ / (‖Δf_k‖ ‖Δf_m‖): 1 where they change the same units in the same way."""
    unit_overlap: float
    """Of the units that either changes, the share that both change."""
    other_cosine: float | None
    """For comparison, the cosine of Δf_k with the other picture's component of another field that
    overlaps most with this one (by IoU; of several the strongest). None where there is no other
    field that overlaps."""


def likeness(
    one: Decomposition,
    other: Decomposition,
    pairs: Sequence[tuple[int, int]],
    others: Sequence[int],
) -> list[Likeness]:
    """Compare components pair by pair.

    Args:
        one: the first picture's.
        other: the second's, of the same feature.
        pairs: component of the first, component of the second.
        others: components of the second among which the nearest other field is sought, strongest
            first.
    """
    found = []
    change = torch.zeros(one.unit_count)
    nearest = _nearest_others(one, other, pairs, others)
    for (k, m), near in zip(pairs, nearest, strict=True):
        units, values = _entries(one, k)
        change[units] = values
        theirs, _ = _entries(other, m)
        both = int((change[theirs] != 0).sum())
        found.append(
            Likeness(
                cosine=_cosine(change, values, other, m),
                unit_overlap=both / (len(units) + len(theirs) - both),
                other_cosine=None if near is None else _cosine(change, values, other, near),
            )
        )
        change[units] = 0.0
    return found


def _entries(decomposition: Decomposition, k: int) -> tuple[Tensor, Tensor]:
    """Return the units that a component changes, and by how much; no unit twice, no change of 0."""
    own = slice(int(decomposition.offsets[k]), int(decomposition.offsets[k + 1]))
    units, values = decomposition.units[own].long(), decomposition.values[own]
    return units[values != 0], values[values != 0]


def _cosine(
    change: Float[Tensor, " units"],
    values: Float[Tensor, " entries"],
    other: Decomposition,
    m: int,
) -> float:
    units, theirs = _entries(other, m)
    product = (change[units].double() * theirs.double()).sum()
    return float(product / (values.double().norm() * theirs.double().norm()))


def _nearest_others(
    one: Decomposition,
    other: Decomposition,
    pairs: Sequence[tuple[int, int]],
    others: Sequence[int],
) -> list[int | None]:
    """Find, for each pair, the second picture's component of another field that overlaps most."""
    if not pairs:
        return []
    index = torch.tensor(list(others))
    fields = one.action_fields[[k for k, _ in pairs]].double()
    theirs = other.action_fields[index].double()
    shared = fields @ theirs.T
    overlap = shared / (fields.sum(1)[:, None] + theirs.sum(1) - shared).clamp_min(1)
    # An overlap of 1 is the field itself.
    overlap[overlap == 1] = 0.0
    # Sorted stably, since of several that overlap as much the strongest is meant.
    best = overlap.sort(dim=1, descending=True, stable=True)
    return [
        int(index[place]) if value > 0 else None
        for value, place in zip(
            best.values[:, 0].tolist(), best.indices[:, 0].tolist(), strict=True
        )
    ]
