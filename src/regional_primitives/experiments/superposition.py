"""Superposition: the picture built up component by component, and as a sum of single patterns.

The build-up G(f0 + Σ_{k≤K} Δf_k) is an experiment of the paper (arXiv 2410.04421); orders and
scores are ours. The sum x0 + Σ_{k≤K} Δx_k says how far the picture itself, not only the feature, is
a superposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition, generator_at
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.experiments.across import AcrossPictures, listed
from regional_primitives.experiments.counted import (
    counted_components,
    covered_patches,
)
from regional_primitives.generators.generator import Generator
from regional_primitives.scores.components import component_patterns
from regional_primitives.scores.quality import visual_quality

__all__ = ["BuildUp", "Superposition", "superposition"]

_GOOD_ERROR = 0.1
"""A picture whose inside error is no larger is called near."""


@dataclass(frozen=True, eq=False)
class BuildUp:
    """Pictures of the first K components in one order, at each step K."""

    inside_error: Float[Tensor, " steps"]
    """‖M(G(f0 + Σ_{k≤K} Δf_k) − x)‖² / ‖M(x0 − x)‖², M the patches that any field covers."""
    psnr: tuple[float, ...]
    """Decibels over the same patches."""
    ssim: tuple[float, ...] | None
    """Over the same patches; None where scikit-image is not installed."""
    superposition_error: Float[Tensor, " steps"]
    """‖M(x0 + Σ_{k≤K} Δx_k − x)‖² / ‖M(x0 − x)‖²: of the sum of single patterns."""
    pictures: Float[Tensor, "steps channels height width"]
    """G(f0 + Σ_{k≤K} Δf_k)."""
    sums: Float[Tensor, "steps channels height width"]
    """x0 + Σ_{k≤K} Δx_k."""

    def to_dict(self) -> dict[str, Any]:
        """Return the curves, ready for JSON."""
        return {
            name: None if getattr(self, name) is None else listed(getattr(self, name))
            for name in ("inside_error", "psnr", "ssim", "superposition_error")
        }


@dataclass(frozen=True, eq=False)
class Superposition:
    """The build-up of one picture in two orders."""

    steps: tuple[int, ...]
    """K: 1, 2, 4, …, all."""
    strongest_first: BuildUp
    smallest_first: BuildUp
    """By the number of patches in the field, then by strength."""
    image: Float[Tensor, "channels height width"]
    """x."""
    baseline_image: Float[Tensor, "channels height width"]
    """x0."""
    image_range: tuple[float, float]
    patches: Bool[Tensor, " patches"]
    """What the fields cover together; errors are measured there."""

    @staticmethod
    def over(results: Sequence[Superposition]) -> AcrossPictures[Superposition]:
        """Collect several pictures; raises what `AcrossPictures.of` raises."""
        return AcrossPictures.of(results)

    def numbers(self) -> dict[str, float]:
        """Return what can be averaged over pictures, by name."""
        whole = self.strongest_first
        found = {
            "components": float(self.steps[-1]),
            "inside_error": float(whole.inside_error[-1]),
            "superposition_error": float(whole.superposition_error[-1]),
            "psnr": whole.psnr[-1],
        }
        if whole.ssim is not None:
            found["ssim"] = whole.ssim[-1]
        for order in ("strongest_first", "smallest_first"):
            near = (getattr(self, order).inside_error <= _GOOD_ERROR).nonzero().flatten()
            if len(near):
                found[f"near_{order}"] = float(self.steps[int(near[0])])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; pictures are left out."""
        return {
            **self.numbers(),
            "steps": list(self.steps),
            "patches": self.patches.nonzero().flatten().tolist(),
            "strongest_first": self.strongest_first.to_dict(),
            "smallest_first": self.smallest_first.to_dict(),
        }


def superposition(
    decomposition: Decomposition, generator: Generator, *, leave_out: Sequence[int] | None = None
) -> Superposition:
    """Build the picture up from its components, strongest first and smallest field first.

    Args:
        decomposition: one picture's.
        generator: the one that it was made with.
        leave_out: components that are never added; None: the exact form's remainder.

    Raises:
        InputError: a component that does not exist, or none left.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    generator = generator_at(decomposition, generator)
    counted = decomposition.select(counted_components(decomposition, leave_out))
    patterns = component_patterns(counted, generator, list(range(counted.count)))
    sizes = counted.action_fields.sum(1)
    steps = _steps(counted.count)
    return Superposition(
        steps=steps,
        strongest_first=_build_up(counted, generator, patterns, torch.arange(counted.count), steps),
        smallest_first=_build_up(counted, generator, patterns, sizes.argsort(stable=True), steps),
        image=counted.image,
        baseline_image=counted.baseline_image,
        image_range=counted.provenance.image_range,
        patches=covered_patches(counted),
    )


def _build_up(
    counted: Decomposition,
    generator: Generator,
    patterns: Float[Tensor, "components channels height width"],
    order: Tensor,
    steps: tuple[int, ...],
) -> BuildUp:
    scales = torch.zeros(len(steps), counted.count)
    sums = []
    total, before = counted.baseline_image.clone(), 0
    for row, step in zip(scales, steps, strict=True):
        row[order[:step]] = 1.0
        total = total + patterns[order[before:step]].sum(0)
        sums.append(total)
        before = step
    pictures = generator.render(counted.combine_units(scales))
    added = torch.stack(sums)
    rows = covered_patches(counted).expand(len(steps), -1)
    errors = PatchErrors.of(counted.image, counted.baseline_image, counted.regions)
    quality = [visual_quality(counted, rows[:1], picture[None]) for picture in pictures]
    ssim = tuple(value for _, value in quality if value is not None)
    return BuildUp(
        inside_error=errors.inside(pictures, rows),
        psnr=tuple(value for value, _ in quality if value is not None),
        ssim=ssim or None,
        superposition_error=errors.inside(added, rows),
        pictures=pictures,
        sums=added,
    )


def _steps(count: int) -> tuple[int, ...]:
    powers = [2**exponent for exponent in range(count.bit_length())]
    return (*(step for step in powers if step < count), count)
