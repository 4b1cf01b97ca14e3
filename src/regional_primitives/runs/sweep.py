"""Sweeps: many pictures at several layers of a zoo generator, each an ordinary run, then compared.

Run folders are DIR/<layer>/<seed>, so that a sweep that was stopped goes on where it stood.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import os
import platform
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from msgspec import to_builtins

from regional_primitives.decompose.provenance import current_versions
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.decompose.structured import Structured
from regional_primitives.errors import (
    GeneratorError,
    InputError,
    MissingExtraError,
    StorageError,
)
from regional_primitives.generators import ZOO, Generator, load_generator
from regional_primitives.generators.feature import FeatureShape
from regional_primitives.regions import Regions
from regional_primitives.runs import folder as runs
from regional_primitives.runtime.kinds import of_kind
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.numbers import random_seed, whole, wholes
from regional_primitives.runtime.paths import AnyPath, path_of
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.staging import MANIFEST, check_folder, recover, visible
from regional_primitives.runtime.storage import read_json
from regional_primitives.runtime.workers import in_workers, threads_per_worker
from regional_primitives.scores import Evaluation, Scores
from regional_primitives.scores.sweep_scores import (
    SWEEP,
    LayerScores,
    PictureScores,
    SweepScores,
)
from regional_primitives.show.figures import FIGURES
from regional_primitives.show.report import REPORT
from regional_primitives.show.sweep_report import SWEEP_FIGURE, SWEEP_REPORT, write_sweep_report

__all__ = ["RUNS", "layer_folder", "parse_layers", "parse_seeds", "sweep"]

RUNS = "runs"
"""The stage that counts finished runs; all other stages are part of one."""
_MOST_SEEDS = 100_000
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read picture seeds: `0:4` (half open, so 0 to 3), a list `1,5,9`, or one number.

    Raises:
        InputError: another form, or no seed at all.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,20})\s*(?::\s*(\d{1,20})\s*)?", part)
        if match is None:
            raise InputError(
                f"seeds {text!r} are not of the form START:STOP, such as 0:4, or a list, such as "
                "1,5,9"
            )
        start = int(match[1])
        stop = start + 1 if match[2] is None else int(match[2])
        if stop <= start:
            raise InputError(
                f"seeds {part.strip()!r} name no picture; STOP is not part of START:STOP, so that "
                f"{start}:{start + 4} is four pictures"
            )
        if stop - start + len(seeds) > _MOST_SEEDS:
            raise InputError(f"seeds {text!r} name more than {_MOST_SEEDS:,} pictures")
        seeds |= dict.fromkeys(range(start, stop))
    return tuple(seeds)


def parse_layers(text: str | None) -> tuple[str, ...] | Literal["all"] | None:
    """Read layers: `all`, or names set apart by commas; None is the generator's own choice.

    Raises:
        InputError: an empty name.
    """
    if text is None or text.strip() == "all":
        return None if text is None else "all"
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise InputError(f"layers {text!r} are not of the form NAME,NAME,… or all")
    return names


def layer_folder(layer: str) -> str:
    """Name the folder of a layer's runs, fit for file systems and links, no two alike."""
    if _SAFE_NAME.fullmatch(layer) and layer not in (FIGURES, SWEEP, SWEEP_REPORT):
        return layer
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "_", layer)[:60].lstrip(".")
    return f"{safe}-{hashlib.sha256(layer.encode()).hexdigest()[:8]}"


@ordinary()
def sweep(
    model: str,
    seeds: Iterable[int],
    layers: str | Sequence[str] | None = None,
    folder: AnyPath | None = None,
    *,
    regions: Regions | None = None,
    settings: Structured | None = None,
    evaluation: Evaluation | None = None,
    workers: int = 1,
    progress: Progress | bool | None = False,
    **options: Any,
) -> SweepScores:
    """Explain the same pictures at several layers; write sweep.json, sweep.html and a figure.

    A run that stands is not fitted again. An error or an interrupt leaves the finished runs, and
    the same call goes on from there. Numbers do not depend on `workers`, but for rounding: each of
    N processes computes with 1/N of the threads, and the order in which threads add up differs.
    With several workers a script needs the guard `if __name__ == "__main__"`.

    Args:
        model: a generator of the zoo.
        seeds: which pictures.
        layers: where to cut, one name or several, from the latent to the picture; "all" takes those
            that the zoo lists, None the generator's default.
        folder: runs/sweep-MODEL unless given.
        regions: a grid; 6 × 6 unless given.
        settings: of every fit.
        evaluation: of every run. With refits=True the frontier and stability are measured too,
            which takes three more fits a run.
        workers: processes on this machine.
        progress: told of `RUNS`, and of the stages of each run under its name.
        options: further ones of `rp.load_generator`, such as size and device.

    Raises:
        InputError: no seeds, or a malformed argument.
        GeneratorError: a layer that cannot be cut at, told before anything is run, or a run that
            fails.
        StorageError: the folder holds something else, or the disk refuses.
    """
    workers = whole("workers", workers, 1)
    chosen = tuple(dict.fromkeys(map(random_seed, wholes("a seed", seeds))))
    if not chosen:
        raise InputError("a sweep needs at least one seed")
    regions = Regions.of(regions)
    if not regions.is_grid:
        raise InputError("a sweep takes a grid of patches; pictures differ, a label map does not")
    of_kind(model, str, "a sweep takes a generator of the zoo by its name")
    target = path_of(f"runs/sweep-{model}" if folder is None else folder, "the sweep's folder")
    _refuse_other_content(target, model)
    given = tuple(sorted((name, value) for name, value in options.items() if value is not None))
    asked = _Asked(
        model,
        given,
        regions,
        settings_or(settings, Structured, Structured()),
        settings_or(evaluation, Evaluation, Evaluation()),
    )
    with reporting(progress) as report:
        return _swept(asked, chosen, layers, target, workers, report)


def _swept(
    asked: _Asked,
    seeds: Sequence[int],
    layers: str | Sequence[str] | None,
    folder: Path,
    workers: int,
    progress: Progress,
) -> SweepScores:
    cuts = _verified(asked, layers)
    tasks = [
        _Task(cut, seed, folder / layer_folder(cut.layer) / str(seed))
        for cut in cuts
        for seed in seeds
    ]
    for parent in {task.folder.parent for task in tasks}:
        recover(parent)
    waiting = [task for task in tasks if not _stands(asked, task)]
    made = [*(folder / layer_folder(cut.layer) for cut in cuts), folder]
    made = [path for path in made if not path.exists()]
    try:
        _work_off(asked, waiting, len(tasks), workers, progress)
    finally:
        _generator.cache_clear()
        _drop_empty(made)
    result = _collect(asked, folder, tasks, workers)
    result.write(folder)
    try:
        write_sweep_report(folder)
    except MissingExtraError as error:
        # An older page must not stand beside newer numbers.
        for path in (folder / SWEEP_REPORT, folder / FIGURES / SWEEP_FIGURE):
            path.unlink(missing_ok=True)
        progress("report", 0, 1, f"left out: {error}")
    return result


@dataclass(frozen=True)
class _Asked:
    """What all runs of a sweep share."""

    model: str
    options: tuple[tuple[str, Any], ...]
    regions: Regions
    settings: Structured
    evaluation: Evaluation


@dataclass(frozen=True)
class _Cut:
    """A layer at which the generator can be cut."""

    layer: str
    feature_shape: FeatureShape
    digest: str
    settings: Structured


@dataclass(frozen=True)
class _Task:
    """One picture at one layer."""

    cut: _Cut
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.cut.layer}/{self.seed}"


def _verified(asked: _Asked, layers: str | Sequence[str] | None) -> list[_Cut]:
    """Cut at every layer once, so that a wrong name is told before anything is run."""
    names: list[str | None] = [None]
    if layers == "all":
        names = list(ZOO[asked.model].layers) if asked.model in ZOO else names
    elif layers is not None:
        names = [layers] if isinstance(layers, str) else list(layers)
    if not names:
        raise InputError("a sweep needs at least one layer")
    cuts = {}
    for name in names:
        generator = load_generator(asked.model, name, **dict(asked.options))
        settings = asked.settings.settled(generator)
        cut = _Cut(generator.layer, generator.feature_shape, generator.digest, settings)
        cuts[cut.layer] = cut
    return list(cuts.values())


def _refuse_other_content(folder: Path, model: str) -> None:
    """Refuse a folder that is neither new nor empty nor a sweep of this generator."""
    check_folder(folder)
    recover(folder)
    if (folder / SWEEP).is_file():
        other = read_json(folder / SWEEP).get("generator")
        if other != model:
            raise StorageError(f"{folder} holds a sweep of {other!r}; choose another folder")
        return
    # An interrupted sweep has left folders of runs, and nothing else.
    if not all(
        path.is_dir() and all((run / MANIFEST).is_file() for run in visible(path))
        for path in visible(folder)
    ):
        raise StorageError(
            f"{folder} exists and is not a sweep's folder; choose a new or empty folder"
        )


def _stands(asked: _Asked, task: _Task) -> bool:
    """Tell whether a run stands, measured as asked; a run of something else is refused."""
    if not (task.folder / MANIFEST).is_file():
        return False
    manifest = read_manifest(task.folder)
    origin = manifest.provenance
    expected = {
        "another hold": (origin.hold, dict(asked.options).get("hold")),
        "other generator weights": (origin.weights_digest, task.cut.digest),
        "another layer": (origin.layer, task.cut.layer),
        "another picture seed": (origin.picture_seed, task.seed),
        "other patches": (to_builtins(manifest.regions), asked.regions.to_dict()),
    }
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise StorageError(
                f"{task.folder} holds a run with {what} ({found!r}, not {wanted!r}); "
                "choose another folder"
            )
    settings = asdict(task.cut.settings)
    if origin.settings != settings:
        differing = ", ".join(
            f"{name}={origin.settings.get(name)}, not {value}"
            for name, value in settings.items()
            if origin.settings.get(name) != value
        )
        raise StorageError(
            f"{task.folder} holds a run with other settings ({differing}); choose another folder"
        )
    measured = manifest.evaluation == asdict(asked.evaluation)
    return measured and (task.folder / REPORT).is_file()


def _work_off(
    asked: _Asked, waiting: list[_Task], total: int, workers: int, progress: Progress
) -> None:
    done = total - len(waiting)
    progress(RUNS, done, total, f"{done} stand already" if done else "")

    def finished(task: _Task) -> None:
        nonlocal done
        done += 1
        progress(RUNS, done, total, f"{task} finished")

    workers = min(workers, len(waiting))
    if workers > 1:
        in_workers(partial(_run, asked), waiting, workers, finished, progress)
        return
    for task in waiting:
        _run(asked, task, progress)
        finished(task)


def _run(asked: _Asked, task: _Task, progress: Progress) -> None:
    def named(stage: str, done: int, total: int, note: str = "") -> None:
        progress(f"{task} {stage}", done, total, note)

    try:
        runs.explain_to_folder(
            _generator(asked.model, task.cut.layer, asked.options),
            task.seed,
            task.folder,
            regions=asked.regions,
            settings=asked.settings,
            evaluation=asked.evaluation,
            progress=named,
        )
    except GeneratorError as error:
        raise GeneratorError(f"{task.cut.layer}, picture {task.seed}: {error}") from error


@lru_cache(maxsize=1)
def _generator(model: str, layer: str, options: tuple[tuple[str, Any], ...]) -> Generator:
    """Load a generator, and keep it for the next run: runs of one layer come one after another."""
    return load_generator(model, layer, **dict(options))


def _drop_empty(folders: Sequence[Path]) -> None:
    """Remove folders in which no run was finished."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _collect(asked: _Asked, folder: Path, tasks: list[_Task], workers: int) -> SweepScores:
    layers = [
        LayerScores(
            layer=cut.layer,
            feature_shape=cut.feature_shape,
            patches=asked.regions.count,
            pictures=tuple(_picture(folder, task) for task in own),
        )
        for cut, own in itertools.groupby(tasks, key=lambda task: task.cut)
    ]
    first = tasks[0].cut
    return SweepScores(
        generator=asked.model,
        weights_digest=first.digest,
        options={name: str(value) if isinstance(value, Path) else value
                 for name, value in asked.options if name != "device"},
        regions=asked.regions.to_dict(),
        patches=asked.regions.count,
        seeds=tuple(dict.fromkeys(task.seed for task in tasks)),
        settings=asdict(first.settings),
        evaluation=asdict(asked.evaluation),
        versions=current_versions(),
        machine={
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "device": dict(asked.options).get("device", "cpu"),
            "workers": workers,
            "threads_per_worker": threads_per_worker(workers),
        },
        date=datetime.date.today().isoformat(),
        layers=tuple(layers),
    )  # fmt: skip


def _picture(folder: Path, task: _Task) -> PictureScores:
    origin = read_manifest(task.folder).provenance
    run = task.folder.relative_to(folder).as_posix()
    return PictureScores(
        seed=task.seed,
        run=run,
        report=f"{run}/{REPORT}" if (task.folder / REPORT).is_file() else None,
        converged=origin.converged,
        wall_seconds=origin.wall_seconds,
        scores=Scores.read(task.folder),
    )
