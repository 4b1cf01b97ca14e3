"""dSprites' factors, one changed at a time: do components go where the sprite goes?

    .venv/bin/python benchmarks/factors.py [--sprites 32] [--quality fast]

Sprites are drawn here, by shape, scale, angle and place. The published decoder draws each as well
as it can: of many latents those whose pictures are nearest, then gradient descent. Every sprite has
three partners of which one factor alone differs: a place one or two cells away, a scale, a shape.
All are explained on an 8 × 8 grid of 8 pixels a cell, and again with the decoder cut before its
sigmoid (fewer of them). The *mass* of a patch is that of the components, each spread evenly over
its field: their energy, or what visibly changes without them. The remainder, which no demand needs,
is left out. By chance: the same, shuffled among the components.

`vae-dsprites` needs its weights: see `primitives models`.
Writes benchmarks/results/factors.json, and the table of docs/research/factors.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import record
import torch
from pages import renew, table
from torch import Tensor

import regional_primitives as rp
from regional_primitives.generators.feature import as_units
from regional_primitives.generators.zoo import vaes
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.spread import Spread
from regional_primitives.show.numerals import with_interval

SIZE, CELLS = 64, 8
CELL = SIZE // CELLS
SHAPES = ("square", "ellipse", "heart")
SCALES = (11.0, 14.0, 17.0)
"""The side of a square of the sprite's area, about, in pixels."""
FACTORS = ("place", "scale", "shape", "nothing")
"""What differs; of nothing, the seed of the fit does."""
PAGE = Path(__file__).parents[1] / "docs" / "research" / "factors.md"
HEADER = (
    "cut", "weighed by", "place: correlation, slope, error", "moved along", "not moved", "far",
    "scale: correlation, slope", "shape: moved", "in common", "another seed: in common",
)  # fmt: skip


@dataclass(frozen=True)
class Sprite:
    """The factors of one; lengths in pixels."""

    shape: str
    scale: float
    angle: float
    x: float
    y: float

    def drawn(self, fine: int = 4) -> Tensor:
        """Draw it white on black, [64, 64]; a pixel is the mean of `fine` × `fine` points."""
        at = (torch.arange(SIZE * fine) + 0.5) / fine
        down, right = torch.meshgrid(at - self.y, at - self.x, indexing="ij")
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        u = (cosine * right + sine * down) / self.scale
        v = (cosine * down - sine * right) / self.scale
        if self.shape == "square":
            inside = (u.abs() < 0.5) & (v.abs() < 0.5)
        elif self.shape == "ellipse":
            inside = (u / 0.75).square() + (v / 0.42).square() < 1
        else:
            ring = 4 * (u.square() + v.square()) - 1
            inside = ring**3 < 32 * u.square() * (-v) ** 3
        return inside.float().unflatten(0, (SIZE, fine)).unflatten(2, (SIZE, fine)).mean((1, 3))


def cases(count: int) -> list[dict[str, Sprite]]:
    """Draw sprites and their partners."""
    found = []
    for number in range(count):
        rng = stream(number, "factors")

        def pick(low: float, high: float, rng: torch.Generator = rng) -> float:
            return low + (high - low) * float(torch.rand((), generator=rng))

        shape, scale = SHAPES[number % 3], SCALES[number // 3 % 3]
        angle, x, y = pick(0, 2 * math.pi), pick(20, 44), pick(20, 44)
        one = Sprite(shape, scale, angle, x, y)
        # Whole cells, so that patches coincide; towards the middle, where sprites are.
        across, below = (int(step) for step in torch.randint(0, 3, (2,), generator=rng))
        across, below = (across, below) if across or below else (1, 0)
        x += math.copysign(across * CELL, SIZE / 2 - x)
        y += math.copysign(below * CELL, SIZE / 2 - y)
        other = SCALES[(SCALES.index(scale) + 1) % 3]
        found.append(
            {
                "itself": one,
                "place": replace(one, x=x, y=y),
                "scale": replace(one, scale=other),
                "shape": replace(one, shape=SHAPES[(number + 1) % 3]),
            }
        )
    return found


def inverted(
    network: torch.nn.Module, pictures: Tensor, starts: int = 3, steps: int = 200
) -> Tensor:
    """Find latents [B, 10] whose pictures are as near as can be to those given, [B, 64, 64]."""
    pool = vaes.sample_latents(8192, stream(0, "factors", "pool"))
    with torch.no_grad():
        shown = torch.cat([network(some)[:, 0] for some in pool.split(512)]).flatten(1)
    nearest = torch.cdist(pictures.flatten(1), shown).topk(starts, largest=False).indices
    latents = pool[nearest].flatten(0, 1).requires_grad_()
    aims = pictures.repeat_interleave(starts, 0)
    adam = torch.optim.Adam([latents], lr=0.05)
    fall = torch.optim.lr_scheduler.LinearLR(adam, 1, 0.02, steps)
    for _ in range(steps):
        adam.zero_grad()
        off = (network(latents)[:, 0] - aims).square().sum((1, 2))
        (off + 0.05 * latents.square().sum(1)).sum().backward()  # near to what it was trained on
        adam.step()
        fall.step()
    best = off.detach().view(-1, starts).argmin(1)
    return latents.detach().view(-1, starts, vaes.LATENT_SIZE)[torch.arange(len(best)), best]


def mass(d: rp.Decomposition, weights: Tensor) -> Tensor:
    """Spread each component's weight evenly over its field; the share of each patch, [8, 8]."""
    fields = d.action_fields.float()
    found = (weights[:, None] * fields / fields.sum(1, keepdim=True)).sum(0)
    return (found / found.sum()).view(CELLS, CELLS)


def visible(d: rp.Decomposition, generator: rp.Generator) -> Tensor:
    """Return how much of the picture changes when a component is left out, ‖x − G(f − Δf_k)‖²."""
    found = []
    for chosen in torch.arange(d.count).split(64):
        without = torch.cat([as_units(d.component(int(k))) for k in chosen])
        images = generator.render(d.feature_units - without)
        found.append((images - d.image).square().flatten(1).sum(1))
    return torch.cat(found)


def middle(shares: Tensor) -> Tensor:
    """Return the centre (x, y) of shares that lie on a square, in pixels."""
    at = (torch.arange(len(shares)) + 0.5) * SIZE / len(shares)
    return torch.stack([(shares.sum(0) * at).sum(), (shares.sum(1) * at).sum()]) / shares.sum()


def spread(shares: Tensor) -> float:
    """Return the root mean square distance from the centre, in pixels."""
    at = (torch.arange(len(shares)) + 0.5) * SIZE / len(shares)
    x, y = middle(shares)
    away = (at - x).square()[None] + (at - y).square()[:, None]
    return float(((shares * away).sum() / shares.sum()).sqrt())


def moved(shares: Tensor, across: int, below: int) -> Tensor:
    """Move shares by whole cells; what leaves the picture is lost."""
    found = torch.zeros_like(shares)
    side = len(shares)
    for y in range(max(0, -below), min(side, side - below)):
        for x in range(max(0, -across), min(side, side - across)):
            found[y + below, x + across] = shares[y, x]
    return found


def both(one: Tensor, other: Tensor) -> float:
    """Return Σ min: the share that two have in common."""
    return float(torch.minimum(one, other).sum())


def near(picture: Tensor) -> Tensor:
    """Mark the cells that the sprite touches, and their neighbours, [8, 8]."""
    touched = torch.nn.functional.max_pool2d((picture > 0.5).float()[None, None], CELL)
    return torch.nn.functional.max_pool2d(touched, 3, 1, 1)[0, 0] > 0


@dataclass(frozen=True, eq=False)
class Explained:
    """What is measured of one sprite."""

    picture: Tensor
    """As the published decoder draws it, [64, 64]."""
    masses: dict[str, Tensor]
    """By what weighs a component."""
    error: float
    """Pooled inside error."""

    @property
    def by_cell(self) -> Tensor:
        """The sprite's share of each cell."""
        light = self.picture.unflatten(0, (CELLS, CELL)).unflatten(2, (CELLS, CELL)).sum((1, 3))
        return light / light.sum()

    def far(self, shares: Tensor) -> float:
        """Tell how much lies further than a cell from all that the sprite touches."""
        return float(shares[~near(self.picture)].sum())


def explained(
    network: torch.nn.Module, generator: rp.Generator, latents: Tensor, settings: rp.Structured
) -> Explained:
    """Explain one sprite's picture."""
    d = rp.explain(generator, latents, rp.Regions.grid(CELLS, CELLS), settings)
    scores = rp.evaluate(d, generator, rp.Evaluation(demands=64, components=1, free_demands=0))
    with torch.no_grad():
        picture = network(latents)[0, 0]
    parts = d.without(d.remainder)
    weights = {"energy": parts.strengths.square(), "visible": visible(parts, generator)}
    drawn = torch.randperm(parts.count, generator=stream(0, "factors", "chance"))
    weights |= {f"{name}, shuffled": found[drawn] for name, found in weights.items()}
    masses = {name: mass(parts, found) for name, found in weights.items()}
    return Explained(picture, masses, scores.pooled_inside_error)


def compared(one: Explained, other: Explained, across: int, below: int) -> dict[str, Any]:
    """Tell what changed from one sprite to the other, which is so many cells away."""
    told: dict[str, Any] = {
        "cells": [across, below],
        "sprite_moved": (middle(other.picture) - middle(one.picture)).tolist(),
        "sprite_wider": spread(other.by_cell) / spread(one.by_cell),
        "far_cells": float((~near(other.picture)).float().mean()),
        "error": other.error,
    }
    for name, before in one.masses.items():
        after = other.masses[name]
        told[name] = {
            "moved": (middle(after) - middle(before)).tolist(),
            "wider": spread(after) / spread(before),
            "far": other.far(after),
            "far_from_the_first": one.far(after),
            "in_common": both(before, after),
            "in_common_if_moved": both(moved(before, across, below), after),
            "in_common_if_moved_back": both(moved(before, -across, -below), after),
        }
    return told


def measured(count: int, quality: str) -> Iterator[dict[str, Any]]:
    """Explain every sprite and its partners, at both cuts, and compare them."""
    network = vaes.load_vae("vae-dsprites").eval().requires_grad_(False)
    drawn = cases(count)
    aims = torch.stack([sprite.drawn() for case in drawn for sprite in case.values()])
    latents = inverted(network, aims)
    with torch.no_grad():
        shown, white = network(latents)[:, 0] > 0.5, aims > 0.5
    agree = (shown & white).sum((1, 2)) / (shown | white).sum((1, 2))
    bare = torch.nn.Sequential(*list(network.children())[:-1])
    with torch.no_grad():
        logits = bare(vaes.sample_latents(256, stream(0, "factors", "range")))
    cuts = {
        "picture": rp.load_generator("vae-dsprites"),
        "before the sigmoid": rp.cut(
            bare, "6", sample_latents=vaes.sample_latents,
            image_range=(float(logits.min()), float(logits.max())),
        ),
    }  # fmt: skip
    settings = rp.Structured.of_quality(quality, "generate")
    for number, case in enumerate(drawn):
        own = latents[4 * number : 4 * number + 4]
        for cut, generator in cuts.items():
            if cut != "picture" and number >= count // 3:
                continue
            found = {
                name: explained(network, generator, own[place : place + 1], settings)
                for place, name in enumerate(case)
            }
            again = replace(settings, seed=settings.seed + 1)
            found["nothing"] = explained(network, generator, own[:1], again)
            for place, name in enumerate(FACTORS, start=1):
                one, other = case["itself"], case.get(name, case["itself"])
                across, below = round((other.x - one.x) / CELL), round((other.y - one.y) / CELL)
                yield {
                    "case": number,
                    "cut": cut,
                    "factor": name,
                    "drawn_well": float(agree[4 * number + place % 4]),
                    **compared(found["itself"], found[name], across, below),
                }


def renewed(rows: list[dict[str, Any]]) -> list[str]:
    """Lay out means over the pairs with half of their 95 % intervals, a line a weight and cut."""
    lines = []
    for cut, weight in dict.fromkeys(
        (row["cut"], name) for row in rows for name in row if isinstance(row[name], dict)
    ):
        of = {
            factor: [row for row in rows if (row["cut"], row["factor"]) == (cut, factor)]
            for factor in FACTORS
        }

        def mean(
            factor: str, name: str, form: str = "{:.2f}", of: Any = of, by: Any = weight
        ) -> str:
            told = [row[by][name] for row in of[factor]]
            values = [math.hypot(*one) if isinstance(one, list) else one for one in told]
            return with_interval(Spread.over(values), form)

        place = agreement(
            [step for row in of["place"] for step in row["sprite_moved"]],
            [step for row in of["place"] for step in row[weight]["moved"]],
        )
        scale = agreement(
            [math.log(row["sprite_wider"]) for row in of["scale"]],
            [math.log(row[weight]["wider"]) for row in of["scale"]],
        )
        lines.append(
            [
                cut,
                weight,
                "{:.2f}, {:.2f}, {:.1f} px".format(*place),
                mean("place", "in_common_if_moved"),
                mean("place", "in_common"),
                mean("place", "far"),
                "{:.2f}, {:.2f}".format(*scale[:2]),
                mean("shape", "moved", "{:.1f}") + " px",
                mean("shape", "in_common"),
                mean("nothing", "in_common"),
            ]
        )
    return table(HEADER, lines)


def agreement(true: list[float], found: list[float]) -> tuple[float, float, float]:
    """Return correlation, slope through 0, and the root mean square difference."""
    pairs = torch.tensor([true, found], dtype=torch.float64)
    slope = (pairs[0] * pairs[1]).sum() / pairs[0].square().sum()
    off = (pairs[0] - pairs[1]).square().mean().sqrt()
    return float(torch.corrcoef(pairs)[0, 1]), float(slope), float(off)


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sprites", type=int, default=32)
    parser.add_argument("--quality", default="fast")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for row in measured(asked.sprites, asked.quality):
        rows.append(row)
        record.keep("factors", {"quality": asked.quality, **record.ran_on(), "rows": rows})
        print(row, flush=True)
    renew(PAGE, "factors", renewed(rows))


if __name__ == "__main__":
    main()
