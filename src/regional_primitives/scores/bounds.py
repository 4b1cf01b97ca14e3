"""How far a decomposition is from what its demands allow, and what they must bring along.

The paper (arXiv 2410.04421) compares predicted with optimised minimal features. Ours: predictions
of u(S) stand beside the u(S) of a demand that is optimised by itself, by the errors of their
pictures, since features that differ may well generate the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regional_primitives.axes import Units
from regional_primitives.decompose.bound import Prices, optimal_features
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.exact import ExactComponents
from regional_primitives.decompose.exact.minimal import MinimalFeatures
from regional_primitives.decompose.structured import PURPOSES
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.storage import Count, Real
from regional_primitives.scores.demands import DemandErrors, demand_errors
from regional_primitives.scores.evaluation import Measurement
from regional_primitives.scores.measured import Measured
from regional_primitives.setfunctions import or_values

_BATCH = 64


def bound_scores(measurement: Measurement) -> dict[str, Any]:
    """Optimise some demands, each by itself, and put the decomposition beside it.

    There is one optimisation, gated. With `free_bounds` there is a free one too, and another where
    the decomposition was not fitted at the prices of the purpose `generate`.
    """
    picture, settings = measurement.parts, measurement.settings
    components = picture.decomposition
    demands = settings.few(measurement.demands)
    if len(demands) == 0:
        return {"free_demands": 0}
    evaluations = Evaluations(picture.generator)
    prices, along = Prices.of(components.provenance.settings), Prices.of(PURPOSES["generate"])

    def measured(features: Units) -> DemandErrors:
        return demand_errors(picture, demands, features)

    def optimum(stage: str, prices: Prices, start: Units, *, gated: bool) -> Units:
        return optimal_features(
            picture.subject, evaluations, demands, prices, start, gated=gated,
            steps=settings.free_steps, stage=stage, progress=measurement.progress,
        )  # fmt: skip

    own = components.minimal_units(demands)
    within = optimum("gated bound", prices, own, gated=True)
    fit, gated = measured(own), measured(within)
    bounds, extra = {"gated": gated}, {}
    if prices == along:
        extra["entanglement"] = gated.mean_leak
    if settings.free_bounds:
        # The larger set of features is searched from the best of the smaller.
        bounds["free"] = free = measured(optimum("free bound", prices, within, gated=False))
        # Over the objective at f0, which is 1: all of the error, and neither leak nor cost.
        # Measured there, it would be 0 for demands where the picture is the baseline picture.
        gap = prices.objective(*fit.all) - prices.objective(*free.all)
        extra["additivity_gap"] = float(gap.mean())
        if prices != along:
            # From f, which is for no purpose: from features with little leak, it would stay little.
            everything = components.feature_units.expand_as(own)
            needed = measured(optimum("entanglement", along, everything, gated=True))
            extra["entanglement"] = needed.mean_leak
    errors, least = (one.pooled_inside + prices.outside * one.pooled_leak for one in (fit, gated))
    return {
        "free_demands": len(demands),
        "bound_evaluations": evaluations.count,
        "bound_ratio": _ratio(errors, least),
        "departure": _ratio(float(fit.cost.sum()), float(gated.cost.sum())),
        "structured_inside_error": float(fit.inside.mean()),
        "structured_leak": fit.mean_leak,
        "gated_pooled_inside_error": gated.pooled_inside,
        "gated_pooled_leak": gated.pooled_leak,
        **extra,
        **{
            f"{name}_{score}": found.means()[score]
            for name, found in bounds.items()
            for score in ("inside_error", "leak", "cost")
        },
    }


def _ratio(value: float, least: float) -> float | None:
    """Divide by a bound; where that is nothing, nothing can be said."""
    return value / least if least > 0 else None


@dataclass(frozen=True)
class Prediction:
    """Features of all demands, from one way of making them; means over the demands."""

    inside_error: Real
    leak: Real
    cost: Real
    """‖û(S) − f0‖₁ / ‖f − f0‖₁."""
    deviation: Real
    """‖û(S) − u(S)‖ / ‖u(S) − f0‖, from the freely optimised features."""


@dataclass(frozen=True)
class Additivity(Measured):
    """Predicted and freely optimised minimal features of one picture, side by side."""

    told = ("demands", "free", "predicted")
    demands: Count
    free: Prediction
    predicted: dict[str, Prediction]
    """By name of the way."""

    def numbers(self) -> dict[str, float]:
        """Return errors, leaks and deviations of every way, and errors over the free one's."""
        found = {"free_inside_error": self.free.inside_error, "free_leak": self.free.leak}
        for name, way in self.predicted.items():
            key = name.replace(" ", "_")
            found |= {
                f"{key}_inside_error": way.inside_error,
                f"{key}_inside_error_over_free": way.inside_error
                / max(self.free.inside_error, 1e-12),
                f"{key}_leak": way.leak,
                f"{key}_deviation": way.deviation,
            }
        return found


def additivity(features: MinimalFeatures, predicted: Mapping[str, Units]) -> Additivity:
    """Compare predictions of the minimal features with the freely optimised ones.

    Args:
        features: the freely optimised features, and their demands.
        predicted: by name, flat features of the same demands. Costs one forward evaluation of the
            tail a feature.

    Raises:
        InputError: predictions of another shape.
    """
    for name, units in predicted.items():
        if units.shape != features.units.shape:
            raise InputError(
                f"{name!r} predicts {list(units.shape)}; the minimal features are "
                f"{list(features.units.shape)}"
            )
    measured = {name: _predicted(features, units) for name, units in predicted.items()}
    return Additivity(len(features.demands), _predicted(features, features.units), measured)


def strongest(components: ExactComponents, count: int) -> Units:
    """Predict every demand from the `count` strongest components alone.

    Raises:
        InputError: a count below 1.
    """
    whole("count", count, 1)
    kept = components.components.clone()
    kept[components.strengths.argsort(descending=True)[count:]] = 0
    return components.features.subject.baseline_units.cpu() + or_values(kept)[1:]


def _predicted(features: MinimalFeatures, units: Units) -> Prediction:
    subject, device = features.subject, features.subject.image.device
    baseline = subject.baseline_units.cpu()
    errors: list[Tensor] = []
    for rows in torch.arange(len(units)).split(_BATCH):
        images = subject.generator.render(units[rows]).to(device)
        found = subject.errors.of_demands(images, features.demands[rows].to(device))
        errors.append(torch.stack(found).cpu())
    inside, leak = torch.cat(errors, dim=1)
    departure = subject.difference.cpu().abs().sum()
    free = (features.units - baseline).norm(dim=1).clamp_min(1e-12)
    return Prediction(
        inside_error=float(inside.mean()),
        leak=float(leak.mean()),
        cost=float(((units - baseline).abs().sum(1) / departure).mean()),
        deviation=float(((units - features.units).norm(dim=1) / free).mean()),
    )
