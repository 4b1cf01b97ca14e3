"""Both questions side by side: scores by generator, layer and purpose, beside what demands allow.

    .venv/bin/python benchmarks/purposes.py faces [--layers main.5] [--pictures 20]
        [--purposes generate,isolate] [--seeds 2] [--quality balanced]

Writes benchmarks/results/purposes.json after every picture, and at the end the table between the
markers of docs/generators.md; pictures that stand with the same settings are not measured again.
`photos` and `vae-…` need their weights, see `primitives models`. With two seeds the second fit is
for the overlap of fields alone.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import record
import torch
from pages import narrow, renew, table

import regional_primitives as rp
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators import ZOO, Generator
from regional_primitives.scores.agreement import stability
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

EVALUATION = rp.Evaluation(free_demands=8)
KEPT = (
    "pooled_inside_error", "inside_error", "pooled_leak", "leak", "stray", "cost", "departure",
    "bound_ratio", "gated_pooled_inside_error", "gated_pooled_leak", "gated_cost", "entanglement",
    "boundedness", "chance_boundedness", "boundedness_in_context", "consistency",
    "superposition_error", "n90", "components", "remainder", "evaluations",
)  # fmt: skip


def measured(
    generator: Generator, picture: int, settings: rp.Structured, seeds: int, runs: Path | None
) -> dict[str, Any]:
    """Explain and score one picture, and compare the fields that other seeds find."""
    fits = [
        fitted(generator, picture, settings if seed == 0 else changed(settings, seed), runs)
        for seed in range(seeds)
    ]
    scores = rp.evaluate(fits[0], generator, EVALUATION).to_dict()
    parts = [one.without(one.remainder) for one in fits]
    sizes = scores["field_sizes"]
    return {
        **{name: scores[name] for name in KEPT},
        "patches_a_field": sum(size * share for size, share in sizes.items()),
        "in_several_patches": 1 - sizes.get(1, 0.0),
        "stability": stability(*parts)[0] if seeds == 2 else None,
    }


def changed(settings: rp.Structured, seed: int) -> rp.Structured:
    """Return the same with another random stream."""
    return rp.Structured(**{**asdict(settings), "seed": seed})


def fitted(
    generator: Generator, picture: int, settings: rp.Structured, runs: Path | None
) -> Decomposition:
    """Explain a picture, or load the run that stands in `runs` with these settings."""
    wanted = asdict(settings.settled(generator))
    folder = None
    if runs is not None:
        name = f"{generator.name}-{generator.layer}-{settings.purpose}-{settings.steps}"
        folder = runs / f"{name}-{picture}-{settings.seed}"
        if folder.is_dir():
            kept = rp.Decomposition.load(folder)
            if kept.provenance.settings == wanted:
                return kept
    latents = generator.sample_latents(1, seed=picture)
    found = rp.explain(generator, latents, rp.Regions.grid(6, 6), settings, picture_seed=picture)
    if folder is not None:
        found.save(folder, overwrite=True)
    return found


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


def main() -> None:
    """Measure what is asked for, add it to the results, and tell them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("generator")
    parser.add_argument("--layers", help="comma-separated; the generator's own choice unless given")
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--purposes", default="generate,isolate")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--seeds", type=int, choices=(1, 2), default=1)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int)
    parser.add_argument("--runs", type=Path, help="keep the fits in this folder")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    layers = asked.layers.split(",") if asked.layers else [ZOO[asked.generator].default_layer]
    rows = record.read("purposes").get("rows", [])
    for layer in layers:
        generator = rp.load_generator(
            asked.generator, layer, weights=asked.weights, size=asked.size
        )
        for purpose in asked.purposes.split(","):
            settings = rp.Structured.of_quality(asked.quality, purpose)
            for picture in range(asked.pictures):
                case = {
                    "generator": asked.generator, "layer": layer, "purpose": purpose,
                    "quality": asked.quality, "picture": picture, "seeds": asked.seeds,
                    "settings": asdict(settings),
                }  # fmt: skip
                if stands(rows, case):
                    continue
                kept = [row for row in rows if any(row[k] != case[k] for k in (*CASE, "picture"))]
                found = measured(generator, picture, settings, asked.seeds, asked.runs)
                rows = [*kept, {**case, **found}]
                record.keep("purposes", {"rows": rows})
                print("\n".join(renewed(rows[-1:])), flush=True)
    renew(PAGE, "purposes", renewed(rows))


def stands(rows: list[dict[str, Any]], case: dict[str, Any]) -> bool:
    """Say whether a picture stands with these settings and at least as many seeds."""
    return any(
        all(row[key] == value for key, value in case.items() if key != "seeds")
        and row["seeds"] >= case["seeds"]
        for row in rows
    )


if __name__ == "__main__":
    main()
