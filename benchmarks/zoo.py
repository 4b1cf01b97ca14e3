"""The tables of docs/generators.md: zoo generators with the defaults, beside `faces`.

    .venv/bin/python benchmarks/zoo.py CASE [--pictures N] [--quality balanced] [--second-seed]

Cases are faces, photos-64, photos-128 and terrain; no setting is tuned to any of them. One
evaluation of the tails of the last three costs about 10, 40 and 50 times one of `faces` at main.5:
a picture takes 6, 25 and 35 minutes of one core with the defaults. Every picture is scored like
those of benchmarks/faces.py, without refits, and beside it stand the baselines that need no fit, on
the same demands. With --second-seed every picture is fitted once more with another random stream,
and the overlap of the two stands with the scores. Writes benchmarks/results/zoo_CASE[_QUALITY].json
after every picture; a run with the same settings goes on where one stopped. `photos` needs its
weights: see `primitives models`, and name their folder in $REGIONAL_PRIMITIVES_WEIGHTS.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.evaluate.refits import stability
from regional_primitives.evaluate.spread import Spread

RESULTS = Path(__file__).parent / "results"
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
    "mean_field_size",
    "free_inside_error",
    "free_leak",
    "psnr",
    "ssim",
    "peak_mib",
)
OF_TWO_SEEDS = ("stability", "unit_stability")


def rows(
    generator: rp.Generator, settings: rp.Structured, pictures: range, second_seed: bool
) -> Iterator[dict[str, object]]:
    """Score pictures of a generator, by their seeds."""
    for seed in pictures:
        latents = generator.sample_latents(1, seed=seed)
        regions = rp.Regions.grid(6, 6)
        d = rp.explain(generator, latents, regions, settings, picture_seed=seed)
        scores = rp.evaluate(d, generator, EVALUATION)
        if second_seed:
            other = replace(settings, seed=settings.seed + 1)
            by_field, by_unit = stability(d, rp.explain(generator, latents, regions, other))
            scores = replace(scores, stability=by_field, unit_stability=by_unit)
        size = sum(size * share for size, share in scores.field_sizes.items())
        others = rp.baselines(d, generator, WITHOUT_FIT, EVALUATION).baselines
        print(
            f"{generator.name} {seed}: inside {scores.inside_error:.2%}, leak {scores.leak:.1%}, "
            f"boundedness {scores.boundedness:.2f}, consistency {scores.consistency:.2f}, "
            f"{d.provenance.wall_seconds:.0f} s",
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
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "baselines": {
                other.name: [
                    {"setting": point.setting, "inside_error": point.inside_error,
                     "leak": point.leak}
                    for point in other.points
                ]
                for other in others
            },
            **scores.to_dict(),
        }  # fmt: skip


def standing(out: Path, result: dict[str, object]) -> list[dict[str, object]]:
    """Read the pictures that an interrupted run with the same settings has scored already."""
    if not out.is_file():
        return []
    before = json.loads(out.read_text(encoding="utf-8"))
    same = all(before.get(key) == result[key] for key in ("settings", "evaluation", "grid"))
    told = not result["second_seed"] or before.get("second_seed")
    return list(before["pictures"]) if same and told else []


def main() -> None:
    """Score one case; print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--second-seed", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    name, size, layer = CASES[chosen.case]
    settings = rp.Structured.of_quality(chosen.quality)
    suffix = "" if chosen.quality == "balanced" else f"_{chosen.quality}"
    out = RESULTS / f"zoo_{chosen.case}{suffix}.json"
    generator = rp.load_generator(name, layer, size=size)
    result: dict[str, object] = {
        "generator": name,
        "layer": layer,
        "grid": "6x6",
        "quality": chosen.quality,
        "baseline_count": generator.baseline_count,
        "date": datetime.date.today().isoformat(),
        "threads": chosen.threads,
        "second_seed": chosen.second_seed,
        "versions": current_versions(),
        "settings": asdict(settings),
        "evaluation": asdict(EVALUATION),
    }
    shown = (*SHOWN, *(OF_TWO_SEEDS if chosen.second_seed else ()))
    found = standing(out, result)
    todo = range(len(found), chosen.pictures)
    for row in rows(generator, settings, todo, chosen.second_seed):
        found.append(row)
        summary = {key: Spread.over([float(one[key]) for one in found]) for key in shown}  # type: ignore[arg-type]
        result["summary"] = {key: asdict(value) for key, value in summary.items()}
        result["pictures"] = found
        out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\n| {chosen.case}, {layer} | mean of {len(found)} pictures | range |")
    print("| --- | --- | --- |")
    for key in shown:
        values = [float(one[key]) for one in found]  # type: ignore[arg-type]
        value = Spread.over(values)
        half = value.half_interval_95
        told = f"{value.mean:.4g}" + ("" if half is None else f" ± {half:.2g}")
        print(f"| {key} | {told} | {min(values):.4g} – {max(values):.4g} |")


if __name__ == "__main__":
    main()
