"""What one would do instead, on `faces` at main.5: the table and the figure of docs/baselines.md.

    .venv/bin/python benchmarks/baselines.py [--pictures 20] [--workers 2]

Explains pictures by seeds from 0 on with the structured form's defaults, scores every baseline
on the same 128 held-out demands, and fits each picture at two further prices of leak. Writes
benchmarks/results/baselines_faces.json after each picture and goes on from there if interrupted;
at the end the table between the markers of docs/baselines.md and docs/images/baselines.png, the
means of all pictures at each setting. The middle of the decomposition's own frontier is that of
benchmarks/results/zoo_faces.json. About four minutes of one core a picture, and two where the file
knows the picture from a fit with other settings: only what is made of the fit is measured again,
unless its prices, by which all methods are compared, have changed (--all measures all).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import record
import torch
from pages import renew, table

import regional_primitives as rp
from regional_primitives.rivals import Compared, Comparison, Point
from regional_primitives.scores.refits import frontier_fits
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE, Score
from regional_primitives.show.figures import write_figure
from regional_primitives.show.numerals import with_interval
from regional_primitives.show.plots import plot_baselines

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "baselines.md"
OBJECTIVE = Score("Objective", "What the fit minimises.", plain="{:.3f}")
NUMBERS = {
    name: TABLE.get(name, OBJECTIVE)
    for name in (
        "inside_error", "leak", "objective", "boundedness", "consistency", "n90", "evaluations",
    )
}  # fmt: skip
ENDS = (0.05, 6.0)
"""Prices of leak, multiples of the default, at the ends of the decomposition's own frontier."""
FULL = rp.Evaluation(demands=128, components=40, contexts=16, free_demands=16)
LIGHT = rp.Evaluation(demands=128, components=1, contexts=2, free_demands=0)


MADE_OF_THE_FIT = ("random fields", "free optimum")
"""Of its components, or by its optimiser."""
PRICES = ("outside_weight", "cost_weight")


def compared(seed: int, known: dict[str, Any] | None) -> dict[str, object]:
    """Explain one picture, score every baseline on it, and fit it at the ends of the frontier.

    What another fit's comparison, if known, says of baselines that no fit is part of, is kept.
    """
    generator = rp.load_generator("faces")
    result = rp.explain(
        generator, generator.sample_latents(1, seed=seed), settings=rp.Structured(purpose="isolate")
    )
    fits = frontier_fits(result, generator, factors=ENDS)
    scores = [(price, rp.evaluate(fit, generator, LIGHT)) for price, fit in fits]
    comparison = rp.baselines(result, generator, MADE_OF_THE_FIT if known else "all", FULL)
    if known:
        again = {one.name: one for one in comparison.baselines}
        before = Comparison.from_dict(known).baselines
        every = tuple(again.get(one.name, one) for one in before)
        comparison = replace(comparison, baselines=every, free_demands=known["free_demands"])
    return {
        "comparison": comparison.to_dict(),
        "frontier": [
            {"outside_weight": price, "inside_error": one.inside_error, "leak": one.leak}
            for price, one in scores
        ],
        "overhead_ratios": [one.overhead_ratio for _, one in scores],
    }


def main() -> None:
    """Compare on each picture, and renew the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="every baseline anew")
    chosen = parser.parse_args()
    threads = max(1, torch.get_num_threads() // chosen.workers)
    settings = asdict(rp.Structured(purpose="isolate"))
    before = record.read("baselines_faces")
    found = standing(before, settings)
    known = {} if chosen.all else comparisons(before, settings)
    todo = [seed for seed in range(chosen.pictures) if str(seed) not in found]
    with ProcessPoolExecutor(
        chosen.workers, get_context("spawn"), torch.set_num_threads, (threads,)
    ) as pool:
        tasks = {pool.submit(compared, seed, known.get(str(seed))): seed for seed in todo}
        for task in as_completed(tasks):
            found[str(tasks[task])] = task.result()
            print(f"{len(found)} of {chosen.pictures} pictures", flush=True)
            content = {
                **record.ran_on(),
                "threads": threads,
                "settings": settings,
                "pictures": {seed: found[seed] for seed in sorted(found, key=int)},
                "comparisons_of_other_settings": {
                    seed: one for seed, one in known.items() if seed not in found
                },
            }
            record.keep("baselines_faces", content)
    renew_page({int(seed): found[seed] for seed in sorted(found, key=int)})


def standing(before: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Take the pictures that an interrupted run with the same settings has compared already."""
    return dict(before["pictures"]) if record.agree(before.get("settings", {}), settings) else {}


def comparisons(before: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Take the comparisons of earlier fits, if those had the same prices."""
    if any(before.get("settings", {}).get(price) != settings[price] for price in PRICES):
        return {}
    kept = before.get("comparisons_of_other_settings", {})
    return {**kept, **{seed: row["comparison"] for seed, row in before["pictures"].items()}}


def renew_page(by_seed: Mapping[int, dict[str, Any]]) -> None:
    """Write the table and the figure."""
    found = [Comparison.from_dict(row["comparison"]) for row in by_seed.values()]
    columns = zip(*([one.own, *one.baselines] for one in found), strict=True)
    told_rows = [_row(list(column)) for column in columns]
    header = ("method", *(name.replace("_", " ") for name in NUMBERS))
    renew(PAGE, "table", table(header, told_rows))
    figure = plot_baselines(mean_of(found), frontier=own_frontier(by_seed))
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


def own_frontier(by_seed: Mapping[int, dict[str, Any]]) -> list[dict[str, float]]:
    """Average the decomposition's own frontier over the same pictures."""
    rows = record.read("zoo_faces")["pictures"]
    middle = {row["picture"]: row["frontier"] for row in rows}
    curves = [
        {point["outside_weight"]: point for point in (*middle[seed], *row["frontier"])}
        for seed, row in by_seed.items()
    ]
    return [
        {name: fmean(curve[price][name] for curve in curves) for name in curves[0][price]}
        for price in sorted(curves[0])
    ]


def _row(methods: list[Compared]) -> list[str]:
    """Tell a method's means over the pictures, each at the setting that serves it best."""
    cells = [methods[0].name]
    for name, score in NUMBERS.items():
        values = [getattr(one.best if hasattr(one.best, name) else one, name) for one in methods]
        cells.append("" if None in values else with_interval(Spread.over(values), score.form))
    return cells


if __name__ == "__main__":
    main()
