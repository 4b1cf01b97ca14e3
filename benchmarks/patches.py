"""What many patches cost, case by case.

    .venv/bin/python benchmarks/patches.py [CASE …] [--table]

Each case runs in a process of its own, so that its peak of memory is its own. `faces` cases are
fitted with the defaults, `photos` cases (128 px) with quality `fast`, since one evaluation of that
tail costs as much as forty of `faces`: `evaluations_of_the_defaults` is what those would take. All
are scored. Label maps are Voronoi cells of random points.
Writes benchmarks/results/patches.json after every case, and at the end the table between its
markers in docs/generators.md (--table renews only that). `photos` needs its weights: see
`primitives models`, and name their folder in $REGIONAL_PRIMITIVES_WEIGHTS.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import record
import torch
from pages import renew, table

import regional_primitives as rp

EVALUATION = rp.Evaluation(demands=128, components=20, contexts=8, free_demands=0)
PAGE = Path(__file__).parents[1] / "docs" / "generators.md"
HEADER = (
    "regions",
    "quality",
    "components",
    "evaluations",
    "wall time over the first of its kind",
    "inside error",
    "leak",
    "boundedness",
    "consistency",
    "overhead",
    "peak memory",
)
CASES = {
    "faces 6x6": ("faces", 64, 6),
    "faces 16x16": ("faces", 64, 16),
    "faces 200 regions": ("faces", 64, "labels"),
    "photos 6x6": ("photos", 128, 6),
    "photos 16x16": ("photos", 128, 16),
    "photos 200 regions": ("photos", 128, "labels"),
}
"""Generator, size, and cells a side or a label map."""


def voronoi(size: int, count: int) -> torch.Tensor:
    """Give every pixel the nearest of `count` random points."""
    rng = torch.Generator().manual_seed(0)
    points = torch.rand(count, 2, generator=rng) * size
    pixels = torch.cartesian_prod(torch.arange(size), torch.arange(size)) + 0.5
    nearest = torch.cdist(pixels, points).argmin(1)
    return nearest.unique(return_inverse=True)[1].view(size, size)


def measured(name: str) -> dict[str, object]:
    """Fit one case, and score it where that is affordable."""
    torch.set_num_threads(1)
    model, size, cells = CASES[name]
    generator = rp.load_generator(model, size=size if model == "photos" else None)
    grid = isinstance(cells, int)
    regions = rp.Regions.grid(cells, cells) if isinstance(cells, int) else None
    regions = regions or rp.Regions.from_labels(voronoi(size, 200))
    whole = rp.Structured(purpose="isolate")
    settings = whole if model == "faces" else rp.Structured.of_quality("fast", "isolate")
    d = rp.explain(generator, generator.sample_latents(1, seed=0), regions, settings)
    origin = d.provenance
    row: dict[str, object] = {
        "case": name,
        "patches": regions.count,
        "grid": grid,
        "components": d.count,
        "entries": len(d.values),
        "evaluations_of_the_defaults": whole.probes_a_patch(regions.count) * regions.count
        + whole.steps * (whole.batch + 2 * whole.trials),
        "evaluations": origin.evaluations,
        "wall_seconds": origin.wall_seconds,
        "tail_seconds": origin.tail_seconds,
        "overhead_ratio": origin.overhead_ratio,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    row["scores"] = rp.evaluate(d, generator, EVALUATION).to_dict()
    return row


def main() -> None:
    """Run the cases one after another, and print and write what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    parser.add_argument("--table", action="store_true", help="only the page's, from the results")
    chosen = parser.parse_args()
    names = chosen.cases or ([] if chosen.table else list(CASES))
    known = record.read("patches").get("cases", [])
    rows = {row["case"]: row for row in known}
    for name in names:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            rows[name] = pool.submit(measured, name).result()
        row = rows[name]
        print(
            f"{name}: {row['components']} components, {row['evaluations']} evaluations, "
            f"inside {row['scores']['inside_error']:.2%}, leak {row['scores']['leak']:.1%}, "
            f"{row['wall_seconds']:.0f} s, overhead {row['overhead_ratio']:.2f}, "
            f"{row['peak_mib']:,.0f} MiB",
            flush=True,
        )
        content = {
            **record.ran_on(),
            "cases": [rows[case] for case in CASES if case in rows],
        }
        record.keep("patches", content)
    renew_page(rows)


def renew_page(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page's table, of the cases that were measured."""
    lines = []
    for case in CASES:
        if case not in rows:
            continue
        row, first = rows[case], rows.get(f"{case.split()[0]} 6x6")
        cells = (
            f"`{case.split()[0]}`, {case.split(maxsplit=1)[1].replace('x', ' × ')}",
            "balanced" if CASES[case][0] == "faces" else "fast",
            f"{row['components']:,}",
            f"{row['evaluations']:,}",
            f"{row['wall_seconds'] / first['wall_seconds']:.2f}" if first else "",
            f"{row['scores']['inside_error']:.2%}",
            f"{row['scores']['leak']:.1%}",
            f"{row['scores']['boundedness']:.2f}",
            f"{row['scores']['consistency']:.2f}",
            f"{row['overhead_ratio']:.2f}",
            f"{row['peak_mib']:,.0f} MiB",
        )
        lines.append(cells)
    renew(PAGE, "patches", table(HEADER, lines))


if __name__ == "__main__":
    main()
