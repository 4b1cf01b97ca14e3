"""Runs: one picture becomes a run folder, whole or not at all; runs are found and scored again."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.structured import Structured
from regional_primitives.errors import GeneratorError, MissingExtraError
from regional_primitives.evaluate import Evaluation, Scores, evaluate, exhibit
from regional_primitives.generators import ZOO, Generator, load_generator
from regional_primitives.regions import Regions
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.storage import (
    MANIFEST,
    read_json,
    staged_folder,
    write_json,
)
from regional_primitives.show.report import REPORT, write_report

__all__ = ["explain_to_folder", "generator_of", "rescore"]


def explain_to_folder(
    generator: Generator,
    picture_seed: int,
    folder: Path,
    *,
    regions: Regions,
    settings: Structured,
    evaluation: Evaluation,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Scores, bool]:
    """Explain one picture and write decomposition, scores, figures and report.

    A folder that holds the same run already (same weights, layer, picture, patches and settings)
    is left as it is. Nothing appears under the folder's name before all of it is written.

    Returns:
        The scores, and whether they come from a run that stood already.

    Raises:
        InputError, GeneratorError: what `rp.explain` raises.
        StorageError: the folder holds something else, or the disk refuses.
    """
    if not overwrite and _same_run(generator, picture_seed, folder, regions, settings):
        return Scores.read(folder), True
    with staged_folder(folder, overwrite=overwrite) as staging:
        latents = generator.sample_latents(1, seed=picture_seed)
        decomposition = explain(
            generator,
            latents,
            regions,
            settings,
            picture_seed=picture_seed,
            progress=progress,
        )
        decomposition.write(staging)
        scores = _score(decomposition, generator, evaluation, staging, progress)
    return scores, False


def rescore(folder: Path, evaluation: Evaluation, progress: Progress = silent) -> Scores:
    """Measure a run of a zoo generator anew, and renew its scores, figures and report.

    Raises:
        StorageError: no run, or a corrupt one.
        GeneratorError: a generator that the zoo does not know, or whose weights have changed.
    """
    decomposition = Decomposition.load(folder)
    generator = generator_of(decomposition)
    with staged_folder(folder, overwrite=True) as staging:
        decomposition.write(staging)
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
    generator = load_generator(origin.generator, origin.layer)
    decomposition.check_generator(generator)
    return generator


def _same_run(
    generator: Generator,
    picture_seed: int,
    folder: Path,
    regions: Regions,
    settings: Structured,
) -> bool:
    if not (folder / MANIFEST).is_file():
        return False
    found = Decomposition.load(folder)
    origin = found.provenance
    return (
        (folder / REPORT).is_file()
        and origin.weights_digest == generator.digest
        and origin.layer == generator.layer
        and origin.picture_seed == picture_seed
        and origin.settings == asdict(settings)
        and found.regions.to_dict() == regions.to_dict()
    )
