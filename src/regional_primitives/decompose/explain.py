"""Explaining one picture: prepare it, fit the components, assemble the result."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict
from functools import partial
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
from regional_primitives.errors import InputError
from regional_primitives.generators.feature import Feature
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, map_latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.runtime.progress import Progress, progress_bar, silent
from regional_primitives.runtime.storage import tensors_digest

__all__ = ["explain"]

_Made = dict[str, dict[str, Any]]
"""What either method gives: the entries of the components, and what they cost."""


def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | None = None,
    settings: Structured | Exact | None = None,
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
        settings: `rp.Structured()` unless given; `rp.Exact(patches=…)` for the paper's own route.
        picture_seed: noted in the result, for the reader.
        picture_file: likewise, where the latents are those of a file.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument.
        GeneratorError: a network that cannot be explained (random, no image, no change).
    """
    if not isinstance(generator, Generator):
        raise InputError(f"explain needs a generator from rp.cut, not {type(generator).__name__}")
    settings = settings or Structured()
    if not isinstance(settings, (Structured, Exact)):
        raise InputError(f"settings are rp.Structured or rp.Exact, not {type(settings).__name__}")
    settings = settings.settled(generator)
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
    settings: Structured | Exact,
    picture: tuple[int | None, str | None],
    progress: Progress,
) -> Decomposition:
    if isinstance(settings, Exact):
        all_demands(settings.chosen(regions), regions)  # refused before anything is computed
    subject: Subject = prepare(
        generator,
        latents,
        regions,
        baseline_count=settings.baseline_count,
        baseline_seed=settings.baseline_seed,
        progress=progress,
    )
    if isinstance(settings, Exact):
        made = _exact(subject, settings, progress)
    else:
        made = _structured(subject, settings, progress)
    return Decomposition.assemble(
        **made["components"],
        feature=_on_cpu(subject.feature),
        baseline=_on_cpu(subject.baseline),
        image=subject.image.cpu(),
        baseline_image=subject.baseline_image.cpu(),
        regions=regions,
        latents=map_latents(lambda part: part.detach().cpu(), latents),
        provenance=Provenance(
            generator=generator.name,
            layer=generator.layer,
            weights_digest=generator.digest,
            image_range=generator.image_range,
            settings=asdict(settings),
            picture_seed=picture[0],
            **made["cost"],
            versions=current_versions(),
            picture_file=picture[1],
            options=dict(generator.options),
            flows_past=_flows_past(subject.generator),
            whole_network=subject.generator.runs_whole_network,
        ),
    )


def _structured(subject: Subject, settings: Structured, progress: Progress) -> _Made:
    fit = fit_structured(subject, settings, progress)
    components = {
        "fields": fit.fields,
        "field_of": fit.field_of,
        "unit_of": fit.unit_of,
        "values": fit.share * subject.difference.cpu()[fit.unit_of],
        "history": fit.history,
    }
    return {"components": components, "cost": {"method": "structured", **_cost(fit, fit.converged)}}


def _exact(subject: Subject, settings: Exact, progress: Progress) -> _Made:
    folder = _checkpoint(subject, settings)
    fit = fit_exact(subject, settings, progress, folder)
    shutil.rmtree(folder, ignore_errors=True)
    # What the chosen patches leave of f acts on the others; the empty subset's row is free for it.
    values = fit.components
    values[0] = subject.difference.cpu() - values[1:].sum(0)
    fields = fit.fields
    fields[0] = ~subject.regions.demand(settings.chosen(subject.regions))
    field_of, unit_of = values.nonzero(as_tuple=True)
    components = {
        "fields": fields,
        "field_of": field_of,
        "unit_of": unit_of,
        "values": values[field_of, unit_of],
        "history": torch.zeros(0, 3),
        "noise": fit.noise_of,
    }
    return {
        "components": components,
        "cost": {"method": "exact", **_cost(fit, bool(fit.features.converged.all()))},
    }


def _cost(fit: Fit | ExactComponents, converged: bool) -> dict[str, Any]:
    return {
        "evaluations": fit.evaluations,
        "wall_seconds": fit.wall_seconds,
        "tail_seconds": fit.tail_seconds,
        "converged": converged,
    }


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
