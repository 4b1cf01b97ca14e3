"""Measuring a decomposition: everything that a single picture allows, on held-out demands."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, TypeAlias

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.others import Answer, components
from regional_primitives.picture import Picture
from regional_primitives.regions import Regions
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.settings import settings_or
from regional_primitives.scores.bounds import bound_scores
from regional_primitives.scores.components import component_scores
from regional_primitives.scores.demands import demand_scores, top_scores
from regional_primitives.scores.effort import effort_scores
from regional_primitives.scores.evaluation import Evaluation, Measurement
from regional_primitives.scores.refits import refit_scores
from regional_primitives.scores.sparsity import sparsity_scores
from regional_primitives.scores.superposition import superposition_scores
from regional_primitives.scores.table import Scores

Family: TypeAlias = Callable[[Measurement], dict[str, Any]]
"""Measures some scores; returns them by name."""

FAMILIES: tuple[Family, ...] = (
    demand_scores,
    bound_scores,
    component_scores,
    superposition_scores,
    sparsity_scores,
    top_scores,
    refit_scores,
    effort_scores,
)
"""What measures the scores that the table lists."""


@ordinary()
def evaluate(
    decomposition: Decomposition | Answer | tuple[Any, Any],
    generator: Generator,
    settings: Evaluation | None = None,
    *,
    latents: Latents | None = None,
    regions: Regions | str | PathLike[str] | None = None,
    progress: Progress | bool | None = False,
) -> Scores:
    """Measure a decomposition on demands that its fit never saw.

    Anybody's components are measured alike: those that `rp.components` makes of what is given.

    Of the exact form, whose fit saw every demand of its patches, demands ask for those patches
    alone, and the remainder counts for completeness and superposition only.

    Args:
        decomposition: of `rp.explain`; or another method's answer, of `rp.others` or a pair
            (fields, tensors): bool [K, n] and [K, *feature].
        generator: that it was made with.
        settings: `rp.Evaluation()` unless given.
        latents: of the picture that another method's answer is of.
        regions: that its fields are of, as `rp.explain` takes them.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument, or more demands or contexts than memory holds.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    settings = settings_or(settings, Evaluation, Evaluation())
    if not isinstance(decomposition, Decomposition):
        if latents is None and isinstance(decomposition, (Answer, tuple, list)):
            raise InputError("tell which picture these components are of: latents")
        if latents is not None:
            decomposition = components(decomposition, generator, latents, regions)
    elif latents is not None or regions is not None:
        raise InputError("a decomposition has its own picture; leave latents and regions out")
    picture = Picture.of(decomposition, generator)
    settings.afford(picture.decomposition)
    with reporting(progress) as report:
        measurement = Measurement(picture, settings, report)
        found: dict[str, Any] = {}
        for measure in FAMILIES:
            found |= measure(measurement)
        return Scores.of(found)
