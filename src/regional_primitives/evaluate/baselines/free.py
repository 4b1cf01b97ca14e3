"""Each demand optimised by itself, without components: the bound that no sum beats by much."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.bound import optimise_freely
from regional_primitives.evaluate.baselines.scene import Scene, Way

__all__ = ["freely_optimised"]

_PRICES = (0.03, 0.1, 0.3)
_STEPS = 100


def freely_optimised(scene: Scene) -> Iterator[Way]:
    """Yield features found by descent from the decomposition's own, at three prices of leak."""
    cost_weight = scene.decomposition.provenance.settings.get("cost_weight", 0.05)
    for price in _PRICES:

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
