"""Each demand optimised by itself, without components: the bound that no sum beats by much."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from regional_primitives.axes import Units
from regional_primitives.decompose.bound import Prices, optimal_features
from regional_primitives.decompose.purpose import varied_price
from regional_primitives.rivals.rival import Scene, Way, rival

_FACTORS = (0.3, 1.0, 3.0)
"""Prices tried, in multiples of the fit's own: of leak, or else of the departure."""
_STEPS = 100


@rival(
    "free optimum",
    "optimises every demand by itself, without components: what no sum of components beats by much",
    "the bound",
    "price of leak",
    place=99,
    optimises=True,
)
def freely_optimised(scene: Scene) -> Iterator[Way]:
    """Yield features found by descent from the decomposition's own, at three prices."""
    settings = scene.decomposition.provenance.settings
    name, words = varied_price(settings)
    for factor in _FACTORS:
        changed = {**settings, name: factor * settings.get(name, 0.1)}
        prices = Prices.of(changed)

        def answer(demands: Tensor, prices: Prices = prices) -> Units:
            return optimal_features(
                scene.subject, scene.evaluations, demands, prices,
                scene.decomposition.minimal_units(demands), gated=False, steps=_STEPS,
            )  # fmt: skip

        yield Way(f"price of {words} {changed[name]:g}", answer)
