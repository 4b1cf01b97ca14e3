"""Pictures and maps of change as panels of a figure, pixel for pixel, with lines over them."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from regional_primitives.axes import Mask
from regional_primitives.show.outlines import loops
from regional_primitives.show.pixels import COLOUR_MAP, ColourScale
from regional_primitives.show.style import LIGHT, Axes, clear


def draw_picture(axes: Axes, pixels: UInt8[Tensor, "height width bands"]) -> None:
    """Fill an axis with a picture."""
    shown = pixels.numpy() if pixels.shape[2] == 3 else pixels[..., 0].numpy()
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, **_exactly(axes, shown))


def draw_map(axes: Axes, values: Float[Tensor, "height width"], scale: ColourScale) -> Any:
    """Fill an axis with a map of change; returns what a colour bar explains."""
    from matplotlib.colors import PowerNorm

    norm = PowerNorm(0.5, vmin=0.0, vmax=scale.limit, clip=True)
    return axes.imshow(values.numpy(), cmap=COLOUR_MAP, norm=norm, **_exactly(axes, values))


def draw_outline(axes: Axes, mask: Mask) -> None:
    """Draw the edges of marked pixels."""
    draw_lines(axes, edges(mask))


def edges(mask: Mask) -> list[Any]:
    """Return the edges of marked pixels as lines to draw, each closed."""
    return [[*loop, loop[0]] for loop in loops(mask)]


def draw_lines(axes: Axes, lines: list[Any], width: float = 1.2) -> None:
    """Draw lines in white with a dark rim, so that they show on any picture."""
    from matplotlib.collections import LineCollection

    for colour, extra in (("#000000", 1.2), ("#ffffff", 0.0)):
        drawn = LineCollection(lines, colors=colour, linewidths=width + extra, clip_on=False)
        drawn.set_in_layout(False)  # they lie on the picture; measuring them takes long
        axes.add_collection(drawn, autolim=False)


def explain_colours(drawn: Any, place: Axes, label: str, scale: ColourScale | None = None) -> None:
    """Draw the colour bar of a map on an axis of its own; of maps of change with their ticks."""
    bar = drawn.get_figure(root=True).colorbar(drawn, cax=place)
    if scale is not None:
        values = [value for value, _ in scale.ticks()]
        bar.set_ticks(values, labels=[f"{100 * value:.3g}" for value in values])
    bar.set_label(label, color=LIGHT.muted, fontsize=9)
    place.tick_params(colors=LIGHT.muted, labelsize=8)
    bar.outline.set_visible(False)


def _exactly(axes: Axes, content: Any) -> dict[str, Any]:
    """Clear the axis, and let pixel [y, x] cover x … x + 1 and y … y + 1."""
    clear(axes)
    height, width = content.shape[:2]
    return {"interpolation": "nearest", "extent": (0, width, height, 0)}
