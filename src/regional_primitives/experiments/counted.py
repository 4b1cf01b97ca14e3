"""Which components an experiment counts, and their energy-weighted mean: ‖Δf_k‖² is the weight."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import wholes

__all__ = [
    "counted_components",
    "covered_patches",
    "energy_mean",
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
