"""Measuring a decomposition: everything that a single picture allows, on held-out demands."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition, generator_at
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.settings import settings_or
from regional_primitives.scores.bounds import bound_scores
from regional_primitives.scores.components import (
    chance_share,
    component_patterns,
    measure_components,
)
from regional_primitives.scores.demand_errors import demand_errors, mean
from regional_primitives.scores.energy import count_for, field_sizes
from regional_primitives.scores.evaluation import Evaluation
from regional_primitives.scores.quality import visual_quality
from regional_primitives.scores.refits import frontier_fits, second_fit, stability
from regional_primitives.scores.relations import field_overlap, mean_field_overlap
from regional_primitives.scores.table import Scores

__all__ = ["evaluate", "excused", "top_counts"]


@ordinary()
def evaluate(
    decomposition: Decomposition,
    generator: Generator,
    settings: Evaluation | None = None,
    *,
    progress: Progress | bool | None = False,
) -> Scores:
    """Measure a decomposition on demands that its fit never saw.

    Of the exact form, whose fit saw every demand of its patches, demands ask for those patches
    alone, and the remainder counts for completeness and superposition only.

    Args:
        decomposition: of `rp.explain`.
        generator: that it was made with.
        settings: `rp.Evaluation()` unless given.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument, or more demands or contexts than memory holds.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    generator = generator_at(decomposition, generator)
    settings = settings_or(settings, Evaluation, Evaluation())
    settings.afford(decomposition)
    with reporting(progress) as report:
        return _measured(decomposition, generator, settings, report)


def _measured(
    whole: Decomposition, generator: Generator, settings: Evaluation, progress: Progress
) -> Scores:
    parts = whole.without(whole.remainder)
    demands = held_out_demands(parts.regions, settings.demands, settings.seed, within=parts.patches)
    few = demands[~demands.all(1)][: settings.free_demands]
    return Scores(
        **_demand_scores(parts, generator, demands),
        **bound_scores(parts, generator, few, settings.free_steps, progress),
        **_axiom_scores(whole, parts, generator, settings, progress),
        **_sparsity_scores(whole, parts),
        top_inside_error=_top_inside_error(parts, generator, demands),
        **_refitted(parts, generator, demands, settings, progress),
        evaluations=whole.provenance.evaluations,
        overhead_ratio=whole.provenance.overhead_ratio,
    )


def _demand_scores(
    parts: Decomposition, generator: Generator, demands: Bool[Tensor, "demands patches"]
) -> dict[str, Any]:
    found = demand_errors(parts, generator, demands, parts.minimal_units(demands))
    inside, leak = found.inside, found.leak[found.partial]
    errors = PatchErrors.of(parts.image, parts.baseline_image, parts.regions)
    stray = errors.weighed_leak(found.images, demands, 1 - excused(parts, demands))
    psnr, ssim = visual_quality(parts, demands, found.images)
    return {
        "demands": len(demands),
        "inside_error": float(inside.mean()),
        "inside_error_spread": float(inside.std(correction=0)),
        "pooled_inside_error": found.pooled_inside,
        "leak": found.mean_leak,
        "leak_spread": float(leak.std(correction=0)) if len(leak) else 0.0,
        "pooled_leak": found.pooled_leak,
        "stray": mean(stray[found.partial]),
        "cost": float(found.cost.mean()),
        "psnr": psnr,
        "ssim": ssim,
    }


def excused(
    decomposition: Decomposition, demands: Bool[Tensor, "demands patches"]
) -> Float[Tensor, "demands patches"]:
    """Return a_j of each demand: which share of what patch j holds comes along with S by OR's law.

    That is Σ ‖Δf_T‖² over the fields T of patch j that S meets, over that of all its fields; 0 of a
    patch in no field.
    """
    fields = decomposition.action_fields.double()
    energy = decomposition.strengths.double().square()
    switched_on = (demands.double() @ fields.T > 0) * energy
    return ((switched_on @ fields) / (energy @ fields).clamp_min(1e-300)).float()


def _axiom_scores(
    whole: Decomposition,
    parts: Decomposition,
    generator: Generator,
    settings: Evaluation,
    progress: Progress,
) -> dict[str, Any]:
    measured = min(settings.components, parts.count)
    patterns = component_patterns(parts, generator, list(range(parts.count)))
    effects = measure_components(
        parts,
        generator,
        patterns,
        measured,
        contexts=settings.contexts,
        seed=settings.seed,
        progress=progress,
    )
    change = whole.image - whole.baseline_image
    rest = change - patterns.sum(0)
    if whole.remainder is not None:
        rest = rest - component_patterns(whole, generator, [whole.remainder])[0]
    missing = whole.combine_units(torch.ones(1, whole.count)) - whole.feature_units
    energy = parts.strengths.double().square()
    return {
        "completeness_gap": float(missing.norm() / _departure(whole)),
        "boundedness": effects.mean(effects.boundedness),
        "boundedness_in_context": effects.mean(effects.boundedness_in_context),
        "chance_boundedness": effects.mean(chance_share(parts)),
        "consistency": effects.mean(effects.consistency),
        "inconsistency": effects.mean(effects.inconsistency),
        "superposition_error": float(rest.square().sum() / change.square().sum()),
        "measured_components": measured,
        "measured_share": float(energy[:measured].sum() / energy.sum()),
    }


def _sparsity_scores(whole: Decomposition, parts: Decomposition) -> dict[str, Any]:
    energy = parts.strengths.double().square()
    left = 0.0 if whole.remainder is None else float(whole.strengths[whole.remainder])
    return {
        "components": parts.count,
        "n50": count_for(energy, 0.50),
        "n90": count_for(energy, 0.90),
        "n95": count_for(energy, 0.95),
        "remainder": (left / float(_departure(whole))) ** 2,
        "overlap": mean_field_overlap(field_overlap(parts.action_fields), parts.strengths),
        "field_sizes": field_sizes(parts),
    }


def _departure(decomposition: Decomposition) -> Float[Tensor, ""]:
    """Return ‖f − f0‖."""
    return (decomposition.feature_units - decomposition.baseline_units).norm()


def _refitted(
    decomposition: Decomposition,
    generator: Generator,
    demands: Bool[Tensor, "demands patches"],
    settings: Evaluation,
    progress: Progress,
) -> dict[str, Any]:
    if not settings.refits:
        return {}
    second = second_fit(decomposition, generator, progress)
    fields_alike, units_alike = stability(decomposition, second.without(second.remainder))
    points = []
    for price, result in frontier_fits(decomposition, generator, progress):
        answered = demand_errors(result, generator, demands, result.minimal_units(demands))
        points.append(
            {
                "price": price,
                "inside_error": float(answered.inside.mean()),
                "leak": answered.mean_leak,
            }
        )
    return {"stability": fields_alike, "unit_stability": units_alike, "frontier": points}


def top_counts(count: int) -> list[int]:
    """Return a log grid of component counts up to `count`: 1, 2, 5, 10, 20, 50, …"""
    steps = [m * 10**e for e in range(math.ceil(math.log10(count + 1))) for m in (1, 2, 5)]
    return [step for step in steps if step < count] + [count]


def _top_inside_error(
    decomposition: Decomposition, generator: Generator, demands: Bool[Tensor, "demands patches"]
) -> dict[int, float]:
    errors = PatchErrors.of(
        decomposition.image, decomposition.baseline_image, decomposition.regions
    )
    asked = (demands.float() @ decomposition.action_fields.float().T > 0).float()
    result = {}
    for kept in top_counts(decomposition.count):
        features = decomposition.combine_units(asked * (torch.arange(decomposition.count) < kept))
        images = generator.render(features)
        result[kept] = float(errors.inside(images, demands).mean())
    return result
