"""The components that a decomposition of a picture of `planted` must find."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.zoo.toy import UNITS_PER_COMPONENT, planted_fields


@dataclass(frozen=True)
class PlantedTruth:
    """The planted action fields [K, n], and the components [K, D] of one picture."""

    action_fields: Tensor
    components: Tensor

    @property
    def strengths(self):
        """‖Δf_k‖ of each planted component."""
        return self.components.norm(dim=1)


def planted_truth(feature, baseline):
    """Split f − f0, each [1, D], into the planted components."""
    fields = planted_fields()
    owner = torch.arange(feature.shape[1]) // UNITS_PER_COMPONENT
    mine = owner == torch.arange(len(fields))[:, None]
    return PlantedTruth(fields, mine * (feature - baseline))


def exactly(result):
    """The planted components themselves, in place of those that a short fit finds."""
    truth = planted_truth(result.feature, result.baseline)
    field, unit = truth.components.nonzero().T
    return Decomposition.assemble(
        fields=truth.action_fields,
        field_of=field,
        unit_of=unit,
        values=truth.components[field, unit],
        **{
            name: getattr(result, name)
            for name in (
                "feature", "baseline", "image", "baseline_image", "regions", "history",
                "latents", "provenance",
            )
        },
    )  # fmt: skip
