"""Optimal features u*(S), each demand by itself: what any additive decomposition is held against.

The paper's objects (arXiv 2410.04421), found by descent on our objective inside + a·leak + b·cost
from any feature: gated, every unit within what the fit's units may reach, or free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regional_primitives.axes import Demands, PerDemand, Units
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured.descent import Descent
from regional_primitives.decompose.subject import Subject
from regional_primitives.runtime.progress import Progress, silent

_EARLY_PRICE = 9.0
"""By how many times too much the departure is priced at first; the excess falls to zero as the
square of the steps left. On `faces` a hundred such steps end as low as three hundred at one price,
and lower than as many evaluations of the batched L-BFGS."""


@dataclass(frozen=True)
class Prices:
    """What a demand's objective weighs, and how far its units may go."""

    outside: float
    """Price of leak relative to inside error."""
    cost: float
    """Price of ‖u − f0‖₁ / ‖f − f0‖₁."""
    give_back: float = 0.0
    """Gated units stay within f0 + [−g, 1 + g] · (f − f0)."""

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Prices:
        """Read the settings of a fit; those of none of the two forms have usual prices."""
        return Prices(
            settings.get("outside_weight", 0.1),
            settings.get("cost_weight", 0.05),
            settings.get("give_back", 0.0),
        )

    def objective(self, inside: PerDemand, leak: PerDemand, cost: PerDemand) -> PerDemand:
        """Return inside + outside · leak + cost · cost of each demand."""
        return inside + self.outside * leak + self.cost * cost


def optimal_features(
    subject: Subject,
    evaluations: Evaluations,
    demands: Demands,
    prices: Prices,
    start: Units,
    *,
    gated: bool,
    steps: int = 100,
    stage: str = "bound",
    progress: Progress = silent,
) -> Units:
    """Improve every demand's feature by itself with projected Adam, step size falling to zero.

    The optimum is as good as so many steps make it: what it costs keeps falling for hundreds.
    Steps are relative to f − f0, unit by unit if gated, else to its root mean square. Costs `steps`
    evaluations a demand.

    It starts from flat features, and `gated` keeps units within the prices' box.
    """
    device = subject.units.device
    demands, baseline, difference = demands.to(device), subject.baseline_units, subject.difference
    scale = difference if gated else difference.square().mean().sqrt().expand_as(difference)
    box = (-prices.give_back, 1 + prices.give_back) if gated else (-torch.inf, torch.inf)
    # Units of which f says nothing have no gate and stay at f0.
    gates = torch.where(scale == 0, 0.0, (start.to(device) - baseline) / scale)
    descent = Descent([gates], 0.1 if gated else 0.05, steps)
    places = torch.arange(len(demands), device=device).split(subject.generator.chunk)
    for step in range(steps):
        units = baseline + scale * gates.clamp_(*box)
        slopes = []
        for chunk in places:

            def slope(images: Tensor, asked: Tensor = demands[chunk]) -> tuple[Tensor, None]:
                return subject.errors.slope_of_demands(images, asked, prices.outside)[0], None

            slopes.append(evaluations.pulled_back(units[chunk], slope)[0])
        price = prices.cost * (1 + _EARLY_PRICE * (1 - step / steps) ** 2)
        at_cost = price * scale.abs() / difference.abs().sum() * gates.sign()
        gates.grad = scale * torch.cat(slopes) + at_cost
        descent.step()
        progress(stage, step + 1, steps)
    return (baseline + scale * gates.clamp_(*box)).cpu()
