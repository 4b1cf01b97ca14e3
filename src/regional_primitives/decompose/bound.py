"""Freely optimised minimal features u*(S): each demand by itself, without structure.

The paper's objects, found by descent on our objective inside + a·outside + b·cost from u(S) of a
decomposition or from f. They bound what any additive decomposition can reach on the same demands.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.descent import Descent
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.progress import Progress, silent

__all__ = ["demand_objective", "optimise_freely"]


def demand_objective(
    inside: Float[Tensor, " batch"],
    outside: Float[Tensor, " batch"],
    cost: Float[Tensor, " batch"],
    outside_weight: float,
    cost_weight: float,
) -> Float[Tensor, " batch"]:
    """Return inside + outside_weight · outside + cost_weight · cost of each demand."""
    return inside + outside_weight * outside + cost_weight * cost


def optimise_freely(
    generator: Generator,
    errors: PatchErrors,
    feature: Float[Tensor, "1 units"],
    baseline: Float[Tensor, "1 units"],
    demands: Bool[Tensor, "batch patches"],
    start: Float[Tensor, "batch units"],
    *,
    outside_weight: float,
    cost_weight: float,
    steps: int = 100,
    learning_rate: float = 0.05,
    progress: Progress = silent,
) -> Float[Tensor, "batch units"]:
    """Improve every demand's flat feature by itself with Adam, step size falling to zero.

    The step size is relative to the root mean square of f − f0. Costs `steps` evaluations a demand.
    """
    difference = feature - baseline
    scale = difference.square().mean().sqrt()
    size = difference.abs().sum()
    departure = ((start - baseline) / scale).detach()
    descent = Descent([departure], learning_rate, steps)
    evaluations = Evaluations(generator)
    places = torch.arange(len(demands), device=start.device).split(generator.chunk)
    for step in range(steps):
        units = baseline + scale * departure
        gradients = []
        for chunk in places:

            def slope(images: Tensor, asked: Tensor = demands[chunk]) -> tuple[Tensor, None]:
                return errors.slope_of_demands(images, asked, outside_weight)[0], None

            gradients.append(evaluations.pulled_back(units[chunk], slope)[0])
        price = (cost_weight * scale / size) * departure.sign()
        departure.grad = scale * torch.cat(gradients) + price
        descent.step()
        progress("free bound", step + 1, steps)
    return baseline + scale * departure
