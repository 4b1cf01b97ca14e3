"""Which components a comparison counts: all but those left out."""

from __future__ import annotations

from collections.abc import Sequence

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.runtime.numbers import wholes


def counted_components(
    decomposition: Decomposition, leave_out: Sequence[int] | None = None
) -> list[int]:
    """List all components but those left out, strongest first.

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
