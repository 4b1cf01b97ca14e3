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
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Image, Images, Region
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.scores.components import counted_components
from regional_primitives.scores.evaluation import Measurement
from regional_primitives.scores.measured import Measured, plain
from regional_primitives.scores.quality import visual_quality

_GOOD_ERROR = 0.1
"""A picture whose inside error is no larger is called near."""


def superposition_scores(measurement: Measurement) -> dict[str, Any]:
    """Measure how far features and pictures are the sums of their components."""
    picture = measurement.whole
    whole = picture.decomposition
    found = {"completeness_gap": completeness_gap(picture)}
    total = measurement.alone.total
    if total is None:
        return found
    rest = picture.change - total
    if whole.remainder is not None:
        rest = rest - picture.patterns([whole.remainder])[0]
    error = float(rest.square().sum() / picture.change.square().sum())
    return {**found, "superposition_error": error}


def completeness_gap(picture: Picture) -> float:
    """Return ‖f − f0 − Σ_k Δf_k‖ / ‖f − f0‖: what all components together leave out."""
    whole = picture.decomposition
    missing = whole.combine_units(torch.ones(1, whole.count)) - whole.feature_units
    return float(missing.norm() / picture.difference.norm())


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


@dataclass(frozen=True, eq=False)
class Superposition(Measured):
    """The build-up of one picture in two orders."""

    told = ("steps",)
    steps: tuple[int, ...]
    """K: 1, 2, 4, …, all."""
    strongest_first: BuildUp
    smallest_first: BuildUp
    """By the number of patches in the field, then by strength."""
    image: Image
    """x."""
    baseline_image: Image
    """x0."""
    image_range: tuple[float, float]
    patches: Region
    """What the fields cover together; errors are measured there."""

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
        curves = ("inside_error", "psnr", "ssim", "superposition_error")
        orders = {
            order: {name: plain(getattr(getattr(self, order), name)) for name in curves}
            for order in ("strongest_first", "smallest_first")
        }
        return super().to_dict() | orders | {"patches": self.patches.nonzero().flatten().tolist()}


def superposition(decomposition: Decomposition, generator: Generator) -> Superposition:
    """Build the picture up from its components, strongest first and smallest field first.

    The exact form's remainder is never added.

    Args:
        decomposition: one picture's.
        generator: the one that it was made with.

    Raises:
        InputError: no component but the remainder.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    counted = decomposition.select(counted_components(decomposition))
    picture = Picture.of(decomposition, generator).showing(counted)
    patterns = picture.patterns(range(counted.count))
    sizes = counted.action_fields.sum(1)
    steps = doublings(counted.count)
    return Superposition(
        steps=tuple(steps),
        strongest_first=_build_up(picture, patterns, torch.arange(counted.count), steps),
        smallest_first=_build_up(picture, patterns, sizes.argsort(stable=True), steps),
        image=picture.image,
        baseline_image=picture.baseline_image,
        image_range=counted.provenance.image_range,
        patches=counted.action_fields.any(0),
    )


def build_up(picture: Picture, order: Tensor, steps: Sequence[int]) -> Images:
    """Return G(f0 + the first K components in this order) of each step K."""
    rank = torch.empty(len(order), dtype=torch.long)
    rank[order] = torch.arange(len(order))
    return picture.combine((rank < torch.tensor(steps)[:, None]).float())


def doublings(count: int) -> list[int]:
    """Return 1, 2, 4, … below `count`, and `count`: the steps of a build-up."""
    powers = [2**exponent for exponent in range(count.bit_length())]
    return [*(step for step in powers if step < count), count]


def _build_up(
    picture: Picture,
    patterns: Float[Tensor, "components channels height width"],
    order: Tensor,
    steps: Sequence[int],
) -> BuildUp:
    total, sums = picture.baseline_image.clone(), []
    for before, step in zip([0, *steps], steps, strict=False):
        total = total + patterns[order[before:step]].sum(0)
        sums.append(total)
    added, pictures = torch.stack(sums), build_up(picture, order, steps)
    rows = picture.decomposition.action_fields.any(0).expand(len(steps), -1)
    quality = [visual_quality(picture.decomposition, rows[:1], one[None]) for one in pictures]
    ssim = tuple(value for _, value in quality if value is not None)
    return BuildUp(
        inside_error=picture.errors.inside(pictures, rows),
        psnr=tuple(value for value, _ in quality if value is not None),
        ssim=ssim or None,
        superposition_error=picture.errors.inside(added, rows),
        pictures=pictures,
        sums=added,
    )
