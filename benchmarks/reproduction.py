"""The tables and pictures of docs/reproduction.md: every experiment of the paper on eight faces.

    .venv/bin/python benchmarks/reproduction.py [--run runs/reproduce-faces] [--device cpu]

Runs `primitives reproduce faces --purpose isolate` into the folder, which goes on where it stood
(about two hours on two cores from nothing), then writes benchmarks/results/reproduce_faces.json,
the table between the markers of docs/reproduction.md, and docs/images/reproduce_*.png.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import record
from pages import renew, table
from PIL import Image

import regional_primitives as rp
from regional_primitives.runs.reproduce import reproduce
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.run_files import FIGURES
from regional_primitives.show.reproduction_page import Line, reproduction_lines

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproduction.md"
SHOWN = ("build_up_exact", "real_fields_exact", "strengths_exact", "redraw", "transfer")
"""Figures that the page shows."""


def main() -> None:
    """Reproduce, and renew what the documentation shows of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "reproduce-faces")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    folder = chosen.run
    with progress_bar() as progress:
        result = reproduce(
            "faces",
            folder,
            exact=rp.Exact(purpose="isolate"),
            structured=rp.Structured(purpose="isolate"),
            progress=progress,
            device=chosen.device,
        )
    content = summaries(result.to_dict())
    record.keep("reproduce_faces", {**record.ran_on(chosen.device), **content})
    header = ("experiment", "number", "structured", "exact")
    renew(PAGE, "table", table(header, rows(reproduction_lines(result))))
    for name in SHOWN:
        drawn = Image.open(folder / FIGURES / f"{name}.png").convert("RGB")  # maps in true colour
        drawn.save(ROOT / "docs" / "images" / f"reproduce_{name}.png", optimize=True)


def summaries(content: Any) -> Any:
    """Leave out the numbers of single pictures."""
    if isinstance(content, dict):
        return {key: summaries(value) for key, value in content.items() if key != "pictures"}
    return content


def rows(lines: list[Line]) -> Iterator[tuple[str, ...]]:
    """Lay out the lines, each experiment's name once."""
    for name, group in itertools.groupby(lines, lambda line: line.experiment):
        for number, line in enumerate(group):
            told = f"**{name}**" if number == 0 else ""
            yield told, line.score, line.structured, line.exact


if __name__ == "__main__":
    main()
