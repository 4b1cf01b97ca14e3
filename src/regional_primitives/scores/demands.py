"""How demands are answered: inside error, leak, stray, cost and quality, one definition for all.

With u(S) the feature that answers S: ‖M_S(G(u(S)) − x)‖² / ‖M_S(x0 − x)‖² is the inside error, and
‖(1−M_S)(G(u(S)) − x0)‖² / ‖(1−M_S)(x − x0)‖² the leak. The paper (arXiv 2410.04421) shows pictures;
the numbers are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.axes import Demands, Images, PerDemand, Units
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.picture import Picture
from regional_primitives.scores.evaluation import Measurement
from regional_primitives.scores.quality import visual_quality


@dataclass(frozen=True, eq=False)
class DemandErrors:
    """How well demands are answered; one number a demand each."""

    inside: PerDemand
    leak: PerDemand
    cost: PerDemand
    inside_whole: PerDemand
    """What the inside error is a share of: ‖x − x0‖² in the patches of S."""
    leak_whole: PerDemand
    """What the leak is a share of: ‖x − x0‖² everywhere else."""
    partial: Bool[Tensor, " batch"]
    """Of the full demand nothing is outside, so that it has no leak."""
    images: Images

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inside error, leak and cost."""
        return self.inside, self.leak, self.cost

    @property
    def mean_leak(self) -> float:
        """The mean over demands that leave something out; 0 of none."""
        return _mean(self.leak[self.partial])

    @property
    def pooled_inside(self) -> float:
        """Squared errors of all demands over their departures, so that blank ones weigh nothing."""
        return float((self.inside * self.inside_whole).sum() / self.inside_whole.sum())

    @property
    def pooled_leak(self) -> float:
        """The same of the leak, over demands that leave something out; 0 of none."""
        leak, whole = self.leak[self.partial], self.leak_whole[self.partial]
        return float((leak * whole).sum() / whole.sum()) if len(whole) else 0.0

    def means(self) -> dict[str, float]:
        """Return means and spreads over the demands, by the names of scores."""
        leak = self.leak[self.partial]
        return {
            "inside_error": float(self.inside.mean()),
            "inside_error_spread": float(self.inside.std(correction=0)),
            "leak": self.mean_leak,
            "leak_spread": float(leak.std(correction=0)) if len(leak) else 0.0,
            "cost": float(self.cost.mean()),
        }


def demand_errors(picture: Picture, demands: Demands, features: Units) -> DemandErrors:
    """Generate what features show, and measure it against the picture: an evaluation a demand."""
    images = picture.render(features)
    departed = (features - picture.decomposition.baseline_units).abs().sum(1)
    return DemandErrors(
        *picture.errors.of_demands(images, demands),
        departed / picture.difference.abs().sum(),
        *picture.errors.wholes(demands),
        ~demands.all(1),
        images,
    )


def demand_scores(measurement: Measurement) -> dict[str, Any]:
    """Measure the answers to the held-out demands."""
    picture, demands = measurement.parts, measurement.demands
    components = picture.decomposition
    found = demand_errors(picture, demands, components.minimal_units(demands))
    stray = picture.errors.weighed_leak(found.images, demands, 1 - excused(components, demands))
    psnr, ssim = visual_quality(components, demands, found.images)
    return {
        **found.means(),
        "demands": len(demands),
        "pooled_inside_error": found.pooled_inside,
        "pooled_leak": found.pooled_leak,
        "stray": _mean(stray[found.partial]),
        "psnr": psnr,
        "ssim": ssim,
    }


def excused(decomposition: Decomposition, demands: Demands) -> Float[Tensor, "batch patches"]:
    """Return a_j of each demand: which share of what patch j holds comes along with S by OR's law.

    That is Σ ‖Δf_T‖² over the fields T of patch j that S meets, over that of all its fields; 0 of a
    patch in no field.
    """
    fields = decomposition.action_fields.double()
    energy = decomposition.strengths.double().square()
    switched_on = (demands.double() @ fields.T > 0) * energy
    return ((switched_on @ fields) / (energy @ fields).clamp_min(1e-300)).float()


def top_scores(measurement: Measurement) -> dict[str, Any]:
    """Measure the inside error where only the K strongest components are kept."""
    picture, demands = measurement.parts, measurement.demands
    components = picture.decomposition
    asked = (demands.float() @ components.action_fields.float().T > 0).float()
    found = {}
    for kept in top_counts(components.count):
        features = components.combine_units(asked * (torch.arange(components.count) < kept))
        found[kept] = float(picture.errors.inside(picture.render(features), demands).mean())
    return {"top_inside_error": found}


def top_counts(count: int) -> list[int]:
    """Return a log grid of component counts up to `count`: 1, 2, 5, 10, 20, 50, …"""
    steps = [m * 10**e for e in range(math.ceil(math.log10(count + 1))) for m in (1, 2, 5)]
    return [step for step in steps if step < count] + [count]


def _mean(values: PerDemand) -> float:
    """Return the mean, 0 of nothing."""
    return float(values.mean()) if len(values) else 0.0
