"""What one would do instead, on `faces` at main.5: the table and the figure of docs/baselines.md.

    .venv/bin/python benchmarks/baselines.py [--pictures 20] [--workers 2]

Explains pictures by seeds from 0 on with the structured form's defaults and scores every baseline
on the same 128 held-out demands. Writes benchmarks/results/baselines_faces.json after each picture,
at the end the table between the markers of docs/baselines.md and docs/images/baselines.png, the
means of all pictures at each setting; the decomposition's own frontier in it is that of
benchmarks/results/faces.json. About three minutes of one core a picture.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import torch

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.evaluate.baselines import Compared, Comparison, Point
from regional_primitives.evaluate.spread import Spread
from regional_primitives.runtime.storage import write_json
from regional_primitives.show.baseline_plots import plot_baselines
from regional_primitives.show.figures import write_figure
from regional_primitives.show.reproduction_table import told

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "baselines.md"
RESULTS = ROOT / "benchmarks" / "results" / "baselines_faces.json"
FACES = ROOT / "benchmarks" / "results" / "faces.json"
NUMBERS = (
    ("inside_error", "{:.2%}"),
    ("leak", "{:.1%}"),
    ("objective", "{:.3f}"),
    ("boundedness", "{:.2f}"),
    ("consistency", "{:.2f}"),
    ("n90", "{:.0f}"),
    ("evaluations", "{:,.0f}"),
)


def compared(seed: int) -> Comparison:
    """Explain one picture and score every baseline on it."""
    generator = rp.load_generator("faces")
    return rp.baselines(rp.explain(generator, generator.sample_latents(1, seed=seed)), generator)


def main() -> None:
    """Compare on each picture, and renew the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    threads = max(1, torch.get_num_threads() // chosen.workers)
    found: dict[int, Comparison] = {}
    with ProcessPoolExecutor(
        chosen.workers, get_context("spawn"), torch.set_num_threads, (threads,)
    ) as pool:
        tasks = {pool.submit(compared, seed): seed for seed in range(chosen.pictures)}
        for task in as_completed(tasks):
            found[tasks[task]] = task.result()
            print(f"{len(found)} of {chosen.pictures} pictures", flush=True)
            content = {
                "date": datetime.date.today().isoformat(),
                "versions": current_versions(),
                "pictures": {str(seed): found[seed].to_dict() for seed in sorted(found)},
            }
            write_json(RESULTS, content)
    renew_page([found[seed] for seed in sorted(found)])


def renew_page(found: Sequence[Comparison]) -> None:
    """Write the table and the figure."""
    columns = zip(*([one.own, *one.baselines] for one in found), strict=True)
    rows = [_row(list(column)) for column in columns]
    header = ("method", "inside error", "leak", "objective", "boundedness", "consistency",
              "n90", "evaluations")  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "| --- " * len(header) + "|", *rows]
    page = PAGE.read_text(encoding="utf-8")
    renewed = re.sub(
        r"(?<=<!-- table: begin -->\n).*(?=<!-- table: end -->)",
        lambda _: "\n".join(lines) + "\n",
        page,
        flags=re.DOTALL,
    )
    PAGE.write_text(renewed, encoding="utf-8")
    figure = plot_baselines(mean_of(found), frontier=own_frontier(len(found)))
    write_figure(ROOT / "docs" / "images" / "baselines.png", figure)


def mean_of(found: Sequence[Comparison]) -> Comparison:
    """Average every method's points over the pictures, setting by setting."""
    methods = [
        replace(same[0], points=tuple(map(_mean, zip(*(one.points for one in same), strict=True))))
        for same in zip(*([one.own, *one.baselines] for one in found), strict=True)
    ]
    return replace(found[0], own=methods[0], baselines=tuple(methods[1:]))


def _mean(points: Sequence[Point]) -> Point:
    if len({point.setting for point in points}) > 1:
        raise ValueError(f"unlike settings: {sorted({point.setting for point in points})}")
    names = ("inside_error", "leak", "cost", "objective", "inside_error_spread", "leak_spread")
    means = {name: fmean(getattr(point, name) for point in points) for name in names}
    return replace(points[0], **means)


def own_frontier(pictures: int) -> list[dict[str, float]]:
    """Average the decomposition's own frontier over the same pictures."""
    rows = json.loads(FACES.read_text(encoding="utf-8"))["pictures"][:pictures]
    same_price = zip(*(row["wide_frontier"] for row in rows), strict=True)
    return [
        {name: fmean(one[name] for one in points) for name in points[0]} for points in same_price
    ]


def _row(methods: list[Compared]) -> str:
    """Tell a method's means over the pictures, each at the setting that serves it best."""
    cells = [methods[0].name]
    for name, form in NUMBERS:
        values = [getattr(one.best if hasattr(one.best, name) else one, name) for one in methods]
        cells.append("" if None in values else told(Spread.over(values), form))
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
