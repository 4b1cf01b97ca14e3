"""What lockstep saves: operations a step for 1, 4 and 16 pictures at once, and time a picture.

    .venv/bin/python benchmarks/lockstep.py [GENERATOR …] [--device cpu] [--pictures 1 4 16]

Of each generator: how many torch operations a step of a fit takes; and for 4 pictures the time of
fits of 20 steps in lockstep over that of the same pictures one by one, the middle of three turns of
one run. On the CPU time is the process's own, so that other jobs hardly count. On a GPU it is the
pictures a second of whole fits with the defaults that are measured. Writes
benchmarks/results/lockstep.json, one row a device, generator and number of pictures, and renews
the table of docs/research/lockstep.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import record
import torch
from pages import renew, table
from torch.utils._python_dispatch import TorchDispatchMode

import regional_primitives as rp

PAGE = Path(__file__).parents[1] / "docs" / "research" / "lockstep.md"
GENERATORS = ("planted", "faces", "style-faces")
GRID = rp.Regions.grid(4, 4)
TIMED_AT = 4
"""Pictures at once whose time is measured on a CPU."""
TIMED = rp.Structured(steps=20, probes=2, baseline_count=64)
HEADER = (
    "device",
    "generator",
    "pictures",
    "operations a step",
    "a picture, over one by one",
    "pictures a second",
)


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do, backward passes included."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operation and do it."""
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(generator: rp.Generator, latents: Any) -> float:
    """Count the operations of a step: what five more steps of a fit take, a fifth of it."""
    counts = []
    for steps in (1, 2, 7):  # the first measures influence, which is kept
        with Operations() as counted:
            rp.explain(generator, latents, GRID, replace(TIMED, steps=steps), together=True)
        counts.append(counted.count)
    return (counts[2] - counts[1]) / 5


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Time some work: the process's own time on a CPU, that of the clock on a GPU."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


def measured(name: str, device: str, pictures: int) -> dict[str, Any]:
    """Measure one generator and number of pictures on one device."""
    generator = rp.load_generator(name, device=device)
    latents = generator.sample_latents(pictures, 0)
    row: dict[str, Any] = {"generator": name, "pictures": pictures, **record.ran_on(device)}
    row["operations"] = operations(generator, latents)
    if pictures == TIMED_AT and generator.device.type == "cpu":
        ratios = []
        for seed in (1, 2, 3):
            settings = replace(TIMED, seed=seed)  # or what was measured of influence is kept
            other = replace(TIMED, seed=seed + 10)

            def apart(settings: rp.Structured = other) -> None:
                for one in latents.split(1):
                    rp.explain(generator, one, GRID, settings)

            def together(settings: rp.Structured = settings) -> None:
                rp.explain(generator, latents, GRID, settings, together=True)

            ratios.append(seconds(together, generator.device) / seconds(apart, generator.device))
        row["time_ratio"] = sorted(ratios)[1]
    if generator.device.type == "cuda":
        whole = rp.Structured()

        def fits() -> None:
            rp.explain(generator, latents, None, whole, together=True)

        fits()  # what runs first prepares itself, and keeps baseline and influence
        row["pictures_per_second"] = pictures / seconds(fits, generator.device)
    return row


def told(row: dict[str, Any]) -> list[str]:
    """Lay out one row."""
    ratio, rate = row.get("time_ratio"), row.get("pictures_per_second")
    return [
        row["device"],
        f"`{row['generator']}`",
        str(row["pictures"]),
        f"{row['operations']:,.0f}",
        "" if ratio is None else f"{ratio:.2f}",
        "not measured" if rate is None else f"{rate:.1f}",
    ]


def main() -> None:
    """Measure what is asked for, print and write it, and renew the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generators", nargs="*", default=list(GENERATORS), metavar="GENERATOR")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=int, nargs="+", default=[1, 4, 16])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = {
        (row["device"], row["generator"], row["pictures"]): row
        for row in record.read("lockstep").get("rows", [])
    }
    for name in chosen.generators:
        for pictures in chosen.pictures:
            row = measured(name, chosen.device, pictures)
            rows[row["device"], name, pictures] = row
            print(json.dumps(row), flush=True)
            ordered = [rows[key] for key in sorted(rows)]
            record.keep("lockstep", {"rows": ordered})
    renew(PAGE, "lockstep", table(HEADER, map(told, ordered)))


if __name__ == "__main__":
    main()
