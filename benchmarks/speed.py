"""How near a fit comes to what the tail alone can do: two tables of docs/research/overhead.md.

    .venv/bin/python benchmarks/speed.py [CASE …] [--device cpu] [--table]

Of each generator (the cases of benchmarks/zoo.py): evaluations a second, forward and backward, of
the tail alone at the batch of a fit's step and at the best of some other batches, both without
any work around them; and of a fit of 60 steps, the second of the process. On a GPU the tail
alone is timed in other arithmetic, too: without TF32, channels last, in bfloat16. Medians over
rounds, all of one run. Writes benchmarks/results/speed.json, one row a device and case.
`photos` needs its weights: see `primitives models`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import record
import torch
from pages import renew, table
from zoo import CASES

import regional_primitives as rp
from regional_primitives.generators.feature import as_units, units_as

PAGE = Path(__file__).parents[1] / "docs" / "research" / "overhead.md"
STEPS = 60
LARGER = {"cpu": (1, 4), "cuda": (48, 192)}
"""Batches besides that of a step."""
ROUNDS = {"cpu": 5, "cuda": 10}
ARITHMETIC = ("TF32", "float32", "channels last", "bfloat16")
"""TF32 is torch's default, also with channels last."""
HEADER = (
    "device",
    "generator",
    "tail alone, a step's batch",
    "tail alone, best batch",
    "a fit",
    "overhead ratio",
)


def now(device: torch.device) -> float:
    """Return the time, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def per_second(generator: rp.Generator, units: torch.Tensor, count: int) -> float:
    """Time the tail alone at a batch, forward and backward: evaluations a second."""
    batch = units.expand(count, -1).contiguous()
    slope = torch.ones_like(generator.tail(units_as(batch, generator.feature_shape)))
    seconds = []
    for round_ in range(2 + ROUNDS[generator.device.type]):
        leaf = batch.clone().requires_grad_(True)
        began = now(leaf.device)
        images = generator.tail(units_as(leaf, generator.feature_shape))
        torch.autograd.grad(images, leaf, slope)
        if round_ >= 2:
            seconds.append(now(leaf.device) - began)
    return count / statistics.median(seconds)


@contextmanager
def arithmetic(name: str, network: torch.nn.Module) -> Iterator[None]:
    """Run the tail in another arithmetic, where torch has a switch for it."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = name != "float32"
    try:
        if name == "channels last":
            network.to(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=name == "bfloat16"):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
        network.to(memory_format=torch.contiguous_format)


def measured(case: str, device: str) -> dict[str, Any]:
    """Measure one generator on one device."""
    name, size, layer = CASES[case]
    generator = rp.load_generator(name, layer, size=size, device=device)
    latents = generator.sample_latents(1, seed=0)
    settings = replace(rp.Structured(purpose="isolate"), steps=STEPS)
    fits = [rp.explain(generator, latents, rp.Regions.grid(6, 6), settings) for _ in range(2)]
    bound = generator.at(latents)
    units = as_units(bound.head(latents))
    kind, step = generator.device.type, settings.batch + 2 * settings.trials
    batches = {count: per_second(bound, units, count) for count in (step, *LARGER[kind])}
    origin = fits[1].provenance
    row = {
        **record.ran_on(device),
        "case": case,
        "tail_per_second": batches,
        "step": step,
        "fit_per_second": origin.evaluations / origin.wall_seconds,
        "first_overhead_ratio": fits[0].provenance.overhead_ratio,
        "overhead_ratio": origin.overhead_ratio,
    }
    if kind == "cuda":
        best = max(batches, key=lambda count: batches[count])
        row["arithmetic"] = {}
        for other in ARITHMETIC:
            with arithmetic(other, generator.network.module):
                row["arithmetic"][other] = {c: per_second(bound, units, c) for c in (step, best)}
    return row


def main() -> None:
    """Measure the cases asked for, print and write them, and renew the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--table", action="store_true", help="only the page's, from the results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    known = record.read("speed").get("rows", [])
    rows = {(row["device"], row["case"]): row for row in known}
    for case in chosen.cases or ([] if chosen.table else list(CASES)):
        row = measured(case, chosen.device)
        rows[row["device"], row["case"]] = row
        print(json.dumps(row), flush=True)
        record.keep("speed", {"rows": list(rows.values())})
    ordered = sorted(rows.values(), key=lambda row: (row["device"], list(CASES).index(row["case"])))
    renew(PAGE, "speed", table(HEADER, map(told, ordered)))
    tried = [row for row in ordered if "arithmetic" in row]
    header = ("arithmetic", *(f"`{row['case']}`, {row['device']}" for row in tried))
    lines = [
        [
            name,
            *(
                "; ".join(f"{rate:,.0f}" for rate in row["arithmetic"][name].values())
                for row in tried
            ),
        ]
        for name in ARITHMETIC
    ]
    renew(PAGE, "arithmetic", table(header, lines))


def told(row: Mapping[str, Any]) -> list[str]:
    """Lay out one row."""
    batches = {int(count): value for count, value in row["tail_per_second"].items()}
    best = max(batches, key=lambda count: batches[count])
    step = batches[row["step"]]
    return [
        row["device"],
        f"`{row['case']}`",
        _told(step),
        f"{_told(batches[best])} at {best}",
        _told(row["fit_per_second"]),
        f"{row['overhead_ratio']:.2f}",
    ]


def _told(rate: float) -> str:
    return f"{rate:,.0f} / s" if rate >= 100 else f"{rate:.1f} / s"


if __name__ == "__main__":
    main()
