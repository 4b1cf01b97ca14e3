"""What a minimal feature minimises: E_S, its settings, and its gradient for batches of demands.

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.purpose import BY_PURPOSE, GENERATING, Purpose, decide
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import wholes
from regional_primitives.runtime.settings import check_settings

__all__ = ["DemandObjective", "Minimal"]

_Settings = TypeVar("_Settings", bound="Minimal")

_PURPOSES: dict[str, dict[str, Any]] = {
    "generate": {
        **GENERATING,
        "stages": 3,
        "steps": 20,
        "tolerance": 0.0003,
    },
    "isolate": {
        "outside_weight": 0.1,
        "cost_weight": 0.1,
        "stages": 1,
        "error_floor": 0.0,
        "steps": 200,
        "tolerance": 0.1,
    },
}
"""What each purpose sets where nothing else is said."""

_FALL = 0.25
"""What is left of the price of the departure from one stage to the next."""


@dataclass(frozen=True)
class Minimal:
    """Settings of minimal features."""

    patches: Sequence[int] = ()
    """P, the patches that may be demanded; none named means all of the regions."""
    purpose: Purpose = "generate"
    """`generate`: what generates S, as the paper has it. `isolate`: what can be changed in S alone,
    with the least change elsewhere (ours). What is not given below depends on it."""
    outside_weight: float = BY_PURPOSE
    """a, the price of changing patches that are not asked for; 0 leaves them free."""
    cost_weight: float = BY_PURPOSE
    """b, the price of the departure from f0; above 0, or the optimum would not be unique."""
    stages: int = BY_PURPOSE
    """Minimisations one after the other, each from where the last ended and at a quarter of its
    price of the departure, so that needed units end whole."""
    error_floor: float = BY_PURPOSE
    """What a demand departs at the least, in average patches of P: a blank one does not rule."""
    parametrisation: Literal["gated", "free"] = "gated"
    """`gated`: every unit stays between its values in f0 and f. `free`: any feature, which
    generates no better and is less well determined (docs/research/exact-form.md)."""
    surroundings: Literal["baseline", "free"] = "baseline"
    """Pixels outside P: priced like patches that are not asked for, or free."""
    steps: int = BY_PURPOSE
    """Most quasi-Newton steps a demand and stage."""
    tolerance: float = BY_PURPOSE
    """A demand is done when its residual ‖∇E_S‖ · ‖f − f0‖ is no larger; at f0 it is about 30."""
    batch: int = 64
    """Demands that are minimised together, fewer where memory says so."""
    memory_mib: int = 4096
    """What results and the demands at work may take, besides the network itself."""
    warm_start: bool = True
    """Start a demand from those of its subsets that are done; otherwise from f0."""
    starts: int = 1
    """Minimisations a demand size: where fewer demands have that size, each is minimised from
    several starts, and once more from the mean of where they ended."""
    start_noise: float = 0.0
    """Start away from there, by this share of ‖f − f0‖ in a random direction."""
    baseline_count: int = 0
    """Latents whose mean feature is the baseline f0; 0 leaves it to the generator."""
    baseline_seed: int = 0
    """Random stream of those latents."""
    seed: int = 0
    """Random stream of starts away from the usual one."""

    _least: ClassVar[Mapping[str, int | float]] = {}
    """The least values of what a subclass adds."""

    def __post_init__(self) -> None:
        decide(self, self.purpose, _PURPOSES)
        object.__setattr__(self, "patches", _patches(self.patches))
        least = {"steps": 1, "stages": 1, "starts": 1}
        least |= {"batch": 1, "memory_mib": 1, "baseline_count": 0}
        check_settings(self, {**least, **self._least})
        for name in ("cost_weight", "tolerance"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0")
        if self.starts > 1 and not self.start_noise:
            raise InputError("several starts must differ: start_noise must be above 0")

    def settled(self: _Settings, generator: Generator) -> _Settings:
        """Fill in what is left to the generator."""
        if self.baseline_count:
            return self
        return replace(self, baseline_count=generator.baseline_count)

    @property
    def prices(self) -> list[float]:
        """The price of the departure in each stage."""
        return [self.cost_weight * _FALL**stage for stage in range(self.stages)]

    def chosen(self, regions: Regions) -> tuple[int, ...]:
        """Return P.

        Raises:
            InputError: a patch that the regions do not have.
        """
        if not self.patches:
            return tuple(range(regions.count))
        regions.demand(self.patches)
        return tuple(self.patches)


def _patches(given: Sequence[int]) -> tuple[int, ...]:
    patches = wholes("every patch", given, 0)
    if len(set(patches)) < len(patches):
        raise InputError(f"a patch is named twice in {list(patches)}")
    return tuple(sorted(patches))


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

    def gradient(
        self, demands: Bool[Tensor, "batch patches"], units: Float[Tensor, "batch units"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch units"]]:
        """Return E_S and ∇E_S at one flat feature a demand."""
        values, gradients = [], []
        places = torch.arange(len(units), device=units.device)
        for chunk in places.split(self.subject.generator.chunk):
            gradient, value = self.evaluations.gradient(
                units[chunk],
                lambda images, asked=demands[chunk]: self._picture(images, asked),  # type: ignore[misc]
            )
            values.append(value)
            gradients.append(gradient)
        cost, slope = self._cost(units - self.subject.baseline_units)
        return torch.cat(values) + cost, torch.cat(gradients).add_(slope)

    def _cost(
        self, departure: Float[Tensor, "batch units"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch units"]]:
        """Return the price of a departure from f0, and its slope."""
        price = self.settings.prices[self.stage]
        if self.settings.purpose == "generate":
            price /= float(self.subject.difference.abs().sum())
            return price * departure.abs().sum(1), price * self._outward(departure)
        price /= self.length**2
        return price * departure.square().sum(1), 2 * price * departure

    def _outward(self, departure: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        """Return which way leads away from f0; at f0 itself, that to f."""
        return torch.where(departure == 0, self.subject.difference, departure).sign()

    def _picture(
        self, images: Tensor, demands: Bool[Tensor, "batch patches"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " batch"]]:
        errors = self.subject.errors
        asked = torch.nn.functional.pad(demands.to(images), (0, 1))
        spared = (1 - asked) * self._priced
        wrong = (asked * errors.per_patch(images, errors.image)).sum(1)
        strayed = (spared * errors.per_patch(images, errors.baseline_image)).sum(1)
        unit = self._unit
        if self.settings.purpose == "generate":
            unit = (asked * errors.departure).sum(1).clamp_min(float(self._floor))
        value = (wrong + self.settings.outside_weight * strayed) / unit
        return value.sum(), value.detach()
