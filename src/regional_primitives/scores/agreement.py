"""How far several decompositions agree: what they say of the same fields, side by side. Ours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition


def stability(one: Decomposition, other: Decomposition) -> tuple[float, float]:
    """Return how far two decompositions of one picture agree: by fields' strengths, and by unit.

    Both are Σ min / Σ max, over fields of ‖Δf_T‖ (`field_stability`), and over fields and units of
    |Δf_T| where the signs agree; 1 is the same decomposition.
    """
    places = numbered([one.action_fields, other.action_fields])
    entries = []
    for result, mine in zip((one, other), places, strict=True):
        entries.append(mine[result.owners] * one.unit_count + result.units.long())
    values = side_by_side(entries, [one.values, other.values])
    alike = values.prod(0) > 0
    shared = values.abs().amin(0) * alike
    # Opposite signs share nothing, and both sides count.
    whole = torch.where(alike, values.abs().amax(0), values.abs().sum(0))
    return field_stability(one, other), float(shared.sum() / whole.sum())


def field_stability(one: Decomposition, other: Decomposition) -> float:
    """Return Σ min / Σ max of the strengths ‖Δf_T‖ of equal fields; of shares of another layer's.

    Strengths of two layers have no common unit, so that there each field counts with its share of
    all strengths.
    """
    strengths = [one.strengths, other.strengths]
    if one.provenance.layer != other.provenance.layer:
        strengths = [own / own.sum() for own in strengths]
    table = side_by_side(numbered([one.action_fields, other.action_fields]), strengths)
    return float(table.amin(0).sum() / table.amax(0).sum())


def numbered(fields: Sequence[Bool[Tensor, "_ patches"]]) -> list[Int[Tensor, " _"]]:
    """Number action fields alike in all decompositions: equal fields get equal numbers."""
    numbers: dict[bytes, int] = {}
    return [
        torch.tensor([numbers.setdefault(row.numpy().tobytes(), len(numbers)) for row in own])
        for own in fields
    ]


def side_by_side(
    keys: Sequence[Int[Tensor, " _"]], values: Sequence[Float[Tensor, " _"]]
) -> Float[Tensor, "decompositions keys"]:
    """Line up what stands under the same key in each, with 0 where one has nothing."""
    found, column = torch.cat(list(keys)).unique(return_inverse=True)
    table = torch.zeros(len(keys), len(found))
    for row, columns, mine in zip(table, column.split([len(k) for k in keys]), values, strict=True):
        row.index_add_(0, columns, mine)
    return table
