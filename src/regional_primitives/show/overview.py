"""One picture that introduces a run: x, x0, their difference, and the most visible components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxtyping import Float, UInt8
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores import Exhibits
from regional_primitives.show.extras import report_extra
from regional_primitives.show.outlines import loops, segments
from regional_primitives.show.pixels import COLOUR_MAP, ColourScale, bytes_of, magnitude
from regional_primitives.show.plots import LIGHT, begin_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = SubFigure = Any

__all__ = ["plot_overview"]

_COLUMNS = 6


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
    image_range = decomposition.provenance.image_range
    shown = exhibits.shown.tolist()
    remainder = decomposition.remainder
    chosen = [k for k in exhibits.visible_order if k in set(shown) - {remainder}][:_COLUMNS]
    places = [shown.index(k) for k in chosen]
    change = magnitude(decomposition.image - decomposition.baseline_image, image_range)
    maps = magnitude(exhibits.patterns[places], image_range)
    scale = ColourScale.over([change, maps])

    height, width = decomposition.image.shape[-2:]
    whole, figure = begin_figure(figure, (11.2, 1.0 + 4.1 * height / width))
    layout = figure.add_gridspec(
        3,
        2 + _COLUMNS,
        width_ratios=[1, 0.14] + [1] * _COLUMNS,
        left=0.01,
        right=0.905,
        bottom=0.02,
        top=0.87,
        wspace=0.06,
        hspace=0.2,
    )
    labels = decomposition.regions.label_map(height, width)
    first = figure.add_subplot(layout[0, 0])
    _picture(first, bytes_of(decomposition.image, image_range))
    _lines(first, segments(labels), width=0.5)
    first.set_title("picture x", fontsize=10, color=LIGHT.ink)
    baseline = figure.add_subplot(layout[1, 0])
    _picture(baseline, bytes_of(decomposition.baseline_image, image_range))
    baseline.set_title("baseline picture x₀", fontsize=10, color=LIGHT.ink)
    difference = figure.add_subplot(layout[2, 0])
    drawn = _map(difference, change, scale)
    difference.set_title("change |x − x₀|", fontsize=10, color=LIGHT.ink)
    for column, (k, place, change_map) in enumerate(zip(chosen, places, maps, strict=True)):
        mask = decomposition.regions.pixel_mask(decomposition.action_fields[k], height, width)
        alone = decomposition.baseline_image + exhibits.patterns[place]
        rows = (
            (bytes_of(decomposition.image, image_range), f"component {k}"),
            (bytes_of(alone, image_range), ""),
            (change_map, ""),
        )
        for row, (content, title) in enumerate(rows):
            axes = figure.add_subplot(layout[row, 2 + column])
            if content.ndim == 3:
                _picture(axes, content)
            else:
                _map(axes, content, scale)
            _lines(axes, [[*loop, loop[0]] for loop in loops(mask)], width=1.2)
            axes.set_title(title, fontsize=10, color=LIGHT.ink)
            if column == 0:
                name = ("action field", "alone on x₀", "change it makes")[row]
                axes.set_ylabel(name, fontsize=10, color=LIGHT.muted)
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.925, 0.12, 0.011, 0.65)))
    bar.set_ticks([value for value, _ in scale.ticks()])
    bar.set_ticklabels([f"{100 * value:.3g}" for value, _ in scale.ticks()])
    bar.set_label("change (% of the image range, square-root scale)", color=LIGHT.muted)
    bar.ax.tick_params(colors=LIGHT.muted, labelsize=8)
    bar.outline.set_visible(False)
    origin = decomposition.provenance
    figure.suptitle(
        f"{origin.generator}, {origin.cut_and_picture}: the most visible of "
        f"{decomposition.without(remainder).count} components",
        x=0.01,
        ha="left",
        fontsize=12,
        fontweight="bold",
        color=LIGHT.ink,
    )
    return whole


def _picture(axes: Axes, pixels: UInt8[Tensor, "height width bands"]) -> None:
    shown = pixels.numpy() if pixels.shape[2] == 3 else pixels[..., 0].numpy()
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, **_exactly(axes, shown))


def _map(axes: Axes, values: Float[Tensor, "height width"], scale: ColourScale) -> Any:
    with report_extra():
        from matplotlib.colors import PowerNorm
    norm = PowerNorm(0.5, vmin=0.0, vmax=scale.limit, clip=True)
    return axes.imshow(values.numpy(), cmap=COLOUR_MAP, norm=norm, **_exactly(axes, values))


def _exactly(axes: Axes, content: Any) -> dict[str, Any]:
    """Clear the axis, and let pixel [y, x] cover x … x + 1 and y … y + 1."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    height, width = content.shape[:2]
    return {"interpolation": "nearest", "extent": (0, width, height, 0)}


def _lines(axes: Axes, lines: list[Any], width: float) -> None:
    """Draw lines in white with a dark rim, so that they show on any picture."""
    with report_extra():
        from matplotlib.collections import LineCollection
    for colour, extra in (("#000000", 1.2), ("#ffffff", 0.0)):
        drawn = LineCollection(lines, colors=colour, linewidths=width + extra, clip_on=False)
        axes.add_collection(drawn, autolim=False)
