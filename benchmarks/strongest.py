"""What the components of a generator's pictures look like, how large they are, and who shares them.

    .venv/bin/python benchmarks/strongest.py faces [--layers main.2,main.5,main.8] [--pictures 20]
        [--runs runs/purposes] [--weights PATH]

Draws the strongest twelve of the picture of seed 22 at every layer, each alone on the baseline
picture, into docs/images/strongest_GENERATOR.png. Explains pictures 0 on at the generator's own
layer in the sweeps of `benchmarks/purposes.py`, and prints how the energy is spread over sizes of
fields and how many of the strongest fields two pictures share, beside random fields of the same
sizes; all of it stands in benchmarks/results/strongest_GENERATOR.json.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import record
import torch
from purposes import options, swept

import regional_primitives as rp
from regional_primitives.compare.transfer import transfer
from regional_primitives.generators import ZOO
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.scores.spread import Spread
from regional_primitives.show.panels import draw_outline, draw_picture
from regional_primitives.show.style import LIGHT, new_figure

HERE = Path(__file__).parent
SEED = 22
SHOWN = 12
COUNTS = ((10, 10), (20, 20), (50, 50), (100, 100), (20, 100))
"""a and b of t(a, b); the last are the paper's."""


def strongest(rows: list[rp.Decomposition], generators: list[rp.Generator]):
    """Draw a row a layer: the picture, then each of the strongest on the baseline picture."""
    figure = new_figure((14.0, 0.75 + 1.22 * len(rows)))
    layout = figure.add_gridspec(
        len(rows), 1 + SHOWN, left=0.03, right=0.995, bottom=0.01,
        top=1 - 0.72 / (0.75 + 1.22 * len(rows)), wspace=0.05, hspace=0.22,
    )  # fmt: skip
    for row, (d, generator) in enumerate(zip(rows, generators, strict=True)):
        height, width = d.image.shape[-2:]
        first = figure.add_subplot(layout[row, 0])
        draw_picture(first, bytes_of(d.image, d.provenance.image_range))
        first.set_ylabel(d.provenance.layer, fontsize=11, color=LIGHT.ink)
        chosen = [k for k in range(d.count) if k != d.remainder][:SHOWN]
        for column, (k, pattern) in enumerate(
            zip(chosen, rp.Picture.of(d, generator).patterns(chosen), strict=True), start=1
        ):
            axes = figure.add_subplot(layout[row, column])
            draw_picture(axes, bytes_of(d.baseline_image + pattern, d.provenance.image_range))
            mask = d.regions.pixel_mask(d.action_fields[k], height, width)
            draw_outline(axes, mask)
            share = float(d.strengths[k].square() / d.strengths.square().sum())
            axes.set_title(f"{share:.1%}", fontsize=9, color=LIGHT.muted, pad=3)
    figure.suptitle(
        f"{rows[0].provenance.generator}, picture seed {SEED}: the strongest {SHOWN} components by "
        "layer, each alone on the baseline picture (share of the energy)",
        x=0.01, ha="left", fontsize=12, fontweight="bold", color=LIGHT.ink,
    )  # fmt: skip
    return figure


def sizes(d: rp.Decomposition) -> dict[str, float]:
    """Return shares of the energy by number of patches."""
    parts = d.without(d.remainder)
    energy = parts.strengths.square() / parts.strengths.square().sum()
    size = parts.action_fields.sum(1)
    bounds = {"1": (1, 1), "2 to 4": (2, 4), "5 to 9": (5, 9), "10 and more": (10, 10**9)}
    return {
        name: float(energy[(size >= low) & (size <= high)].sum())
        for name, (low, high) in bounds.items()
    }


def main() -> None:
    """Draw, count, compare."""
    asked = options().parse_args()
    torch.set_num_threads(1)
    settings = rp.Structured()
    own = ZOO[asked.generator].default_layer
    layers = asked.layers.split(",") if asked.layers else [own]
    given = {"weights": asked.weights, "size": asked.size}
    cuts = [rp.load_generator(asked.generator, name, **given) for name in layers]
    shown = [swept(asked, name, [SEED], settings)[0][1] for name in layers]
    figure = strongest(shown, cuts)
    figure.savefig(HERE.parent / "docs" / "images" / f"strongest_{asked.generator}.png", dpi=110)

    runs = [d for _, d in swept(asked, own, range(asked.pictures), settings)]
    by_size = [sizes(d) for d in runs]
    shared = []
    for a, b in COUNTS:
        found = transfer(runs, a=a, b=b).summary
        names = ("transfer", "transfer_connected_fields")
        shared.append({"a": a, "b": b, **{name: asdict(found[name]) for name in names}})
    result = {
        "generator": asked.generator, "layer": own, "pictures": asked.pictures,
        "settings": asdict(settings),
        "energy_by_patches": {
            name: asdict(Spread.over([one[name] for one in by_size])) for name in by_size[0]
        },
        "transfer": shared,
    }  # fmt: skip
    record.keep(f"strongest_{asked.generator}", result)
    for name, spread in result["energy_by_patches"].items():
        print(f"{name} patches: {spread['mean']:.1%}")
    for one in shared:
        real, random = (one[name]["mean"] for name in ("transfer", "transfer_connected_fields"))
        print(f"t({one['a']}, {one['b']}): {real:.1%}, random {random:.1%}")


if __name__ == "__main__":
    main()
