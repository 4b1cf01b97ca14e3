"""Kills sweeps at random moments, here and on Ray, lets them go on, and compares what they made.

    python benchmarks/sweep_kills.py [--kills 30] [--ways one,two,ray,sent] [--seed 0] [--small]

A sweep of `planted` is killed (SIGKILL) at a moment drawn evenly over its length: every other time
all of it, otherwise one of its workers, which with Ray must not be noticed. The same command is
given again at once, while what was killed may still be about to end. Then every file must be the
same as after a sweep that nobody has killed, but for the times that it tells, and nothing hidden
may be left. Takes about a minute a kill on two cores, a third of that with --small; the record is
benchmarks/results/sweep_kills.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas
import record

WAYS = {
    "one": [],
    "two": ["--workers", "2"],
    "ray": ["--workers", "2", "--ray", "local"],
    "sent": ["--workers", "2", "--ray", "local", "--stream"],
}
ASKED = ["sweep", "planted", "--seeds", "0:2", "--grid", "4x4"]
LARGE = ["--layers", "embed,express", "--set", "steps=60", "--measure", "demands=64"]
SMALL = ["--layers", "express", "--set", "steps=6", "--set", "baseline_count=64"]
SMALL += [f"--measure={one}" for one in ("demands=8", "components=2", "free_demands=0")]
TIMES = {"wall_seconds", "tail_seconds", "evaluation_seconds", "overhead_ratio", "date", "machine"}
MARK = "SWEEP_KILLS"
"""An environment variable by which the processes of a sweep are told from others."""


def main() -> None:
    """Kill, go on, compare, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a sweep that is soon done")
    asked = parser.parse_args()
    ASKED.extend(SMALL if asked.small else LARGE)
    ways, rng = asked.ways.split(","), random.Random(asked.seed)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        expected, seconds = {}, {}
        for way in ways:
            began = time.perf_counter()
            ended, said = sweep(way, whole / way)
            if ended != 0:
                raise SystemExit(f"the sweep fails: {said}")
            seconds[way] = time.perf_counter() - began
            expected[way] = made(whole / way)
            found["other bytes"] += expected[way] != expected[ways[0]]
        number = 0
        while found["killed"] < asked.kills:
            way, number = ways[number % len(ways)], number + 1
            worker = (number // len(ways)) % 2 == 1 and way != "one"
            folder = Path(place) / f"sweep-{number}"
            status, said = sweep(way, folder, rng.random() * seconds[way], worker)
            if status is None:
                found["ended before"] += 1
                continue
            found["killed"] += 1
            found[f"killed: {way}, {'a worker' if worker else 'all'}"] += 1
            if worker and way in ("ray", "sent") and status != 0:
                found["noticed"] += 1
                print(f"{way} {number}: {said}")
            again, said = sweep(way, folder)
            if again != 0:
                found["not done"] += 1
                print(f"{way} {number}: {said}")
                continue
            differ = {
                name
                for name in {*expected[way], *made(folder)}
                if expected[way].get(name) != made(folder).get(name)
            }
            hidden = [path for path in folder.rglob("*") if path.name.startswith(".")]
            found["other bytes"] += bool(differ)
            found["hidden left"] += bool(hidden)
            print(f"{way} {number}: {status=} {differ or 'same'} {hidden or ''}", flush=True)
    wrong = {name: found[name] for name in ("noticed", "not done", "other bytes", "hidden left")}
    print(", ".join(f"{count} {name}" for name, count in {**found, **wrong}.items()))
    if asked.kills >= 30 and not asked.small:
        record.keep("sweep_kills", {**record.ran_on("cpu"), **found, **wrong})
    sys.exit(1 if any(wrong.values()) else 0)


def sweep(
    way: str, folder: Path, kill_after: float | None = None, worker: bool = False
) -> tuple[int | None, str]:
    """Sweep; return status and last words, or None where it ended before it could be killed."""
    command = [sys.executable, "-c", "import primitives_command as p; p.main()", *ASKED]
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [*command, *WAYS[way], "--out", str(folder)], env=environment,
            stdout=subprocess.DEVNULL, stderr=told, start_new_session=True,
        )  # fmt: skip
        if kill_after is not None:
            time.sleep(kill_after)
            victim = process.pid
            while worker and process.poll() is None:
                workers = [pid for pid in alive(mark) if is_worker(pid)]
                if workers:
                    victim = random.Random(kill_after).choice(workers)
                    break
                time.sleep(0.1)  # they have not begun yet
            if process.poll() is not None:
                return None, ""
            os.kill(victim, signal.SIGKILL)
        status = process.wait()
        told.seek(0)
        return status, " ".join(told.read().split("\n")[-3:])


def alive(mark: str) -> list[int]:
    """List the processes of one sweep."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:  # it has ended, or is another's
            continue
    return found


def is_worker(pid: int) -> bool:
    """Tell one that does tasks."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return words.startswith(b"ray::") or b"multiprocessing.spawn" in words


def made(folder: Path) -> dict[str, Any]:
    """Return what a sweep has made, by file, without the times that it tells."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            found[name] = without_times(json.loads(path.read_text()))
        elif path.suffix == ".parquet":
            frame = pandas.read_parquet(path)
            frame = frame.drop(columns=[column for column in frame if column in TIMES])
            found[name] = frame.to_json()
        elif path.suffix == ".html":  # tells times among other words
            found[name] = "a page"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def without_times(content: Any) -> Any:
    """Drop what two equal sweeps may differ in."""
    if isinstance(content, dict):
        return {name: without_times(part) for name, part in content.items() if name not in TIMES}
    return [without_times(part) for part in content] if isinstance(content, list) else content


if __name__ == "__main__":
    main()
