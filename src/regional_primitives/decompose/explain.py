"""Explaining pictures: prepare each, fit the components, assemble the results."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict
from os import PathLike
from typing import Any, Literal, NamedTuple, overload

import torch
from torch import Tensor

from regional_primitives.axes import Demands
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
from regional_primitives.decompose.structured.fit import Fit, fit_together
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.decompose.subjects import Subjects
from regional_primitives.errors import (
    GeneratorError,
    InputError,
    RegionalPrimitivesError,
    SomeFailedError,
)
from regional_primitives.generators.feature import map_feature
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, batch_size, items, map_latents
from regional_primitives.generators.layout import UnrecordableError
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind, path_of, random_seed, refuse_too_large
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting, silent
from regional_primitives.runtime.settings import settings_or


@overload
def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | str | PathLike[str] | None = None,
    settings: Structured | Exact | None = None,
    *,
    picture_seed: int | None = None,
    picture_file: str | None = None,
    together: Literal[False] = False,
    graphs: bool = False,
    progress: Progress | bool | None = False,
) -> Decomposition: ...


@overload
def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | str | PathLike[str] | None = None,
    settings: Structured | Exact | None = None,
    *,
    picture_seed: Sequence[int] | None = None,
    picture_file: Sequence[str] | None = None,
    together: Literal[True],
    graphs: bool = False,
    progress: Progress | bool | None = False,
) -> list[Decomposition]: ...


@ordinary()
def explain(
    generator: Generator,
    latents: Latents,
    regions: Regions | str | PathLike[str] | None = None,
    settings: Structured | Exact | None = None,
    *,
    picture_seed: int | Sequence[int] | None = None,
    picture_file: str | Sequence[str] | None = None,
    together: bool = False,
    graphs: bool = False,
    progress: Progress | bool | None = False,
) -> Decomposition | list[Decomposition]:
    """Split the feature of one picture, or of each of several, into components with action fields.

    Args:
        generator: from `rp.cut` or `rp.load_generator`.
        latents: what the picture is generated from; a batch of one, of any number with `together`.
        regions: the patches, or a text such as "parts" (of what the generator shows, where it
            comes with a map of them), "segments:40" or a label map's file; a 6 × 6 grid unless
            given, as in the paper. Superpixels are each picture's own.
        settings: `rp.Structured()` unless given; `rp.Exact(patches=…)` for the paper's own route.
        picture_seed: noted in the result, for the reader; with `together` one a picture.
        picture_file: likewise, where the latents are those of a file.
        together: fit all pictures of a batch in lockstep, which a GPU does faster than one by one;
            a list is returned, of what each would give alone, to rounding. In the exact form, and
            where a network cannot be run for rows of several pictures, which `progress` tells, they
            are fitted one after another. Of the time, each is told its equal share.
        graphs: on a CUDA device replay each step as a graph instead of launching its kernels one
            by one. That was tested with a stand-in and never measured, so it is off. The result's
            `tail_seconds` then count only what is launched one by one.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument.
        GeneratorError: a network that cannot be explained (random, no image, no change).
        SomeFailedError: with `together`, where that is so of some pictures and not of all. It holds
            the decompositions of the others.
    """
    of_kind(generator, Generator, "explain needs a generator from rp.cut")
    for name, given in (("together", together), ("graphs", graphs)):
        of_kind(given, bool, f"{name} is True or False")
    default: Structured | Exact = Structured()
    settings = settings_or(settings, (Structured, Exact), default).settled(generator)
    if not together:
        if batch_size(latents) > 1:
            raise InputError(
                f"one picture at a time; got {batch_size(latents)} latents; together=True explains "
                "them all and returns a list"
            )
        asked = [_Picture(latents, *_noted(picture_seed, picture_file))]
    else:
        asked = _pictures(generator, latents, picture_seed, picture_file)
    with reporting(progress) as report:
        found = _explained(generator, asked, regions, settings, report, graphs=graphs)
    failed = {i: one for i, one in enumerate(found) if isinstance(one, RegionalPrimitivesError)}
    if len(failed) == len(found):
        raise failed[0]
    explained = {i: one for i, one in enumerate(found) if isinstance(one, Decomposition)}
    if failed:
        raise SomeFailedError(explained, failed)
    return list(explained.values()) if together else explained[0]


class _Picture(NamedTuple):
    """What one picture is made of, and what is noted of it."""

    latents: Latents
    seed: int | None
    file: str | None


def _noted(seed: Any, file: Any) -> tuple[int | None, str | None]:
    return (
        None if seed is None else random_seed(seed),
        None if file is None else str(path_of(file, "picture_file")),
    )


def _pictures(generator: Generator, latents: Latents, seeds: Any, files: Any) -> list[_Picture]:
    """Take a batch apart, with what is to be noted of each picture."""
    generator.refuse_unfit(latents)
    count = batch_size(latents)
    if count == 0:
        raise InputError("there is no picture to explain: the latents are a batch of none")
    noted = []
    for name, given in (("picture_seed", seeds), ("picture_file", files)):
        several, ordered = list[Any]([None] * count), True
        if given is not None:
            ordered = isinstance(given, Iterable) and not isinstance(given, (str, bytes, Set))
            try:
                several = list(given) if ordered else []
            except TypeError:  # an array of no dimension
                several, ordered = [], False
        if len(several) != count:
            raise InputError(
                f"with together=True {name} is a list of {count}, one a picture, or None; got "
                f"{len(several) if ordered else 'a single one'}"
            )
        noted.append(several)
    rows = zip(range(count), *noted, strict=True)
    return [_Picture(items(latents, i, i + 1), *_noted(seed, file)) for i, seed, file in rows]


def _explained(
    generator: Generator,
    asked: Sequence[_Picture],
    regions: Regions | str | PathLike[str] | None,
    settings: Structured | Exact,
    report: Progress,
    *,
    graphs: bool,
) -> list[Decomposition | RegionalPrimitivesError]:
    """Explain pictures, of which one that fails does not stop the others."""
    found: dict[int, Decomposition | RegionalPrimitivesError] = {}
    prepared: dict[int, Subject] = {}
    for i, picture in enumerate(asked):
        try:
            divided = division(regions, generator, picture.latents)
            # What memory does not hold is refused before anything is computed.
            if isinstance(settings, Exact):
                demands = all_demands(settings.chosen(divided), divided)
            else:
                divided.afford_rectangles()
            subject = prepare(
                generator,
                picture.latents,
                divided,
                baseline_count=settings.baseline_count,
                baseline_seed=settings.baseline_seed,
                baseline=next((known.baseline for known in prepared.values()), None),
                progress=report,
            )
            if isinstance(settings, Exact):
                found[i] = _exact(subject, demands, settings, picture, report)
            else:
                prepared[i] = subject
        except RegionalPrimitivesError as error:
            found[i] = error
    if isinstance(settings, Structured) and prepared:
        fits = _fitted(list(prepared.values()), settings, report, graphs=graphs)
        for (i, subject), fit in zip(prepared.items(), fits, strict=True):
            if isinstance(fit, Fit):
                found[i] = assembled(subject, settings, fit, asked[i].seed, asked[i].file)
            else:
                found[i] = fit
    return [found[i] for i in range(len(asked))]


def _fitted(
    several: Sequence[Subject], settings: Structured, report: Progress, *, graphs: bool
) -> list[Fit | GeneratorError]:
    """Fit pictures in lockstep; where the network cannot be run so, one after another."""
    one = several[0].generator
    patches = max(subject.regions.count for subject in several)
    try:
        groups = [Subjects.together(several)]
    except UnrecordableError as error:
        report("lockstep", 0, 0, f"the pictures are fitted one after another: {error}")
        groups = [Subjects([subject]) for subject in several]
    needed = len(groups[0]) * bytes_of_fit(one, settings, patches)
    many = f" of {len(groups[0])} pictures" if len(groups[0]) > 1 else ""
    what = f"a fit{many} behind {one.layer!r}"
    less = "explain fewer at a time, " if many else ""
    refuse_too_large(what, needed, f"{less}cut at a later layer, or a smaller picture")
    if report is not silent:  # it runs a batch, which nobody would wait for
        told = forecast(one, settings, patches=patches)
        each = " a picture" if len(several) > 1 else ""
        report("forecast", 1, 1, f"at most {told}{each}")
    return [fit for group in groups for fit in fit_together(group, settings, report, graphs=graphs)]


def _exact(
    subject: Subject, demands: Demands, settings: Exact, picture: _Picture, report: Progress
) -> Decomposition:
    # In the cache, where an interrupted run's finished demands are found again.
    name = hashlib.sha256(work_of(subject, demands, settings).encode()).hexdigest()
    folder = cache_folder() / "exact" / name
    made = fit_exact(subject, settings, report, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return decomposition_of(made, picture.seed, picture.file)


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
