"""The components that a decomposition of a picture of `planted` must find."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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
