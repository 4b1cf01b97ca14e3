"""How figures look: colours for light and dark pages, and figures that belong to no window."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.show.extras import report_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = SubFigure = Any

_SIZE = (4.8, 3.2)  # inches


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; the three series differ for colour-blind eyes too."""

    ink: str
    muted: str
    grid: str
    paper: str
    series: tuple[str, str, str]


LIGHT = Theme("#1c1c1a", "#5c5c57", "#e3e2dc", "#ffffff", ("#0068a8", "#c2500a", "#00805c"))
DARK = Theme("#ecebe6", "#a8a79f", "#3b3b38", "#1d1d1b", ("#6cb8ee", "#f0954f", "#3fcb9d"))


def begin_axes(axes: Axes | None, title: str, pad: float = 10.0) -> tuple[Figure, Axes]:
    """Take the caller's axis or make one, and dress it."""
    if axes is None:
        # Fixed margins, since fitting them takes longer than drawing the figure twice.
        axes = new_figure(_SIZE).add_axes((0.135, 0.165, 0.84, 0.69))
    axes.set_title(title, loc="left", color=LIGHT.ink, fontsize=11, fontweight="bold", pad=pad)
    axes.set_facecolor(LIGHT.paper)
    axes.grid(axis="y", color=LIGHT.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LIGHT.muted, labelsize=9, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LIGHT.muted)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(LIGHT.muted)
        axis.label.set_fontsize(10)
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure, axes


def begin_figure(
    figure: Figure | SubFigure | None, size: tuple[float, float]
) -> tuple[Figure, Figure | SubFigure]:
    """Take the caller's figure, or part of one, or make one of this size in inches.

    Returns:
        The whole figure, and where to draw: the same, or the part.
    """
    if figure is None:
        figure = new_figure(size)
    whole = figure.get_figure(root=True)
    assert whole is not None
    return whole, figure


def new_figure(size: tuple[float, float]) -> Figure:
    """Make a figure that belongs to no window."""
    with report_extra():
        from regional_primitives.show.figure import OwnFigure
    return OwnFigure(size, LIGHT.paper)


def svg(figure: Figure) -> str:
    """Encode a figure as SVG; the same figure gives the same text."""
    with report_extra():
        import matplotlib
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "regional_primitives"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().decode("utf-8")


def darkened(drawing: str) -> str:
    """Give the SVG of a figure colours for a dark page."""
    for name in ("ink", "muted", "grid", "paper"):
        drawing = drawing.replace(getattr(LIGHT, name), getattr(DARK, name))
    for light, dark in zip(LIGHT.series, DARK.series, strict=True):
        drawing = drawing.replace(light, dark)
    return drawing
