"""Linear additivity: do sums of components generate the demands as well as free features do?

The paper (arXiv 2410.04421) compares predicted with optimised minimal features. Ours: every way of
predicting u(S) from components is put beside the freely optimised u(S) on the same demands, by the
errors of their pictures, since features that differ may well generate the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.exact import ExactComponents
from regional_primitives.decompose.exact.minimal import MinimalFeatures
from regional_primitives.errors import InputError
from regional_primitives.experiments.across import AcrossPictures
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.storage import Count, Real
from regional_primitives.setfunctions import or_values

__all__ = ["Additivity", "Prediction", "additivity", "strongest"]

_BATCH = 64


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
class Additivity:
    """Predicted and freely optimised minimal features of one picture, side by side."""

    demands: Count
    free: Prediction
    predicted: dict[str, Prediction]
    """By name of the way."""

    @staticmethod
    def over(results: Sequence[Additivity]) -> AcrossPictures[Additivity]:
        """Collect several pictures; raises what `AcrossPictures.of` raises."""
        return AcrossPictures.of(results)

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

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return {**self.numbers(), **asdict(self)}


def additivity(
    features: MinimalFeatures, predicted: Mapping[str, Float[Tensor, "demands units"]]
) -> Additivity:
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
    measured = {name: _measured(features, units) for name, units in predicted.items()}
    return Additivity(len(features.demands), _measured(features, features.units), measured)


def strongest(components: ExactComponents, count: int) -> Float[Tensor, "demands units"]:
    """Predict every demand from the `count` strongest components alone.

    Raises:
        InputError: a count below 1.
    """
    whole("count", count, 1)
    kept = components.components.clone()
    kept[components.strengths.argsort(descending=True)[count:]] = 0
    return components.features.subject.baseline_units.cpu() + or_values(kept)[1:]


def _measured(features: MinimalFeatures, units: Float[Tensor, "demands units"]) -> Prediction:
    subject = features.subject
    errors, device = subject.errors, subject.image.device
    baseline = subject.baseline_units.cpu()
    inside: list[Tensor] = []
    leak: list[Tensor] = []
    for rows in torch.arange(len(units)).split(_BATCH):
        images = subject.generator.render(units[rows]).to(device)
        found = errors.of_demands(images, features.demands[rows].to(device))
        for kept, some in zip((inside, leak), found, strict=True):
            kept.append(some.cpu())
    departure = subject.difference.cpu().abs().sum()
    free = (features.units - baseline).norm(dim=1).clamp_min(1e-12)
    return Prediction(
        inside_error=float(torch.cat(inside).mean()),
        leak=float(torch.cat(leak).mean()),
        cost=float(((units - baseline).abs().sum(1) / departure).mean()),
        deviation=float(((units - features.units).norm(dim=1) / free).mean()),
    )
