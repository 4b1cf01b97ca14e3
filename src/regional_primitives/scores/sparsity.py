"""Sparsity: how few components carry the feature, and how large their action fields are.

The energy Σ‖Δf_k‖² is what is shared out. The paper (arXiv 2410.04421) shows that most components
are near zero; the numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from regional_primitives.axes import PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores.components import counted_components
from regional_primitives.scores.evaluation import Measurement
from regional_primitives.scores.measured import Measured
from regional_primitives.scores.relations import mean_field_overlap

NEAR_ZERO = (0.01, 0.05)
"""Components below these shares of the strongest are called near zero."""
LOW_ORDER = 3
"""Fields of at most so many patches are called small."""


def count_for(energy: PerComponent, share: float) -> int:
    """Return how many components, strongest first, carry `share` of the energy."""
    carried = energy.cumsum(0) / energy.sum()
    return min(int((carried < share - 1e-12).sum()) + 1, len(energy))


def field_sizes(decomposition: Decomposition) -> dict[int, float]:
    """Return the share of the energy by the number of patches in the action field."""
    energy = decomposition.strengths.double().square()
    by_size = torch.zeros(decomposition.regions.count + 1, dtype=torch.float64)
    by_size.index_add_(0, decomposition.action_fields.sum(1), energy / energy.sum())
    return {size: share for size, share in enumerate(by_size.tolist()) if share > 0}


def counts(decomposition: Decomposition) -> dict[str, int]:
    """Return how many components carry 50, 90 and 95 % of the energy, by the names of scores."""
    energy = decomposition.strengths.double().square()
    return {f"n{percent}": count_for(energy, percent / 100) for percent in (50, 90, 95)}


def sparsity_scores(measurement: Measurement) -> dict[str, Any]:
    """Count components, and tell the share that none of them needs."""
    whole, parts = measurement.whole.decomposition, measurement.parts.decomposition
    left = 0.0 if whole.remainder is None else float(whole.strengths[whole.remainder])
    return {
        "components": parts.count,
        **counts(parts),
        "remainder": (left / float(measurement.whole.difference.norm())) ** 2,
        "overlap": mean_field_overlap(parts.action_fields, parts.strengths),
        "field_sizes": field_sizes(parts),
    }


@dataclass(frozen=True, eq=False)
class Sparsity(Measured):
    """How the strength divides among the components of one picture."""

    told = ("patches", "orders", "noise", "strengths")
    strengths: PerComponent
    """‖Δf_k‖ over the largest, descending."""
    n50: int
    """How many components, strongest first, carry half of Σ‖Δf_k‖²."""
    n90: int
    n95: int
    under: dict[float, float]
    """Share of components below each of `NEAR_ZERO`."""
    orders: dict[int, float]
    """Share of Σ‖Δf_k‖² by the number of patches in the field."""
    patches: int
    """How many patches the fields cover together."""
    noise: dict[int, float] | None = None
    """Noise floor over the strongest strength, by the number of patches in the field, of those that
    occur; None where it was not measured, as in the structured form."""
    above_noise: int | None = None
    """Components that are stronger than the noise of their order."""

    def numbers(self) -> dict[str, float]:
        """Return what can be averaged over pictures, by name."""
        return {
            "components": float(len(self.strengths)),
            "n50": float(self.n50),
            "n90": float(self.n90),
            "n95": float(self.n95),
            "n90_share": self.n90 / len(self.strengths),
            **{f"under_{100 * limit:g}_percent": share for limit, share in self.under.items()},
            "mean_order": sum(size * share for size, share in self.orders.items()),
            "low_orders": sum(s for size, s in self.orders.items() if size <= LOW_ORDER),
            **({"noise_floor": max(self.noise.values())} if self.noise else {}),
            **({} if self.above_noise is None else {"above_noise": float(self.above_noise)}),
        }


def sparsity(decomposition: Decomposition) -> Sparsity:
    """Measure how few components carry the feature; the exact form's remainder is not counted.

    Raises:
        InputError: no component but the remainder.
    """
    counted = decomposition.select(counted_components(decomposition))
    shares = counted.strengths / counted.strengths[0]
    noise, above = None, None
    if counted.noise is not None:
        floor = (counted.noise / counted.strengths[0]).tolist()
        sizes = counted.action_fields.sum(1).tolist()
        noise = dict(sorted(zip(sizes, floor, strict=True)))
        above = int(counted.significant.sum())
    return Sparsity(
        strengths=shares,
        **counts(counted),
        under={limit: float((shares < limit).float().mean()) for limit in NEAR_ZERO},
        orders=field_sizes(counted),
        patches=int(counted.action_fields.any(0).sum()),
        noise=noise,
        above_noise=above,
    )
