"""Explaining one picture: prepare it, fit the components, assemble the result."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict
from os import PathLike

import torch
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.division import division
from regional_primitives.decompose.exact.components import ExactComponents, fit_exact
from regional_primitives.decompose.exact.lattice import all_demands
from regional_primitives.decompose.exact.minimal import work_of
from regional_primitives.decompose.exact.settings import Exact
from regional_primitives.decompose.forecast import bytes_of_fit, forecast
from regional_primitives.decompose.given import Given
from regional_primitives.decompose.provenance import Provenance, current_versions
from regional_primitives.decompose.stored import FORMS
from regional_primitives.decompose.structured.fit import Fit, fit_structured
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.generators.feature import map_feature
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, map_latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind, path_of, random_seed, refuse_too_large
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting, silent
from regional_primitives.runtime.settings import settings_or


@ordinary()
def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | str | PathLike[str] | None = None,
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
        regions: the patches, or a text such as "parts" (of what the generator shows, where it
            comes with a map of them), "segments:40" or a label map's file; a 6 × 6 grid unless
            given, as in the paper.
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
    divided = division(regions, generator, latents)
    picture_seed = None if picture_seed is None else random_seed(picture_seed)
    picture_file = None if picture_file is None else str(path_of(picture_file, "picture_file"))
    # What memory does not hold is refused before anything is computed.
    if isinstance(settings, Exact):
        demands = all_demands(settings.chosen(divided), divided)
    else:
        divided.afford_rectangles()
    with reporting(progress) as report:
        subject = prepare(
            generator,
            latents,
            divided,
            baseline_count=settings.baseline_count,
            baseline_seed=settings.baseline_seed,
            progress=report,
        )
        if isinstance(settings, Structured):
            needed = bytes_of_fit(subject.generator, settings, divided.count)
            what = f"a fit behind {generator.layer!r}"
            refuse_too_large(what, needed, "cut at a later layer, or a smaller picture")
            if report is not silent:  # it runs a batch, which nobody would wait for
                told = forecast(subject.generator, settings, patches=divided.count)
                report("forecast", 1, 1, f"at most {told}")
            fit = fit_structured(subject, settings, report)
            return assembled(subject, settings, fit, picture_seed, picture_file)
        # In the cache, where an interrupted run's finished demands are found again.
        name = hashlib.sha256(work_of(subject, demands, settings).encode()).hexdigest()
        folder = cache_folder() / "exact" / name
        made = fit_exact(subject, settings, report, folder)
        shutil.rmtree(folder, ignore_errors=True)
        return decomposition_of(made, picture_seed, picture_file)


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
    entries = (field_of, unit_of, values[field_of, unit_of])
    fit = Fit(fields, *entries, torch.zeros(0, 3), made.converged, **made.spent)
    return assembled(subject, made.settings, fit, picture_seed, picture_file, made.noise)


def assembled(
    subject: Subject,
    settings: Structured | Exact | Given,
    fit: Fit,
    picture_seed: int | None = None,
    picture_file: str | None = None,
    noise: Tensor | None = None,
) -> Decomposition:
    """Put components together with the picture that they are of and where they come from."""
    generator = subject.generator
    return Decomposition.assemble(
        fit.fields,
        fit.field_of,
        fit.unit_of,
        fit.values,
        noise,
        history=fit.history,
        feature=map_feature(Tensor.cpu, subject.feature),
        baseline=map_feature(Tensor.cpu, subject.baseline),
        image=subject.image.cpu(),
        baseline_image=subject.baseline_image.cpu(),
        regions=subject.regions,
        latents=map_latents(lambda part: part.detach().cpu(), subject.latents),
        provenance=Provenance(
            generator=generator.name,
            layer=generator.layer,
            weights_digest=generator.digest,
            image_range=generator.image_range,
            method=next(name for name, form in FORMS.items() if isinstance(settings, form)),
            settings=asdict(settings),
            picture_seed=picture_seed,
            **fit.spent,
            converged=fit.converged,
            versions=current_versions(),
            picture_file=picture_file,
            options=dict(generator.options),
            flows_past=tuple(dict.fromkeys(side.origin for side in generator.side_inputs)),
            whole_network=generator.runs_whole_network,
        ),
    )
