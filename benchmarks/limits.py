"""What an explanation cannot tell, shown: the picture of docs/limits.md and its numbers.

    .venv/bin/python benchmarks/limits.py

A row a failure, each of a network that this library brings or installs. Takes a minute or two
on one core; writes docs/images/limits.png, and prints what the page says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

import regional_primitives as rp
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.sanity.shuffled import shuffled
from regional_primitives.show.panels import draw_outline, draw_picture
from regional_primitives.show.style import LIGHT, new_figure

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "limits.png"
FAST = rp.Structured.of_quality("fast")
COLUMNS = 5
INSIDE = {"left": 0.012, "right": 0.988, "bottom": 0.03, "top": 0.78, "wspace": 0.06}


@dataclass
class Row:
    """One failure: what it is, and pictures with a title each, some with an outlined region."""

    title: str
    image_range: tuple[float, float]
    panels: list[tuple[str, Tensor, Tensor | None]] = field(default_factory=list)

    def show(self, title: str, image: Tensor, mask: Tensor | None = None) -> None:
        """Add a picture [1, C, H, W] or [C, H, W]."""
        self.panels.append((title, image.reshape(image.shape[-3:]), mask))


def explained(
    generator: rp.Generator, seed: int, regions: rp.Regions | str
) -> tuple[rp.Decomposition, rp.Picture, rp.Scores]:
    """Explain a picture and measure it."""
    latents = generator.sample_latents(1, seed=seed)
    d = rp.explain(generator, latents, regions, FAST)
    return d, rp.Picture.of(d, generator), rp.evaluate(d, generator)


def saturation() -> Row:
    """The strongest component of a garment on black, alone and among all others."""
    generator = rp.load_generator("class-fashion")
    d, picture, scores = explained(generator, 1, rp.Regions.grid(6, 6))
    strongest = [k for k in range(d.count) if k != d.remainder][:12]
    alone, among = picture.patterns(strongest), picture.removals(strongest)
    alike = torch.cosine_similarity(alone.flatten(1), among.flatten(1))
    worst = int(alike.argmin())
    mask = d.regions.pixel_mask(d.action_fields[strongest[worst]], *d.image.shape[-2:])
    row = Row(
        f"An output that saturates (class-fashion, seed 1): consistency {scores.consistency:.2f}. "
        "What a component draws depends on what else is there.",
        generator.image_range,
    )
    row.show("the picture", d.image)
    row.show("x0, the baseline", d.baseline_image)
    row.show(f"component {strongest[worst]} alone", d.baseline_image + alone[worst], mask)
    row.show("all but this component", d.image - among[worst], mask)
    row.show(f"alike: cosine {alike[worst]:.2f}", (among[worst] - alone[worst]) / 2, mask)
    print(row.title, f"boundedness {scores.boundedness:.2f}, cosine {alike[worst]:.2f}")
    return row


def entangled() -> Row:
    """The mouth asked for at four layers: what comes along."""
    row = Row("", (-1.0, 1.0))
    told = []
    for layer in ("main.2", "main.5", "main.8", "main.11"):
        generator = rp.load_generator("faces", layer)
        d, picture, scores = explained(generator, 22, "parts")
        mask = d.regions.pixel_mask(d.regions.demand(["mouth"]), *d.image.shape[-2:])
        if not row.panels:
            row.show("the picture", d.image)
        asked = picture.ask(["mouth"])[0]
        made, whole = (image - d.baseline_image for image in (asked, d.image))
        leak = float(made[:, ~mask].square().sum() / whole[:, ~mask].square().sum())
        row.show(f"cut at {layer}: leak {leak:.0%}", asked, mask)
        told.append(f"{layer} {leak:.0%}, entanglement {scores.entanglement:.0%}")
    row.title = (
        "A layer that draws in one stroke (faces, seed 22): only the mouth is asked for, and early "
        "layers bring the rest of the face along."
    )
    print(row.title, "; ".join(told))
    return row


def carried() -> Row:
    """A mouth's units scaled away in other faces."""
    generator = rp.load_generator("faces")
    d, _, _ = explained(generator, 22, "parts")
    edit = rp.Edit.of_regions(d, ["mouth"])
    latents = generator.sample_latents(20, seed=1)
    found = rp.carry(edit, d, generator, latents)
    mask = d.regions.pixel_mask(d.regions.demand(["mouth"]), *d.image.shape[-2:])
    row = Row(
        "Another picture: the units of this mouth, scaled away in other faces, remove a mouth in "
        f"only {found.success:.0%} of 20 (random units of the same energy: {found.chance:.0%}).",
        (-1.0, 1.0),
    )
    row.show("mouth removed", rp.edit(d, generator, edit), mask)
    for i in range(2):
        one = latents[i : i + 1]
        row.show(f"face {i + 1}", generator.image(one))
        row.show(f"face {i + 1}, same units scaled", found.pictures(i)[1], mask)
    print(row.title)
    return row


def untrained() -> Row:
    """A network of shuffled weights, and how well its pictures are explained."""
    generator = rp.load_generator("faces")
    nonsense = shuffled(generator, None, 0)
    _, _, trained = explained(generator, 22, rp.Regions.grid(6, 6))
    d, picture, scores = explained(nonsense, 22, rp.Regions.grid(6, 6))
    row = Row(
        f"Scores do not know sense: shuffled weights, {scores.pooled_inside_error:.3%} wrong "
        f"inside, boundedness {scores.boundedness:.2f} (trained: "
        f"{trained.pooled_inside_error:.3%}, {trained.boundedness:.2f}).",
        (-1.0, 1.0),
    )
    row.show("its “picture”", d.image)
    chosen = [k for k in range(d.count) if k != d.remainder][:3]
    for k, pattern in zip(chosen, picture.patterns(chosen), strict=True):
        mask = d.regions.pixel_mask(d.action_fields[k], *d.image.shape[-2:])
        row.show(f"component {k} alone", d.baseline_image + pattern, mask)
    demand = d.regions.demand([14, 15, 20, 21])
    row.show("four squares asked for", picture.ask(demand), d.regions.pixel_mask(demand, 64, 64))
    print(row.title)
    return row


def main() -> None:
    """Draw all rows."""
    rows = [entangled(), carried(), saturation(), untrained()]
    height = 2.85
    figure = new_figure((2.15 * COLUMNS, height * len(rows)))
    for part, row in zip(figure.subfigures(len(rows), 1), rows, strict=True):
        part.suptitle(row.title, x=0.012, ha="left", fontsize=10.5, fontweight="bold",
                      color=LIGHT.ink, wrap=True)  # fmt: skip
        for axes, (title, image, mask) in zip(
            part.subplots(1, COLUMNS, gridspec_kw=INSIDE), row.panels, strict=True
        ):
            draw_picture(axes, bytes_of(image, row.image_range))
            axes.set_title(title, fontsize=9.5, color=LIGHT.muted, pad=4)
            if mask is not None:
                draw_outline(axes, mask)
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
