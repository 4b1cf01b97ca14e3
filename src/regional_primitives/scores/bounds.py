"""How far a decomposition is from what its demands allow, and what they must bring along."""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.bound import Prices, optimal_features
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured import PURPOSES
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.scores.demand_errors import DemandErrors, demand_errors

__all__ = ["bound_scores"]


def bound_scores(
    decomposition: Decomposition,
    generator: Generator,
    demands: Bool[Tensor, "demands patches"],
    steps: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Optimise each demand by itself, and put the decomposition beside it; scores by name.

    Args:
        decomposition: without its remainder.
        generator: at its picture.
        demands: that leave something out; of none, nothing is measured.
        steps: of each optimisation, of which there are two, and a third where the decomposition was
            not fitted at the prices of the purpose `generate`.
        progress: told of every step.
    """
    if len(demands) == 0:
        return {"free_demands": 0}
    evaluations = Evaluations(generator)
    prices, along = Prices.of(decomposition.provenance.settings), Prices.of(PURPOSES["generate"])

    def measured(features: Float[Tensor, "demands units"]) -> DemandErrors:
        return demand_errors(decomposition, generator, demands, features)

    def optimum(
        stage: str, prices: Prices, start: Float[Tensor, "demands units"], *, gated: bool
    ) -> Float[Tensor, "demands units"]:
        return optimal_features(
            decomposition, evaluations, demands, prices, start,
            gated=gated, steps=steps, stage=stage, progress=progress,
        )  # fmt: skip

    own = decomposition.minimal_units(demands)
    within = optimum("gated bound", prices, own, gated=True)
    # The larger set of features is searched from the best of the smaller.
    free = measured(optimum("free bound", prices, within, gated=False))
    fit, gated = measured(own), measured(within)
    needed = gated
    if prices != along:
        # From f, which is for no purpose: from features with little leak, it would stay little.
        everything = decomposition.feature_units.expand_as(own)
        needed = measured(optimum("entanglement", along, everything, gated=True))
    # Over the objective at f0, which is 1: all of the error, and neither leak nor cost. Measured
    # there, it would be 0 for demands where the picture is the baseline picture.
    gap = prices.objective(*fit.all) - prices.objective(*free.all)
    errors, least = (one.pooled_inside + prices.outside * one.pooled_leak for one in (fit, gated))
    return {
        "free_demands": len(demands),
        "bound_evaluations": evaluations.count,
        "additivity_gap": float(gap.mean()),
        "bound_ratio": _ratio(errors, least),
        "departure": _ratio(float(fit.cost.sum()), float(gated.cost.sum())),
        "entanglement": needed.mean_leak,
        "structured_inside_error": float(fit.inside.mean()),
        "structured_leak": fit.mean_leak,
        "gated_inside_error": float(gated.inside.mean()),
        "gated_leak": gated.mean_leak,
        "gated_cost": float(gated.cost.mean()),
        "gated_pooled_inside_error": gated.pooled_inside,
        "gated_pooled_leak": gated.pooled_leak,
        "free_inside_error": float(free.inside.mean()),
        "free_leak": free.mean_leak,
        "free_cost": float(free.cost.mean()),
    }


def _ratio(value: float, least: float) -> float | None:
    """Divide by a bound; where that is nothing, nothing can be said."""
    return value / least if least > 0 else None
