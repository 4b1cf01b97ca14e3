"""The table of the README: `faces` at main.5, a 6 × 6 grid, mean and 95 % interval over pictures.

    .venv/bin/python benchmarks/faces.py [--pictures 20] [--one-stream]

Writes benchmarks/results/faces.json with every picture's scores, machine, versions and date. Takes
about a minute a picture on two cores. With --one-stream the pictures are numbers 0, 3, 8, 14, 20,
27 and 33 of one draw, torch.manual_seed(0); torch.randn(40, 100, 1, 1), on which the dense form
with all 441 rectangles a unit was measured before; the results go to faces_one_stream.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import resource
import statistics
from dataclasses import asdict
from pathlib import Path

import torch
from scipy import stats

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions

RESULTS = Path(__file__).parent / "results"
SHOWN = (
    ("inside_error", "inside error", "{:.2%}", "≤ 0.5 %"),
    ("leak", "leak", "{:.1%}", "≤ 13 %"),
    ("cost", "cost", "{:.2f}", ""),
    ("evaluations", "evaluations", "{:,.0f}", "≤ 5,000"),
    ("overhead_ratio", "overhead ratio", "{:.2f}", "≤ 1.5"),
    ("completeness_gap", "completeness gap", "{:.0e}", "≤ 1e-5"),
    ("additivity_gap", "additivity gap", "{:.3f}", ""),
    ("free_inside_error", "inside error of the free bound", "{:.2%}", ""),
    ("free_leak", "leak of the free bound", "{:.1%}", ""),
    ("boundedness", "boundedness", "{:.2f}", ""),
    ("boundedness_in_context", "boundedness in context", "{:.2f}", ""),
    ("consistency", "consistency", "{:.2f}", ""),
    ("superposition_error", "superposition error", "{:.2f}", ""),
    ("n90", "n90", "{:.0f}", ""),
    ("psnr", "PSNR of demanded patches, dB", "{:.1f}", ""),
    ("ssim", "SSIM of demanded patches", "{:.3f}", ""),
)


def interval(values: list[float]) -> tuple[float, float]:
    """Return mean and half width of the 95 % interval of the mean (Student's t)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, float("nan")
    quantile = stats.t.ppf(0.975, len(values) - 1)
    return mean, float(quantile * statistics.stdev(values) / len(values) ** 0.5)


def processor() -> str:
    """Name the processor as the system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


def main() -> None:
    """Explain and score the pictures, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--layer", default="main.5")
    parser.add_argument("--one-stream", action="store_true")
    chosen = parser.parse_args()
    generator = rp.load_generator("faces", chosen.layer)
    settings, evaluation = rp.Structured(), rp.Evaluation()
    scores: list[dict[str, object]] = []
    if chosen.one_stream:
        rng = torch.Generator().manual_seed(0)
        latents, pictures = torch.randn(40, 100, 1, 1, generator=rng), [0, 3, 8, 14, 20, 27, 33]
    else:
        pictures = list(range(chosen.pictures))
        latents = generator.sample_latents(chosen.pictures, seed=0)
    for number in pictures:
        result = rp.explain(
            generator, latents[number : number + 1], rp.Regions.grid(6, 6), settings
        )
        found = rp.evaluate(result, generator, evaluation)
        origin = result.provenance
        scores.append({"picture": number, "wall_seconds": origin.wall_seconds, **found.to_dict()})
        print(
            f"picture {number}: inside {found.inside_error:.2%}, leak {found.leak:.1%}, "
            f"overhead {found.overhead_ratio:.2f}",
            flush=True,
        )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n| score | mean of {len(scores)} pictures | 95 % interval | range | asked for |")
    print("| --- | --- | --- | --- | --- |")
    summary = {}
    for name, label, form, target in SHOWN:
        values = [float(row[name]) for row in scores if row[name] is not None]  # type: ignore[arg-type]
        mean, half = interval(values)
        low, high = form.format(min(values)), form.format(max(values))
        cells = (label, form.format(mean), f"± {form.format(half)}", f"{low} – {high}", target)
        print("| " + " | ".join(cells) + " |")
        summary[name] = {"mean": mean, "half_interval_95": half if half == half else None}
    print(f"\npeak memory of the whole run: {peak_mib:,.0f} MiB (asked for: under 2,048)")
    out = RESULTS / ("faces_one_stream.json" if chosen.one_stream else "faces.json")
    out.write_text(
        json.dumps(
            {
                "generator": "faces",
                "layer": chosen.layer,
                "grid": "6x6",
                "date": datetime.date.today().isoformat(),
                "machine": {"processor": processor(), "threads": torch.get_num_threads()},
                "versions": current_versions(),
                "settings": asdict(settings),
                "evaluation": asdict(evaluation),
                "peak_memory_mib": peak_mib,
                "summary": summary,
                "pictures": scores,
            },
            indent=1,
            allow_nan=False,
        )
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
