"""The tables of the README: `faces` at main.5, a 6 × 6 grid, mean and 95 % interval over pictures.

    .venv/bin/python benchmarks/faces.py [--pictures 20] [--workers 2] [--one-stream]

Of every picture: the defaults with all scores, a second fit with another random stream (stability),
two fits at other prices of leak (the frontier), and one of quality `fast`. Writes
benchmarks/results/faces.json with every picture's scores, machine, versions and date, anew after
each picture, and the README's table between its markers at the end (--table renews only that, from
the file). Takes about five minutes of one core a picture. With --one-stream the pictures are
numbers 0, 3, 8, 14, 20, 27 and 33 of one draw, torch.manual_seed(0); torch.randn(40, 100, 1, 1), on
which the dense form with all 441 rectangles a unit was measured before; the results go to
faces_one_stream.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch
from machine import processor
from pages import renew, table
from scipy import stats

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions

RESULTS = Path(__file__).parent / "results"
EVALUATION = rp.Evaluation(refits=True)
SHOWN = (
    ("inside_error", "inside error", "{:.2%}", "≤ 0.5 %"),
    ("leak", "leak", "{:.1%}", "≤ 7 %"),
    ("leaky_inside_error", "… at 0.4 times the price of leak: inside error", "{:.2%}", ""),
    ("leaky_leak", "… leak", "{:.1%}", ""),
    ("tight_inside_error", "… at twice the price of leak: inside error", "{:.2%}", "≤ 1 %"),
    ("tight_leak", "… leak", "{:.1%}", "≤ 5 %"),
    ("fast_inside_error", "… quality fast: inside error", "{:.2%}", "≤ 0.6 %"),
    ("fast_leak", "… leak", "{:.1%}", "≤ 18 %"),
    ("fast_evaluations", "… evaluations", "{:,.0f}", "≤ 1,000"),
    ("cost", "cost", "{:.2f}", ""),
    ("evaluations", "evaluations", "{:,.0f}", "≤ 5,000"),
    ("overhead_ratio", "overhead ratio", "{:.2f}", "≤ 1.15"),
    ("completeness_gap", "completeness gap", "{:.0e}", "≤ 1e-5"),
    ("additivity_gap", "additivity gap", "{:.3f}", ""),
    ("free_inside_error", "inside error of the free bound", "{:.2%}", ""),
    ("free_leak", "leak of the free bound", "{:.1%}", ""),
    ("boundedness", "boundedness", "{:.3f}", "≥ 0.93"),
    ("boundedness_in_context", "boundedness in context", "{:.3f}", ""),
    ("consistency", "consistency", "{:.3f}", "≥ 0.92"),
    ("superposition_error", "superposition error", "{:.2f}", ""),
    ("n90", "n90", "{:.0f}", "≤ 80"),
    ("stability", "strength overlap of two seeds", "{:.2f}", "≥ 0.9"),
    ("unit_stability", "… unit by unit", "{:.2f}", ""),
    ("psnr", "PSNR of demanded patches, dB", "{:.1f}", ""),
    ("ssim", "SSIM of demanded patches", "{:.3f}", ""),
)

README = Path(__file__).parents[1] / "README.md"
README_ROWS = (
    ("inside_error", "inside error", "{:.2%}", "0"),
    ("free_inside_error", "… of the free bound", "{:.2%}", ""),
    ("leak", "leak", "{:.1%}", "0"),
    ("free_leak", "… of the free bound", "{:.1%}", ""),
    ("leaky_inside_error", "at 0.4 times the price of leak: inside error", "{:.2%}", "0"),
    ("leaky_leak", "… leak", "{:.1%}", "0"),
    ("tight_inside_error", "at twice the price of leak: inside error", "{:.2%}", "0"),
    ("tight_leak", "… leak", "{:.1%}", "0"),
    ("boundedness", "boundedness", "{:.2f}", "1"),
    ("consistency", "consistency", "{:.2f}", "1"),
    ("superposition_error", "superposition error", "{:.2f}", "0"),
    ("n90", "components for 90 % of the energy", "{:.0f}", "few"),
    ("stability", "overlap of two seeds: strengths of fields", "{:.2f}", "1"),
    ("unit_stability", "… unit by unit", "{:.2f}", "1"),
    ("completeness_gap", "completeness gap", "{:.0e}", "0"),
    ("overhead_ratio", "overhead ratio", "{:.2f}", "1"),
    ("fast_inside_error", "`fast` (968 evaluations): inside error", "{:.2%}", "0"),
    ("fast_leak", "… leak", "{:.1%}", "0"),
)
"""Score, label, form and the perfect value."""


def interval(values: list[float]) -> tuple[float, float]:
    """Return mean and half width of the 95 % interval of the mean (Student's t)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, float("nan")
    quantile = stats.t.ppf(0.975, len(values) - 1)
    return mean, float(quantile * statistics.stdev(values) / len(values) ** 0.5)


def latents_of(generator: rp.Generator, number: int, one_stream: bool) -> torch.Tensor:
    """Return a picture's latent, of the common draw or of its own seed."""
    if one_stream:
        rng = torch.Generator().manual_seed(0)
        return torch.randn(40, 100, 1, 1, generator=rng)[number : number + 1]
    latents = generator.sample_latents(1, seed=number)
    assert isinstance(latents, torch.Tensor)
    return latents


def measured(number: int, one_stream: bool, layer: str) -> dict[str, object]:
    """Explain and score one picture."""
    generator = rp.load_generator("faces", layer)
    latents = latents_of(generator, number, one_stream)
    regions = rp.Regions.grid(6, 6)
    result = rp.explain(generator, latents, regions)
    found = rp.evaluate(result, generator, EVALUATION)
    assert found.frontier is not None
    leaky, _, tight = found.frontier
    return {
        "picture": number,
        "wall_seconds": result.provenance.wall_seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "leaky_inside_error": leaky["inside_error"],
        "leaky_leak": leaky["leak"],
        "tight_inside_error": tight["inside_error"],
        "tight_leak": tight["leak"],
        **found.to_dict(),
        **measured_fast(generator, latents),
    }


def measured_fast(generator: rp.Generator, latents: torch.Tensor) -> dict[str, object]:
    """Explain and score one picture with quality `fast`."""
    regions, quick = rp.Regions.grid(6, 6), rp.Structured.of_quality("fast")
    result = rp.explain(generator, latents, regions, quick)
    found = rp.evaluate(result, generator, rp.Evaluation(free_demands=0))
    return {
        "fast_inside_error": found.inside_error,
        "fast_leak": found.leak,
        "fast_evaluations": found.evaluations,
        "fast": found.to_dict(),
    }


def main() -> None:
    """Explain and score the pictures, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--layer", default="main.5")
    parser.add_argument("--one-stream", action="store_true")
    parser.add_argument("--table", action="store_true", help="only the README's, from faces.json")
    parser.add_argument("--renew-fast", action="store_true", help="of the pictures in faces.json")
    chosen = parser.parse_args()
    pictures = [0, 3, 8, 14, 20, 27, 33] if chosen.one_stream else range(chosen.pictures)
    out = RESULTS / ("faces_one_stream.json" if chosen.one_stream else "faces.json")
    if chosen.table:
        renew_readme(json.loads(out.read_text(encoding="utf-8"))["pictures"])
        return
    if chosen.renew_fast:
        generator = rp.load_generator("faces", chosen.layer)
        stored = json.loads(out.read_text(encoding="utf-8"))
        for row in stored["pictures"]:
            latents = latents_of(generator, row["picture"], chosen.one_stream)
            row |= measured_fast(generator, latents)
        write(out, stored["pictures"], chosen.layer, stored["machine"]["threads"])
        report(stored["pictures"])
        return
    threads = max(1, torch.get_num_threads() // chosen.workers)
    pool = ProcessPoolExecutor(
        chosen.workers, get_context("spawn"), torch.set_num_threads, (threads,)
    )
    with pool:
        tasks = [pool.submit(measured, n, chosen.one_stream, chosen.layer) for n in pictures]
        scores: list[dict[str, object]] = []
        for task in as_completed(tasks):
            scores.append(task.result())
            scores.sort(key=lambda row: row["picture"])  # type: ignore[arg-type,return-value]
            print(f"{len(scores)} of {len(tasks)} pictures", flush=True)
            write(out, scores, chosen.layer, threads)
    report(scores)
    if out.name == "faces.json":
        renew_readme(scores)


def summary(scores: list[dict[str, object]]) -> dict[str, list[float]]:
    """Collect the values of each score that is shown."""
    return {
        name: [float(row[name]) for row in scores if row[name] is not None]  # type: ignore[arg-type]
        for name, *_ in SHOWN
    }


def report(scores: list[dict[str, object]]) -> None:
    """Print the table."""
    print(f"\n| score | mean of {len(scores)} pictures | 95 % interval | range | asked for |")
    print("| --- | --- | --- | --- | --- |")
    values = summary(scores)
    for name, label, form, target in SHOWN:
        mean, half = interval(values[name])
        low, high = form.format(min(values[name])), form.format(max(values[name]))
        cells = (label, form.format(mean), f"± {form.format(half)}", f"{low} – {high}", target)
        print("| " + " | ".join(cells) + " |")
    peak = max(float(row["peak_mib"]) for row in scores)  # type: ignore[arg-type]
    print(f"\npeak memory of a process: {peak:,.0f} MiB (asked for: under 2,048)")


def renew_readme(scores: list[dict[str, object]]) -> None:
    """Write the README's table between its markers."""
    lead = f"Mean over {len(scores)} pictures (seeds from 0 on), its 95 % interval, and the range:"
    rows = []
    for name, label, form, perfect in README_ROWS:
        values = [float(row[name]) for row in scores]  # type: ignore[arg-type]
        mean, half = interval(values)
        low, high = (form.format(end(values)) for end in (min, max))
        about = f"{form.format(mean)} ± {form.format(half)}"
        rows.append([label, about, f"{low} – {high}", perfect])
    shown = table(("score", "mean", "range", "perfect"), rows)
    renew(README, "faces", ["", lead, "", *shown, ""])


def write(out: Path, scores: list[dict[str, object]], layer: str, threads: int) -> None:
    """Write what was found so far."""
    means = {}
    for name, values in summary(scores).items():
        mean, half = interval(values)
        means[name] = {"mean": mean, "half_interval_95": half if half == half else None}
    content = {
        "generator": "faces",
        "layer": layer,
        "grid": "6x6",
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": processor(), "threads": threads},
        "versions": current_versions(),
        "settings": asdict(rp.Structured()),
        "fast": asdict(rp.Structured.of_quality("fast")),
        "evaluation": asdict(EVALUATION),
        "peak_memory_mib": max(float(row["peak_mib"]) for row in scores),  # type: ignore[arg-type]
        "summary": means,
        "pictures": scores,
    }
    out.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
