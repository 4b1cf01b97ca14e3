"""A run folder: one picture explained, scored and drawn, each a step of its own."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regional_primitives.compare.kept import Kept
from regional_primitives.decompose import Exact, Structured
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.division import division
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.errors import MissingExtraError, StorageError
from regional_primitives.generators import Generator, Latents, load_recorded
from regional_primitives.generators.latents import same_latents
from regional_primitives.picture import Picture
from regional_primitives.regions import Regions
from regional_primitives.rivals import Comparison
from regional_primitives.rivals import baselines as compare
from regional_primitives.runs.key import Work
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of, random_seed
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.run_files import (
    FIELDS,
    FIGURES,
    MANIFEST,
    REPORT,
    RIVALS,
    SANITY,
    TENSORS,
)
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.staging import (
    check_folder,
    recover,
    staged_folder,
    visible,
)
from regional_primitives.runtime.storage import read_json, write_json
from regional_primitives.sanity import sanity
from regional_primitives.sanity.suite import Sanity
from regional_primitives.scores import Evaluation, Scores, evaluate, exhibit
from regional_primitives.show.report import write_report


def default_folder(
    generator: str, layer: str, picture: int | str | Path, purpose: str, quality: str | None = None
) -> Path:
    """Name the folder of a run for which none is named: runs/MODEL-LAYER-PICTURE.

    What is asked for beyond the defaults is added, so that one picture may have several runs.
    """
    named = picture if isinstance(picture, int) else Path(picture).stem
    asked = [quality] if quality not in (None, "balanced") else []
    asked += [purpose] if purpose != Structured().purpose else []
    return Path("runs") / "-".join([plain_name(generator), layer, str(named), *asked])


def plain_name(model: str) -> str:
    """Return what a model is called in the name of a folder: `file.py:make` is `file-make`."""
    place, _, function = model.rpartition(":")
    return f"{Path(place).name.removesuffix('.py')}-{function}" if place else model


@ordinary()
def explain_to_folder(
    generator: Generator,
    picture: int | str | Path,
    folder: AnyPath,
    *,
    regions: Regions | str | None = None,
    resize: bool = False,
    settings: Structured | Exact | None = None,
    evaluation: Evaluation | None = None,
    overwrite: bool = False,
    fit: Callable[..., Decomposition] | None = None,
    progress: Progress | bool | None = False,
) -> tuple[Scores, bool]:
    """Explain one picture and write decomposition, scores, figures and report.

    A folder that holds the same run already (same weights, layer, picture, patches and settings)
    is not fitted again: it is left as it is, or measured anew where its scores were measured
    otherwise or its report is missing. Nothing appears under the folder's name before all of it
    is written.

    The picture is the seed of its latents, or a file of which the generator finds them. With
    `overwrite` all is made anew whatever stands. `fit` takes the place of `rp.explain`. Told are
    the scores, and whether the components come from a run that stood already.

    Raises:
        InputError, GeneratorError: what `rp.explain` raises.
        StorageError: the folder holds something else, or the disk refuses.
    """
    of_kind(generator, Generator, "a run needs a generator from rp.cut")
    default: Structured | Exact = Structured()
    settings = settings_or(settings, (Structured, Exact), default).settled(generator)
    evaluation = settings_or(evaluation, Evaluation, Evaluation())
    seed = None if isinstance(picture, (str, Path)) else random_seed(picture)
    folder = _cleared(folder)
    with reporting(progress) as report:
        latents = (
            generator.latents_of_image(str(picture))
            if seed is None
            else generator.sample_latents(1, seed=seed)
        )
        divided = division(regions, generator, latents, resize=resize)
        if not overwrite and (folder / MANIFEST).is_file():
            found, manifest = Decomposition.load(folder), read_manifest(folder)
            # Of the picture the latents tell, whatever seed or file was noted.
            asked = Work.asked(generator, manifest.provenance.picture_seed, divided, settings)
            if asked == Work.done(manifest) and _same_picture(found, latents, divided):
                if manifest.evaluation == asdict(evaluation) and (folder / REPORT).is_file():
                    return Scores.read(folder), True
                return _renewed(found, generator, folder, evaluation, report), True
        with staged_folder(folder, overwrite=overwrite) as staging:
            decomposition = (fit or explain)(
                generator,
                latents,
                divided,
                settings,
                picture_seed=seed,
                picture_file=str(picture) if seed is None else None,
                progress=report,
            )
            decomposition.write(staging)
            return _scored_and_drawn(decomposition, generator, evaluation, staging, report), False


@ordinary()
def scores_to_folder(
    generator: Generator,
    seed: int,
    folder: AnyPath,
    *,
    regions: Regions,
    settings: Structured,
    evaluation: Evaluation,
    fit: Callable[..., Decomposition] | None = None,
    progress: Progress,
) -> None:
    """Explain one picture and keep what is small: run.json, scores.json and fields.safetensors.

    The last holds `fields` bool [K, n], `strengths` [K], strongest first, and what else `Kept` has.
    What `TENSORS` would hold is gone, so that other commands need the picture explained again.

    Raises:
        InputError, GeneratorError: what `rp.explain` raises.
        StorageError: the folder holds something else, or the disk refuses.
    """
    folder, latents = _cleared(folder), generator.sample_latents(1, seed=seed)
    light = (folder / FIELDS).is_file()  # an older one of these is measured anew
    with staged_folder(folder, overwrite=light) as staging:
        found = (fit or explain)(
            generator, latents, regions, settings, picture_seed=seed, progress=progress
        )
        found.write(staging)
        (staging / TENSORS).unlink()
        Kept.of(found).write(staging)
        _scored(found, generator, evaluation, staging, progress)


@ordinary()
def report(
    decomposition: Decomposition,
    generator: Generator,
    folder: AnyPath,
    evaluation: Evaluation | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | bool | None = False,
) -> Scores:
    """Write a whole run folder of a decomposition: its files, scores, figures and report.html.

    A folder that holds this very decomposition, as `save` writes it, gets what it lacks.

    Args:
        decomposition: to be told of.
        generator: that it was made with.
        folder: the run folder.
        evaluation: how much is measured.
        overwrite: replace a run of something else.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        GeneratorError: a generator that the decomposition was not made with.
        StorageError: the folder holds something else, or the disk refuses.
    """
    Picture.of(decomposition, generator)  # the two go together
    evaluation = settings_or(evaluation, Evaluation, Evaluation())
    folder = _cleared(folder)
    with reporting(progress) as told:
        if not overwrite and _holds(folder, decomposition):
            return _renewed(decomposition, generator, folder, evaluation, told)
        with staged_folder(folder, overwrite=overwrite) as staging:
            decomposition.write(staging)
            return _scored_and_drawn(decomposition, generator, evaluation, staging, told)


@ordinary()
def rescore(
    folder: AnyPath,
    evaluation: Evaluation | None = None,
    progress: Progress | bool | None = False,
    baselines: Sequence[str] | str | None = None,
    model: str | None = None,
    **options: Any,
) -> tuple[Scores, Comparison | None]:
    """Measure a run anew, and renew its scores, figures and report.

    Whatever else lies in the folder stays, also if it comes there meanwhile, but for a comparison
    with other methods that was measured otherwise.

    `baselines` are other methods to compare it with, of `rp.baselines`, "all" or names; None leaves
    a comparison as it is. `model` and `options` name the function that makes a generator of your
    own, see `rp.load_generator`. Told are the scores, and the comparison that now stands in the
    folder.

    Raises:
        InputError: an unknown method.
        StorageError: no run, or a corrupt one.
        GeneratorError: a generator that the zoo does not know, or whose weights have changed.
    """
    folder = _cleared(folder)
    decomposition = Decomposition.load(folder)
    generator = generator_of(decomposition, model, **options)
    evaluation = settings_or(evaluation, Evaluation, Evaluation())
    with reporting(progress) as report:
        scores = _renewed(decomposition, generator, folder, evaluation, report, baselines)
    return scores, Comparison.read(folder)


def check(
    folder: AnyPath,
    generator: Generator,
    seed: int = 0,
    progress: Progress | bool | None = False,
) -> Sanity:
    """Make the sanity checks of a run; write them into its folder, and its report if it has one.

    `generator` is the one that it was made with, `seed` as for `rp.sanity`.

    Raises:
        StorageError: no run, or a corrupt one.
        GeneratorError: another generator.
    """
    folder = _cleared(folder)
    decomposition = Decomposition.load(folder)
    with reporting(progress) as told:
        found = sanity(decomposition, generator, seed=seed, progress=told)
        found.write(folder)
        if (folder / REPORT).is_file():
            drawn(lambda: write_report(folder), told)
    return found


def generator_of(
    decomposition: Decomposition, model: str | None = None, **options: Any
) -> Generator:
    """Load the generator that a run was made with: of the zoo, or by the function named.

    Raises:
        InputError, GeneratorError: what `load_recorded` raises.
    """
    origin = decomposition.provenance
    return load_recorded(origin.generator, origin.layer, origin.options, model, **options)


def drawn(draw: Callable[[], object], progress: Progress, *older: Path) -> None:
    """Draw a page; where its packages are missing say so, and remove an older one."""
    try:
        draw()
    except MissingExtraError as error:
        for path in older:  # it must not stand beside newer numbers
            path.unlink(missing_ok=True)
        progress("report", 0, 1, f"left out: {error}")
    else:
        progress("report", 1, 1)


def refuse_other_content(
    folder: Path, marker: str, otherwise: str, ours: Callable[[Path], bool] = lambda path: False
) -> None:
    """Refuse a folder that is neither new, empty, nor one of ours, by its marker or content.

    Raises:
        StorageError: it is a file, cannot be written, or holds something else.
    """
    check_folder(folder)
    recover(folder)
    if not (folder / marker).is_file() and not all(map(ours, visible(folder))):
        raise StorageError(f"{folder} {otherwise}")


def _cleared(folder: AnyPath) -> Path:
    """Clear away what an ended process left beside a run folder or in it."""
    folder = path_of(folder, "the run folder")
    for place in (Path(os.path.realpath(folder)).parent, folder, folder / FIGURES):
        recover(place)
    return folder


def _same_picture(found: Decomposition, latents: Latents, regions: Regions) -> bool:
    return same_latents(found.latents, latents) and found.regions == regions


def _holds(folder: Path, decomposition: Decomposition) -> bool:
    """Tell whether a run folder holds this very decomposition."""
    if not (folder / MANIFEST).is_file():
        return False
    found = Decomposition.load(folder)
    return (
        found.provenance.weights_digest == decomposition.provenance.weights_digest
        and _same_picture(found, decomposition.latents, decomposition.regions)
        and found.strengths.equal(decomposition.strengths)
        and found.action_fields.equal(decomposition.action_fields)
    )


def _renewed(
    decomposition: Decomposition,
    generator: Generator,
    folder: Path,
    evaluation: Evaluation,
    progress: Progress,
    baselines: Sequence[str] | str | None = None,
) -> Scores:
    """Score and draw a run that stands, whose components stay as they are."""
    with staged_folder(folder, overwrite=True) as staging:
        kept = [MANIFEST, TENSORS]
        kept += [SANITY] if (folder / SANITY).is_file() else []
        if baselines is not None:
            compared = compare(decomposition, generator, baselines, evaluation, progress=progress)
            compared.write(staging)
        elif read_manifest(folder).evaluation == asdict(evaluation):
            kept += [RIVALS] if (folder / RIVALS).is_file() else []
        for name in kept:
            shutil.copy2(folder / name, staging)
        return _scored_and_drawn(decomposition, generator, evaluation, staging, progress)


def _scored_and_drawn(
    decomposition: Decomposition,
    generator: Generator,
    evaluation: Evaluation,
    folder: Path,
    progress: Progress,
) -> Scores:
    """Score a fit that lies in a folder, then draw the folder."""
    scores = _scored(decomposition, generator, evaluation, folder, progress)

    def draw() -> None:
        exhibit(decomposition, generator, evaluation).write(folder)
        write_report(folder)

    drawn(draw, progress)
    return scores


def _scored(
    decomposition: Decomposition,
    generator: Generator,
    evaluation: Evaluation,
    folder: Path,
    progress: Progress,
) -> Scores:
    """Score a fit whose manifest lies in a folder."""
    began = time.perf_counter()
    scores = evaluate(decomposition, generator, evaluation, progress=progress)
    seconds = {"evaluation_seconds": time.perf_counter() - began}
    scores.write(folder)
    manifest = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, {**manifest, "evaluation": asdict(evaluation), **seconds})
    return scores
