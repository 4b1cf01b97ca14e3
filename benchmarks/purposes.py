"""Both questions side by side: scores by generator, layer and purpose, beside what demands allow.

    .venv/bin/python benchmarks/purposes.py faces [--layers main.5] [--pictures 20]
        [--purposes generate,isolate] [--seeds 2] [--quality balanced] [--runs runs/purposes]

The pictures are sweeps in the folder --runs, which go on where they stood. Writes
benchmarks/results/purposes.json after every case, and at the end the table between the markers of
docs/generators.md. `photos` and `vae-…` need their weights, see `primitives models`. With two seeds
the second fit is for the overlap of fields alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import record
import torch
from pages import narrow, renew, table

import regional_primitives as rp
from regional_primitives.generators import ZOO
from regional_primitives.runs.sweep import sweep
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.scores.agreement import stability
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.sweep_scores import PictureScores
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

EVALUATION = rp.Evaluation(
    demands=128, components=40, contexts=16, free_demands=8, free_steps=100, free_bounds=True
)
LEAST = rp.Evaluation(demands=1, components=1, contexts=2, free_demands=0)
"""Of fits that are compared, not scored."""
KEPT = (
    "pooled_inside_error", "inside_error", "pooled_leak", "leak", "stray", "cost", "departure",
    "bound_ratio", "gated_pooled_inside_error", "gated_pooled_leak", "gated_cost", "entanglement",
    "boundedness", "chance_boundedness", "boundedness_in_context", "consistency",
    "superposition_error", "n90", "components", "remainder", "evaluations",
)  # fmt: skip


def swept(
    asked: argparse.Namespace, layer: str, pictures: Iterable[int], settings: rp.Structured
) -> list[tuple[PictureScores, rp.Decomposition]]:
    """Explain pictures of one layer, but for those that stand, and load them."""
    stem = f"{asked.generator}-{layer}-{settings.purpose}-{settings.steps}-{settings.seed}"
    folder = asked.runs / stem
    with progress_bar() as progress:
        found = sweep(
            asked.generator, pictures, layer, folder, settings=settings,
            evaluation=LEAST if settings.seed else EVALUATION, progress=progress,
            weights=asked.weights, size=asked.size,
        )  # fmt: skip
    return [(one, rp.Decomposition.load(folder / one.run)) for one in found.layers[0].pictures]


def measured(
    asked: argparse.Namespace, layer: str, settings: rp.Structured
) -> Iterator[dict[str, Any]]:
    """Explain and score the pictures, and compare the fields that another seed finds."""
    seeds = [replace(settings, seed=seed) for seed in range(asked.seeds)]
    fits = [swept(asked, layer, range(asked.pictures), one) for one in seeds]
    for several in zip(*fits, strict=True):
        picture = several[0][0]
        scores, sizes = picture.scores.to_dict(), picture.scores.field_sizes
        parts = [fit.without(fit.remainder) for _, fit in several]
        yield {
            "picture": picture.seed,
            **{name: scores[name] for name in KEPT},
            "patches_a_field": sum(size * share for size, share in sizes.items()),
            "in_several_patches": 1 - sizes.get(1, 0.0),
            "stability": stability(*parts)[0] if parts[1:] else None,
        }


def renewed(rows: list[dict[str, Any]]) -> list[str]:
    """Lay out means over pictures, a line a case."""
    header = [*CASE, "pictures", *(narrow(TABLE[name]) for name in SHOWN), "patches a field"]
    lines = []
    for case in dict.fromkeys(tuple(row[key] for key in CASE) for row in rows):
        mine = [row for row in rows if tuple(row[key] for key in CASE) == case]
        cells = [mean(mine, name, FINE.get(name, TABLE[name].form)) for name in SHOWN]
        lines.append([*case, str(len(mine)), *cells, mean(mine, "patches_a_field", "{:.1f}")])
    return table(header, lines)


def mean(rows: list[dict[str, Any]], name: str, form: str) -> str:
    """Write the mean over the pictures that have the score, with half of its 95 % interval."""
    values = [float(row[name]) for row in rows if row[name] is not None]
    return with_interval(Spread.over(values), form) if values else ""


CASE = ("generator", "layer", "purpose", "quality")
SHOWN = (
    "pooled_inside_error", "gated_pooled_inside_error", "pooled_leak", "gated_pooled_leak",
    "departure", "entanglement", "boundedness", "boundedness_in_context", "chance_boundedness",
    "consistency", "n90", "remainder", "stability",
)  # fmt: skip
FINE = dict.fromkeys(SHOWN[:2], "{:.3%}")
"""Errors that two decimals would show as nothing."""
PAGE = Path(__file__).parents[1] / "docs" / "generators.md"


def options() -> argparse.ArgumentParser:
    """Return what this script and `strongest.py` are asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("generator")
    parser.add_argument("--layers", help="comma-separated; the generator's own choice unless given")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/purposes"), help="keeps the fits")
    return parser


def main() -> None:
    """Measure what is asked for, add it to the results, and tell them."""
    parser = options()
    parser.set_defaults(pictures=2)
    parser.add_argument("--purposes", default="generate,isolate")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--seeds", type=int, choices=(1, 2), default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    layers = asked.layers.split(",") if asked.layers else [ZOO[asked.generator].default_layer]
    rows = record.read("purposes").get("rows", [])
    for layer, purpose in product(layers, asked.purposes.split(",")):
        settings = rp.Structured.of_quality(asked.quality, purpose)
        case = dict(zip(CASE, (asked.generator, layer, purpose, asked.quality), strict=True))
        more = {"seeds": asked.seeds, "settings": asdict(settings)}
        rows = [row for row in rows if any(row[key] != value for key, value in case.items())]
        rows += [{**case, **more, **found} for found in measured(asked, layer, settings)]
        record.keep("purposes", {"rows": rows})
    renew(PAGE, "purposes", renewed(rows))


if __name__ == "__main__":
    main()
