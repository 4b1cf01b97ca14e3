"""Sanity checks of several pictures: the table of docs/sanity.md.

    .venv/bin/python benchmarks/sanity.py [faces] [--pictures 3] [--purpose generate]

Fits are of quality `fast`, on a 6 × 6 grid. Writes benchmarks/results/sanity.json after every
picture, and goes on where it stood.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import record
import torch
from pages import narrow, renew, table

import regional_primitives as rp
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.sanity.suite import SCORED
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

PAGE = Path(__file__).parents[1] / "docs" / "sanity.md"
FINE = {"pooled_inside_error": "{:.3%}"}


def checked(name: str, seed: int, purpose: str) -> dict[str, Any]:
    """Explain a picture and check it."""
    generator = rp.load_generator(name)
    settings = rp.Structured.of_quality("fast", purpose)
    d = rp.explain(generator, generator.sample_latents(1, seed=seed), rp.Regions.grid(), settings)
    with progress_bar() as progress:
        return rp.sanity(d, generator, settings, progress=progress).to_dict()


def mean(values: list[Any], form: str) -> str:
    """Write the mean over the pictures that have one, with half of its 95 % interval."""
    known = [float(value) for value in values if value is not None]
    return with_interval(Spread.over(known), form) if known else ""


def renewed(found: list[dict[str, Any]]) -> list[str]:
    """Lay out means over pictures, a line a check."""
    rows = [["as it is", "", "", *_scores([one["reference"] for one in found])]]
    for number, first in enumerate(found[0]["checks"]):
        own = [one["checks"][number] for one in found]
        left = mean([one["survives"] for one in own], "{:.0%}")
        rows.append(
            [first["name"], first["should"], left, *_scores([one["scores"] for one in own])]
        )
    header = ["check", "should", "is left", *(narrow(TABLE[name]) for name in SCORED)]
    margin = mean([one["margin"] for one in found], "{:.2f}")
    return [
        *table(header, rows),
        "",
        f"Mean left where it should stay, less where it should go: {margin}.",
    ]


def _scores(each: list[dict[str, Any]]) -> list[str]:
    return [mean([one[name] for one in each], FINE.get(name, TABLE[name].form)) for name in SCORED]


def main() -> None:
    """Check what is asked for, add it to the results, and tell them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("generator", nargs="?", default="faces")
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--purpose", default="generate")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kept, case = record.read("sanity"), f"{asked.generator}, {asked.purpose}"
    mine = kept.setdefault(case, [])
    for seed in range(len(mine), asked.pictures):
        mine.append(checked(asked.generator, seed, asked.purpose))
        record.keep("sanity", kept)
    if case == "faces, generate":
        renew(PAGE, "faces", renewed(mine))


if __name__ == "__main__":
    main()
