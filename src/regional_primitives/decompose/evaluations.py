"""Evaluations of the tail, counted and timed where they happen: the unit of cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from regional_primitives.axes import Units
from regional_primitives.generators.feature import Feature, units_as
from regional_primitives.generators.generator import Generator

_Figures = TypeVar("_Figures")


@dataclass(frozen=True, eq=False, kw_only=True)
class Spent:
    """What a result cost."""

    evaluations: int
    """Forward-and-backward evaluations of the tail."""
    wall_seconds: float
    """All of the work."""
    tail_seconds: float
    """The part of it spent in the tail, forward and backward."""

    @property
    def spent(self) -> dict[str, Any]:
        """The three by name."""
        return {name: getattr(self, name) for name in Spent.__annotations__}


@dataclass
class Evaluations:
    """Runs the tail forward and backward, and keeps count and time of it.

    The clock runs in the tail alone, so that wall time over `seconds` is the overhead ratio of
    whatever work surrounds it (1 is the limit).
    """

    generator: Generator
    count: int = 0
    """Forward-and-backward evaluations, one a picture."""
    seconds: float = 0.0
    """Time spent in them."""
    began: float = field(default_factory=time.perf_counter)
    """When the work that they are part of did."""

    def spent(self, *before: Spent) -> dict[str, Any]:
        """Return what the work cost until now, by the names of `Spent`, and what came before it."""
        wall = time.perf_counter() - self.began
        own = Spent(evaluations=self.count, wall_seconds=wall, tail_seconds=self.seconds).spent
        return {name: own[name] + sum(one.spent[name] for one in before) for name in own}

    def pulled_back(
        self,
        units: Units,
        slope: Callable[[Tensor], tuple[Tensor, _Figures]],
        tail: Callable[[Feature], Tensor] | None = None,
    ) -> tuple[Units, _Figures]:
        """Return a loss's slope along flat features, given that along images, and its figures.

        `slope` maps images to the loss's slope along them and figures; the features' own graph is
        left alone. `tail` is the generator's unless given.
        """
        tail = tail or self.generator.tail
        leaf = units.detach().requires_grad_(True)
        began = _now(leaf.device)
        images = tail(units_as(leaf, self.generator.feature_shape))
        self.seconds += _now(leaf.device) - began
        at_images, figures = slope(images.detach().float())
        began = _now(leaf.device)
        # A slope given to autograd as such would make it import symbolic algebra, for a second.
        product = torch.linalg.vecdot(images.flatten(), at_images.to(images.dtype).flatten())
        (at_units,) = torch.autograd.grad(product, leaf)
        self.seconds += _now(leaf.device) - began
        self.count += len(units)
        return at_units, figures


def _now(device: torch.device) -> float:
    # What is captured for later (structured/replay.py) may not wait.
    if device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
        torch.cuda.synchronize(device)
    return time.perf_counter()
