"""Kills processes at every file operation and at random moments; counts what is lost or left.

    python benchmarks/kills.py                       # at every file operation, and 50 at moments
    python benchmarks/kills.py --operations 40 --moments 0

A process that saves, replaces or measures a run folder is killed (SIGKILL) right before its n-th
operation on files, for n spread over all of them; and the commands explain, evaluate and sweep at
random moments. After each kill: is every file of others still there? Is the run, if one stands,
whole, all old or all new? And after the next start: is the work done, and nothing hidden left?
Only the drawing of runs is left out; the same files are written in the same way.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.runs import folder as runs
from regional_primitives.runtime import staging
from regional_primitives.runtime.run_files import is_run_file
from regional_primitives.runtime.staging import staged_file
from regional_primitives.runtime.storage import read_json

QUICK = rp.Structured(steps=2, batch=4, probes=1, baseline_count=16)
LITTLE = rp.Evaluation(demands=4, components=1, contexts=2, free_demands=0)
OTHERS = {"notes.txt": "of the user", "figures/sketch.png": "too", "kept/edit.json": "also"}
_CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.link", "os.symlink"}


@dataclass(frozen=True)
class Scenario:
    """Work on the folder `run`, and what stands there before."""

    name: str
    work: Callable[[Path], Any]
    before: Callable[[Path], Any] | None = None
    two_renames: bool = False

    def prepare(self, place: Path) -> Path:
        """Make what stands before; return the run folder."""
        run = place / "run"
        if self.before is not None:
            self.before(run)
            for name, content in OTHERS.items():
                (run / name).parent.mkdir(exist_ok=True)
                (run / name).write_text(content)
        return run


def main() -> None:
    """Kill, and tell what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--operations", type=int, default=1000, help="at most")
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        os.environ["REGIONAL_PRIMITIVES_CACHE"] = str(Path(place) / "cache")
        if asked.operations:
            with scenarios() as known:
                at_operations(known, Path(place), asked.operations, found)
        if asked.moments:
            with mock.patch.object(runs, "write_report", _write_report):
                at_moments(Path(place), asked.moments, random.Random(asked.seed), found)
    wrong = sum(found[kind] for kind in ("files lost", "folders mixed", "hidden left", "not done"))
    print(", ".join(f"{found[kind]} {kind}" for kind in (
        "killed at operations", "killed at moments", "ended before", "files lost", "folders mixed",
        "hidden left", "not done",
    )))  # fmt: skip
    sys.exit(1 if wrong else 0)


# At every file operation


@contextmanager
def scenarios() -> Iterator[list[Scenario]]:
    """Fit and measure two pictures once; each scenario then writes what is known."""
    planted, regions = rp.load_generator("planted"), rp.Regions.grid(4, 4)
    one, other = (
        rp.explain(planted, planted.sample_latents(1, seed=seed), regions, QUICK) for seed in (0, 1)
    )
    measured = {demands: replace(LITTLE, demands=demands) for demands in (4, 5)}
    scores = {demands: rp.evaluate(one, planted, m) for demands, m in measured.items()}
    shown = runs.exhibit(one, planted, LITTLE)

    def explain(run: Path, seed: int = 0) -> None:
        runs.explain_to_folder(
            planted, seed, run, regions=regions, settings=QUICK, evaluation=LITTLE, overwrite=True
        )

    def saved(run: Path) -> None:
        other.save(run, overwrite=True)

    def evaluate(run: Path) -> None:
        runs.rescore(run, measured[5])

    def edit(run: Path) -> None:
        rp.Edit.remove([0]).write(run / "edit-new.json")

    known = {
        "evaluate": lambda d, g, evaluation, progress: scores[evaluation.demands],
        "exhibit": lambda *_: shown,
        "explain": lambda *_, **__: one,
        "write_report": _write_report,
    }
    with mock.patch.multiple(runs, **known):
        yield [
            Scenario("save", lambda run: one.save(run, overwrite=True)),
            Scenario("save over", saved, explain),
            Scenario("save over in two renames", saved, explain, two_renames=True),
            Scenario("explain", explain),
            Scenario("evaluate", evaluate, explain),
            Scenario("evaluate in two renames", evaluate, explain, two_renames=True),
            Scenario("edit", edit, explain),
        ]


def _write_report(folder: Path) -> Path:
    demands = rp.Scores.read(folder).demands
    for name in ("figures/overview.png", "figures/credit.png", "report.html"):
        with staged_file(folder / name) as temporary:
            temporary.write_text(f"drawn for {demands} demands")
    return folder / "report.html"


def at_operations(known: list[Scenario], place: Path, kills: int, found: Counter[str]) -> None:
    """Kill at operations spread evenly over those of all scenarios."""
    tried = []
    for number, scenario in enumerate(known):
        trial = place / f"trial-{number}"
        trial.mkdir()
        run = scenario.prepare(trial)
        old = _ours(run)
        _in_child(lambda s=scenario, r=run: s.work(r), scenario.two_renames, count_in=trial / "n")
        operations = int((trial / "n").read_text())
        tried.append((scenario, operations, old, _ours(run)))
        print(f"{scenario.name}: {operations} operations on files")
    every = [(s, n, old, new) for s, total, old, new in tried for n in range(1, total + 1)]
    chosen = [every[index * len(every) // kills] for index in range(min(kills, len(every)))]
    if kills > len(every):
        chosen = every
    for number, (scenario, at, old, new) in enumerate(chosen):
        here = place / f"kill-{number}"
        here.mkdir()
        run = scenario.prepare(here)
        if scenario.before is not None:
            old = _ours(run)
        status = _in_child(lambda s=scenario, r=run: s.work(r), scenario.two_renames, kill_at=at)
        found["killed at operations" if status == -signal.SIGKILL else "ended before"] += 1
        told = f"{scenario.name}, operation {at}"
        others = scenario.before is not None
        _judge(found, told, here, run, old, new, others, started=False)
        for beside in (here, run):  # the next start of anything that writes there
            if beside.exists():
                with staged_file(beside / "next.json") as temporary:
                    temporary.write_text("{}")
        _judge(found, told, here, run, old, new, others, started=True)
        if _in_child(lambda s=scenario, r=run: s.work(r), scenario.two_renames) != 0:
            found["not done"] += 1
            print(f"not done after {told}")
        _judge(found, f"{told}, done again", here, run, {}, new, others, started=True)
        shutil.rmtree(here)


def _judge(
    found: Counter[str], told: str, place: Path, run: Path, old: dict[str, bytes],
    new: dict[str, bytes], others: bool, started: bool,
) -> None:  # fmt: skip
    hidden = [path for path in place.rglob("*") if path.name.startswith(".")]
    if started and hidden:
        found["hidden left"] += len(hidden)
        print(f"hidden after {told}: {[str(path.relative_to(place)) for path in hidden]}")
    # In two renames the old run is aside for a moment, until the next start puts it back.
    homes = [run] if started else [run, *place.glob(".run.*")]
    if others:
        for name, content in OTHERS.items():
            places = [home / name for home in homes]
            if not any(p.is_file() and p.read_text() == content for p in places):
                found["files lost"] += 1
                print(f"{name} lost after {told}")
    ours = _ours(run)
    if not run.exists() and (not started or not old):
        return
    # A file of neither carries times of its own, so that it is new.
    labels = {
        "old" if content == old.get(name) else "new"
        for name, content in ours.items()
        if old.get(name) != new.get(name) or name not in old
    }
    if len(labels) > 1 or set(ours) not in (set(old), set(new)):
        found["folders mixed"] += 1
        print(f"mixed after {told}: {sorted(ours)} {labels}")


def _ours(run: Path) -> dict[str, bytes]:
    if not run.is_dir():
        return {}
    inside = {path.relative_to(run): path for path in run.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes() for name, path in inside.items() if is_run_file(name)
    }


def _in_child(
    work: Callable[[], Any],
    two_renames: bool = False,
    kill_at: int | None = None,
    count_in: Path | None = None,
) -> int:
    """Do it in a copy of this process, which may be killed; return its status."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        if two_renames:
            staging._system_call = lambda: None  # type: ignore[assignment]
        operations = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal operations
            if event in _CHANGES or (event == "open" and _writes(arguments)):
                operations += 1
                if operations == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        status = 0
        if count_in is not None:
            count_in.write_text(str(operations))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        os._exit(status)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    asked = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & asked)


# At random moments of the commands


def at_moments(place: Path, kills: int, rng: random.Random, found: Counter[str]) -> None:
    """Kill the commands, run them again, and look at what stands."""
    small = ["--set", "steps=6", "--set", "batch=8", "--set", "probes=1", "--set",
             "baseline_count=64"]  # fmt: skip
    little = ["demands=8", "components=2", "free_demands=0"]
    explain = ["explain", "planted", "--grid", "4x4", *small]
    sweep = ["sweep", "planted", "--layers", "embed,express", "--seeds", "0:2", "--grid", "4x4"]
    sweep += [*small, *(word for name in little for word in ("--measure", name))]
    measure = ["evaluate", *(word for name in little for word in ("--set", name))]
    standing = place / "standing"
    began = time.perf_counter()
    if _command([*explain, "--out", str(standing)]) != 0:
        raise SystemExit("the command explain fails")
    seconds = {"explain": time.perf_counter() - began}
    number = -1
    while found["killed at moments"] < kills:  # the others have ended before their moment
        number += 1
        kind = ("explain", "evaluate", "sweep", "replace")[number % 4]
        here = place / f"moment-{number}"
        here.mkdir()
        run = here / "run"
        if kind in ("evaluate", "replace"):
            shutil.copytree(standing, run)
            for name, content in OTHERS.items():
                (run / name).parent.mkdir(exist_ok=True)
                (run / name).write_text(content)
        words = {
            "explain": [*explain, "--out", str(run)],
            "replace": [*explain, "--seed", "1", "--overwrite", "--out", str(run)],
            "evaluate": [*measure, str(run)],
            "sweep": [*sweep, "--out", str(run)],
        }[kind]
        longest = seconds.get(kind, seconds["explain"] * (3 if kind == "sweep" else 1))
        status = _command(words, kill_after=rng.random() * longest)
        found["killed at moments" if status == -signal.SIGKILL else "ended before"] += 1
        told = f"{kind}, moment {number}"
        _judge_runs(found, told, here, kind in ("evaluate", "replace"), started=False)
        if _command(words) != 0:
            found["not done"] += 1
            print(f"not done after {told}")
        _judge_runs(found, told, here, kind in ("evaluate", "replace"), started=True)
        print(f"{told}: {'killed' if status == -signal.SIGKILL else 'ended before'}", flush=True)
        shutil.rmtree(here)


def _judge_runs(found: Counter[str], told: str, place: Path, others: bool, started: bool) -> None:
    hidden = list(place.rglob(".*"))
    if started and hidden:
        found["hidden left"] += len(hidden)
        print(f"hidden after {told}: {hidden}")
    if others:
        for name, content in OTHERS.items():
            homes = [place / "run", *([] if started else place.glob(".run.*"))]
            if not any((h / name).is_file() and (h / name).read_text() == content for h in homes):
                found["files lost"] += 1
                print(f"{name} lost after {told}")
    for manifest in place.rglob("run.json"):
        folder = manifest.parent
        if any(part.startswith(".") for part in folder.relative_to(place).parts):
            continue
        try:
            components = rp.Decomposition.load(folder).count
            scores = rp.Scores.read(folder)
            measured = read_json(manifest)["evaluation"]["demands"]
            whole = (scores.components, scores.demands) == (components, measured)
            whole = whole and (folder / "report.html").is_file()
        except rp.RegionalPrimitivesError as error:
            print(error)
            whole = False
        if not whole:
            found["folders mixed"] += 1
            print(f"mixed after {told}: {folder}")


def _command(words: list[str], kill_after: float | None = None) -> int:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        sys.argv = ["primitives", *words]
        try:
            cli.main()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 1)
        finally:
            os._exit(1)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
