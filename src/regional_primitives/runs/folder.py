"""Runs: one picture becomes a run folder, whole or not at all; runs are found and scored again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from regional_primitives.decompose import Exact, Structured
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.stored import TENSORS, read_manifest
from regional_primitives.errors import GeneratorError, MissingExtraError
from regional_primitives.generators import ZOO, Generator, Latents, load_recorded
from regional_primitives.generators.latents import same_latents
from regional_primitives.regions import Regions
from regional_primitives.rivals import BASELINES_FILE, Comparison
from regional_primitives.rivals import baselines as compare
from regional_primitives.runtime.kinds import of_kind
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.numbers import random_seed
from regional_primitives.runtime.paths import AnyPath, path_of
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.staging import MANIFEST, recover, staged_folder
from regional_primitives.runtime.storage import read_json, write_json
from regional_primitives.scores import Evaluation, Scores, evaluate, exhibit
from regional_primitives.show.figures import FIGURES
from regional_primitives.show.report import REPORT, write_report

__all__ = ["explain_to_folder", "generator_of", "rescore"]


@ordinary()
def explain_to_folder(
    generator: Generator,
    picture: int | str | Path,
    folder: AnyPath,
    *,
    regions: Regions | None = None,
    settings: Structured | Exact | None = None,
    evaluation: Evaluation | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = False,
) -> tuple[Scores, bool]:
    """Explain one picture and write decomposition, scores, figures and report.

    A folder that holds the same run already (same weights, layer, picture, patches and settings)
    is not fitted again: it is left as it is, or measured anew where its scores were measured
    otherwise or its report is missing. Nothing appears under the folder's name before all of it
    is written.

    Args:
        generator: of the zoo or the user's own.
        picture: the seed of its latents, or a picture file of which the generator finds them.
        folder: the run folder.
        regions: the patches.
        settings: of the fit.
        evaluation: how much is measured.
        overwrite: fit and measure anew whatever stands.
        progress: told of every step.

    Returns:
        The scores, and whether the components come from a run that stood already.

    Raises:
        InputError, GeneratorError: what `rp.explain` raises.
        StorageError: the folder holds something else, or the disk refuses.
    """
    of_kind(generator, Generator, "a run needs a generator from rp.cut")
    regions = Regions.of(regions)
    default: Structured | Exact = Structured()
    settings = settings_or(settings, (Structured, Exact), default).settled(generator)
    evaluation = settings_or(evaluation, Evaluation, Evaluation())
    if not isinstance(picture, (str, Path)):
        picture = random_seed(picture)
    with reporting(progress) as report:
        return _explained(
            generator, picture, folder, regions, settings, evaluation, overwrite, report
        )


def _explained(
    generator: Generator,
    picture: int | str | Path,
    folder: AnyPath,
    regions: Regions,
    settings: Structured | Exact,
    evaluation: Evaluation,
    overwrite: bool,
    progress: Progress,
) -> tuple[Scores, bool]:
    folder = path_of(folder, "the run folder")
    _recover(folder)
    latents = (
        generator.sample_latents(1, seed=picture)
        if isinstance(picture, int)
        else generator.latents_of_image(picture)
    )
    if not overwrite and (folder / MANIFEST).is_file():
        found = Decomposition.load(folder)
        if _is_run(found, generator, latents, regions, settings):
            measured = read_manifest(folder).evaluation
            if measured == asdict(evaluation) and (folder / REPORT).is_file():
                return Scores.read(folder), True
            return _measure_again(found, generator, folder, evaluation, progress), True
    with staged_folder(folder, overwrite=overwrite) as staging:
        decomposition = explain(
            generator,
            latents,
            regions,
            settings,
            picture_seed=picture if isinstance(picture, int) else None,
            picture_file=None if isinstance(picture, int) else str(picture),
            progress=progress,
        )
        decomposition.write(staging)
        scores = _score(decomposition, generator, evaluation, staging, progress)
    return scores, False


@ordinary()
def rescore(
    folder: AnyPath,
    evaluation: Evaluation | None = None,
    progress: Progress | bool | None = False,
    baselines: Sequence[str] | str | None = None,
) -> tuple[Scores, Comparison | None]:
    """Measure a run of a zoo generator anew, and renew its scores, figures and report.

    Whatever else lies in the folder stays, also if it comes there meanwhile, but for a comparison
    with baselines that was measured otherwise.

    Args:
        folder: the run folder.
        evaluation: how much is measured.
        progress: told of every step.
        baselines: of `rp.baselines`, "all" or names; None leaves them as they are.

    Returns:
        The scores, and the comparison that now stands in the folder.

    Raises:
        InputError: an unknown baseline.
        StorageError: no run, or a corrupt one.
        GeneratorError: a generator that the zoo does not know, or whose weights have changed.
    """
    folder = path_of(folder, "the run folder")
    _recover(folder)
    decomposition = Decomposition.load(folder)
    generator = generator_of(decomposition)
    evaluation = settings_or(evaluation, Evaluation, Evaluation())
    with reporting(progress) as report:
        scores = _measure_again(decomposition, generator, folder, evaluation, report, baselines)
    return scores, Comparison.read(folder)


def _recover(folder: Path) -> None:
    """Clear away what an ended process left beside a run folder or in it."""
    for place in (Path(os.path.realpath(folder)).parent, folder, folder / FIGURES):
        recover(place)


def _measure_again(
    decomposition: Decomposition,
    generator: Generator,
    folder: Path,
    evaluation: Evaluation,
    progress: Progress,
    baselines: Sequence[str] | str | None = None,
) -> Scores:
    with staged_folder(folder, overwrite=True) as staging:
        measured_otherwise = read_manifest(folder).evaluation != asdict(evaluation)
        kept = [MANIFEST, TENSORS]
        if baselines is not None:
            compared = compare(decomposition, generator, baselines, evaluation, progress=progress)
            compared.write(staging)
        elif not measured_otherwise and (folder / BASELINES_FILE).is_file():
            kept.append(BASELINES_FILE)
        for name in kept:
            shutil.copy2(folder / name, staging)
        return _score(decomposition, generator, evaluation, staging, progress)


def _score(
    decomposition: Decomposition,
    generator: Generator,
    evaluation: Evaluation,
    folder: Path,
    progress: Progress,
) -> Scores:
    began = time.perf_counter()
    scores = evaluate(decomposition, generator, evaluation, progress=progress)
    seconds = {"evaluation_seconds": time.perf_counter() - began}
    scores.write(folder)
    manifest = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, {**manifest, "evaluation": asdict(evaluation), **seconds})
    try:
        exhibit(decomposition, generator, evaluation).write(folder)
        write_report(folder)
    except MissingExtraError as error:
        progress("report", 0, 1, f"left out: {error}")
    else:
        progress("report", 1, 1)
    return scores


def generator_of(decomposition: Decomposition) -> Generator:
    """Load the zoo generator that a run was made with.

    Raises:
        GeneratorError: the zoo does not know it, or its weights are missing or have changed.
    """
    origin = decomposition.provenance
    if origin.generator not in ZOO:
        raise GeneratorError(
            f"this run was made with {origin.generator!r}, which is not in the zoo; "
            "load the network in Python and pass it to rp.evaluate or rp.edit"
        )
    generator = load_recorded(origin.generator, origin.layer, origin.options)
    decomposition.check_generator(generator)
    return generator


def _is_run(
    found: Decomposition,
    generator: Generator,
    latents: Latents,
    regions: Regions,
    settings: Structured | Exact,
) -> bool:
    origin = found.provenance
    return (
        origin.weights_digest == generator.digest
        and origin.layer == generator.layer
        and same_latents(found.latents, latents)
        and origin.settings == asdict(settings)
        and found.regions == regions
    )
