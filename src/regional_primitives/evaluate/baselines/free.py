"""Each demand optimised by itself, without components: the bound that no sum beats by much."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.bound import optimise_freely
from regional_primitives.evaluate.baselines.scene import Scene, Way

__all__ = ["freely_optimised"]

_FACTORS = (0.3, 1.0, 3.0)
"""Prices of leak tried, in multiples of the fit's own."""
_STEPS = 100


def freely_optimised(scene: Scene) -> Iterator[Way]:
    """Yield features found by descent from the decomposition's own, at three prices of leak."""
    fit = scene.decomposition.provenance.settings
    cost_weight = fit.get("cost_weight", 0.05)
    for price in (factor * fit.get("outside_weight", 0.1) for factor in _FACTORS):

        def answer(demands: Tensor, price: float = price) -> Float[Tensor, "demands units"]:
            subject = scene.subject
            device = subject.units.device
            found = optimise_freely(
                scene.generator,
                subject.errors,
                subject.units,
                subject.baseline_units,
                demands.to(device),
                scene.decomposition.minimal_units(demands).to(device),
                outside_weight=price,
                cost_weight=cost_weight,
                steps=_STEPS,
            )
            scene.evaluations.count += _STEPS * len(demands)
            return found.cpu()

        yield Way(f"price of leak {price:g}", answer)
