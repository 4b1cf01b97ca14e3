"""How the energy Σ‖Δf_k‖² divides among components: how many carry most of it, in which fields."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition

__all__ = ["count_for", "field_sizes"]


def count_for(energy: Float[Tensor, " components"], share: float) -> int:
    """Return how many components, strongest first, carry `share` of the energy."""
    carried = energy.cumsum(0) / energy.sum()
    return min(int((carried < share - 1e-12).sum()) + 1, len(energy))


def field_sizes(decomposition: Decomposition) -> dict[int, float]:
    """Return the share of the energy by the number of patches in the action field."""
    energy = decomposition.strengths.double().square()
    by_size = torch.zeros(decomposition.regions.count + 1, dtype=torch.float64)
    by_size.index_add_(0, decomposition.action_fields.sum(1), energy / energy.sum())
    return {size: share for size, share in enumerate(by_size.tolist()) if share > 0}
