"""Edits on `faces` at main.5: what they change where; docs/research/blending.md and its picture.

    .venv/bin/python benchmarks/editing.py [--runs FOLDER] [--picture]

Explains four pictures with the structured form's defaults (or finds them in FOLDER, where it also
keeps them), then

- removes each component of the strongest that carry 90 % of the energy, one at a time;
- swaps each of them for that of every other picture with the same action field, where it has one;
- blends every picture into every other one in 64 random rectangles, by every rule.

Writes benchmarks/results/editing.json, the tables between the markers of docs/research/blending.md
and docs/images/editing.png. Four minutes of fits and about five of edits on one core.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from itertools import permutations
from pathlib import Path

import record
import torch
from pages import renew, table

import regional_primitives as rp
from regional_primitives.apply import WAYS, edit_effects, edit_ways, measured_ways
from regional_primitives.apply.effects import seam
from regional_primitives.apply.pairs import held_share, taken_share
from regional_primitives.decompose.cells import mostly, touching, units_under
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.scores.sparsity import count_for
from regional_primitives.show.figures import write_figure
from regional_primitives.show.panels import draw_map, draw_outline, draw_picture, explain_colours
from regional_primitives.show.pixels import ColourScale, magnitude
from regional_primitives.show.style import LIGHT, new_figure

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "research" / "blending.md"
IMAGE = ROOT / "docs" / "images" / "editing.png"
SEEDS = (22, 0, 1, 2)
RECTANGLES = 64
MOUTH = (26, 27, 32, 33)
RULES = {
    "by share of the field's pixels (`shared`, the default)": "shared",
    "to the side with most of its pixels (`mostly`)": "mostly",
    "to the other picture (`touching`)": "touching",
    "stays with the first (`inside`)": "inside",
    "by share of the change that it makes alone, ‖M Δx‖² / ‖Δx‖²": "seen",
    "both pictures' components": "both",
    "neither's": "neither",
}
CROPS = {"feature crop, cells mostly inside": mostly, "feature crop, cells that touch": touching}


def main() -> None:
    """Measure, and renew the note and its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--picture", action="store_true", help="only renew the picture")
    with tempfile.TemporaryDirectory() as scratch:
        given = parser.parse_args()
        folder = given.runs or Path(scratch)
        generator = rp.load_generator("faces")
        found = {seed: _explained(generator, seed, folder / str(seed)) for seed in SEEDS}
    draw(*worst_paste(list(found.values())), generator)
    if given.picture:
        return
    result = {
        **record.ran_on(),
        "seeds": list(SEEDS),
        "rectangles": RECTANGLES,
        "removals": [removals(one, generator) for one in found.values()],
        "swaps": [swaps(one, two, generator) for one, two in permutations(found.values(), 2)],
        "blends": [blends(one, two, generator) for one, two in permutations(found.values(), 2)],
    }
    record.keep("editing", result)
    renew(PAGE, "edits", _edits_table(result))
    renew(PAGE, "blends", _blends_table(result))


def _explained(generator: rp.Generator, seed: int, folder: Path) -> rp.Decomposition:
    if not folder.is_dir():
        latents = generator.sample_latents(1, seed=seed)
        settings = rp.Structured(purpose="isolate")
        rp.explain(generator, latents, settings=settings, picture_seed=seed).save(folder)
        print(f"picture {seed} explained", flush=True)
    return rp.Decomposition.load(folder)


def _strongest(one: rp.Decomposition) -> range:
    return range(count_for(one.strengths.double().square(), 0.9))


def _means(effects: list[rp.EditEffects]) -> dict:
    """Average over the edits of one picture, or of one pair; the median of shares outside."""
    ways = {}
    for place, way in enumerate(WAYS):
        each = [one.ways[place] for one in effects]
        ways[way] = {
            "leak": statistics.median(one.outside_share or 0.0 for one in each),
            "inside": statistics.fmean(one.inside for one in each),
            "seam": statistics.fmean(one.seam for one in each if one.seam is not None),
        }
    before = [one.seam_before for one in effects if one.seam_before is not None]
    return {"edits": len(effects), "seam_before": statistics.fmean(before), "ways": ways}


def removals(one: rp.Decomposition, generator: rp.Generator) -> dict:
    """Remove the strongest components, one at a time."""
    return _means([edit_effects(one, generator, {k: 0.0}) for k in _strongest(one)])


def swaps(one: rp.Decomposition, other: rp.Decomposition, generator: rp.Generator) -> dict:
    """Swap the strongest components that the other picture has too, one at a time."""
    effects = []
    for k in _strongest(one):
        try:
            edit = rp.Edit.swap(one, other, [k])
        except rp.InputError:
            continue
        effects.append(edit_effects(one, generator, edit, other))
    return {**_means(effects), "asked": len(_strongest(one))}


def blends(one: rp.Decomposition, other: rp.Decomposition, generator: rp.Generator) -> dict:
    """Blend in random rectangles, by every rule and by crops; means over the rectangles."""
    rectangles = one.regions.rectangles()
    rectangles = rectangles[rectangles.sum(1) < one.regions.count]
    order = torch.randperm(len(rectangles), generator=torch.Generator().manual_seed(0))
    chosen = rectangles[order[:RECTANGLES]]
    masks = torch.stack([one.regions.pixel_mask(row, *one.image.shape[-2:]) for row in chosen])
    seen = _seen(one, masks, generator), _seen(other, masks, generator)

    def taken(rule: str) -> tuple[torch.Tensor, torch.Tensor]:
        """How much of each component counts as the rectangle's: of one, and of the other."""
        if rule == "seen":
            return seen
        mine, theirs = {"both": ("inside", "touching"), "neither": ("touching", "inside")}.get(
            rule, (rule, rule)
        )
        return (
            torch.stack([taken_share(one, row, mine) for row in chosen]),
            torch.stack([taken_share(other, row, theirs) for row in chosen]),
        )

    found = {}
    for name, rule in RULES.items():
        mine, theirs = taken(rule)
        units = one.combine_units(1 - mine) + other.combine_units(theirs) - other.baseline_units
        found[name] = _errors(one, other, generator.render(units), masks)
    for name, choose in CROPS.items():
        on = units_under(one, choose)(chosen)
        units = torch.where(on, other.feature_units, one.feature_units)
        found[name] = _errors(one, other, generator.render(units), masks)
    pasted = torch.where(masks[:, None], other.image, one.image)
    found["pixels pasted"] = _errors(one, other, pasted, masks)
    straddling = [
        ((share > 0) & (share < 1)).float() @ one.strengths / one.strengths.sum()
        for share in (held_share(one, row) for row in chosen)
    ]
    before = [seam(one.image, mask, (-1.0, 1.0)) for mask in masks]
    return {
        "straddling": float(torch.stack(straddling).mean()),
        "seam_before": statistics.fmean(before),
        "ways": found,
    }


def _seen(one: rp.Decomposition, masks: torch.Tensor, generator: rp.Generator) -> torch.Tensor:
    """Share of the change that each component makes alone which falls in each mask."""
    alone = generator.render(one.combine_units(torch.eye(one.count))) - one.baseline_image
    energy = alone.square().sum(1).flatten(1)  # [components, pixels]
    return masks.flatten(1).float() @ energy.T / energy.sum(1).clamp_min(1e-12)


def _errors(one: rp.Decomposition, other: rp.Decomposition, made, masks) -> dict[str, float]:
    """Inside error, outside error, both together, and the seam; means over the rectangles."""
    within = masks[:, None].float()

    def energy(change: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        return (change * where).double().square().sum((1, 2, 3))

    whole = (one.image - other.image)[None]
    inside, outside = energy(made - other.image, within), energy(made - one.image, 1 - within)
    seams = [seam(a, b, (-1.0, 1.0)) for a, b in zip(made, masks, strict=True)]
    return {
        "inside": float((inside / energy(whole, within)).mean()),
        "outside": float((outside / energy(whole, 1 - within)).mean()),
        "together": float(((inside + outside) / whole.double().square().sum()).mean()),
        "leak": float((outside / energy(made - one.image, torch.ones(1))).median()),
        "seam": statistics.fmean(seams),
    }


def worst_paste(found: list[rp.Decomposition]) -> tuple[rp.Decomposition, rp.Decomposition]:
    """Choose the pair whose mouth, pasted as pixels, makes the largest seam for the picture's."""

    def worsened(pair: tuple[rp.Decomposition, rp.Decomposition]) -> float:
        one, other = pair
        mask = one.regions.pixel_mask(one.regions.demand(MOUTH), *one.image.shape[-2:])
        pasted = torch.where(mask, other.image, one.image)
        return seam(pasted, mask, (-1.0, 1.0)) / seam(one.image, mask, (-1.0, 1.0))

    return max(permutations(found, 2), key=worsened)


def draw(one: rp.Decomposition, other: rp.Decomposition, generator: rp.Generator) -> None:
    """Draw a blend and a removal: through components, by pixels, by crops."""
    # The strongest component of one patch among those that lie in the face.
    face = one.regions.demand([row * 6 + column for row in (2, 3, 4) for column in (1, 2, 3, 4)])
    single = (one.action_fields.sum(1) == 1) & ~(one.action_fields & ~face).any(1)
    k = int(single.nonzero()[0])
    edits = [
        (rp.Edit.blend(one, other, MOUTH), other, "Blend: the mouth of another picture"),
        (rp.Edit.remove([k]), None, f"Removal of component {k}"),
    ]
    image_range = one.provenance.image_range
    rows = []
    for edit, donor, title in edits:
        pictures = edit_ways(one, generator, edit, donor)
        effects = measured_ways(one, edit, pictures, donor)
        changes = magnitude(torch.cat(list(pictures.values())) - one.image, image_range)
        rows.append((edit, donor, title, pictures, effects, changes))
    scales = [ColourScale.over([row[-1]]) for row in rows]
    figure = new_figure((11.2, 10.2))
    for place, (edit, donor, title, pictures, effects, changes) in enumerate(rows):
        top = 0.915 - 0.507 * place
        grid = figure.add_gridspec(
            2, 5, left=0.01, right=0.905, top=top, bottom=top - 0.4, wspace=0.05, hspace=0.02
        )
        mask = one.regions.pixel_mask(edit.region(one, donor), *one.image.shape[-2:])
        first = figure.add_subplot(grid[0, 0])
        draw_picture(first, bytes_of(one.image, image_range))
        draw_outline(first, mask)
        first.set_title(
            f"the picture\nseam {effects.seam_before:.1%}", fontsize=10, color=LIGHT.ink
        )
        below = figure.add_subplot(grid[1, 0])
        if donor is None:
            below.set_axis_off()
        else:
            draw_picture(below, bytes_of(donor.image, image_range))
            draw_outline(below, mask)
            below.set_xlabel("the other picture", fontsize=10, color=LIGHT.ink)
        for column, way in enumerate(effects.ways):
            axes = figure.add_subplot(grid[0, 1 + column])
            draw_picture(axes, bytes_of(pictures[way.way][0], image_range))
            error = "" if donor is None else f"\nerror inside {way.target_error:.0%}"
            axes.set_title(
                f"{WAYS[way.way]}\nshare outside {way.outside_share:.0%}, "
                f"seam {way.seam:.1%}{error}",
                fontsize=8.6,
                color=LIGHT.ink,
                fontweight="bold" if column == 0 else "normal",
            )
            axes = figure.add_subplot(grid[1, 1 + column])
            drawn = draw_map(axes, changes[column], scales[place])
            draw_outline(axes, mask, 1.0)
        explain_colours(
            drawn, figure.add_axes((0.92, top - 0.4, 0.011, 0.195)),
            "change, % of the range", scales[place],
        )  # fmt: skip
        figure.text(0.01, top + 0.058, title, fontsize=12, fontweight="bold", color=LIGHT.ink)
    write_figure(IMAGE, figure)


def _told(values: list[float], form: str = "{:.1%}") -> str:
    least, most = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.fmean(values))} ({least} – {most})"


def _edits_table(result: dict) -> list[str]:
    rows = []
    for way, words in WAYS.items():
        cells = [
            _told([one["ways"][way][score] for one in result[kind]])
            for kind in ("removals", "swaps")
            for score in ("leak", "seam")
        ]
        rows.append([words, *cells])
    before = [_told([one["seam_before"] for one in result[kind]]) for kind in ("removals", "swaps")]
    rows.append(["unedited picture", "", before[0], "", before[1]])
    return table(("way", "removal: change outside", "seam", "swap: change outside", "seam"), rows)


def _blends_table(result: dict) -> list[str]:
    scores = ("inside", "outside", "together", "leak", "seam")
    header = ("a field across the border goes", "inside error", "outside error", "both")
    rows = []
    for way in result["blends"][0]["ways"]:
        cells = [_told([one["ways"][way][score] for one in result["blends"]]) for score in scores]
        rows.append([way, *cells])
    before = _told([one["seam_before"] for one in result["blends"]])
    rows.append(["unedited picture", "", "", "", "", before])
    return table((*header, "change outside", "seam"), rows)


if __name__ == "__main__":
    main()
