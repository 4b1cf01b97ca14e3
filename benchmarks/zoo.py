"""The tables of what can be changed alone, in docs: results.md and generators.md, by generator.

    .venv/bin/python benchmarks/zoo.py CASE [--pictures 20] [--quality balanced] [--refits]
                                            [--runs runs/zoo] [--device cpu] [--workers 1]

Cases are faces, photos-64, photos-128 and terrain; settings were chosen on none but `faces`. One
evaluation of the tails of the last three costs about 10, 40 and 50 times one of `faces` at main.5:
a picture takes 6, 25 and 35 minutes of one core with the defaults, a face 40 seconds. The pictures
are a sweep in the folder --runs, which goes on where it stood; beside each stand the other methods
that need no fit, on the same demands. With --refits every picture is fitted three more times, with
another random stream and at two further prices of leak, and stands beside all other methods. Writes
benchmarks/results/zoo_CASE[_QUALITY].json, and the tables between the markers of docs/results.md
and docs/generators.md (--table renews only these). `photos` needs its weights: see
`primitives models`, and name their folder in $REGIONAL_PRIMITIVES_WEIGHTS.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import record
from pages import narrow, renew, table

import regional_primitives as rp
from regional_primitives.rivals import BASELINES
from regional_primitives.runs.sweep import sweep
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "docs" / "results.md", ROOT / "docs" / "generators.md"
CASES: dict[str, tuple[str, int | None, str]] = {
    "faces": ("faces", None, "main.5"),
    "photos-64": ("photos", 64, "10"),
    "photos-128": ("photos", 128, "10"),
    "terrain": ("terrain", 128, "output_blocks.14"),
}
"""Generator, size, layer."""
WITHOUT_FIT = ("spatial crop", "influence alone", "gradient × activation")
FULL = rp.Evaluation(
    demands=128, components=40, contexts=16, free_demands=16, free_steps=100, free_bounds=True
)
QUICK = replace(FULL, components=20, contexts=8, free_demands=4)
"""Of generators with slow tails."""
COLUMNS = [
    TABLE[name]
    for name in (
        "evaluations", "inside_error", "leak", "boundedness", "boundedness_in_context",
        "consistency", "superposition_error", "n90", "psnr", "stability",
    )
]  # fmt: skip
"""Of the page's first table."""
_LEAKY, _TIGHT, _FAST = (
    "at 0.4 times the price of leak: ", "at twice the price of leak: ", "`fast`: ",
)  # fmt: skip
FACES_ROWS = (
    *(("", name) for name in ("inside_error", "free_inside_error", "leak", "free_leak")),
    *((fit, name) for fit in (_LEAKY, _TIGHT) for name in ("inside_error", "leak")),
    *(
        ("", name)
        for name in (
            "boundedness", "consistency", "superposition_error", "n90", "stability",
            "unit_stability", "completeness_gap", "overhead_ratio",
        )
    ),
    *((_FAST, name) for name in ("inside_error", "leak")),
)  # fmt: skip
"""Which fit's, and the score."""
PRICES = ("0.4 times the", "the default", "twice the")
ROWS = (
    ("`faces`, 64 px", "zoo_faces"),
    ("`faces`, 64 px, `best`", "zoo_faces_best"),
    ("`photos`, 64 px", "zoo_photos-64"),
    ("`photos`, 128 px", "zoo_photos-128"),
    ("`photos`, 128 px, `fast`", "zoo_photos-128_fast"),
    ("`terrain`, 128 px", "zoo_terrain"),
    ("`terrain`, 128 px, `fast`", "zoo_terrain_fast"),
)
"""Label and file of results; a line for each file that is there."""


def main() -> None:
    """Measure one case, and renew the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES, nargs="?")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--refits", action="store_true", help="five times the work")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "zoo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only the pages', from the files")
    chosen = parser.parse_args()
    if chosen.case:
        measure(chosen)
    elif not chosen.table:
        parser.error("name a case, or --table")
    renew_pages()


def measure(chosen: argparse.Namespace) -> None:
    """Sweep the pictures of one case, stand other methods beside each, and write what was found."""
    name, size, layer = CASES[chosen.case]
    stem = f"zoo_{chosen.case}" + ("" if chosen.quality == "balanced" else f"_{chosen.quality}")
    settings = rp.Structured.of_quality(chosen.quality, "isolate")
    evaluation = FULL if chosen.case == "faces" else QUICK
    with progress_bar() as progress:
        swept = sweep(
            name, range(chosen.pictures), layer, chosen.runs / stem, settings=settings,
            evaluation=replace(evaluation, refits=chosen.refits), workers=chosen.workers,
            progress=progress, size=size, device=chosen.device,
        )  # fmt: skip
    generator = rp.load_generator(name, layer, size=size, device=chosen.device)
    methods = list(BASELINES) if chosen.refits else WITHOUT_FIT
    rows = []
    for picture in swept.layers[0].pictures:
        d = rp.Decomposition.load(chosen.runs / stem / picture.run)
        origin = d.provenance
        rows.append(
            {
                "picture": picture.seed,
                "wall_seconds": origin.wall_seconds,
                "tail_seconds_per_evaluation": origin.tail_seconds / origin.evaluations,
                "baselines": dict(beside(d, generator, methods, evaluation)),
                **picture.scores.to_dict(),
            }
        )
        head = {**record.ran_on(chosen.device), "generator": name, "layer": layer, "grid": "6x6"}
        asked = {"settings": asdict(settings), "evaluation": asdict(evaluation)}
        record.keep(stem, {**head, "quality": chosen.quality, **asked, "pictures": rows})


def beside(
    d: rp.Decomposition, generator: rp.Generator, methods: Sequence[str], evaluation: rp.Evaluation
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield what each other method reaches on the same demands, along its knob."""
    for other in rp.baselines(d, generator, methods, evaluation).baselines:
        kept = ("setting", "inside_error", "leak")
        yield other.name, [{key: getattr(point, key) for key in kept} for point in other.points]


def renew_pages() -> None:
    """Write the pages' tables, of all cases that were measured with the settings of today."""
    measured = [(label, stored) for label, name in ROWS if (stored := today(name))]
    renew(PAGE, "scores", scores_table(measured))
    renew(PAGE, "frontier", frontier_table(measured))
    renew(PAGE, "instead", instead_table(measured))
    renew(RESULTS, "faces", faces_table(today("zoo_faces"), today("zoo_faces_fast")))


def today(name: str) -> dict[str, Any]:
    """Read results; nothing of those that were measured with other settings than today's."""
    stored = record.read(name)
    asked = rp.Structured.of_quality(stored.get("quality", "balanced"), "isolate")
    return stored if record.agree(stored.get("settings", {}), asdict(asked)) else {}


def faces_table(faces: Mapping[str, Any], fast: Mapping[str, Any]) -> list[str]:
    """Lay out every score of faces: its mean with the interval, its range, and what is good."""
    if not (faces and fast):
        raise SystemExit("docs/results.md needs zoo_faces.json and zoo_faces_fast.json of today")
    pictures = faces["pictures"]
    fits = {
        "": pictures,
        _LEAKY: [one["frontier"][0] for one in pictures],
        _TIGHT: [one["frontier"][2] for one in pictures],
        _FAST: fast["pictures"],
    }
    rows = []
    for fit, name in FACES_ROWS:
        score = TABLE[name]
        spread = Spread.over([float(one[name]) for one in fits[fit] if one[name] is not None])
        ends = (score.form.format(end) for end in (spread.least, spread.most))
        rows.append(
            (fit + score.phrase, with_interval(spread, score.form), " – ".join(ends), score.good)
        )
    lead = (
        f"Mean over {len(pictures)} pictures (seeds from 0 on), its 95 % interval, and the range:"
    )
    return ["", lead, "", *table(("score", "mean", "range", "good"), rows), ""]


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
    return with_interval(Spread.over(values), form) + some


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
