"""What one would do instead, on `faces` at main.5: the table of docs/baselines.md.

    .venv/bin/python benchmarks/baselines.py [--pictures 3]

Explains pictures by seeds from 0 on with the structured form's defaults and scores every baseline
on the same 128 held-out demands. Writes benchmarks/results/baselines_faces.json, the table between
the markers of docs/baselines.md and docs/images/baselines.png, the first picture's frontiers. About
three minutes a picture on two cores.
"""

from __future__ import annotations

import argparse
import datetime
import re
from pathlib import Path

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.evaluate.baselines import Compared
from regional_primitives.evaluate.spread import Spread
from regional_primitives.runtime.storage import write_json
from regional_primitives.show.baseline_plots import plot_baselines
from regional_primitives.show.figures import write_figure
from regional_primitives.show.reproduction_table import told

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "baselines.md"
RESULTS = ROOT / "benchmarks" / "results" / "baselines_faces.json"
NUMBERS = (
    ("inside_error", "{:.2%}"),
    ("leak", "{:.1%}"),
    ("objective", "{:.3f}"),
    ("boundedness", "{:.2f}"),
    ("consistency", "{:.2f}"),
    ("n90", "{:.0f}"),
    ("evaluations", "{:,.0f}"),
)


def main() -> None:
    """Compare on each picture, and renew the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=3)
    pictures = parser.parse_args().pictures
    generator = rp.load_generator("faces")
    found = []
    for seed in range(pictures):
        result = rp.explain(generator, generator.sample_latents(1, seed=seed))
        found.append(rp.baselines(result, generator))
        print(f"picture {seed + 1} of {pictures}", flush=True)
    columns = zip(*([one.own, *one.baselines] for one in found), strict=True)
    rows = [_row(list(column)) for column in columns]
    write_json(
        RESULTS,
        {
            "date": datetime.date.today().isoformat(),
            "versions": current_versions(),
            "pictures": [one.to_dict() for one in found],
        },
    )
    header = ("method", "inside error", "leak", "objective", "boundedness", "consistency",
              "n90", "evaluations")  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "| --- " * len(header) + "|", *rows]
    page = PAGE.read_text(encoding="utf-8")
    renewed = re.sub(
        r"(?<=<!-- table: begin -->\n).*(?=<!-- table: end -->)",
        lambda _: "\n".join(lines) + "\n",
        page,
        flags=re.DOTALL,
    )
    PAGE.write_text(renewed, encoding="utf-8")
    write_figure(ROOT / "docs" / "images" / "baselines.png", plot_baselines(found[0]))


def _row(methods: list[Compared]) -> str:
    """Tell a method's means over the pictures, each at the setting that serves it best."""
    cells = [methods[0].name]
    for name, form in NUMBERS:
        values = [getattr(one.best if hasattr(one.best, name) else one, name) for one in methods]
        cells.append("" if None in values else told(Spread.over(values), form))
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
