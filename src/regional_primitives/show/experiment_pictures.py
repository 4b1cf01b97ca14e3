"""The experiments' pictures as figures: real action fields, contexts, build-ups, edits.

Each function takes the result of one picture and returns the figure: one of its own, or the given
figure or SubFigure, since there are many axes. All maps of a figure share one colour scale, in
shares of the image range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.apply import BY, CarriedEdit
from regional_primitives.axes import Image, Mask
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.scores.boundedness import Boundedness
from regional_primitives.scores.consistency import Consistency
from regional_primitives.scores.control import SCALES, SELECTIONS, Control
from regional_primitives.scores.superposition import Superposition
from regional_primitives.show import numerals
from regional_primitives.show.panels import draw_map, draw_outline, draw_picture, explain_colours
from regional_primitives.show.pixels import ColourScale, magnitude
from regional_primitives.show.style import LIGHT, Figure, SubFigure, begin_figure

_MOST_REGIONS = 4
_MOST_CARRIED, _PAIRS = 59, 5
"""Pictures on a sheet of carried edits, and pairs abreast."""


@dataclass(frozen=True)
class _Panel:
    """A picture in the generator's range [C, H, W], or a map of change [H, W]; with an outline."""

    content: Tensor
    mask: Mask | None = None
    note: str = ""
    """Below it."""


def plot_real_fields(result: Boundedness, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw the strongest components' action fields over what they really change."""
    maps = _shares(result.real_fields, result.image, result.image_range)
    in_context = _shares(result.real_fields_in_context, result.image, result.image_range)
    fields = list(enumerate(result.shown_fields))
    numbers = result.numbers()
    auc = f", AUC {numbers['auc']:.2f}" if "auc" in numbers else ""
    return _draw_sheet(
        figure,
        "Real action fields of the strongest components",
        "white: the action field; below: share of ‖Δx‖² inside it, and AUC. Energy-weighted mean "
        f"of all {len(result.energy)}: {100 * numbers['boundedness']:.0f} %{auc}",
        [f"component {int(result.components[k])}" for k, _ in fields],
        {
            "action field": [_Panel(result.image, mask) for _, mask in fields],
            "real field, alone": [
                _Panel(maps[k], mask, _agreement(result.alone, k)) for k, mask in fields
            ],
            "real field, in context": [
                _Panel(in_context[k], mask, _agreement(result.in_context, k)) for k, mask in fields
            ],
        },
        result.image_range,
        ColourScale.over([maps, in_context]),
    )


def plot_contexts(result: Consistency, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw what one component does to the pictures of several random contexts."""
    low, high = result.image_range
    changes = result.together - result.without
    maps = magnitude(changes, result.image_range)
    gain = _gain(changes, high - low)
    # With the others, not with a mean that holds the pattern itself: comparable to the score.
    unit = torch.nn.functional.normalize((changes * result.shown_field).flatten(1), dim=1)
    likeness = (((unit @ unit.T).sum(1) - 1) / max(len(unit) - 1, 1)).tolist()
    field = result.shown_field
    return _draw_sheet(
        figure,
        f"Component {result.shown} in {len(changes)} random contexts",
        f"below: mean cosine with the others. Mean between pairs of all {result.contexts} "
        f"contexts: {result.shown_cosine:.2f} of this component, "
        f"{result.numbers()['consistency']:.2f} of the {len(result.cosine)} strongest",
        [f"context {number}" for number in range(1, len(changes) + 1)],
        {
            "context alone": [_Panel(picture, field) for picture in result.without],
            "with the component": [_Panel(picture, field) for picture in result.together],
            "pattern, on grey" if gain == 1 else f"pattern × {gain}, on grey": [
                _Panel((low + high) / 2 + gain * change, field) for change in changes
            ],
            "change": [
                _Panel(one, field, f"cosine {cosine:.2f}")
                for one, cosine in zip(maps, likeness, strict=True)
            ],
        },
        result.image_range,
        ColourScale.over([maps]),
    )


def plot_build_up(result: Superposition, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw the picture as components are added, strongest first, smallest first, as patterns."""
    first, last = result.strongest_first, result.smallest_first
    rows = {
        "strongest first": (first.pictures, first.inside_error),
        "smallest first": (last.pictures, last.inside_error),
        "sum of patterns": (first.sums, first.superposition_error),
    }
    covered = int(result.patches.sum())
    where = "" if covered == len(result.patches) else f" on the {covered} patches of the fields"
    *steps, every = result.steps
    return _draw_sheet(
        figure,
        "The picture, component by component",
        f"below: squared error against x{where}, where 100 % is x₀; sum of patterns: x₀ + ΣΔx, "
        "strongest first",
        ["K = 0: x₀", *map(str, steps), f"all {every}", "picture x"],
        {
            name: [
                _Panel(result.baseline_image),
                *(_Panel(picture, note=_percent(float(error)))
                  for picture, error in zip(pictures, errors, strict=True)),
                _Panel(result.image),
            ]
            for name, (pictures, errors) in rows.items()
        },
        result.image_range,
        side=0.98,
    )  # fmt: skip


def plot_edits(result: Control, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw some regions' components removed and amplified, and where the picture changes."""
    shown = (("inside", 0.0), ("touching", 0.0), ("touching", 2.0))
    edits = {(edit.region, edit.selection, edit.scale): edit for edit in result.edits}
    maps: list[Tensor] = []
    rows: dict[str, list[_Panel]] = {}
    for place, region in enumerate(result.regions[:_MOST_REGIONS]):
        panels = [_Panel(result.image, result.masks[place])]
        for selection, scale in shown:
            edit = edits[region, selection, scale]
            picture = result.pictures[place, SELECTIONS.index(selection), SCALES.index(scale)]
            maps.append(magnitude(picture - result.image, result.image_range))
            counted = "1 component" if edit.components == 1 else f"{edit.components} components"
            inside = f"{100 * edit.effect.share_inside:.0f} % inside" if edit.effect else ""
            panels += [_Panel(picture, result.masks[place], counted),
                       _Panel(maps[-1], result.masks[place], inside)]  # fmt: skip
        rows[f"region {place + 1}"] = panels
    return _draw_sheet(
        figure,
        "Control by region",
        "components whose field lies inside the region (white), or touches it",
        ["picture x", "removed, inside", "change", "removed, touching", "change", "×2, touching",
         "change"],
        rows,
        result.image_range,
        ColourScale.over(maps),
    )  # fmt: skip


def plot_carried(
    result: CarriedEdit,
    names: Sequence[str] | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw pictures that an edit was carried to, before and after it, side by side.

    Args:
        result: of `rp.carry`; its own picture comes first, then up to 59 others.
        names: what each of the other pictures is called; its number unless given.
        figure: where to draw, since there are many axes; None for one of its own.
    """
    d, edited = result.decomposition, result.own
    way = result.ways[0]
    shown = min(result.count, _MOST_CARRIED)
    called = [f"picture {i}" for i in range(result.count)] if names is None else list(names)
    mask = d.regions.pixel_mask(d.regions.demand(result.patches), *d.image.shape[-2:])
    share = "" if result.own_outside_share is None else f"{result.own_outside_share:.0%} outside"
    pairs = [[_Panel(d.image, mask, "the edited picture"), _Panel(edited, note=share)]]
    for i in range(shown):
        before, after = result.pictures(i)
        outside = way.outside_share[i]
        told = "no change" if outside is None else f"{outside:.0%} outside"
        mark = "✓ " if way.succeeded[i] else ""
        pairs.append([_Panel(before, mask, called[i]), _Panel(after, note=f"{mark}{told}")])
    abreast = min(len(pairs), _PAIRS)
    blank = _Panel(torch.full_like(d.image, d.provenance.image_range[1]))
    pairs += [[blank, blank]] * (-len(pairs) % abreast)
    rows = {
        " " * row: [*chain(*pairs[start : start + abreast])]  # names must differ, none is shown
        for row, start in enumerate(range(0, len(pairs), abreast))
    }
    some = "" if shown == result.count else f"; the first {shown} are shown"
    return _draw_sheet(
        figure,
        f"{result.part}: an edit carried to {numerals.count(result.count)} pictures: "
        f"{BY[result.by]}",
        f"✓ changed the part (outlined) and left the rest: {way.success:.0%}; random units: "
        f"{result.chance:.0%}; below: share of the change outside{some}",
        ["before", "after"] * abreast,
        rows,
        d.provenance.image_range,
        side=0.98,
    )


def _draw_sheet(
    figure: Figure | SubFigure | None,
    title: str,
    note: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[_Panel]],
    image_range: tuple[float, float],
    scale: ColourScale | None = None,
    side: float = 1.25,
) -> Figure:
    """Draw named rows of pictures and maps `side` inches wide, and what the maps' colours mean."""
    height, width = next(iter(rows.values()))[0].content.shape[-2:]
    tall = side * height / width
    left, right, top, bottom, gap, line = 0.3, 0.95 if scale else 0.1, 0.85, 0.24, 0.07, 0.24
    wide = left + len(columns) * (side + gap) - gap + right
    high = top + len(rows) * (tall + line) - line + bottom
    whole, figure = begin_figure(figure, (wide, high))
    inner = {"left": left / wide, "right": 1 - right / wide, "top": 1 - top / high,
             "bottom": bottom / high}  # fmt: skip
    grid = figure.add_gridspec(len(rows), len(columns), wspace=gap / side, hspace=line / tall,
                               **inner)  # fmt: skip
    for row, (name, panels) in enumerate(rows.items()):
        for column, panel in enumerate(panels):
            axes = figure.add_subplot(grid[row, column])
            if panel.content.dim() == 3:
                draw_picture(axes, bytes_of(panel.content, image_range))
            else:
                assert scale is not None
                drawn = draw_map(axes, panel.content, scale)
            if panel.mask is not None:
                draw_outline(axes, panel.mask)
            heading = "" if row else columns[column]
            axes.set_title(heading, fontsize=9.5, color=LIGHT.ink, pad=4)
            axes.set_xlabel(panel.note, fontsize=8.5, color=LIGHT.muted, labelpad=2)
            axes.set_ylabel("" if column else name, fontsize=9.5, color=LIGHT.muted, labelpad=4)
    if scale is not None:
        bar = (1 - (right - 0.15) / wide, inner["bottom"], 0.13 / wide,
               inner["top"] - inner["bottom"])  # fmt: skip
        explain_colours(drawn, figure.add_axes(bar), "change, % of the image range", scale)
    place: Any = {"x": inner["left"], "ha": "left", "va": "top"}
    figure.text(y=1 - 0.1 / high, s=title, fontsize=12, fontweight="bold", color=LIGHT.ink, **place)
    figure.text(y=1 - 0.35 / high, s=note, fontsize=9, color=LIGHT.muted, **place)
    return whole


def _shares(
    norms: Float[Tensor, "some height width"], image: Image, image_range: tuple[float, float]
) -> Float[Tensor, "some height width"]:
    """Turn norms over channels into root mean squares, as shares of the image range."""
    low, high = image_range
    return norms / (len(image) ** 0.5 * (high - low))


def _gain(changes: Float[Tensor, "some channels height width"], span: float) -> int:
    """Return the whole factor, up to 8, by which patterns may grow and stay in the image range."""
    largest = float(changes.abs().flatten().quantile(0.999)) if changes.numel() < 2**24 else span
    return max(1, min(8, int(0.5 * span / max(largest, 1e-12))))


def _agreement(agreement: Any, place: int) -> str:
    inside, auc = float(agreement.share_inside[place]), float(agreement.auc[place])
    ranked = "" if auc != auc else f", AUC {auc:.2f}"  # NaN where the field is the whole picture
    return f"{100 * inside:.0f} %{ranked}"


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.0f} %" if value >= 9.5 else f"{value:.1f} %"
