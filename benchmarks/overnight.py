"""What a sweep takes beside its tail: `faces`, parts, one thread; pictures an hour and overhead.

    .venv/bin/python benchmarks/overnight.py [QUALITY …] [--quick] [--keep scores] [--memory 200]

Of each quality and of what is kept: a sweep in a process of its own, imports left out. Every row
that goes through the tail is counted, forward alone or forward and backward, and priced at the
speed of the tail alone in a batch, measured in the same process before and after the sweep. The
ratios are seconds of all work over that price, up to the fit, with scores, and with the report (or
what `keep=scores` keeps). Seconds are of the processor, which is the wall time of one thread that
nothing disturbs; wall times stand beside them. What a sweep takes once, such as its page, is told
apart. Efficiency of two workers: seconds a picture (fit
and scores) of one worker by itself over those of two at once, each of one thread. --memory sweeps
as many pictures with two steps each, and notes the peak after 20 of them and after all.
--quick sweeps two pictures, fast, and writes nothing.
Writes benchmarks/results/overnight.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import record
import torch

import regional_primitives as rp
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.generators.feature import as_units, units_as
from regional_primitives.generators.recorded.tail import RecordedTail
from regional_primitives.runs import folder as runs
from regional_primitives.runs.sweep import RUNS, sweep
from regional_primitives.runtime.run_files import MANIFEST

QUALITIES = ("fast", "balanced")
KEPT = ("runs", "scores")
STAGES = {"fit": "explain", "scores": "_scored", "report": "drawn"}
"""By the functions of a run folder that do them."""
BATCHES = {"forward": 64, "backward": 12}
"""Of the tail alone: of what `render` gives it, and of a step of a fit."""
ROUNDS = 7
MEMORY = 20
"""Pictures after which memory is noted first."""


@dataclass
class Counted:
    """Rows through the tail, and seconds by stage."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BATCHES, 0))
    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while a sweep runs in this process."""
        called = RecordedTail.__call__

        def counting(tail: RecordedTail, feature: Any) -> Any:
            first = feature if isinstance(feature, torch.Tensor) else feature[0]
            self.rows["backward" if first.requires_grad else "forward"] += len(first)
            return called(tail, feature)

        with patch.object(RecordedTail, "__call__", counting):
            patches = [
                patch.object(runs, name, self._timed(stage, getattr(runs, name)))
                for stage, name in STAGES.items()
            ]
            for one in patches:
                one.start()
            try:
                yield
            finally:
                for one in patches:
                    one.stop()

    def _timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        found = self.stages.setdefault(stage, dict.fromkeys(("seconds", *BATCHES), 0.0))

        def timed(*args: Any, **kwargs: Any) -> Any:
            before, began = dict(self.rows), time.process_time()
            try:
                return work(*args, **kwargs)
            finally:
                found["seconds"] += time.process_time() - began
                for kind in BATCHES:
                    found[kind] += self.rows[kind] - before[kind]

        return timed


def tail_alone(generator: rp.Generator) -> dict[str, float]:
    """Return processor seconds a row of the tail alone, forward, and forward and backward."""
    latents = generator.sample_latents(1, seed=0)
    bound = generator.at(latents)
    units = as_units(bound.head(latents))
    found = {}
    for kind, count in BATCHES.items():
        batch = units.expand(count, -1).contiguous()
        seconds = []
        for _ in range(2 + ROUNDS):
            leaf = batch.clone().requires_grad_(kind == "backward")
            began = time.process_time()
            images = bound.tail(units_as(leaf, bound.feature_shape))
            if kind == "backward":
                torch.autograd.grad(images, leaf, torch.ones_like(images))
            seconds.append(time.process_time() - began)
        found[kind] = statistics.median(seconds[2:]) / count
    return found


def one_thread(quality: str, keep: str, pictures: int) -> dict[str, Any]:
    """Sweep in this process, and tell what it took beside its tail."""
    torch.set_num_threads(1)
    generator = rp.load_generator("faces")
    settings, counted = rp.Structured.of_quality(quality), Counted()
    with tempfile.TemporaryDirectory() as folder:
        # The first picture of a process loads what reports are drawn with.
        few = replace(settings, steps=2)
        _sweep(1, Path(folder) / "first", few, keep)
        before = tail_alone(generator)
        wall, processor = time.perf_counter(), time.process_time()
        with counted.watching():
            _sweep(pictures, Path(folder) / "runs", settings, keep)
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        after = tail_alone(generator)
    price = {kind: (before[kind] + after[kind]) / 2 for kind in BATCHES}

    def alone(rows: dict[str, float] | dict[str, int]) -> float:
        return sum(rows[kind] * price[kind] for kind in BATCHES)

    seconds, tail, ratios = 0.0, 0.0, {}
    for stage, told in counted.stages.items():
        seconds, tail = seconds + told["seconds"], tail + alone(told)
        if told["seconds"]:
            ratios[f"up to {stage}"] = seconds / tail
    return {
        "quality": quality,
        "keep": keep,
        "pictures": pictures,
        "seconds_a_picture": seconds / pictures,
        "wall_seconds_a_picture": wall / pictures,
        "pictures_an_hour": 3600 * pictures / seconds,
        "rows_forward": counted.rows["forward"] / pictures,
        "rows_backward": counted.rows["backward"] / pictures,
        "tail_share": tail / seconds,
        **ratios,
        "stage_seconds": {
            stage: told["seconds"] / pictures for stage, told in counted.stages.items()
        },
        "seconds_a_sweep": processor - seconds,
        "tail_rows_a_second": {kind: 1 / each for kind, each in price.items()},
    }


def two_workers(quality: str, pictures: int) -> dict[str, Any]:
    """Return how fast a worker is beside another: 1 is as fast as by itself."""
    found = {}
    for workers in (1, 2):
        torch.set_num_threads(workers)  # of the sweep, one a worker
        with tempfile.TemporaryDirectory() as folder:
            _sweep(pictures, Path(folder) / "runs", rp.Structured.of_quality(quality), "scores",
                   workers=workers)  # fmt: skip
            told = [read_manifest(path.parent) for path in Path(folder).rglob(MANIFEST)]
        found[workers] = statistics.fmean(
            one.provenance.wall_seconds + (one.evaluation_seconds or 0) for one in told
        )
    return {"quality": quality, "pictures": pictures, "efficiency": found[1] / found[2],
            "seconds": {str(workers): seconds for workers, seconds in found.items()}}  # fmt: skip


def memory(keep: str, pictures: int) -> dict[str, Any]:
    """Sweep many pictures with two steps each; tell MiB at the peak, after some and after all."""
    torch.set_num_threads(1)
    peaks: dict[str, float] = {}

    def note(stage: str, done: int, total: int, _: str = "") -> None:
        if stage == RUNS and done in (1, MEMORY, total):
            peaks[str(done)] = _peak_mib()

    settings = replace(rp.Structured.of_quality("fast"), steps=2)
    few = rp.Evaluation(free_demands=0, components=4)
    with tempfile.TemporaryDirectory() as folder:
        _sweep(pictures, Path(folder) / "runs", settings, keep, evaluation=few, progress=note)
    return {"keep": keep, "pictures": pictures, "peak_mib_after": peaks}


def _sweep(pictures: int, folder: Path, settings: rp.Structured, keep: str, **rest: Any) -> None:
    sweep("faces", range(pictures), None, folder, regions="parts", settings=settings,
          keep=keep, **rest)  # type: ignore[arg-type]  # fmt: skip


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(
        int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")
    )


def main() -> None:
    """Measure what is asked for, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qualities", nargs="*", choices=[*QUALITIES, []], metavar="QUALITY")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--memory", type=int, default=0, help="pictures of the sweep for memory")
    parser.add_argument("--keep", choices=KEPT, help="measure only sweeps that keep this")
    parser.add_argument("--quick", action="store_true", help="two pictures, and nothing written")
    chosen = parser.parse_args()
    qualities = ["fast"] if chosen.quick else chosen.qualities
    qualities = qualities or ([] if chosen.memory else list(QUALITIES))
    kinds = (chosen.keep,) if chosen.keep else KEPT
    pictures = 2 if chosen.quick else chosen.pictures
    known = record.read("overnight")
    sweeps = {(row["quality"], row["keep"]): row for row in known.get("sweeps", [])}
    workers = {row["quality"]: row for row in known.get("workers", [])}
    peaks = {row["keep"]: row for row in known.get("memory", [])}

    def alone(work: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found = pool.submit(work, *args).result()
        print(json.dumps(found), flush=True)
        return found

    def keep() -> None:
        if not chosen.quick:
            torch.set_num_threads(1)
            record.keep("overnight", {
                **record.ran_on(), "sweeps": list(sweeps.values()),
                "workers": list(workers.values()), "memory": list(peaks.values()),
            })  # fmt: skip

    for quality in qualities:
        for kept in kinds:
            sweeps[quality, kept] = alone(one_thread, quality, kept, pictures)
            keep()
        workers[quality] = alone(two_workers, quality, pictures)
        keep()
    for kept in kinds if chosen.memory else ():
        peaks[kept] = alone(memory, kept, chosen.memory)
        keep()


if __name__ == "__main__":
    main()
