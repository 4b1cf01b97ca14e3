"""Measuring a decomposition: everything that a single picture allows, on held-out demands."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from regional_primitives.decompose.bound import demand_objective, optimise_freely
from regional_primitives.decompose.decomposition import Decomposition, generator_at
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.evaluate.components import component_patterns, measure_components
from regional_primitives.evaluate.demand_errors import demand_errors
from regional_primitives.evaluate.energy import count_for, field_sizes
from regional_primitives.evaluate.evaluation import Evaluation
from regional_primitives.evaluate.quality import visual_quality
from regional_primitives.evaluate.refits import frontier_fits, second_fit, stability
from regional_primitives.evaluate.relations import field_overlap, mean_field_overlap
from regional_primitives.evaluate.scores import Scores
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.settings import settings_or

__all__ = ["evaluate"]


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
    decomposition: Decomposition, generator: Generator, settings: Evaluation, progress: Progress
) -> Scores:
    errors = PatchErrors.of(
        decomposition.image, decomposition.baseline_image, decomposition.regions
    )
    whole, decomposition = decomposition, decomposition.without(decomposition.remainder)
    demands = held_out_demands(
        decomposition.regions, settings.demands, settings.seed, within=decomposition.patches
    )
    answered = demand_errors(
        decomposition, generator, demands, decomposition.minimal_units(demands)
    )
    inside, leak, cost = answered.all
    partial = answered.partial
    measured = min(settings.components, decomposition.count)
    patterns = component_patterns(decomposition, generator, list(range(decomposition.count)))
    effects = measure_components(
        decomposition,
        generator,
        patterns,
        measured,
        contexts=settings.contexts,
        seed=settings.seed,
        progress=progress,
    )
    change = decomposition.image - decomposition.baseline_image
    departure = change.square().sum()
    if whole.remainder is not None:
        change = change - component_patterns(whole, generator, [whole.remainder])[0]
    energy = decomposition.strengths.double().square()
    psnr, ssim = visual_quality(decomposition, demands, answered.images)
    return Scores(
        inside_error=float(inside.mean()),
        leak=answered.mean_leak,
        cost=float(cost.mean()),
        completeness_gap=_completeness_gap(whole),
        **_free_bound(decomposition, generator, demands[partial], settings, progress),
        boundedness=effects.mean(effects.boundedness),
        boundedness_in_context=effects.mean(effects.boundedness_in_context),
        consistency=effects.mean(effects.consistency),
        inconsistency=effects.mean(effects.inconsistency),
        superposition_error=float((change - patterns.sum(0)).square().sum() / departure),
        n50=count_for(energy, 0.50),
        n90=count_for(energy, 0.90),
        n95=count_for(energy, 0.95),
        components=decomposition.count,
        overlap=mean_field_overlap(
            field_overlap(decomposition.action_fields), decomposition.strengths
        ),
        field_sizes=field_sizes(decomposition),
        top_inside_error=_top_inside_error(decomposition, generator, errors, demands),
        **_refitted(decomposition, generator, demands, settings, progress),
        psnr=psnr,
        ssim=ssim,
        evaluations=decomposition.provenance.evaluations,
        overhead_ratio=decomposition.provenance.overhead_ratio,
        inside_error_spread=float(inside.std(correction=0)),
        leak_spread=float(leak[partial].std(correction=0)) if bool(partial.any()) else 0.0,
        demands=len(demands),
        measured_components=measured,
        measured_share=float(energy[:measured].sum() / energy.sum()),
    )


def _completeness_gap(decomposition: Decomposition) -> float:
    whole = decomposition.combine_units(torch.ones(1, decomposition.count))
    departure = (decomposition.feature_units - decomposition.baseline_units).norm()
    return float((whole - decomposition.feature_units).norm() / departure)


def _free_bound(
    decomposition: Decomposition,
    generator: Generator,
    demands: Bool[Tensor, "demands patches"],
    settings: Evaluation,
    progress: Progress,
) -> dict[str, Any]:
    names = ("structured_inside_error", "structured_leak")
    free_names = ("free_inside_error", "free_leak", "free_cost")
    demands = demands[: settings.free_demands]
    if len(demands) == 0:
        return {"free_demands": 0, **dict.fromkeys(("additivity_gap", *names, *free_names))}
    fit = decomposition.provenance.settings
    weights = fit.get("outside_weight", 0.1), fit.get("cost_weight", 0.05)
    start = decomposition.minimal_units(demands)
    device = generator.device
    on_device = PatchErrors.of(
        decomposition.image.to(device),
        decomposition.baseline_image.to(device),
        decomposition.regions,
    )
    free = optimise_freely(
        generator,
        on_device,
        decomposition.feature_units.to(device),
        decomposition.baseline_units.to(device),
        demands.to(device),
        start.to(device),
        outside_weight=weights[0],
        cost_weight=weights[1],
        steps=settings.free_steps,
        progress=progress,
    ).cpu()

    def measured(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return demand_errors(decomposition, generator, demands, features).all

    bound, structured = measured(free), measured(start)
    nothing = measured(decomposition.baseline_units.expand_as(start))
    objective = [demand_objective(*scores, *weights) for scores in (structured, bound, nothing)]
    gap = (objective[0] - objective[1]) / objective[2]
    return {
        "free_demands": len(demands),
        "additivity_gap": float(gap.mean()),
        **dict(zip(names, (float(s.mean()) for s in structured[:2]), strict=True)),
        **dict(zip(free_names, (float(s.mean()) for s in bound), strict=True)),
    }


def _refitted(
    decomposition: Decomposition,
    generator: Generator,
    demands: Bool[Tensor, "demands patches"],
    settings: Evaluation,
    progress: Progress,
) -> dict[str, Any]:
    if not settings.refits:
        return dict.fromkeys(("stability", "unit_stability", "frontier"))
    second = second_fit(decomposition, generator, progress)
    fields_alike, units_alike = stability(
        decomposition.without(decomposition.remainder), second.without(second.remainder)
    )
    points = []
    for price, result in frontier_fits(decomposition, generator, progress):
        answered = demand_errors(result, generator, demands, result.minimal_units(demands))
        points.append(
            {
                "outside_weight": price,
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
    decomposition: Decomposition,
    generator: Generator,
    errors: PatchErrors,
    demands: Bool[Tensor, "demands patches"],
) -> dict[int, float]:
    asked = (demands.float() @ decomposition.action_fields.float().T > 0).float()
    result = {}
    for kept in top_counts(decomposition.count):
        scales = asked * (torch.arange(decomposition.count) < kept)
        features = decomposition.combine_units(scales)
        images = generator.render(features)
        result[kept] = float(errors.inside(images, demands).mean())
    return result
