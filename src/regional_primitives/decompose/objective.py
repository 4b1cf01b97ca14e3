"""What a minimal feature minimises: E_S, its settings, and its gradient for batches of demands.

Ours, since the paper (arXiv 2410.04421) does not say how its minimal features are found. For a
demand S out of the chosen patches P, with D = ‖M_P(x0 − x)‖² as its unit:

    E_S(u) = ‖M_S(G(u) − x)‖² / D  +  a · ‖M_O(G(u) − x0)‖² / D  +  b · ‖u − f0‖² / ‖f − f0‖²

Errors are summed over patches, so that a patch weighs the same in every demand. O are the patches
of P that S does not ask for, and with `surroundings="baseline"` all other pixels too. The last term
is strictly convex: of all features that generate S equally well, one is the least departure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.regions import Regions
from regional_primitives.runtime.numbers import wholes
from regional_primitives.runtime.settings import check_settings

__all__ = ["DemandObjective", "Minimal"]

_Settings = TypeVar("_Settings", bound="Minimal")


@dataclass(frozen=True)
class Minimal:
    """Settings of minimal features."""

    patches: Sequence[int] = ()
    """P, the patches that may be demanded; none named means all of the regions."""
    outside_weight: float = 0.1
    """a, the price of changing patches that are not asked for; 0 leaves them free."""
    cost_weight: float = 0.1
    """b, the price of the departure from f0; above 0, or the optimum would not be unique."""
    parametrisation: Literal["gated", "free"] = "gated"
    """`gated`: every unit stays between its values in f0 and f. `free`: any feature, which
    generates no better and is less well determined (docs/research/exact-form.md)."""
    surroundings: Literal["baseline", "free"] = "baseline"
    """Pixels outside P: priced like patches that are not asked for, or free."""
    steps: int = 200
    """Most quasi-Newton steps a demand."""
    tolerance: float = 0.1
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
        object.__setattr__(self, "patches", _patches(self.patches))
        least = {"steps": 1, "starts": 1, "batch": 1, "memory_mib": 1, "baseline_count": 0}
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

    def __post_init__(self) -> None:
        errors = self.subject.errors
        departure = errors.departure
        chosen = torch.zeros(errors.count + 1, dtype=torch.bool)
        chosen[list(self.settings.chosen(self.subject.regions))] = True
        self._unit = departure[chosen.to(departure.device)].sum()
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
        departure = units - self.subject.baseline_units
        price = self.settings.cost_weight / self.length**2
        value = torch.cat(values) + price * departure.square().sum(1)
        return value, torch.cat(gradients).add_(departure, alpha=2 * price)

    def _picture(
        self, images: Tensor, demands: Bool[Tensor, "batch patches"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " batch"]]:
        errors = self.subject.errors
        asked = torch.nn.functional.pad(demands.to(images), (0, 1))
        spared = (1 - asked) * self._priced
        wrong = (asked * errors.per_patch(images, errors.image)).sum(1)
        strayed = (spared * errors.per_patch(images, errors.baseline_image)).sum(1)
        value = (wrong + self.settings.outside_weight * strayed) / self._unit
        return value.sum(), value.detach()
