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
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from regional_primitives.compare.kept import converged
from regional_primitives.compare.vocabulary import VOCABULARY, write_vocabulary
from regional_primitives.decompose.division import division
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.decompose.structured import Structured
from regional_primitives.errors import GeneratorError, InputError, StorageError
from regional_primitives.generators import ZOO, Generator, load_generator
from regional_primitives.generators.factory import names_a_factory
from regional_primitives.generators.feature import FeatureShape
from regional_primitives.regions import Regions
from regional_primitives.runs.folder import (
    drawn,
    explain_to_folder,
    plain_name,
    refuse_other_content,
    scores_to_folder,
)
from regional_primitives.runs.key import Work
from regional_primitives.runtime.arguments import (
    AnyPath,
    of_kind,
    path_of,
    random_seed,
    whole,
    wholes,
)
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.run_files import FIELDS, FIGURES, MANIFEST, REPORT, TENSORS
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.staging import recover, visible
from regional_primitives.runtime.storage import read_json
from regional_primitives.runtime.workers import threads_per_worker, work_off
from regional_primitives.scores import Evaluation, Scores
from regional_primitives.scores.sweep_scores import (
    INDEX,
    SWEEP,
    FailedPicture,
    LayerScores,
    PictureScores,
    SweepScores,
)
from regional_primitives.show.sweep_page import SWEEP_FIGURE, SWEEP_REPORT, write_sweep_report

Keep: TypeAlias = Literal["runs", "scores"]
"""What a sweep keeps of each picture."""

RUNS = "runs"
"""The stage that counts finished runs; all other stages are part of one."""
_MOST_SEEDS = 100_000
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read picture seeds: `0:4` (half open, so 0 to 3), a list `1,5,9`, or one number."""
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
    """Read layers: `all`, or names set apart by commas; None is the generator's own choice."""
    if text is None or text.strip() == "all":
        return None if text is None else "all"
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise InputError(f"layers {text!r} are not of the form NAME,NAME,… or all")
    return names


def layer_folder(layer: str) -> str:
    """Name the folder of a layer's runs, fit for file systems and links, no two alike."""
    if _SAFE_NAME.fullmatch(layer) and layer not in (FIGURES, SWEEP, SWEEP_REPORT, VOCABULARY):
        return layer
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "_", layer)[:60].lstrip(".")
    return f"{safe}-{hashlib.sha256(layer.encode()).hexdigest()[:8]}"


def default_sweep(model: str) -> Path:
    """Name the folder of a sweep for which none is named."""
    return Path("runs") / f"sweep-{plain_name(model)}"


@ordinary()
def sweep(
    model: str,
    seeds: Iterable[int],
    layers: str | Sequence[str] | None = None,
    folder: AnyPath | None = None,
    *,
    regions: Regions | str | None = None,
    resize: bool = False,
    settings: Structured | None = None,
    evaluation: Evaluation | None = None,
    workers: int = 1,
    keep: Keep = "runs",
    strict: bool = False,
    progress: Progress | bool | None = False,
    **options: Any,
) -> SweepScores:
    """Explain the same pictures at several layers.

    Writes sweep.json, the same as a table (sweep.parquet, by the extra `sweeps`), sweep.html and
    a figure.

    A run that stands is not fitted again. An error or an interrupt leaves the finished runs, and
    the same call goes on from there. A picture that cannot be explained at one of the layers is
    left out at all of them, and told in `failed`. What is written is of the pictures asked for now:
    runs of others that stand in the folder stay, and are not among them. Numbers do not depend on
    `workers`, but for rounding: each of N processes computes with 1/N of the threads, and the order
    in which threads add up differs.
    With several workers a script needs the guard `if __name__ == "__main__"`.

    Args:
        model: as for `rp.load_generator`.
        seeds: which pictures.
        layers: where to cut, one name or several, from the latent to the picture; "all" takes those
            that the zoo lists, None the generator's default.
        folder: runs/sweep-MODEL unless given.
        regions: one division for all pictures, as for `rp.explain`; a 6 × 6 grid unless given.
        resize: fit a label map to the size of the pictures.
        settings: of every fit.
        evaluation: of every run. With refits=True the frontier and stability are measured too,
            which takes three more fits a run.
        workers: processes on this machine.
        keep: "runs" keeps a whole run folder of each picture; "scores" its run.json, scores.json
            and fields.safetensors (fields bool [K, n] and strengths [K]) alone. Whole runs that
            stand are kept.
        strict: a picture that cannot be explained ends the sweep.
        progress: told of `RUNS`, and of the stages of each run under its name.
        options: further ones of `rp.load_generator`, such as size and device.

    Raises:
        InputError: no seeds, or a malformed argument.
        GeneratorError: a layer that cannot be cut at, told before anything is run; with `strict`
            a picture that cannot be explained, otherwise if that is so of every picture.
        StorageError: the folder holds something else, or the disk refuses.
    """
    workers = whole("workers", workers, 1)
    if keep not in get_args(Keep):
        raise InputError(f"keep is one of {', '.join(get_args(Keep))}, not {keep!r}")
    chosen = tuple(dict.fromkeys(random_seed(seed) for seed in wholes("a seed", seeds, 0)))
    if not chosen:
        raise InputError("a sweep needs at least one seed")
    of_kind(model, str, "a sweep takes a generator by its name, as rp.load_generator does")
    target = path_of(default_sweep(model) if folder is None else folder, "the sweep's folder")
    _refuse_other_sweep(target, model)
    if isinstance(regions, str) or resize:  # the generator has to say what its parts or sizes are
        regions = division(regions, load_generator(model, **options), resize=resize)
    asked = _Asked(
        model,
        tuple(sorted((name, value) for name, value in options.items() if value is not None)),
        Regions.of(regions),
        settings_or(settings, Structured, Structured()),
        settings_or(evaluation, Evaluation, Evaluation()),
        keep,
    )
    with reporting(progress) as report:
        tasks = asked.tasks(layers, chosen, target)
        made = [*dict.fromkeys(task.folder.parent for task in tasks)]
        for parent in made:
            recover(parent)
        made = [path for path in (*made, target) if not path.exists()]
        failed: list[FailedPicture] = []

        def excuse(task: _Task, error: Exception) -> bool:
            if strict or not isinstance(error, _NotExplainedError):
                return False
            failed.append(FailedPicture(task.seed, task.work.layer, str(error)))
            return True

        try:
            stands = partial(_stands, asked)
            work_off(partial(_run, asked), tasks, stands, RUNS, report, workers, excuse=excuse)
        finally:
            _generator.cache_clear()
            for path in made:  # in which no run was finished
                with suppress(OSError):
                    path.rmdir()
        result = _collected(asked, target, tasks, failed, workers)
        result.write(target)
        write_vocabulary(target, result, asked.regions, report)
        drawn(partial(result.write_index, target), report, target / INDEX)
        older = (target / SWEEP_REPORT, target / FIGURES / SWEEP_FIGURE)
        drawn(partial(write_sweep_report, target), report, *older)
    return result


def load_sweep(folder: AnyPath) -> SweepScores:
    """Read a sweep's folder; `.table` is a pandas frame of it, a run a row.

    Raises:
        StorageError: no sweep, a corrupt one, or one of another release.
    """
    folder = path_of(folder, "the sweep's folder")
    if not (folder / SWEEP).is_file():
        raise StorageError(f"{folder} is no sweep: it holds no {SWEEP}")
    return SweepScores.read(folder)


@dataclass(frozen=True)
class _Asked:
    """What all runs of a sweep share."""

    model: str
    options: tuple[tuple[str, Any], ...]
    regions: Regions
    settings: Structured
    evaluation: Evaluation
    keep: Keep

    def tasks(
        self, layers: str | Sequence[str] | None, seeds: Sequence[int], folder: Path
    ) -> list[_Task]:
        """Cut at every layer once, so that a wrong name is told before anything is run."""
        names: list[str | None] = [None]
        if layers == "all":
            if self.model not in ZOO and names_a_factory(self.model):
                raise InputError(
                    f"all layers are those that the zoo lists; name those of {self.model}, see "
                    "`primitives layers`"
                )
            names = list(ZOO[self.model].layers) if self.model in ZOO else names
        elif layers is not None:
            names = [layers] if isinstance(layers, str) else list(layers)
        if not names:
            raise InputError("a sweep needs at least one layer")
        cuts = {}
        for name in names:
            generator = load_generator(self.model, name, **dict(self.options))
            settings = self.settings.settled(generator)
            work = Work.asked(generator, None, self.regions, settings)
            cuts[generator.layer] = (name, generator.feature_shape, work)
        return [
            _Task(name, shape, work, seed, folder / layer_folder(layer) / str(seed))
            for layer, (name, shape, work) in cuts.items()
            for seed in seeds
        ]


@dataclass(frozen=True)
class _Task:
    """One picture at one layer."""

    layer: str | None
    """As it was asked for; None for the generator's own choice."""
    feature_shape: FeatureShape
    work: Work
    """What all pictures at this layer share."""
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.work.layer}/{self.seed}"


def _refuse_other_sweep(folder: Path, model: str) -> None:
    """Refuse a folder of something else; an interrupted sweep has left folders of runs alone."""

    def runs_alone(path: Path) -> bool:
        return path.is_dir() and all((run / MANIFEST).is_file() for run in visible(path))

    otherwise = "exists and is not a sweep's folder; choose a new or empty folder"
    refuse_other_content(folder, SWEEP, otherwise, runs_alone)
    if (folder / SWEEP).is_file():
        other = read_json(folder / SWEEP).get("generator")
        if other != model:
            raise StorageError(f"{folder} holds a sweep of {other!r}; choose another folder")


def _stands(asked: _Asked, task: _Task) -> bool:
    """Tell whether a run stands, measured as asked; a run of something else is refused."""
    if not (task.folder / MANIFEST).is_file():
        return False
    manifest = read_manifest(task.folder)
    wanted = replace(task.work, picture_seed=task.seed)
    for difference in wanted.differences(Work.done(manifest)):
        raise StorageError(f"{task.folder} holds a run with {difference}; choose another folder")
    enough = (REPORT, FIELDS) if asked.keep == "scores" else (REPORT,)
    whole = any((task.folder / name).is_file() for name in enough)
    return whole and manifest.evaluation == asdict(asked.evaluation)


class _NotExplainedError(GeneratorError):
    """One picture cannot be explained."""


def _run(asked: _Asked, task: _Task, progress: Progress) -> None:
    def named(stage: str, done: int, total: int, note: str = "") -> None:
        progress(f"{task} {stage}", done, total, note)

    layer, seed = task.work.layer, task.seed
    whole = (task.folder / TENSORS).is_file()
    light = not whole and (task.folder / FIELDS).is_file()
    explained: Callable[..., object] = partial(explain_to_folder, overwrite=light)
    if asked.keep == "scores" and not whole:
        explained = scores_to_folder
    try:
        explained(
            _generator(asked.model, task.layer, asked.options),
            seed,
            task.folder,
            regions=asked.regions,
            settings=asked.settings,
            evaluation=asked.evaluation,
            progress=named,
        )
    except (GeneratorError, InputError) as error:
        raise _NotExplainedError(f"{layer}, picture {seed}: {error}") from error


@lru_cache(maxsize=1)
def _generator(model: str, layer: str | None, options: tuple[tuple[str, Any], ...]) -> Generator:
    """Load a generator, and keep it for the next run: runs of one layer come one after another."""
    return load_generator(model, layer, **dict(options))


def _collected(
    asked: _Asked, folder: Path, tasks: list[_Task], failed: list[FailedPicture], workers: int
) -> SweepScores:
    layers = []
    seeds = {one.seed for one in failed}
    made = [task for task in tasks if task.seed not in seeds]
    if not made:
        raise GeneratorError(f"no picture could be explained; {failed[0].why}")
    for layer, found in itertools.groupby(made, key=lambda task: task.work.layer):
        own = list(found)
        pictures = tuple(_picture(folder, task) for task in own)
        layers.append(LayerScores(layer, own[0].feature_shape, asked.regions.count, pictures))
    first = tasks[0].work
    return SweepScores(
        generator=asked.model,
        weights_digest=first.weights_digest,
        options={name: str(value) if isinstance(value, Path) else value
                 for name, value in asked.options if name != "device"},
        regions=asked.regions.to_dict(),
        patches=asked.regions.count,
        seeds=tuple(picture.seed for picture in layers[0].pictures),
        settings=first.settings,
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
        failed=tuple(failed),
    )  # fmt: skip


def _picture(folder: Path, task: _Task) -> PictureScores:
    origin = read_manifest(task.folder).provenance
    run = task.folder.relative_to(folder).as_posix()
    return PictureScores(
        seed=task.seed,
        run=run,
        report=f"{run}/{REPORT}" if (task.folder / REPORT).is_file() else None,
        converged=converged(task.folder),
        wall_seconds=origin.wall_seconds,
        scores=Scores.read(task.folder),
    )
