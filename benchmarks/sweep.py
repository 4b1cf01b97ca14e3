"""The table and the figure of "Layers compared" in docs/generators.md: `faces` at four layers.

    .venv/bin/python benchmarks/sweep.py [--run runs/sweep-faces] [--device cpu] [--workers 1]

Runs `primitives sweep faces --layers all --seeds 0:4` into the folder, which goes on
where it stood (about half an hour of one core from nothing), then writes
benchmarks/results/sweep_faces.json, the table between the page's markers and
docs/images/sweep_faces.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import record
from pages import narrow, renew, table
from PIL import Image

import regional_primitives as rp
from regional_primitives.runs.sweep import sweep
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.scores.sweep_scores import AVERAGED, LayerScores
from regional_primitives.show.numerals import with_interval
from regional_primitives.show.sweep_page import SWEEP_FIGURE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "generators.md"
PICTURE = ROOT / "docs" / "images" / "sweep_faces.png"
COLUMNS = [
    AVERAGED[name]
    for name in (
        "field_patches", "boundedness", "boundedness_in_context", "consistency", "n90",
        "inside_error", "leak",
    )
]  # fmt: skip


def main() -> None:
    """Sweep, and renew what the documentation shows of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "sweep-faces")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    with progress_bar() as progress:
        found = sweep(
            "faces", range(4), "all", chosen.run, settings=rp.Structured(purpose="isolate"),
            workers=chosen.workers, progress=progress, device=chosen.device,
        )  # fmt: skip
    record.keep("sweep_faces", {**record.ran_on(chosen.device), **found.to_dict()})
    header = ("layer", "feature", *(narrow(score) for score in COLUMNS))
    renew(PAGE, "layers", table(header, map(row, found.layers)))
    drawn = next(chosen.run.rglob(SWEEP_FIGURE))
    Image.open(drawn).convert("RGB").save(PICTURE, optimize=True)


def row(layer: LayerScores) -> list[str]:
    """Tell one layer's means over the pictures."""
    shape = "×".join(map(str, layer.feature_shape))
    cells = [with_interval(layer.summary[score.name], score.form) for score in COLUMNS]
    return [layer.layer, shape, *cells]


if __name__ == "__main__":
    main()
