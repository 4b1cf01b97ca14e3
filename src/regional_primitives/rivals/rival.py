"""What every rival is given, and what it gives back: a way to answer demands with features.

A rival is a file here with a function under `@rival`, which yields its ways, one a value of its
knob. Importing the package finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Demands, Units
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured.influence import measure_influence
from regional_primitives.picture import Picture

Answer: TypeAlias = Callable[[Demands], Units]
"""Gives each demand a flat feature, on the CPU."""


@dataclass(frozen=True, eq=False)
class Way:
    """A rival at one value of its knob: a point of its frontier."""

    setting: str
    """The knob's value in words."""
    answer: Answer
    components: Decomposition | None = None
    """Its components, where the rival has any."""


@dataclass(frozen=True, eq=False)
class Scene(Picture):
    """An explained picture, ready to be explained otherwise."""

    evaluations: Evaluations
    """Counts what the rivals spend."""
    seed: int
    """Random stream of whatever is drawn."""
    probes: int = 4
    """Vector–Jacobian products a patch that measure influence."""

    @cached_property
    def influence_share(self) -> Float[Tensor, "patches units"]:
        """Each patch's share of what a unit does to the picture; measured once."""
        influence = measure_influence(self.subject, self.evaluations, self.probes, self.seed).cpu()
        return influence / influence.sum(0).clamp_min(torch.finfo(torch.float32).tiny)

    def switched(self, on: Units) -> Units:
        """Return f0 + on ⊙ (f − f0)."""
        return self.decomposition.baseline_units + on * self.difference


Ways: TypeAlias = Callable[[Scene], Iterator[Way]]


@dataclass(frozen=True)
class Rival:
    """Another explanation of the same picture."""

    name: str
    about: str
    """What it does, in a sentence."""
    source: str
    """Whose idea it is."""
    knob: str
    """What varies along its frontier."""
    ways: Ways
    place: int
    """Where it is told: common practice first, the bound last."""
    optimises: bool = False
    """Whether each demand takes so much that only a few are asked."""


BASELINES: dict[str, Rival] = {}
"""Every rival by name, as they are told."""


def rival(
    name: str, about: str, source: str, knob: str, *, place: int = 50, optimises: bool = False
) -> Callable[[Ways], Ways]:
    """Register a function as a rival; see `Rival` for what is said of it."""

    def register(ways: Ways) -> Ways:
        told = {**BASELINES, name: Rival(name, about, source, knob, ways, place, optimises)}
        BASELINES.clear()
        BASELINES.update(sorted(told.items(), key=lambda one: one[1].place))
        return ways

    return register
