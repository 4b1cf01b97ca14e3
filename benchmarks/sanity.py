"""Sanity checks of several pictures: the tables of docs/sanity.md and docs/results.md.

    .venv/bin/python benchmarks/sanity.py [faces vae-faces class-fashion] [--pictures 5]

Fits are of quality `fast`, purpose `generate`, on a 6 × 6 grid. Writes
benchmarks/results/sanity.json after every picture, and goes on where it stood. One to three minutes
of one core a picture.
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

DOCS = Path(__file__).parents[1] / "docs"
GENERATORS = ("faces", "vae-faces", "class-fashion")
FINE = {"pooled_inside_error": "{:.3%}"}


def checked(name: str, seed: int) -> dict[str, Any]:
    """Explain a picture and check it."""
    generator = rp.load_generator(name)
    settings = rp.Structured.of_quality("fast", "generate")
    d = rp.explain(generator, generator.sample_latents(1, seed=seed), rp.Regions.grid(), settings)
    with progress_bar() as progress:
        return rp.sanity(d, generator, settings, progress=progress).to_dict()


def mean(values: list[Any], form: str) -> str:
    """Write the mean over the pictures that have one, with half of its 95 % interval."""
    known = [float(value) for value in values if value is not None]
    return with_interval(Spread.over(known), form) if known else ""


def scored(found: list[dict[str, Any]]) -> list[str]:
    """Lay out means over pictures, a line a check."""
    rows = [["as it is", "", "", *_scores([one["reference"] for one in found])]]
    for number, first in enumerate(found[0]["checks"]):
        own = [one["checks"][number] for one in found]
        left = mean([one["survives"] for one in own], "{:.0%}")
        rows.append(
            [first["name"], first["should"], left, *_scores([one["scores"] for one in own])]
        )
    return table(["check", "should", "is left", *(narrow(TABLE[name]) for name in SCORED)], rows)


def compared(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Lay out what is left, a line a check and a column a generator."""
    rows = []
    for number, check in enumerate(next(iter(found.values()))[0]["checks"]):
        left = (
            mean([one["checks"][number]["survives"] for one in own], "{:.0%}")
            for own in found.values()
        )
        rows.append([check["name"], check["should"], *left])
    margins = (mean([one["margin"] for one in own], "{:.2f}") for own in found.values())
    rows.append(["stay less go, means", "", *margins])
    return table(["check", "should", *found], rows)


def untrained(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Lay out the scores of trained networks' explanations beside untrained ones'."""
    rows = []
    for name, own in found.items():
        rows.append([name, "trained", *_scores([one["reference"] for one in own])])
        without = [one["checks"][-1]["scores"] for one in own]
        rows.append(["", "shuffled weights", *_scores(without)])
    return table(["generator", "network", *(narrow(TABLE[name]) for name in SCORED)], rows)


def _scores(each: list[dict[str, Any]]) -> list[str]:
    return [mean([one[name] for one in each], FINE.get(name, TABLE[name].form)) for name in SCORED]


def main() -> None:
    """Check what is asked for, add it to the results, and tell them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("generators", nargs="*", default=GENERATORS)
    parser.add_argument("--pictures", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kept = record.read("sanity")
    for name in asked.generators:
        mine = kept.setdefault(name, [])
        for seed in range(len(mine), asked.pictures):
            mine.append(checked(name, seed))
            record.keep("sanity", kept)
    found = {name: kept[name] for name in asked.generators}
    renew(DOCS / "sanity.md", "scores", scored(found[asked.generators[0]]))
    renew(DOCS / "sanity.md", "generators", compared(found))
    renew(DOCS / "results.md", "untrained", untrained(found))


if __name__ == "__main__":
    main()
