"""Leak against inside error of a decomposition and of everything that one would do instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regional_primitives.rivals import Comparison, Point
from regional_primitives.show.extras import report_extra
from regional_primitives.show.style import LIGHT, begin_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = Any

__all__ = ["plot_baselines"]

_MARKERS = ("o", "s", "^")
_DASHES = ("-", "--", ":")
_LEAST = 0.01
"""Errors below this percentage are drawn there, so that a logarithm exists."""


def plot_baselines(
    comparison: Comparison,
    axes: Axes | None = None,
    *,
    frontier: Sequence[Mapping[str, float]] | None = None,
) -> Figure:
    """Draw every method's frontier, and settings that it beats itself unjoined; lower is better.

    Args:
        comparison: from `rp.baselines`.
        axes: where to draw; a figure of its own unless given.
        frontier: the decomposition's own, as in `Scores.frontier`; else it is a single star.
    """
    with report_extra():
        from matplotlib.ticker import FuncFormatter, NullFormatter
    if axes is None:
        axes = new_figure((7.6, 4.2)).add_axes((0.09, 0.13, 0.6, 0.76))
    figure, axes = begin_axes(axes, "This decomposition and what one would do instead")
    for number, method in enumerate(comparison.baselines):
        dress: dict[str, Any] = {
            "marker": _MARKERS[number // 3 % 3],
            "color": LIGHT.series[number % 3],
            "markersize": 5,
        }
        beaten = [point for point in method.points if point not in method.frontier]
        axes.plot(*_places(beaten), linestyle="none", fillstyle="none", **dress)
        dash = _DASHES[number // 3 % 3]
        axes.plot(
            *_places(method.frontier), linestyle=dash, linewidth=1.4, label=method.name, **dress
        )
    if frontier:
        inside, leak = ([one[name] for one in frontier] for name in ("inside_error", "leak"))
        own = (_percent(inside), _percent(leak))
        axes.plot(*own, "-*", color=LIGHT.ink, linewidth=1.8, markersize=9)
    axes.plot(
        *_places(comparison.own.points), "*", markersize=17, color=LIGHT.ink,
        label=comparison.own.name, linestyle="none",
    )  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=LIGHT.grid, linewidth=0.8)
    axes.set_xlabel("inside error, mean over demands (%, log)")
    axes.set_ylabel("leak (%, log)")
    axes.legend(
        loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9,
        labelcolor=LIGHT.ink,
    )  # fmt: skip
    return figure


def _places(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Return inside errors and leaks in percent."""
    inside, leak = ([getattr(one, name) for one in points] for name in ("inside_error", "leak"))
    return _percent(inside), _percent(leak)


def _percent(shares: Sequence[float]) -> list[float]:
    return [max(100 * share, _LEAST) for share in shares]
