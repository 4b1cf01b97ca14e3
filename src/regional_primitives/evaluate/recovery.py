"""Recovery: how far components are off those that are known, on planted networks. Ours."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.feature import as_units

__all__ = ["Recovery", "recovery"]


@dataclass(frozen=True)
class Recovery:
    """Both as shares of ‖f − f0‖."""

    error: float
    """‖found − planted‖ over all components, matched by field."""
    elsewhere: float
    """The length of what was found in fields that were not planted."""
    missing: int
    """Planted fields of which less than half was found."""


def recovery(
    found: Decomposition,
    fields: Bool[Tensor, "components patches"],
    components: Float[Tensor, "components units"],
) -> Recovery:
    """Compare components with known ones of fields that differ.

    Args:
        found: the decomposition.
        fields: the known action fields.
        components: the known changes of the feature, flat.
    """
    known = {row.numpy().tobytes(): part for row, part in zip(fields, components, strict=True)}
    wrong = dict(known)
    elsewhere = 0.0
    for k in range(found.count):
        name = found.action_fields[k].numpy().tobytes()
        part = as_units(found.component(k))[0]
        if name in known:
            wrong[name] = known[name] - part
        else:
            wrong[name] = part
            elsewhere += float(part.square().sum())
    whole = float(components.sum(0).square().sum())
    error = sum(float(part.square().sum()) for part in wrong.values())
    missing = sum(
        bool(wrong[name].norm() > part.norm() / 2) for name, part in known.items() if part.any()
    )
    return Recovery((error / whole) ** 0.5, (elsewhere / whole) ** 0.5, missing)
