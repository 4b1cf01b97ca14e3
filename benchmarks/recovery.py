"""Recovery: how far components are off those that are known, on planted networks. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.feature import as_units


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


def within(
    fields: Bool[Tensor, "components patches"],
    components: Float[Tensor, "components units"],
    patches: Sequence[int],
) -> tuple[Bool[Tensor, "some patches"], Float[Tensor, "some units"]]:
    """Tell known components as demands for some patches alone can tell them.

    Components whose fields have the same of these patches become one; those whose fields have none
    of them are the remainder, which has all other patches for a field.
    """
    chosen = torch.zeros(fields.shape[1], dtype=torch.bool)
    chosen[list(patches)] = True
    cut = fields & chosen
    cut[~cut.any(1)] = ~chosen
    distinct, group = cut.unique(dim=0, return_inverse=True)
    merged = components.new_zeros(len(distinct), components.shape[1])
    return distinct, merged.index_add_(0, group, components)
