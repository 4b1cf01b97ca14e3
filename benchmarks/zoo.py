"""The table of docs/generators.md: every zoo generator scored alike, beside `faces` at its budget.

    .venv/bin/python benchmarks/zoo.py photos-64 [--pictures 10]

Cases are photos-64, photos-128 and terrain. Their tails cost 20 to 200 times what the tail of
`faces` costs, so that they are fitted with fewer evaluations; `faces` is fitted once more with the
same settings, so that two rows of one case differ in the generator alone. Writes
benchmarks/results/zoo_CASE.json after every picture. `photos` needs its weights: see
`primitives models`, and name their folder in $REGIONAL_PRIMITIVES_WEIGHTS.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.evaluate.spread import Spread

RESULTS = Path(__file__).parent / "results"
CASES = {
    "photos-64": ("photos", 64, "10", rp.Structured(steps=30, batch=8, probes=1), 64),
    "photos-128": ("photos", 128, "10", rp.Structured(steps=20, batch=6, probes=1), 24),
    "terrain": ("terrain", 128, "output_blocks.14", rp.Structured(steps=16, batch=4, probes=1), 16),
}
"""Generator, size, layer, settings, and held-out demands a picture."""
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
    "mean_field_size",
    "psnr",
    "ssim",
)


def rows(
    generator: rp.Generator,
    settings: rp.Structured,
    evaluation: rp.Evaluation,
    pictures: range,
) -> Iterator[dict[str, object]]:
    """Score pictures of a generator, by their seeds."""
    for seed in pictures:
        latents = generator.sample_latents(1, seed=seed)
        d = rp.explain(generator, latents, rp.Regions.grid(6, 6), settings, picture_seed=seed)
        scores = rp.evaluate(d, generator, evaluation)
        size = sum(size * share for size, share in scores.field_sizes.items())
        print(
            f"{generator.name} {seed}: inside {scores.inside_error:.2%}, leak {scores.leak:.1%}, "
            f"boundedness {scores.boundedness:.2f}, consistency {scores.consistency:.2f}",
            flush=True,
        )
        origin = d.provenance
        yield {
            "picture": seed,
            "wall_seconds": origin.wall_seconds,
            "tail_seconds_per_evaluation": origin.tail_seconds / origin.evaluations,
            "flows_past": len(origin.flows_past),
            "whole_network": origin.whole_network,
            "mean_field_size": size,
            **scores.to_dict(),
        }


def standing(out: Path, label: str, result: dict[str, object]) -> list[dict[str, object]]:
    """Read the pictures that an interrupted run with the same settings has scored already."""
    if not out.is_file():
        return []
    before = json.loads(out.read_text(encoding="utf-8"))
    same = all(before.get(key) == result[key] for key in ("settings", "evaluation", "grid"))
    if same and label in before:
        result[label] = before[label]
        return list(before[label]["pictures"])
    return []


def main() -> None:
    """Score one case and `faces` beside it; print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--pictures", type=int, default=10)
    chosen = parser.parse_args()
    name, size, layer, settings, demands = CASES[chosen.case]
    evaluation = rp.Evaluation(demands=demands, components=8, contexts=4, free_demands=0)
    out = RESULTS / f"zoo_{chosen.case}.json"
    generators = {
        "faces": rp.load_generator("faces", "main.5"),
        chosen.case: rp.load_generator(name, layer, size=size),
    }
    result: dict[str, object] = {
        "grid": "6x6",
        "date": datetime.date.today().isoformat(),
        "threads": torch.get_num_threads(),
        "versions": current_versions(),
        "settings": asdict(settings),
        "evaluation": asdict(evaluation),
    }
    for label, generator in generators.items():
        found: list[dict[str, object]] = standing(out, label, result)
        todo = range(len(found), chosen.pictures)
        for row in rows(generator, settings, evaluation, todo):
            found.append(row)
            summary = {key: Spread.over([float(one[key]) for one in found]) for key in SHOWN}  # type: ignore[arg-type]
            result[label] = {
                "layer": generator.layer,
                "baseline_count": generator.baseline_count,
                "summary": {key: asdict(value) for key, value in summary.items()},
                "pictures": found,
            }
            out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        print(f"\n| {label}, {generator.layer} | mean of {len(found)} pictures | range |")
        print("| --- | --- | --- |")
        for key in SHOWN:
            values = [float(one[key]) for one in found]  # type: ignore[arg-type]
            value = Spread.over(values)
            half = value.half_interval_95
            told = f"{value.mean:.4g}" + ("" if half is None else f" ± {half:.2g}")
            print(f"| {key} | {told} | {min(values):.4g} – {max(values):.4g} |")


if __name__ == "__main__":
    main()
