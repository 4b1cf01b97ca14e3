"""Whether two pictures use the same units for one action field: are its components alike? Ours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition


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


@dataclass(frozen=True, eq=False)
class Entries:
    """The components of one picture, ready to be compared with those of many others."""

    decomposition: Decomposition
    units: list[Int[Tensor, " _"]]
    """Of each component: the units that it changes."""
    values: list[Float[Tensor, " _"]]
    """By how much, in double precision."""
    norms: list[float]

    @staticmethod
    def of(decomposition: Decomposition) -> Entries:
        """Cut the stored entries by component; a change of 0 is none."""
        units, values = [], []
        for start, stop in itertools.pairwise(decomposition.offsets.tolist()):
            changed = decomposition.values[start:stop] != 0
            units.append(decomposition.units[start:stop][changed].long())
            values.append(decomposition.values[start:stop][changed].double())
        return Entries(decomposition, units, values, [float(own.norm()) for own in values])


def likeness(
    one: Entries, other: Entries, pairs: Sequence[tuple[int, int]], others: Sequence[int]
) -> list[Likeness]:
    """Compare components pair by pair: one of the first picture, one of the second.

    The nearest other field is sought among `others` of the second, strongest first.
    """
    found = []
    change = torch.zeros(one.decomposition.unit_count, dtype=torch.double)

    def cosine(k: int, m: int) -> float:
        product = float(change[other.units[m]] @ other.values[m])
        return product / (one.norms[k] * other.norms[m])

    nearest = _nearest_others(one.decomposition, other.decomposition, pairs, others)
    for (k, m), near in zip(pairs, nearest, strict=True):
        change[one.units[k]] = one.values[k]
        both = int(change[other.units[m]].count_nonzero())
        found.append(
            Likeness(
                cosine=cosine(k, m),
                unit_overlap=both / (len(one.units[k]) + len(other.units[m]) - both),
                other_cosine=None if near is None else cosine(k, near),
            )
        )
        change[one.units[k]] = 0.0
    return found


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
