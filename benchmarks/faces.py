"""The tables of the README: `faces` at main.5, a 6 × 6 grid, mean and 95 % interval over pictures.

    .venv/bin/python benchmarks/faces.py [--pictures 20] [--workers 2]

Of every picture: the defaults with all scores, a second fit with another random stream (stability),
two fits at other prices of leak (the frontier), and one of quality `fast`. Writes
benchmarks/results/faces.json with every picture's scores, machine, versions and date, anew after
each picture, and the README's table between its markers at the end (--table renews only that, from
the file). Takes about five minutes of one core a picture.
"""

from __future__ import annotations

import argparse
import resource
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import record
import torch
from pages import renew, table

import regional_primitives as rp
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE, Score
from regional_primitives.show.reproduction_table import told

RESULT = "faces"
EVALUATION = rp.Evaluation(refits=True)
REFITTED = {
    "leaky": "at 0.4 times the price of leak: ",
    "tight": "at twice the price of leak: ",
    "fast": "`fast`: ",
}
"""What stands before the names and the labels of scores of other fits."""
SHOWN = {
    "inside_error": "≤ 0.5 %",
    "leak": "≤ 7 %",
    "leaky_inside_error": "",
    "leaky_leak": "",
    "tight_inside_error": "≤ 1 %",
    "tight_leak": "≤ 5 %",
    "fast_inside_error": "≤ 0.6 %",
    "fast_leak": "≤ 18 %",
    "fast_evaluations": "≤ 1,000",
    "cost": "",
    "evaluations": "≤ 5,000",
    "overhead_ratio": "≤ 1.15",
    "completeness_gap": "≤ 1e-5",
    "additivity_gap": "",
    "free_inside_error": "",
    "free_leak": "",
    "boundedness": "≥ 0.93",
    "boundedness_in_context": "",
    "consistency": "≥ 0.92",
    "superposition_error": "",
    "n90": "≤ 80",
    "stability": "≥ 0.9",
    "unit_stability": "",
    "psnr": "",
    "ssim": "",
}
"""Score, and what is asked of it."""

README = Path(__file__).parents[1] / "README.md"
README_ROWS = (
    "inside_error", "free_inside_error", "leak", "free_leak", "leaky_inside_error", "leaky_leak",
    "tight_inside_error", "tight_leak", "boundedness", "consistency", "superposition_error", "n90",
    "stability", "unit_stability", "completeness_gap", "overhead_ratio", "fast_inside_error",
    "fast_leak",
)  # fmt: skip


def described(name: str) -> tuple[str, Score]:
    """Return the label of a score, of this fit or another, and its row."""
    of, _, rest = name.partition("_")
    if of in REFITTED:
        return REFITTED[of] + TABLE[rest].phrase, TABLE[rest]
    return TABLE[name].phrase, TABLE[name]


def measured(number: int, layer: str) -> dict[str, object]:
    """Explain and score one picture."""
    generator = rp.load_generator("faces", layer)
    latents = generator.sample_latents(1, seed=number)
    regions = rp.Regions.grid(6, 6)
    result = rp.explain(generator, latents, regions, rp.Structured(purpose="isolate"))
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
    regions, quick = rp.Regions.grid(6, 6), rp.Structured.of_quality("fast", "isolate")
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
    parser.add_argument("--table", action="store_true", help="only the README's, from faces.json")
    parser.add_argument("--renew-fast", action="store_true", help="of the pictures in faces.json")
    chosen = parser.parse_args()
    if chosen.table:
        renew_readme(record.read(RESULT)["pictures"])
        return
    if chosen.renew_fast:
        generator = rp.load_generator("faces", chosen.layer)
        stored = record.read(RESULT)
        for row in stored["pictures"]:
            latents = generator.sample_latents(1, seed=row["picture"])
            row |= measured_fast(generator, latents)
        write(stored["pictures"], chosen.layer, stored["threads"])
        report(stored["pictures"])
        return
    threads = max(1, torch.get_num_threads() // chosen.workers)
    pool = ProcessPoolExecutor(
        chosen.workers, get_context("spawn"), torch.set_num_threads, (threads,)
    )
    with pool:
        tasks = [pool.submit(measured, n, chosen.layer) for n in range(chosen.pictures)]
        scores: list[dict[str, object]] = []
        for task in as_completed(tasks):
            scores.append(task.result())
            scores.sort(key=lambda row: row["picture"])  # type: ignore[arg-type,return-value]
            print(f"{len(scores)} of {len(tasks)} pictures", flush=True)
            write(scores, chosen.layer, threads)
    report(scores)
    renew_readme(scores)


def summary(scores: list[dict[str, object]]) -> dict[str, Spread]:
    """Summarise each score that is shown, over the pictures that have it."""
    return {
        name: Spread.over([float(row[name]) for row in scores if row[name] is not None])  # type: ignore[arg-type]
        for name in SHOWN
    }


def told_row(name: str, spread: Spread) -> tuple[str, str, str]:
    """Tell a score's label, its mean with the interval, and its range."""
    label, score = described(name)
    low, high = (score.form.format(end) for end in (spread.least, spread.most))
    return label, told(spread, score.form), f"{low} – {high}"


def report(scores: list[dict[str, object]]) -> None:
    """Print the table."""
    header = ("score", f"mean of {len(scores)} pictures", "range", "asked for")
    rows = [(*told_row(name, spread), SHOWN[name]) for name, spread in summary(scores).items()]
    print("\n".join(["", *table(header, rows)]))
    peak = max(float(row["peak_mib"]) for row in scores)  # type: ignore[arg-type]
    print(f"\npeak memory of a process: {peak:,.0f} MiB (asked for: under 2,048)")


def renew_readme(scores: list[dict[str, object]]) -> None:
    """Write the README's table between its markers."""
    lead = f"Mean over {len(scores)} pictures (seeds from 0 on), its 95 % interval, and the range:"
    found = summary(scores)
    rows = [(*told_row(name, found[name]), described(name)[1].good) for name in README_ROWS]
    shown = table(("score", "mean", "range", "good"), rows)
    renew(README, "faces", ["", lead, "", *shown, ""])


def write(scores: list[dict[str, object]], layer: str, threads: int) -> None:
    """Write what was found so far."""
    content = {
        "generator": "faces",
        "layer": layer,
        "grid": "6x6",
        **record.ran_on(),
        "threads": threads,
        "settings": asdict(rp.Structured(purpose="isolate")),
        "fast": asdict(rp.Structured.of_quality("fast", "isolate")),
        "evaluation": asdict(EVALUATION),
        "peak_memory_mib": max(float(row["peak_mib"]) for row in scores),  # type: ignore[arg-type]
        "summary": {name: asdict(spread) for name, spread in summary(scores).items()},
        "pictures": scores,
    }
    record.keep(RESULT, content)


if __name__ == "__main__":
    main()
