"""How figures look: colours for light pages and dark ones, and where a figure is drawn.

A figure of its own has the style of figures.mplstyle; the caller's axis or figure keeps its own.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.show.extras import report_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis as Axis
    from matplotlib.figure import Figure as Figure
    from matplotlib.figure import SubFigure as SubFigure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Axis = Figure = SubFigure = Any

_SIZE = (4.8, 3.2)  # inches
NOTE_PAD = 24.0
"""Points between an axis and its title, with room for a line of explanation or a legend."""


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; the three series differ for colour-blind eyes too."""

    ink: str
    muted: str
    grid: str
    paper: str
    series: tuple[str, str, str]
    depth: tuple[str, ...]
    """Of layers, from the latent to the picture."""

    @property
    def colours(self) -> tuple[str, ...]:
        """All of them, in one order."""
        return (self.ink, self.muted, self.grid, self.paper, *self.series, *self.depth)

    @property
    def parameters(self) -> dict[str, str]:
        """What of it matplotlib gives to axes and figures by itself."""
        return {
            **dict.fromkeys(
                ("figure.facecolor", "axes.facecolor", "savefig.facecolor"), self.paper
            ),
            **dict.fromkeys(("axes.labelcolor", "axes.edgecolor"), self.muted),
            **dict.fromkeys(("xtick.color", "ytick.color"), self.muted),
            "text.color": self.ink,
            "grid.color": self.grid,
        }


LIGHT = Theme(
    "#1c1c1a", "#5c5c57", "#e3e2dc", "#ffffff", ("#0068a8", "#c2500a", "#00805c"),
    ("#c97400", "#c2453a", "#a3246b", "#73228c", "#3b3f9e", "#0b5d9e", "#00788c"),
)  # fmt: skip
DARK = Theme(
    "#ecebe6", "#a8a79f", "#3b3b38", "#1d1d1b", ("#6cb8ee", "#f0954f", "#3fcb9d"),
    ("#f5b13d", "#f0857a", "#e574b3", "#c38af0", "#93a0f5", "#79c4f2", "#4fd0de"),
)  # fmt: skip


def begin_axes(
    axes: Axes | None, title: str, pad: float = 10.0, size: tuple[float, float] = _SIZE
) -> tuple[Figure, Axes]:
    """Take the caller's axis, or make one in a figure of this size in inches, and entitle it."""
    if axes is None:
        axes = new_figure(size, "constrained").add_subplot()
    # At y = 1, since else matplotlib measures all ticks to find a place above them.
    axes.set_title(
        title, loc="left", color=LIGHT.ink, fontsize=11, fontweight="bold", pad=pad, y=1.0
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure, axes


def begin_figure(
    figure: Figure | SubFigure | None, size: tuple[float, float], layout: Any = None
) -> tuple[Figure, Figure | SubFigure]:
    """Take the caller's figure, or part of one, or make one of this size in inches.

    With a `layout`, what has no layout yet is laid out so.

    Returns:
        The whole figure, and where to draw: the same, or the part.
    """
    if figure is None:
        figure = new_figure(size)
    whole = figure.get_figure(root=True)
    assert whole is not None
    if layout and whole.get_layout_engine() is None:
        whole.set_layout_engine(layout, h_pad=0.1, w_pad=0.08)  # inches
    return whole, figure


def new_figure(size: tuple[float, float], layout: Any = None) -> Figure:
    """Make a figure that belongs to no window."""
    with report_extra():
        from regional_primitives.show.figure import OwnFigure
    return OwnFigure(size, LIGHT.parameters, layout)


def svg(figure: Figure) -> str:
    """Encode a figure as SVG; the same figure gives the same text."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "regional_primitives"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().decode("utf-8")


def darkened(drawing: str) -> str:
    """Give the SVG of a figure colours for a dark page; it is drawn once for both."""
    for light, dark in zip(LIGHT.colours, DARK.colours, strict=True):
        drawing = drawing.replace(light, dark)
    return drawing


def clear(axes: Axes) -> None:
    """Take grid, ticks and frame off an axis whose places are no numbers."""
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def note_above(axes: Axes, text: str) -> None:
    """Say below the title how to read the figure; the title needs a pad of `NOTE_PAD` points."""
    axes.annotate(
        text, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points",
        color=LIGHT.muted, fontsize=8.5,
    )  # fmt: skip


def legend_above(axes: Axes) -> None:
    """Name up to three series in a line below the title, which needs a pad of 21 points or more."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.985), ncols=3, frameon=False, fontsize=8.5,
        labelcolor=LIGHT.ink, handlelength=1.8, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip


def log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis in plain numbers: at 1, 2, 5, 10 …, or only at powers of ten."""
    low, high = sorted(axis.get_view_interval())
    ticks = [m * 10.0**e for e in range(-5, 8) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if f"{tick:.0e}"[0] == "1"]
    axis.set_ticks(ticks, [f"{tick:,g}" for tick in ticks])
    axis.set_ticks([], minor=True)
