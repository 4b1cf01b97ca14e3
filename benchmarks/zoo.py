"""The tables of docs/generators.md: zoo generators with the defaults, beside `faces`.

    .venv/bin/python benchmarks/zoo.py CASE [--pictures 20] [--quality balanced] [--refits]
                                            [--device cpu] [--workers 1]

Cases are faces, photos-64, photos-128 and terrain; no setting is tuned to any of them. One
evaluation of the tails of the last three costs about 10, 40 and 50 times one of `faces` at main.5:
a picture takes 6, 25 and 35 minutes of one core with the defaults. Every picture is scored like
those of benchmarks/faces.py, and beside it stand the baselines that need no fit, on the same
demands. With --refits every picture is fitted three more times, with another random stream and at
two further prices of leak, and beside all baselines. Writes
benchmarks/results/zoo_CASE[_QUALITY].json after every picture, and at the end the tables between
the markers of docs/generators.md; pictures that stand with the same settings are not measured
again, and --table renews only the tables. `photos` needs its weights: see `primitives models`, and
name their folder in $REGIONAL_PRIMITIVES_WEIGHTS.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import record
import torch
from pages import narrow, renew, table

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.generators import ZOO
from regional_primitives.rivals import BASELINES
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.reproduction_table import told

PAGE = Path(__file__).parents[1] / "docs" / "generators.md"
CASES: dict[str, tuple[str, int | None, str]] = {
    "faces": ("faces", None, "main.5"),
    "photos-64": ("photos", 64, "10"),
    "photos-128": ("photos", 128, "10"),
    "terrain": ("terrain", 128, "output_blocks.14"),
}
"""Generator, size, layer."""
WITHOUT_FIT = ("spatial crop", "influence alone", "gradient × activation")
EVALUATION = rp.Evaluation(components=20, contexts=8, free_demands=4)
SHOWN = (
    "inside_error",
    "leak",
    "cost",
    "boundedness",
    "boundedness_in_context",
    "consistency",
    "superposition_error",
    "completeness_gap",
    "n90",
    "components",
    "evaluations",
    "overhead_ratio",
    "field_patches",
    "free_inside_error",
    "free_leak",
    "stability",
    "unit_stability",
    "psnr",
    "ssim",
)
COLUMNS = [
    TABLE[name]
    for name in (
        "evaluations", "inside_error", "leak", "boundedness", "boundedness_in_context",
        "consistency", "superposition_error", "n90", "psnr", "stability",
    )
]  # fmt: skip
"""Of the page's first table."""
PRICES = ("0.4 times the", "the default", "twice the")
ROWS = (
    ("`faces`, 64 px", "faces"),
    ("`faces`, 64 px, `best`", "zoo_faces_best"),
    ("`photos`, 64 px", "zoo_photos-64"),
    ("`photos`, 128 px", "zoo_photos-128"),
    ("`photos`, 128 px, `fast`", "zoo_photos-128_fast"),
    ("`terrain`, 128 px", "zoo_terrain"),
    ("`terrain`, 128 px, `fast`", "zoo_terrain_fast"),
)
"""Label and file of results; a line for each file that is there."""


@cache
def _generator(case: str, device: str) -> rp.Generator:
    name, size, layer = CASES[case]
    return rp.load_generator(name, layer, size=size, device=device)


def peak_mib() -> float:
    """Return the most memory that this process has held so far, in earlier pictures too."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scored(
    case: str, device: str, settings: rp.Structured, seed: int, refits: bool
) -> dict[str, object]:
    """Explain and score one picture, by its seed, and score what one would do instead."""
    generator = _generator(case, device)
    d = rp.explain(
        generator, generator.sample_latents(1, seed=seed), rp.Regions.grid(6, 6), settings,
        picture_seed=seed,
    )  # fmt: skip
    peaks = {"fit": peak_mib()}
    scores = rp.evaluate(d, generator, replace(EVALUATION, refits=refits))
    peaks["scores"] = peak_mib()
    names = list(BASELINES) if refits else WITHOUT_FIT
    others = rp.baselines(d, generator, names, EVALUATION).baselines
    origin = d.provenance
    return {
        "picture": seed,
        "device": record.device_name(device),
        "versions": current_versions(),
        "wall_seconds": origin.wall_seconds,
        "tail_seconds_per_evaluation": origin.tail_seconds / origin.evaluations,
        "flows_past": len(origin.flows_past),
        "whole_network": origin.whole_network,
        "field_patches": sum(size * share for size, share in scores.field_sizes.items()),
        "peaks_mib": {**peaks, "baselines": peak_mib()},
        "baselines": {
            other.name: [
                {"setting": point.setting, "inside_error": point.inside_error, "leak": point.leak}
                for point in other.points
            ]
            for other in others
        },
        **scores.to_dict(),
    }


def standing(name: str, result: dict[str, object]) -> dict[int, dict[str, Any]]:
    """Read the pictures that an earlier run with the same settings has scored already."""
    before = record.read(name)
    same = (record.agree(before.get(key, {}), result[key]) for key in ("settings", "evaluation"))
    if not all(same):
        return {}
    return {one["picture"]: one for one in before["pictures"]}


def main() -> None:
    """Score one case, and renew the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES, nargs="?")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--refits", action="store_true", help="five times the work")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only the page's, from the files")
    chosen = parser.parse_args()
    if chosen.case:
        measure(chosen)
    elif not chosen.table:
        parser.error("name a case, or --table")
    renew_page()


def measure(chosen: argparse.Namespace) -> None:
    """Score one case's pictures, and write them as they come."""
    settings = rp.Structured.of_quality(chosen.quality, "isolate")
    suffix = "" if chosen.quality == "balanced" else f"_{chosen.quality}"
    out = f"zoo_{chosen.case}{suffix}"
    name, _, layer = CASES[chosen.case]
    result: dict[str, object] = {
        "generator": name,
        "layer": layer,
        "grid": "6x6",
        "quality": chosen.quality,
        "baseline_count": ZOO[name].baseline_count,
        **record.ran_on(chosen.device),
        "threads": 1,
        "settings": asdict(settings),
        "evaluation": asdict(EVALUATION),
    }
    found = standing(out, result)
    # What stands without refits stays until the picture has been measured with them.
    enough = {seed for seed, one in found.items() if one.get("frontier") or not chosen.refits}
    todo = [seed for seed in range(chosen.pictures) if seed not in enough]
    with ProcessPoolExecutor(
        chosen.workers, get_context("spawn"), torch.set_num_threads, (1,)
    ) as pool:
        asked = (chosen.case, chosen.device, settings)
        tasks = [pool.submit(scored, *asked, seed, chosen.refits) for seed in todo]
        for task in as_completed(tasks):
            row = task.result()
            found[row["picture"]] = row
            print(
                f"{chosen.case} {row['picture']}: inside {row['inside_error']:.2%}, "
                f"leak {row['leak']:.1%}, boundedness {row['boundedness']:.2f}, "
                f"consistency {row['consistency']:.2f}, {row['wall_seconds']:.0f} s",
                flush=True,
            )
            pictures = [found[seed] for seed in sorted(found)]
            result["summary"] = summary(pictures)
            result["pictures"] = pictures
            record.keep(out, result)


def summary(pictures: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Average every score over the pictures that have it."""
    told = {}
    for name in SHOWN:
        values = [float(one[name]) for one in pictures if one.get(name) is not None]
        if values:
            told[name] = asdict(Spread.over(values))
    return told


def renew_page() -> None:
    """Write the page's tables, of all cases that were measured with the settings of today."""
    measured = []
    for label, name in ROWS:
        stored = record.read(name)
        if stored:
            today = rp.Structured.of_quality(stored.get("quality", "balanced"), "isolate")
            if record.agree(stored["settings"], asdict(today)):
                measured.append((label, stored))
    renew(PAGE, "scores", scores_table(measured))
    renew(PAGE, "frontier", frontier_table(measured))
    renew(PAGE, "instead", instead_table(measured))


def scores_table(measured: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Lay out means over pictures of every score, a line a case."""
    header = ["generator", "layer", "pictures", *map(narrow, COLUMNS)]
    lines = []
    for label, stored in measured:
        pictures = stored["pictures"]
        cells = (_cell(pictures, score.name, score.form) for score in COLUMNS)
        lines.append([label, stored["layer"], str(len(pictures)), *cells])
    return table(header, lines)


def _cell(pictures: Sequence[Mapping[str, Any]], name: str, form: str) -> str:
    """Tell a mean, and over how many pictures if not over all."""
    values = [one[name] for one in pictures if one.get(name) is not None]
    if not values:
        return ""
    some = f" ({len(values)})" if len(values) < len(pictures) else ""
    if min(values) == max(values):
        return form.format(values[0]) + some
    return told(Spread.over(values), form) + some


def frontier_table(measured: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Lay out what less leak costs, over the pictures that were fitted at other prices of it."""
    header = ["generator", "pictures", *(f"at {factor} price of leak" for factor in PRICES)]
    lines = []
    for label, stored in measured:
        curves = [one["frontier"] for one in stored["pictures"] if one.get("frontier")]
        if curves:
            points = [_mean_point(same) for same in zip(*curves, strict=True)]
            lines.append([label, str(len(curves)), *map(_told_point, points)])
    return table(header, lines)


def instead_table(measured: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Lay out the baselines, each at the setting with the least inside error + price · leak."""
    header = ["generator", "this decomposition", *BASELINES]
    lines = []
    for label, stored in measured:
        pictures = [one for one in stored["pictures"] if one.get("baselines")]
        if not pictures:
            continue
        price = stored["settings"]["outside_weight"]
        cells = [_told_point(_mean_point(pictures))]
        for method in BASELINES:
            known = [one["baselines"][method] for one in pictures if method in one["baselines"]]
            if not known:
                cells.append("")
                continue
            points = [_mean_point(same) for same in zip(*known, strict=True)]
            best = min(points, key=lambda point: point[0] + price * point[1])
            some = f" ({len(known)})" if len(known) < len(pictures) else ""
            cells.append(_told_point(best) + some)
        lines.append([label, *cells])
    return table(header, lines)


def _mean_point(points: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    inside, leak = (fmean(one[name] for one in points) for name in ("inside_error", "leak"))
    return inside, leak


def _told_point(point: tuple[float, float]) -> str:
    return f"{point[0]:.2%}, {point[1]:.1%}"


if __name__ == "__main__":
    main()
