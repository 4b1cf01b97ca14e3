"""Which components an experiment counts, and their energy-weighted mean: ‖Δf_k‖² is the weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.regions import Regions
from regional_primitives.runtime.numbers import wholes

__all__ = [
    "counted_components",
    "covered_patches",
    "energy_mean",
    "same_patches",
    "selected",
]


def counted_components(
    decomposition: Decomposition, leave_out: Sequence[int] | None = None
) -> list[int]:
    """List all components but those left out, strongest first.

    Args:
        decomposition: one picture's.
        leave_out: components that do not count; None leaves out the exact form's remainder, which
            belongs to the patches that nobody chose.

    Raises:
        InputError: a component that does not exist, or nothing left to count.
    """
    if leave_out is None:
        leave_out = [] if decomposition.remainder is None else [decomposition.remainder]
    left = wholes("a component", leave_out)
    scales = decomposition.scales(dict.fromkeys(left, 0.0))[0]
    counted: list[int] = scales.nonzero().flatten().tolist()
    if not counted:
        raise InputError(
            f"all {decomposition.count} components are left out; at least one must be counted"
        )
    return counted


def selected(decomposition: Decomposition, components: Sequence[int]) -> Decomposition:
    """Return a decomposition of these components only, in this order.

    Its components no longer sum to f − f0, unless all are named.
    """
    spans = [
        torch.arange(int(decomposition.offsets[k]), int(decomposition.offsets[k + 1]))
        for k in components
    ]
    entries = torch.cat(spans) if spans else torch.zeros(0, dtype=torch.long)
    counts = torch.tensor([0, *map(len, spans)])
    index = torch.tensor(list(components), dtype=torch.long)
    return replace(
        decomposition,
        action_fields=decomposition.action_fields[index],
        strengths=decomposition.strengths[index],
        offsets=counts.cumsum(0),
        units=decomposition.units[entries],
        values=decomposition.values[entries],
        noise=None if decomposition.noise is None else decomposition.noise[index],
    )


def covered_patches(decomposition: Decomposition) -> Bool[Tensor, " patches"]:
    """Mark the patches that lie in any action field."""
    return decomposition.action_fields.any(0)


def energy_mean(
    values: Float[Tensor, " components"], energy: Float[Tensor, " components"]
) -> float | None:
    """Return the energy-weighted mean of the values that are numbers; None where none is."""
    known = ~values.isnan()
    if not bool(known.any()):
        return None
    return float((values[known] * energy[known]).sum() / energy[known].sum())


def same_patches(one: Regions, other: Regions) -> bool:
    """Tell whether two divisions of a picture are the same."""
    if one.labels is not None and other.labels is not None:
        return torch.equal(one.labels, other.labels)
    return one.to_dict() == other.to_dict()
