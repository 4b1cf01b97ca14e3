"""What a minimal feature minimises: E_S, and its gradient for batches of demands.

Ours, since the paper (arXiv 2410.04421) does not say how its minimal features are found. What
generates a demand S, `purpose="generate"`, is the paper's own definition:

    E_S(u) = ‖M_S(G(u) − x)‖² / ‖M_S(x0 − x)‖²  +  b · ‖u − f0‖₁ / ‖f − f0‖₁

with every unit between f0 and f, where b falls to nothing in `stages`: what S needs ends at f, the
rest at f0. What can be changed in S alone, `purpose="isolate"`, has a price on all else, and, with
D = ‖M_P(x0 − x)‖² of the chosen patches P as its unit, a patch weighs the same in every demand:

    E_S(u) = ‖M_S(G(u) − x)‖² / D  +  a · ‖M_O(G(u) − x0)‖² / D  +  b · ‖u − f0‖² / ‖f − f0‖²

O are the patches of P that S does not ask for, and with `surroundings="baseline"` all other pixels
too. The last term is strictly convex: of all features that generate S equally well, one is the
least departure.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regional_primitives.axes import Demands, PerDemand, Units
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.exact.settings import Minimal
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import GeneratorError


@dataclass(eq=False)
class DemandObjective:
    """E_S and its gradient for batches of demands."""

    subject: Subject
    settings: Minimal
    evaluations: Evaluations
    stage: int = -1
    """Whose price of the departure counts: the last one's unless told."""

    def __post_init__(self) -> None:
        errors = self.subject.errors
        departure = errors.departure
        chosen = torch.zeros(errors.count + 1, dtype=torch.bool)
        chosen[list(self.settings.chosen(self.subject.regions))] = True
        of_chosen = departure[chosen.to(departure.device)]
        self._unit = of_chosen.sum()
        self._floor = self.settings.error_floor * of_chosen.mean()
        if not bool(self._unit > 0):
            raise GeneratorError("the picture equals the baseline image on the chosen patches")
        priced = chosen if self.settings.surroundings == "free" else torch.ones_like(chosen)
        self._priced = priced.to(departure)

    @property
    def length(self) -> float:
        """‖f − f0‖."""
        return float(self.subject.difference.norm())

    def gradient(self, demands: Demands, units: Units) -> tuple[PerDemand, Units]:
        """Return E_S and ∇E_S at one flat feature a demand."""
        values, gradients = [], []
        places = torch.arange(len(units), device=units.device)
        for chunk in places.split(self.subject.generator.chunk):

            def slope(images: Tensor, asked: Demands = demands[chunk]) -> tuple[Tensor, Tensor]:
                value = self._picture(images.requires_grad_(True), asked)
                return torch.autograd.grad(value.sum(), images)[0], value.detach()

            gradient, value = self.evaluations.pulled_back(units[chunk], slope)
            values.append(value)
            gradients.append(gradient)
        cost, at_cost = self._cost(units - self.subject.baseline_units)
        return torch.cat(values) + cost, torch.cat(gradients).add_(at_cost)

    def _cost(self, departure: Units) -> tuple[PerDemand, Units]:
        """Return the price of a departure from f0, and its slope."""
        price = self.settings.prices[self.stage]
        if self.settings.purpose == "generate":
            price /= float(self.subject.difference.abs().sum())
            # Which way leads away from f0; at f0 itself, that to f.
            outward = torch.where(departure == 0, self.subject.difference, departure).sign()
            return price * departure.abs().sum(1), price * outward
        price /= self.length**2
        return price * departure.square().sum(1), 2 * price * departure

    def _picture(self, images: Tensor, demands: Demands) -> PerDemand:
        errors = self.subject.errors
        asked = torch.nn.functional.pad(demands.to(images), (0, 1))
        spared = (1 - asked) * self._priced
        wrong = (asked * errors.per_patch(images, errors.image)).sum(1)
        strayed = (spared * errors.per_patch(images, errors.baseline_image)).sum(1)
        unit = self._unit
        if self.settings.purpose == "generate":
            unit = (asked * errors.departure).sum(1).clamp_min(float(self._floor))
        return (wrong + self.settings.outside_weight * strayed) / unit
