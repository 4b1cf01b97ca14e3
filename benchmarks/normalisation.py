"""What group normalisation does to demands: the tables of docs/research/normalisation.md.

    .venv/bin/python benchmarks/normalisation.py [--maps 6] [--fits SEED …] [--table]

Behind the cut of `terrain` 23 group normalisations divide by statistics of the whole map. Here
they are held at what they are for the picture that is explained (its image stays the same, and the
baseline feature too), and what answers demands is compared with the network as it is: spatial crops
on the first maps, and with --fits the decomposition itself, on the maps named (40 minutes of one
core each, twice; with a picture of `faces` beside them). Decompositions are kept in
runs/normalisation and not fitted again. Writes benchmarks/results/normalisation.json after every
picture, and the page's tables at the end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import record
import torch
from pages import renew, table
from torch import Tensor

import regional_primitives as rp
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.subject import prepare
from regional_primitives.scores.demands import demand_errors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "research" / "normalisation.md"
RUNS = ROOT / "runs" / "normalisation"
GRID = rp.Regions.grid(6, 6)
LAYER = "output_blocks.14"
MEASURED = rp.Evaluation(
    demands=128, components=20, contexts=8, free_demands=4, free_steps=100, free_bounds=True
)
KINDS = ("as it is", "held")
SIZES = ((1, 3), (4, 9), (10, 18), (19, 27), (28, 35))
"""Patches of a demand; that of all 36 leaves nothing to leak into."""
FACE = 0
_PLACES = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))
TOUCHING = (torch.cdist(_PLACES, _PLACES, p=torch.inf) <= 1).float()
"""Patches and those that share an edge or a corner with them."""


def terrain(kind: str) -> rp.Generator:
    """Load the network as it is, or with the statistics behind the cut held at each map's."""
    return rp.load_generator(
        "terrain", LAYER, size=128, hold="normalisation" if kind == "held" else None
    )


def crop(seed: int, kind: str) -> dict[str, Any]:
    """Switch on the cells under each held-out demand, and score what comes of it."""
    generator = terrain(kind)
    latents = generator.sample_latents(1, seed=seed)
    subject = prepare(generator, latents, GRID)
    demands = held_out_demands(GRID)
    cells = GRID.label_map(*subject.feature_shape[-2:])
    inside, leak = [], []
    for some in demands.split(16):
        on = some[:, cells].flatten(1).repeat(1, subject.feature_shape[0])
        units = subject.baseline_units + on * subject.difference
        images = subject.generator.render(units)
        errors = subject.errors.of_demands(images, some)
        inside.append(errors[0])
        leak.append(errors[1][~some.all(1)])
    return {
        "map": seed,
        "kind": kind,
        "inside_error": float(torch.cat(inside).mean()),
        "leak": float(torch.cat(leak).mean()),
        "departure": float((subject.image - subject.baseline_image).square().mean().sqrt()),
    }


def fitted(name: str, seed: int, kind: str) -> dict[str, Any]:
    """Explain one picture with the defaults, and tell its errors by the demand's size."""
    generator = rp.load_generator("faces") if name == "faces" else terrain(kind)
    latents = generator.sample_latents(1, seed=seed)
    run = RUNS / f"{name}-{seed}-{kind.replace(' ', '-')}"
    if run.is_dir():
        d = rp.Decomposition.load(run)
    else:
        settings = rp.Structured(purpose="isolate")
        d = rp.explain(generator, latents, GRID, settings, picture_seed=seed)
        d.save(run)
    generator = generator.at(latents)
    demands = held_out_demands(GRID)
    errors = demand_errors(rp.Picture.of(d, generator), demands, d.minimal_units(demands))
    scores = rp.evaluate(d, generator, MEASURED)
    return {
        "generator": name,
        "picture": seed,
        "kind": kind,
        "scores": scores.to_dict(),
        "by_size": [by_size(d, demands, errors.images, sizes) for sizes in SIZES],
    }


def by_size(
    d: rp.Decomposition, demands: Tensor, images: Tensor, sizes: tuple[int, int]
) -> dict[str, Any]:
    """Tell errors of the demands of some sizes, the amplitude inside, and how far leaks go."""
    least, most = sizes
    chosen = (demands.sum(1) >= least) & (demands.sum(1) <= most)
    demands, images = demands[chosen], images[chosen]
    masks = GRID.masks(*images.shape[-2:])  # [patches, height, width]
    wanted = d.image - d.baseline_image
    got = images - d.baseline_image

    def per_patch(values: Tensor) -> Tensor:
        return torch.einsum("bhw,phw->bp", values.sum(1), masks.to(values))

    whole = per_patch(wanted[None].square())
    inside = (per_patch((got - wanted).square()) * demands).sum(1) / (whole * demands).sum(1)
    spilt = per_patch(got.square()) * ~demands
    leak = spilt.sum(1) / (whole * ~demands).sum(1)
    gain = (per_patch(got * wanted) * demands).sum(1) / (whole * demands).sum(1)
    near = demands.float() @ TOUCHING > 0
    far = (spilt * ~near).sum(1) / spilt.sum(1)
    figures = {"inside_error": inside, "leak": leak, "gain": gain, "far": far}
    return {
        "sizes": list(sizes),
        "demands": len(demands),
        **{name: float(values.mean()) for name, values in figures.items()},
    }


def main() -> None:
    """Measure, and renew the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=6)
    parser.add_argument("--fits", type=int, nargs="*", default=[])
    parser.add_argument("--table", action="store_true", help="only the page's, from the results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    known = record.read("normalisation")
    found = {"crops": known.get("crops", []), "fits": known.get("fits", [])}
    todo: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    if not chosen.table:
        todo += [
            ("crops", lambda seed=seed, kind=kind: crop(seed, kind))  # type: ignore[misc]
            for seed in range(chosen.maps)
            for kind in KINDS
            if not any(one["map"] == seed and one["kind"] == kind for one in found["crops"])
        ]
        asked = [("terrain", seed, kind) for seed in chosen.fits for kind in KINDS]
        if asked:
            asked.append(("faces", FACE, "as it is"))
        todo += [("fits", lambda one=one: fitted(*one)) for one in asked]  # type: ignore[misc]
    for part, measure in todo:
        row = measure()
        same = [one for one in found[part] if not _same(one, row)]
        found[part] = [*same, row]
        print(json.dumps({key: value for key, value in row.items() if key != "scores"}), flush=True)
        record.keep("normalisation", {**record.ran_on(), **found})
    renew_page(found)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("generator", "picture", "map", "kind"))


def renew_page(found: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write the page's tables."""
    lines = []
    for seed in sorted({one["map"] for one in found["crops"]}):
        cells = [str(seed)]
        for kind in KINDS:
            (row,) = (one for one in found["crops"] if one["map"] == seed and one["kind"] == kind)
            cells += [_told(row), f"{row['departure']:.2f}"]
        lines.append(cells)
    header = ("map", *(f"{kind}: {what}" for kind in KINDS for what in ("crop", "x − x0")))
    renew(PAGE, "crops", table(header, lines))
    lines = []
    for row in found["fits"]:
        scores = row["scores"]
        name = f"`{row['generator']}` {row['picture']}, {row['kind']}"
        free = {key: scores[f"free_{key}"] for key in ("inside_error", "leak")}
        numbers = (scores["boundedness"], scores["consistency"])
        told = (f"{value:.2f}" for value in numbers)
        lines.append([name, _told(scores), _told(free), *told, f"{scores['n90']:.0f}"])
    header = ("", "inside error, leak", "free bound", "boundedness", "consistency", "n90")
    renew(PAGE, "fits", table(header, lines))
    lines = []
    for row in found["fits"]:
        cells = [
            f"{one['inside_error']:.2%}, {one['gain']:.2f}, {one['far']:.0%}"
            for one in row["by_size"]
        ]
        lines.append([f"`{row['generator']}` {row['picture']}, {row['kind']}", *cells])
    header = ("", *(f"{least} to {most} patches" for least, most in SIZES))
    renew(PAGE, "sizes", table(header, lines))


def _told(point: Mapping[str, float]) -> str:
    return f"{point['inside_error']:.2%}, {point['leak']:.1%}"


if __name__ == "__main__":
    main()
