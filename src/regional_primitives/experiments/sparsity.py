"""Sparsity: how few components carry the feature, and how large their action fields are.

The paper (arXiv 2410.04421) shows that most components are near zero; the numbers are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.experiments.across import AcrossPictures, listed
from regional_primitives.experiments.counted import counted_components, covered_patches
from regional_primitives.scores.energy import count_for, field_sizes

__all__ = ["LOW_ORDER", "NEAR_ZERO", "Sparsity", "sparsity"]

NEAR_ZERO = (0.01, 0.05)
"""Components below these shares of the strongest are called near zero."""
LOW_ORDER = 3
"""Fields of at most so many patches are called small."""


@dataclass(frozen=True, eq=False)
class Sparsity:
    """How the strength divides among the components of one picture."""

    strengths: Float[Tensor, " components"]
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

    @staticmethod
    def over(results: Sequence[Sparsity]) -> AcrossPictures[Sparsity]:
        """Collect several pictures; raises what `AcrossPictures.of` raises."""
        return AcrossPictures.of(results)

    @property
    def mean_order(self) -> float:
        """Energy-weighted mean number of patches in a field."""
        return sum(size * share for size, share in self.orders.items())

    def numbers(self) -> dict[str, float]:
        """Return what can be averaged over pictures, by name."""
        return {
            "components": float(len(self.strengths)),
            "n50": float(self.n50),
            "n90": float(self.n90),
            "n95": float(self.n95),
            "n90_share": self.n90 / len(self.strengths),
            **{f"under_{100 * limit:g}_percent": share for limit, share in self.under.items()},
            "mean_order": self.mean_order,
            "low_orders": sum(s for size, s in self.orders.items() if size <= LOW_ORDER),
            **({"noise_floor": max(self.noise.values())} if self.noise else {}),
            **({} if self.above_noise is None else {"above_noise": float(self.above_noise)}),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return {
            **self.numbers(),
            "patches": self.patches,
            "orders": self.orders,
            "noise": self.noise,
            "strengths": listed(self.strengths),
        }


def sparsity(decomposition: Decomposition, *, leave_out: Sequence[int] | None = None) -> Sparsity:
    """Measure how few components carry the feature.

    Args:
        decomposition: one picture's.
        leave_out: components that are not counted; None: the exact form's remainder.

    Raises:
        InputError: a component that does not exist, or none left to count.
    """
    counted = decomposition.select(counted_components(decomposition, leave_out))
    energy = counted.strengths.double().square()
    shares = counted.strengths / counted.strengths[0]
    return Sparsity(
        strengths=shares,
        n50=count_for(energy, 0.50),
        n90=count_for(energy, 0.90),
        n95=count_for(energy, 0.95),
        under={limit: float((shares < limit).float().mean()) for limit in NEAR_ZERO},
        orders=field_sizes(counted),
        patches=int(covered_patches(counted).sum()),
        noise=_noise(counted),
        above_noise=None if counted.noise is None else int(counted.significant.sum()),
    )


def _noise(counted: Decomposition) -> dict[int, float] | None:
    if counted.noise is None:
        return None
    sizes = counted.action_fields.sum(1).tolist()
    floor = (counted.noise / counted.strengths[0]).tolist()
    return dict(sorted(zip(sizes, floor, strict=True)))
