"""One picture that introduces a run: x, x0, their difference, and the most visible components."""

from __future__ import annotations

import textwrap

from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.scores import Exhibits
from regional_primitives.show import form
from regional_primitives.show.outlines import segments
from regional_primitives.show.panels import (
    draw_lines,
    draw_map,
    draw_picture,
    edges,
    explain_colours,
)
from regional_primitives.show.pixels import ColourScale, magnitude
from regional_primitives.show.style import LIGHT, Axes, Figure, SubFigure, begin_figure

_COLUMNS = 6
_LINE = 16
"""Letters that fit over a picture."""


def plot_overview(
    decomposition: Decomposition, exhibits: Exhibits, figure: Figure | SubFigure | None = None
) -> Figure:
    """Draw the picture, its baseline and what the most visible components do to them.

    Columns after the first three: a component's action field on the picture (top), what it makes
    of the baseline picture alone, and the map of its change.

    Args:
        decomposition: what is shown.
        exhibits: its pictures.
        figure: where to draw, since there are many axes: a figure or a SubFigure, best about
            11.2 inches wide; None for one of its own.
    """
    d, origin = decomposition, decomposition.provenance
    shown = exhibits.shown.tolist()
    pictured = set(shown) - {d.remainder}
    # Where one would see none of them go, the order is that of their strengths.
    order = exhibits.seen or exhibits.visible_order
    chosen = [k for k in order if k in pictured][:_COLUMNS]
    patterns = exhibits.patterns[[shown.index(k) for k in chosen]]
    change = magnitude(d.image - d.baseline_image, origin.image_range)
    maps = magnitude(patterns, origin.image_range)
    scale = ColourScale.over([change, maps])

    height, width = d.image.shape[-2:]
    whole, figure = begin_figure(figure, (11.2, 1.0 + 4.1 * height / width), "constrained")
    widths = [1, 0.14, *[1] * _COLUMNS, 0.09]
    layout = figure.add_gridspec(3, len(widths), width_ratios=widths)

    def panel(row: int, column: int, title: str = "") -> Axes:
        axes = figure.add_subplot(layout[row, column])
        axes.set_title(title, fontsize=10, color=LIGHT.ink, y=1.0)
        axes.set_axis_off()  # nothing of it is drawn; measuring that takes long
        return axes

    def picture(axes: Axes, image: Tensor) -> None:
        draw_picture(axes, bytes_of(image, origin.image_range))

    picture(first := panel(0, 0, "picture x"), d.image)
    draw_lines(first, segments(d.regions.label_map(height, width)), width=0.5)
    picture(panel(1, 0, "baseline picture x₀"), d.baseline_image)
    drawn = draw_map(panel(2, 0, "change |x − x₀|"), change, scale)
    for column, (k, pattern, size) in enumerate(zip(chosen, patterns, maps, strict=True), start=2):
        column_axes = [panel(row, column, "" if row else _title(d, k)) for row in range(3)]
        picture(column_axes[0], d.image)
        picture(column_axes[1], d.baseline_image + pattern)
        draw_map(column_axes[2], size, scale)
        lines = edges(d.regions.pixel_mask(d.action_fields[k], height, width))
        for axes, name in zip(
            column_axes, ("action field", "alone on x₀", "change it makes"), strict=True
        ):
            draw_lines(axes, lines)
            if column == 2:
                axes.set_axis_on()
                axes.set_ylabel(name, fontsize=10, color=LIGHT.muted)
    label = "change (% of the image range, square-root scale)"
    explain_colours(drawn, figure.add_subplot(layout[:, -1]), label, scale)
    which = "the most visible" if exhibits.seen else "the strongest (none alone is noticed)"
    figure.suptitle(
        f"{origin.generator}, {origin.cut_and_picture}: {which} of "
        f"{d.without(d.remainder).count} components",
        x=0.005, ha="left", fontsize=12, fontweight="bold", color=LIGHT.ink,
    )  # fmt: skip
    return whole


def _title(decomposition: Decomposition, k: int) -> str:
    """Name a component by its field where that is short, else by its number."""
    words = "\n".join(textwrap.wrap(form.field_in_words(decomposition, k), _LINE))
    named = decomposition.regions.given_names is not None and words.count("\n") < 2
    return words if named else f"component {k}"
