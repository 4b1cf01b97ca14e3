"""Pictures and maps of change as panels of a figure, pixel for pixel, with lines over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from regional_primitives.axes import Mask
from regional_primitives.show.extras import report_extra
from regional_primitives.show.outlines import loops
from regional_primitives.show.pixels import COLOUR_MAP, ColourScale
from regional_primitives.show.style import LIGHT, Axes


def draw_picture(axes: Axes, pixels: UInt8[Tensor, "height width bands"]) -> None:
    """Fill an axis with a picture."""
    shown = pixels.numpy() if pixels.shape[2] == 3 else pixels[..., 0].numpy()
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, **_exactly(axes, shown))


def draw_map(axes: Axes, values: Float[Tensor, "height width"], scale: ColourScale) -> Any:
    """Fill an axis with a map of change; returns what a colour bar explains."""
    with report_extra():
        from matplotlib.colors import PowerNorm
    norm = PowerNorm(0.5, vmin=0.0, vmax=scale.limit, clip=True)
    return axes.imshow(values.numpy(), cmap=COLOUR_MAP, norm=norm, **_exactly(axes, values))


def draw_outline(axes: Axes, mask: Mask, width: float = 1.2) -> None:
    """Draw the edges of marked pixels."""
    draw_lines(axes, [[*loop, loop[0]] for loop in loops(mask)], width)


def draw_lines(axes: Axes, lines: list[Any], width: float) -> None:
    """Draw lines in white with a dark rim, so that they show on any picture."""
    with report_extra():
        from matplotlib.collections import LineCollection
    for colour, extra in (("#000000", 1.2), ("#ffffff", 0.0)):
        drawn = LineCollection(lines, colors=colour, linewidths=width + extra, clip_on=False)
        axes.add_collection(drawn, autolim=False)


def explain_colours(
    drawn: Any, place: Axes | Sequence[Axes], scale: ColourScale, label: str
) -> None:
    """Draw the colour bar of maps that share a scale, on an axis of its own or beside several."""
    figure = drawn.get_figure(root=False)
    beside = {"ax": place, "aspect": 30} if isinstance(place, Sequence) else {"cax": place}
    bar = figure.colorbar(drawn, **beside)
    bar.set_ticks([value for value, _ in scale.ticks()])
    bar.set_ticklabels([f"{100 * value:.3g}" for value, _ in scale.ticks()])
    bar.set_label(label, color=LIGHT.muted, fontsize=9)
    bar.ax.tick_params(colors=LIGHT.muted, labelsize=8)
    bar.outline.set_visible(False)


def _exactly(axes: Axes, content: Any) -> dict[str, Any]:
    """Clear the axis, and let pixel [y, x] cover x … x + 1 and y … y + 1."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    height, width = content.shape[:2]
    return {"interpolation": "nearest", "extent": (0, width, height, 0)}
