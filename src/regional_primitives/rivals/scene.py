"""What every baseline is given, and what it gives back: a way to answer demands with features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured.influence import measure_influence
from regional_primitives.decompose.subject import PatchErrors, Subject
from regional_primitives.generators.generator import Generator

__all__ = ["Answer", "Baseline", "Scene", "Way"]

Answer: TypeAlias = Callable[[Bool[Tensor, "demands patches"]], Float[Tensor, "demands units"]]
"""Gives each demand a flat feature, on the CPU."""


@dataclass(frozen=True, eq=False)
class Way:
    """A baseline at one value of its knob: a point of its frontier."""

    setting: str
    """The knob's value in words."""
    answer: Answer
    components: Decomposition | None = None
    """Its components, where the baseline has any."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One explained picture, ready to be explained otherwise."""

    decomposition: Decomposition
    generator: Generator
    """Bound to the picture."""
    evaluations: Evaluations
    """Counts what the baselines spend."""
    seed: int
    """Random stream of whatever is drawn."""
    probes: int = 4
    """Vector–Jacobian products a patch that measure influence."""

    @cached_property
    def subject(self) -> Subject:
        """The picture as fits see it, on the generator's device."""
        given, device = self.decomposition, self.generator.device

        def there(feature: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
            if isinstance(feature, Tensor):
                return feature.to(device)
            return tuple(part.to(device) for part in feature)

        return Subject(
            self.generator,
            given.latents,
            given.regions,
            there(given.feature),
            there(given.baseline),
            PatchErrors.of(given.image.to(device), given.baseline_image.to(device), given.regions),
        )

    @property
    def baseline_units(self) -> Float[Tensor, "1 units"]:
        """f0, flat."""
        return self.decomposition.baseline_units

    @cached_property
    def difference(self) -> Float[Tensor, " units"]:
        """f − f0, flat."""
        return (self.decomposition.feature_units - self.decomposition.baseline_units)[0]

    @cached_property
    def influence_share(self) -> Float[Tensor, "patches units"]:
        """Each patch's share of what a unit does to the picture; measured once."""
        influence = measure_influence(self.subject, self.evaluations, self.probes, self.seed).cpu()
        return influence / influence.sum(0).clamp_min(torch.finfo(torch.float32).tiny)

    def switched(self, on: Float[Tensor, "demands units"]) -> Float[Tensor, "demands units"]:
        """Return f0 + on ⊙ (f − f0)."""
        return self.baseline_units + on * self.difference


@dataclass(frozen=True)
class Baseline:
    """Another explanation of the same picture."""

    name: str
    about: str
    """What it does, in a sentence."""
    source: str
    """Whose idea it is."""
    knob: str
    """What varies along its frontier."""
    ways: Callable[[Scene], Iterator[Way]]
