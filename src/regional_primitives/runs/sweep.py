"""Sweeps: many pictures at several layers of a generator, each an ordinary run, then compared.

Run folders are DIR/<layer>/<seed>, so that a sweep that was stopped goes on where it stood.
"""

from __future__ import annotations

import datetime
import itertools
import os
import platform
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, get_args

from regional_primitives.compare.kept import converged
from regional_primitives.compare.vocabulary import VOCABULARY, write_vocabulary
from regional_primitives.decompose.division import division
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.decompose.structured import Structured
from regional_primitives.errors import BusyError, GeneratorError, InputError, StorageError
from regional_primitives.generators import load_generator
from regional_primitives.regions import Regions
from regional_primitives.runs.folder import drawn, plain_name, refuse_other_content
from regional_primitives.runs.sweep_runs import (
    Afar,
    Asked,
    Batch,
    Keep,
    Task,
    forget_generators,
)
from regional_primitives.runtime.arguments import (
    AnyPath,
    of_kind,
    path_of,
    random_seed,
    whole,
    wholes,
)
from regional_primitives.runtime.cluster import LOCAL, Cluster
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.run_files import FIGURES, MANIFEST, REPORT
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.staging import (
    attended,
    marked,
    parents_of,
    recover,
    refusals,
    visible,
)
from regional_primitives.runtime.storage import read_json
from regional_primitives.runtime.workers import in_workers, threads_per_worker, work_off
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

RUNS = "runs"
"""The stage that counts finished runs; all other stages are part of one."""
_MOST_SEEDS = 100_000
_PROCESSES = ("cluster", "workers", "threads_per_worker")
_ON_GPU = 16
"""Pictures that are fitted in lockstep on a GPU."""


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
    workers: int | None = None,
    ray: str | None = None,
    stream: bool = False,
    share: bool = False,
    together: int | None = None,
    keep: Keep = "runs",
    strict: bool = False,
    progress: Progress | bool | None = False,
    **options: Any,
) -> SweepScores:
    """Explain the same pictures at several layers.

    Writes sweep.json, the same as a table (sweep.parquet, by the extra `sweeps`), sweep.html and
    a figure; from 8 pictures on also vocabulary.json, see `rp.Vocabulary`.

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
        workers: processes; one unless given, or with `ray` as many as the cluster has processors,
            or GPUs where `device` is one.
        ray: do the runs on a Ray cluster: HOST:PORT of its head, "auto", or "local" for one that is
            begun here. Its machines need the same versions of this package, PyTorch and NumPy.
            Where they do not see the sweep's folder, runs come to this process, which writes them.
        stream: let runs come to this process even where the cluster sees the folder.
        share: work on a folder on which another sweep is at work, each doing what the other has
            not begun; without it the second is refused.
        together: how many pictures are fitted in lockstep, which changes no more than rounding; one
            unless given, or 16 where `device` is a GPU (that number is unmeasured).
        keep: "runs" keeps a whole run folder of each picture; "scores" its run.json, scores.json
            and fields.safetensors (fields bool [K, n] and strengths [K]) alone. Whole runs that
            stand are kept.
        strict: a picture that cannot be explained ends the sweep.
        progress: told of `RUNS`, and of the stages of each run under its name.
        options: further ones of `rp.load_generator`, such as size and device.

    Raises:
        InputError: no seeds, or a malformed argument.
        MissingExtraError: Ray is not installed.
        GeneratorError: a layer that cannot be cut at, told before anything is run; with `strict`
            a picture that cannot be explained, otherwise if that is so of every picture.
        StorageError: the folder holds something else, another sweep is at work there, or the disk
            refuses.
    """
    workers = None if workers is None else whole("workers", workers, 1)
    if ray is None and stream:
        raise InputError("stream=True says how runs come from a Ray cluster; give ray= too")
    if ray is not None:
        of_kind(ray, str, f"ray is HOST:PORT of a Ray cluster's head, auto, or {LOCAL}")
    if not isinstance(keep, str) or keep not in get_args(Keep):
        raise InputError(f"keep is one of {', '.join(get_args(Keep))}, not {keep!r}")
    chosen = tuple(dict.fromkeys(random_seed(seed) for seed in wholes("a seed", seeds, 0)))
    if not chosen:
        raise InputError("a sweep needs at least one seed")
    of_kind(model, str, "a sweep takes a generator by its name, as rp.load_generator does")
    target = path_of(default_sweep(model) if folder is None else folder, "the sweep's folder")
    _refuse_other_sweep(target, model)
    if isinstance(regions, str) or resize:  # the generator has to say what its parts or sizes are
        regions = division(regions, load_generator(model, **options), resize=resize)
    asked = Asked(
        model,
        tuple(sorted((name, value) for name, value in options.items() if value is not None)),
        Regions.of(regions),
        settings_or(settings, Structured, Structured()),
        settings_or(evaluation, Evaluation, Evaluation()),
        keep,
        uuid.uuid4().hex,
    )
    on_gpu = not str(options.get("device") or "cpu").startswith("cpu")
    usual = _ON_GPU if on_gpu else 1
    count = usual if together is None else whole("together", together, 1)
    # The machine that asks need not have the device of those that do it.
    elsewhere = {"device": "cpu"} if ray and on_gpu else {}
    batches = asked.batches(layers, chosen, target, count, **elsewhere)
    tasks = [task for batch in batches for task in batch.tasks]
    begun = dict[int, int]()

    def missing(batch: Batch) -> int:
        begun[id(batch)] = asked.missing(batch)
        return begun[id(batch)]

    failed: list[FailedPicture] = []

    def receive(batch: Batch, failures: tuple[FailedPicture, ...]) -> tuple[int, str]:
        if strict and failures:
            raise GeneratorError(failures[0].why)
        failed.extend(failures)
        told = "; ".join(f"failed: {one.why}" for one in failures)
        return begun[id(batch)] - len(failures), told or "finished"

    with ExitStack() as stack:
        report = stack.enter_context(reporting(progress))
        stack.enter_context(_at_work(target, tasks, alone=not share))
        stack.callback(forget_generators)
        work: Callable[[Batch, Progress], Any] = asked.run
        how: dict[str, Any] = {"receive": receive, "busy": attrgetter("is_busy"), "parts": len}
        how["missing"] = missing
        if ray is not None:
            cluster = stack.enter_context(closing(Cluster(ray, workers, gpus=int(on_gpu))))
            afar = Afar.of(asked, None if stream else stack.enter_context(marked(target)))
            work, how["perform"] = afar.run, cluster.perform
            how["receive"] = lambda batch, sent: receive(batch, afar.receive(batch, sent))
        elif workers is not None and workers > 1:
            how["perform"] = partial(in_workers, workers=workers)
        work_off(work, batches, asked.stands, RUNS, report, **how)
        count = workers or 1
        machine: dict[str, Any]
        machine = {"workers": count, "threads_per_worker": threads_per_worker(count)}
        if ray is not None and cluster.processes:  # else nothing was left to do
            machine = {"cluster": ray} | cluster.processes
        elif not any(begun.values()) and (target / SWEEP).is_file():
            machine = SweepScores.read(target).machine
        result = _collected(asked, target, tasks, failed, machine)
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


def _refuse_other_sweep(folder: Path, model: str) -> None:
    """Refuse a folder of something else; an interrupted sweep has left folders of runs alone."""

    def ours(path: Path) -> bool:
        if path.is_file():  # left where sweep.json was removed
            return path.name in (INDEX, VOCABULARY, SWEEP_REPORT)
        if path.name == FIGURES:
            return all(figure.name == SWEEP_FIGURE for figure in visible(path))
        return path.is_dir() and all((run / MANIFEST).is_file() for run in visible(path))

    otherwise = "exists and is not a sweep's folder; choose a new or empty folder"
    refuse_other_content(folder, SWEEP, otherwise, ours)
    if (folder / SWEEP).is_file():
        try:
            other = read_json(folder / SWEEP).get("generator")
        except StorageError as error:
            raise StorageError(f"{error}; remove it, and the sweep writes it anew") from error
        if other != model:
            raise StorageError(f"{folder} holds a sweep of {other!r}; choose another folder")


@contextmanager
def _at_work(folder: Path, tasks: Sequence[Task], *, alone: bool) -> Iterator[None]:
    """Make the sweep's folder, and be at work in it; folders that stay empty go again."""
    with ExitStack() as stack:
        for parent in dict.fromkeys(task.folder.parent for task in tasks):
            recover(parent)
            stack.enter_context(parents_of(parent / MANIFEST))
        with refusals(f"cannot write {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(attended(folder, alone=alone))
        except BusyError as error:
            raise BusyError(
                f"another sweep is at work in {folder}; wait for it, or join it with share=True "
                "(--share)"
            ) from error
        yield


def _collected(
    asked: Asked,
    folder: Path,
    tasks: list[Task],
    failed: list[FailedPicture],
    machine: dict[str, Any],
) -> SweepScores:
    layers = []
    seeds = {one.seed for one in failed}
    made = [task for task in tasks if task.seed not in seeds]
    if not made:
        raise GeneratorError(f"no picture could be explained; {failed[0].why}")
    for task in made:
        if asked.missing(Batch((task,))):
            raise StorageError(
                f"{task.folder} was measured otherwise by another sweep meanwhile; sweep again"
            )
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
            **{name: machine[name] for name in _PROCESSES if name in machine},
        },
        date=datetime.date.today().isoformat(),
        layers=tuple(layers),
        failed=tuple(failed),
    )  # fmt: skip


def _picture(folder: Path, task: Task) -> PictureScores:
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
