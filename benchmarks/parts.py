"""Parts instead of squares: scores of ten faces for both questions, and the README's first picture.

    .venv/bin/python benchmarks/parts.py [--pictures 10] [--workers 1] [--runs runs/parts]

Sweeps of `faces` with the map of parts that it comes with; they go on where they stood. Writes
benchmarks/results/parts.json, the table between the markers of docs/generators.md, and
docs/images/parts.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import record
from matplotlib import pyplot
from pages import narrow, renew, table

import regional_primitives as rp
from regional_primitives.generators import ZOO
from regional_primitives.runs.folder import explain_to_folder
from regional_primitives.runs.sweep import sweep
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "generators.md", ROOT / "docs" / "images" / "parts.png"
SHOWN = (
    "pooled_inside_error", "pooled_leak", "departure", "boundedness", "boundedness_in_context",
    "consistency", "n90", "components",
)  # fmt: skip
PURPOSES = ("generate", "isolate")
SEED = 22
"""Of the picture that is shown; it is not among those that are scored."""
EVALUATION = rp.Evaluation(
    demands=128, components=40, contexts=16, free_demands=8, free_steps=100, free_bounds=True
)


def scored(asked: argparse.Namespace, purpose: str) -> list[dict[str, Any]]:
    """Explain and score the pictures by their parts."""
    with progress_bar() as progress:
        found = sweep(
            "faces", range(asked.pictures), None, asked.runs / purpose, regions="parts",
            settings=rp.Structured(purpose=purpose), evaluation=EVALUATION,
            workers=asked.workers, progress=progress,
        )  # fmt: skip
    return [
        {"purpose": purpose, "picture": one.seed, **{n: one.scores.to_dict()[n] for n in SHOWN}}
        for one in found.layers[0].pictures
    ]


def laid_out(rows: list[dict[str, Any]]) -> list[str]:
    """Lay out means over pictures, a line a purpose."""
    header = ["purpose", "pictures", *(narrow(TABLE[name]) for name in SHOWN)]
    lines = []
    for purpose in dict.fromkeys(row["purpose"] for row in rows):
        mine = [row for row in rows if row["purpose"] == purpose]
        spreads = [Spread.over([float(row[name]) for row in mine]) for name in SHOWN]
        forms = ["{:.3%}", *(TABLE[name].form for name in SHOWN[1:])]
        cells = map(with_interval, spreads, forms)
        lines.append([purpose, str(len(mine)), *cells])
    return table(header, lines)


def shares(d: rp.Decomposition) -> dict[str, float]:
    """Each part's share of the energy; a component of several counts for them in equal shares."""
    energy = d.strengths.square() / d.strengths.square().sum()
    fields = d.action_fields.float()
    by_part = (energy[:, None] * fields / fields.sum(1, keepdim=True).clamp_min(1)).sum(0)
    return dict(zip(d.names, by_part.tolist(), strict=True))


def drawn(runs: Path) -> None:
    """Draw one face in parts: what each needs, and what goes with it."""
    generator = rp.load_generator("faces")
    for purpose in PURPOSES:
        explain_to_folder(
            generator, SEED, runs / f"shown-{purpose}", regions="parts",
            settings=rp.Structured(purpose=purpose), progress=True,
        )  # fmt: skip
    d, apart = (rp.Decomposition.load(runs / f"shown-{purpose}") for purpose in PURPOSES)
    held = shares(d)
    eyes = ["left eye", "right eye"]
    titles = {
        "the picture and its parts": d.image,
        **{
            f"asked for: {name}\n({sum(held[part] for part in parts):.0%} of the energy)": rp.ask(
                d, generator, parts
            )[0]
            for name, parts in {
                "hair and background": ["hair and background"],
                "skin": ["skin"],
                "the eyes": eyes,
                "mouth": ["mouth"],
            }.items()
        },
        "mouth removed": rp.edit(apart, generator, remove=["mouth"])[0],
        "mouth × 2": rp.edit(apart, generator, rp.Edit.of_regions(apart, ["mouth"], 2.0))[0],
        "eyes removed": rp.edit(apart, generator, remove=eyes)[0],
    }
    figure, axes = pyplot.subplots(2, 4, figsize=(11, 6.2), layout="constrained")
    low, high = generator.image_range
    for axis, (title, image) in zip(axes.flat, titles.items(), strict=True):
        shown = ((image - low) / (high - low)).clamp(0, 1).permute(1, 2, 0)
        axis.imshow(shown, interpolation="bilinear")
        axis.set_title(title, fontsize=12)
        axis.axis("off")
    labels = d.regions.label_map(*d.image.shape[-2:])
    for patch in range(d.regions.count):
        axes[0, 0].contour(labels == patch, [0.5], colors="white", linewidths=0.8)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    """Measure, tell, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/parts"))
    asked = parser.parse_args()
    rows = [row for purpose in PURPOSES for row in scored(asked, purpose)]
    assert ZOO["faces"].parts is not None
    record.keep("parts", {"regions": ZOO["faces"].parts().to_dict(), "rows": rows})
    renew(PAGE, "parts", laid_out(rows))
    drawn(asked.runs)


if __name__ == "__main__":
    main()
