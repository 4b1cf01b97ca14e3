"""The experiments' pictures as figures: real action fields, contexts, build-ups, edits.

Each function takes the result of one picture and returns the figure: one of its own, or the given
figure or SubFigure, since there are many axes. All maps of a figure share one colour scale, in
shares of the image range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.scores.boundedness import Boundedness
from regional_primitives.scores.consistency import Consistency
from regional_primitives.scores.control import SCALES, SELECTIONS, Control
from regional_primitives.scores.superposition import Superposition
from regional_primitives.show.panels import draw_map, draw_outline, draw_picture, explain_colours
from regional_primitives.show.pixels import ColourScale, bytes_of, magnitude
from regional_primitives.show.style import LIGHT, begin_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = SubFigure = Any

__all__ = ["plot_build_up", "plot_contexts", "plot_edits", "plot_real_fields"]

_SIDE = 1.25
"""Inches of a picture's width."""
_MOST_REGIONS = 4


def plot_real_fields(result: Boundedness, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw the strongest components' action fields over what they really change."""
    maps = _shares(result.real_fields, result.image, result.image_range)
    in_context = _shares(result.real_fields_in_context, result.image, result.image_range)
    scale = ColourScale.over([maps, in_context])
    sheet = _Sheet(
        figure,
        "Real action fields of the strongest components",
        ["action field", "real field, alone", "real field, in context"],
        len(maps),
        result.image,
        bar=True,
    )
    for column, mask in enumerate(result.shown_fields):
        title = f"component {int(result.components[column])}"
        sheet.picture(0, column, bytes_of(result.image, result.image_range), mask, title)
        alone, context = result.alone, result.in_context
        sheet.map(1, column, maps[column], scale, mask, note=_agreement(alone, column))
        sheet.map(2, column, in_context[column], scale, mask, note=_agreement(context, column))
    sheet.colour_bar(scale)
    numbers = result.numbers()
    sheet.say(
        "white: the action field; below: share of ‖Δx‖² inside it, and AUC. Energy-weighted mean "
        f"of all {len(result.energy)}: {100 * numbers['boundedness']:.0f} %"
        + (f", AUC {numbers['auc']:.2f}" if "auc" in numbers else "")
    )
    return sheet.whole


def plot_contexts(result: Consistency, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw what one component does to the pictures of several random contexts."""
    low, high = result.image_range
    changes = result.together - result.without
    maps = magnitude(changes, result.image_range)
    scale = ColourScale.over([maps])
    gain = _gain(changes, high - low)
    pattern_name = "pattern, on grey" if gain == 1 else f"pattern × {gain}, on grey"
    rows = ["context alone", "with the component", pattern_name, "change"]
    sheet = _Sheet(
        figure,
        f"Component {result.shown} in {len(changes)} random contexts",
        rows,
        len(changes),
        result.without[0],
        bar=True,
    )
    # With the others, not with a mean that holds the pattern itself: comparable to the score.
    unit = torch.nn.functional.normalize((changes * result.shown_field).flatten(1), dim=1)
    likeness = ((unit @ unit.T).sum(1) - 1) / max(len(unit) - 1, 1)
    for column, change in enumerate(changes):
        shown = (result.without[column], result.together[column], (low + high) / 2 + gain * change)
        for row, picture in enumerate(shown):
            pixels = bytes_of(picture, result.image_range)
            title = f"context {column + 1}" if row == 0 else ""
            sheet.picture(row, column, pixels, result.shown_field, title)
        note = f"cosine {float(likeness[column]):.2f}"
        sheet.map(3, column, maps[column], scale, result.shown_field, note=note)
    sheet.colour_bar(scale)
    sheet.say(
        f"below: mean cosine with the others. Mean between pairs of all {result.contexts} "
        f"contexts: {result.shown_cosine:.2f} of this component, "
        f"{result.numbers()['consistency']:.2f} of the {len(result.cosine)} strongest"
    )
    return sheet.whole


def plot_build_up(result: Superposition, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw the picture as components are added, strongest first, smallest first, as patterns."""
    rows = (
        ("strongest first", result.strongest_first.pictures, result.strongest_first.inside_error),
        ("smallest first", result.smallest_first.pictures, result.smallest_first.inside_error),
        (
            "sum of patterns",
            result.strongest_first.sums,
            result.strongest_first.superposition_error,
        ),
    )
    count = len(result.steps)
    sheet = _Sheet(
        figure,
        "The picture, component by component",
        [name for name, _, _ in rows],
        count + 2,
        result.image,
        side=0.98,
    )
    for row, (_, pictures, errors) in enumerate(rows):
        ends = ((0, result.baseline_image, "K = 0: x₀"), (count + 1, result.image, "picture x"))
        for column, picture, title in ends:
            pixels = bytes_of(picture, result.image_range)
            sheet.picture(row, column, pixels, None, title if row == 0 else "")
        for place, (step, picture) in enumerate(zip(result.steps, pictures, strict=True)):
            title = "" if row else f"all {step}" if place == count - 1 else f"{step}"
            pixels = bytes_of(picture, result.image_range)
            sheet.picture(row, place + 1, pixels, None, title, _percent(float(errors[place])))
    covered = int(result.patches.sum())
    where = "" if covered == len(result.patches) else f" on the {covered} patches of the fields"
    sheet.say(
        f"below: squared error against x{where}, where 100 % is x₀; sum of patterns: x₀ + ΣΔx, "
        "strongest first"
    )
    return sheet.whole


def plot_edits(result: Control, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw some regions' components removed and amplified, and where the picture changes."""
    shown = (("inside", 0.0), ("touching", 0.0), ("touching", 2.0))
    count = min(_MOST_REGIONS, len(result.regions))
    places = [(SELECTIONS.index(name), SCALES.index(scale)) for name, scale in shown]
    edited = [result.pictures[:count, selection, scale] for selection, scale in places]
    maps = [magnitude(pictures - result.image, result.image_range) for pictures in edited]
    scale = ColourScale.over(maps)
    names = ["picture x", "removed, inside", "change", "removed, touching", "change",
             "×2, touching", "change"]  # fmt: skip
    sheet = _Sheet(
        figure,
        "Control by region",
        [f"region {place + 1}" for place in range(count)],
        len(names),
        result.image,
        bar=True,
    )
    for row in range(count):
        mask = result.masks[row]
        titles = names if row == 0 else [""] * len(names)
        pixels = bytes_of(result.image, result.image_range)
        sheet.picture(row, 0, pixels, mask, titles[0])
        for place, (selection, factor) in enumerate(shown):
            edit = next(
                edit
                for edit in result.edits
                if (edit.region, edit.selection, edit.scale)
                == (result.regions[row], selection, factor)
            )
            counted = "1 component" if edit.components == 1 else f"{edit.components} components"
            inside = f"{100 * edit.effect.share_inside:.0f} % inside" if edit.effect else ""
            pixels = bytes_of(edited[place][row], result.image_range)
            left, right = 1 + 2 * place, 2 + 2 * place
            sheet.picture(row, left, pixels, mask, titles[left], counted)
            sheet.map(row, right, maps[place][row], scale, mask, titles[right], inside)
    sheet.colour_bar(scale)
    sheet.say("components whose field lies inside the region (white), or touches it")
    return sheet.whole


class _Sheet:
    """A figure of pictures in rows and columns, with names, notes and one colour bar."""

    def __init__(
        self,
        figure: Figure | SubFigure | None,
        title: str,
        rows: Sequence[str],
        columns: int,
        image: Float[Tensor, "channels height width"],
        *,
        bar: bool = False,
        side: float = _SIDE,
    ) -> None:
        height, width = image.shape[-2:]
        tall = side * height / width
        left, right, top, bottom, gap, line = 0.3, 0.95 if bar else 0.1, 0.85, 0.24, 0.07, 0.24
        whole = (
            left + columns * (side + gap) - gap + right,
            top + len(rows) * (tall + line) - line + bottom,
        )
        self.whole, self.figure = begin_figure(figure, whole)
        self._rows = rows
        self._left = left / whole[0]
        self._top = whole[1]
        self._bar = (
            1 - (right - 0.15) / whole[0],
            bottom / whole[1],
            0.13 / whole[0],
            1 - (top + bottom) / whole[1],
        )
        self._layout = self.figure.add_gridspec(
            len(rows),
            columns,
            left=self._left,
            right=1 - right / whole[0],
            top=1 - top / whole[1],
            bottom=bottom / whole[1],
            wspace=gap / side,
            hspace=line / tall,
        )
        self.figure.text(
            self._left, 1 - 0.1 / whole[1], title, ha="left", va="top", fontsize=12,
            fontweight="bold", color=LIGHT.ink,
        )  # fmt: skip

    def picture(
        self,
        row: int,
        column: int,
        pixels: Tensor,
        mask: Bool[Tensor, "height width"] | None,
        title: str = "",
        note: str = "",
    ) -> None:
        """Place a picture with an outline."""
        axes = self.figure.add_subplot(self._layout[row, column])
        draw_picture(axes, pixels)
        self._dress(axes, row, column, mask, title, note)

    def map(
        self,
        row: int,
        column: int,
        values: Float[Tensor, "height width"],
        scale: ColourScale,
        mask: Bool[Tensor, "height width"] | None,
        title: str = "",
        note: str = "",
    ) -> None:
        """Place a map of change with an outline."""
        axes = self.figure.add_subplot(self._layout[row, column])
        self._drawn = draw_map(axes, values, scale)
        self._dress(axes, row, column, mask, title, note)

    def _dress(
        self,
        axes: Axes,
        row: int,
        column: int,
        mask: Bool[Tensor, "height width"] | None,
        title: str,
        note: str,
    ) -> None:
        if mask is not None:
            draw_outline(axes, mask)
        axes.set_title(title, fontsize=9.5, color=LIGHT.ink, pad=4)
        axes.set_xlabel(note, fontsize=8.5, color=LIGHT.muted, labelpad=2)
        if column == 0:
            axes.set_ylabel(self._rows[row], fontsize=9.5, color=LIGHT.muted, labelpad=4)

    def say(self, text: str) -> None:
        """Write a line below the title."""
        self.figure.text(
            self._left, 1 - 0.35 / self._top, text, ha="left", va="top", fontsize=9,
            color=LIGHT.muted,
        )  # fmt: skip

    def colour_bar(self, scale: ColourScale) -> None:
        """Explain the colours of all maps."""
        place = self.figure.add_axes(self._bar)
        explain_colours(self._drawn, place, scale, "change, % of the image range")


def _shares(
    norms: Float[Tensor, "some height width"],
    image: Float[Tensor, "channels height width"],
    image_range: tuple[float, float],
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
