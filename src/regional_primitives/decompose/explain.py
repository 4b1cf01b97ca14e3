"""Explaining one picture: prepare it, fit the components, assemble the result."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.exact import Exact, ExactComponents, fit_exact
from regional_primitives.decompose.lattice import all_demands
from regional_primitives.decompose.provenance import Provenance, current_versions
from regional_primitives.decompose.structured import Fit, Structured, fit_structured
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.generators.feature import Feature
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, map_latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind, path_of, random_seed
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import tensors_digest

__all__ = ["decomposition_of", "explain"]


@ordinary()
def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | None = None,
    settings: Structured | Exact | None = None,
    *,
    picture_seed: int | None = None,
    picture_file: str | None = None,
    progress: Progress | bool | None = False,
) -> Decomposition:
    """Split the feature of one picture into components with action fields.

    Args:
        generator: from `rp.cut` or `rp.load_generator`.
        latents: what the picture is generated from; a batch of one.
        regions: the patches; a 6 × 6 grid unless given, as in the paper.
        settings: `rp.Structured()` unless given; `rp.Exact(patches=…)` for the paper's own route.
        picture_seed: noted in the result, for the reader.
        picture_file: likewise, where the latents are those of a file.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument.
        GeneratorError: a network that cannot be explained (random, no image, no change).
    """
    of_kind(generator, Generator, "explain needs a generator from rp.cut")
    default: Structured | Exact = Structured()
    settings = settings_or(settings, (Structured, Exact), default).settled(generator)
    regions = Regions.of(regions)
    picture = (
        None if picture_seed is None else random_seed(picture_seed),
        None if picture_file is None else str(path_of(picture_file, "picture_file")),
    )
    with reporting(progress) as report:
        return _explain(generator, latents, regions, settings, picture, report)


def _explain(
    generator: Generator,
    latents: Latents,
    regions: Regions,
    settings: Structured | Exact,
    picture: tuple[int | None, str | None],
    progress: Progress,
) -> Decomposition:
    if isinstance(settings, Exact):
        all_demands(settings.chosen(regions), regions)  # refused before anything is computed
    else:
        regions.afford_rectangles()  # likewise
    subject: Subject = prepare(
        generator,
        latents,
        regions,
        baseline_count=settings.baseline_count,
        baseline_seed=settings.baseline_seed,
        progress=progress,
    )
    if isinstance(settings, Structured):
        fit = fit_structured(subject, settings, progress)
        return _assembled(subject, settings, "structured", picture, fit, _entries(subject, fit))
    folder = _checkpoint(subject, settings)
    made = fit_exact(subject, settings, progress, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return decomposition_of(made, *picture)


@ordinary()
def decomposition_of(
    made: ExactComponents, picture_seed: int | None = None, picture_file: str | None = None
) -> Decomposition:
    """Turn the exact form's components into a decomposition of the whole picture.

    What u(P) leaves of f becomes a component of its own, on all patches that were not chosen.
    """
    subject = made.features.subject
    values, fields = made.components.clone(), made.fields
    # The row of the empty subset is free for the remainder.
    values[0] = subject.difference.cpu() - values[1:].sum(0)
    fields[0] = ~subject.regions.demand(made.features.patches)
    field_of, unit_of = values.nonzero(as_tuple=True)
    entries = {
        "fields": fields,
        "field_of": field_of,
        "unit_of": unit_of,
        "values": values[field_of, unit_of],
        "history": torch.zeros(0, 3),
        "noise": made.noise_of,
    }
    picture = (picture_seed, picture_file)
    return _assembled(subject, made.settings, "exact", picture, made, entries)


def _entries(subject: Subject, fit: Fit) -> dict[str, Any]:
    return {
        "fields": fit.fields,
        "field_of": fit.field_of,
        "unit_of": fit.unit_of,
        "values": fit.share * subject.difference.cpu()[fit.unit_of],
        "history": fit.history,
    }


def _assembled(
    subject: Subject,
    settings: Structured | Exact,
    method: str,
    picture: tuple[int | None, str | None],
    fit: Fit | ExactComponents,
    entries: dict[str, Any],
) -> Decomposition:
    generator = subject.generator
    return Decomposition.assemble(
        **entries,
        feature=_on_cpu(subject.feature),
        baseline=_on_cpu(subject.baseline),
        image=subject.image.cpu(),
        baseline_image=subject.baseline_image.cpu(),
        regions=subject.regions,
        latents=map_latents(lambda part: part.detach().cpu(), subject.latents),
        provenance=Provenance(
            generator=generator.name,
            layer=generator.layer,
            weights_digest=generator.digest,
            image_range=generator.image_range,
            method=method,
            settings=asdict(settings),
            picture_seed=picture[0],
            evaluations=fit.evaluations,
            wall_seconds=fit.wall_seconds,
            tail_seconds=fit.tail_seconds,
            converged=fit.converged,
            versions=current_versions(),
            picture_file=picture[1],
            options=dict(generator.options),
            flows_past=_flows_past(generator),
            whole_network=generator.runs_whole_network,
        ),
    )


def _checkpoint(subject: Subject, settings: Exact) -> Path:
    """Name a folder in the cache where an interrupted run's finished demands are found again."""
    told = f"{subject.generator.digest}{subject.generator.layer}{asdict(settings)}"
    units = tensors_digest({"feature": subject.units, "labels": subject.errors.labels})
    return cache_folder() / "exact" / hashlib.sha256(f"{told}{units}".encode()).hexdigest()


def _flows_past(generator: Generator) -> tuple[str, ...]:
    return tuple(dict.fromkeys(side.origin for side in generator.side_inputs))


def _on_cpu(feature: Feature) -> Feature:
    if isinstance(feature, Tensor):
        return feature.cpu()
    return tuple(tensor.cpu() for tensor in feature)
