"""Explaining one picture: prepare it, fit the components, assemble the result."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.provenance import Provenance, current_versions
from regional_primitives.decompose.structured import Structured, fit_structured
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.errors import InputError
from regional_primitives.generators.feature import Feature
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, map_latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.progress import Progress, progress_bar, silent

__all__ = ["explain"]


def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | None = None,
    settings: Structured | None = None,
    *,
    picture_seed: int | None = None,
    picture_file: str | None = None,
    progress: Progress | bool = False,
) -> Decomposition:
    """Split the feature of one picture into components with action fields.

    Args:
        generator: from `rp.cut` or `rp.load_generator`.
        latents: what the picture is generated from; a batch of one.
        regions: the patches; a 6 × 6 grid unless given, as in the paper.
        settings: `rp.Structured()` unless given.
        picture_seed: noted in the result, for the reader.
        picture_file: likewise, where the latents are those of a file.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument.
        GeneratorError: a network that cannot be explained (random, no image, no change).
    """
    if not isinstance(generator, Generator):
        raise InputError(f"explain needs a generator from rp.cut, not {type(generator).__name__}")
    settings = (settings or Structured()).settled(generator)
    regions = regions or Regions.grid()
    run = partial(_explain, generator, latents, regions, settings, (picture_seed, picture_file))
    if progress is True:
        with progress_bar() as bar:
            return run(bar)
    return run(progress or silent)


def _explain(
    generator: Generator,
    latents: Latents,
    regions: Regions,
    settings: Structured,
    picture: tuple[int | None, str | None],
    progress: Progress,
) -> Decomposition:
    subject: Subject = prepare(
        generator,
        latents,
        regions,
        baseline_count=settings.baseline_count,
        baseline_seed=settings.baseline_seed,
        progress=progress,
    )
    fit = fit_structured(subject, settings, progress)
    return Decomposition.assemble(
        fields=fit.fields,
        field_of=fit.field_of,
        unit_of=fit.unit_of,
        values=fit.share * subject.difference.cpu()[fit.unit_of],
        feature=_on_cpu(subject.feature),
        baseline=_on_cpu(subject.baseline),
        image=subject.image.cpu(),
        baseline_image=subject.baseline_image.cpu(),
        regions=regions,
        history=fit.history,
        latents=map_latents(lambda part: part.detach().cpu(), latents),
        provenance=Provenance(
            generator=generator.name,
            layer=generator.layer,
            weights_digest=generator.digest,
            image_range=generator.image_range,
            method="structured",
            settings=asdict(settings),
            picture_seed=picture[0],
            evaluations=fit.evaluations,
            wall_seconds=fit.wall_seconds,
            tail_seconds=fit.tail_seconds,
            converged=fit.converged,
            versions=current_versions(),
            picture_file=picture[1],
            options=dict(generator.options),
            flows_past=_flows_past(subject.generator),
            whole_network=subject.generator.runs_whole_network,
        ),
    )


def _flows_past(generator: Generator) -> tuple[str, ...]:
    return tuple(dict.fromkeys(side.origin for side in generator.side_inputs))


def _on_cpu(feature: Feature) -> Feature:
    if isinstance(feature, Tensor):
        return feature.cpu()
    return tuple(tensor.cpu() for tensor in feature)
