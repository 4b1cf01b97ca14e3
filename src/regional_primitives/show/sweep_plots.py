"""The figure of a sweep: every score over depth, one panel a question, pictures as thin dots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.scores.sweep_scores import AVERAGED, FrontierPoint, SweepScores
from regional_primitives.scores.table import Score
from regional_primitives.show.style import LIGHT, begin_axes, begin_figure, darkened
from regional_primitives.show.sweep_layout import WIDTH, layout_of, short_name
from regional_primitives.show.sweep_table import NOT_MEASURED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = SubFigure = Any

__all__ = ["darkened_sweep", "plot_sweep"]

_MOST_DOTS = 6000
"""Dots that stay vectors; more make the page heavy."""
_MARKERS = ("o", "s", "^")
_STYLES = ("-", (0, (4, 2)), (0, (1, 1.5)))
_DEPTH = ("#c97400", "#c2453a", "#a3246b", "#73228c", "#3b3f9e", "#0b5d9e", "#00788c")
_DEPTH_DARK = ("#f5b13d", "#f0857a", "#e574b3", "#c38af0", "#93a0f5", "#79c4f2", "#4fd0de")
"""Colours of layers from the latent to the picture, on white and on black paper."""


@dataclass(frozen=True)
class _Panel:
    """One question: scores over depth on one axis."""

    label: str
    """Of the y axis, without its unit."""
    legend: dict[str, str]
    """What the legend calls each score; the first one's label is the title."""
    note: str = ""
    """Where there is no legend."""
    top: float | None = None
    """Where the axis ends; unless given, above all that is drawn."""

    @property
    def first(self) -> Score:
        return AVERAGED[next(iter(self.legend))]

    @property
    def factor(self) -> float:
        """From the score to the axis' unit."""
        return 100.0 if self.first.unit == "share" else 1.0

    @property
    def log(self) -> bool:
        return self.first.unit == "count"


_PANELS = (
    _Panel(
        "patches",
        {"field_patches": ""},
        "mean over components, by squared strength",
    ),
    _Panel(
        "effect inside the field",
        {"boundedness": "alone", "boundedness_in_context": "in context"},
        top=100.0,
    ),
    _Panel(
        "cosine between contexts",
        {"consistency": ""},
        "1: the same pattern in any company",
        top=1.0,
    ),
    _Panel(
        "picture − sum of patterns",
        {"superposition_error": ""},
        "0 %: patterns add up to the picture",
    ),
    _Panel(
        "components",
        {"components": "all", "n90": "for 90 % (n90)", "n50": "for 50 % (n50)"},
    ),
    _Panel(
        "share of f − f₀ switched on",
        {"cost": ""},
        "mean over demands, summed absolute values",
    ),
    _Panel(
        "inside error",
        {"inside_error": "components", "gated_inside_error": "gated", "free_inside_error": "free"},
    ),
    _Panel("leak", {"leak": "components", "gated_leak": "gated", "free_leak": "free"}),
)


def plot_sweep(sweep: SweepScores, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw all panels: means with 95 % intervals, single pictures, and the frontier.

    Args:
        sweep: what is shown.
        figure: where to draw, since there are many axes: a figure or a SubFigure, best about
            12.6 inches wide; None for one of its own.
    """
    names, sheet = layout_of(sweep.layers, len(_PANELS) + 1)
    whole, figure = begin_figure(figure, (WIDTH, sheet.height))
    for place, panel in enumerate(_PANELS):
        axes = figure.add_axes(sheet.panel(place))
        _draw_panel(axes, panel, sweep)
        names.below(axes)
    _draw_frontier(
        figure.add_axes(sheet.rest(len(_PANELS))), sweep, beside=sheet.has_rest(len(_PANELS))
    )
    pictures = f"{len(sweep.seeds)} pictures" if len(sweep.seeds) > 1 else "one picture"
    rest = "; dots are pictures, marks their mean ± 95 % interval" if len(sweep.seeds) > 1 else ""
    grid = f"{sweep.regions['rows']} × {sweep.regions['columns']} grid"
    figure.text(
        0.1 / WIDTH,
        1 - 0.14 / sheet.height,
        f"{sweep.generator}, {grid}, {pictures}{rest}",
        va="top",
        fontsize=10.5,
        color=LIGHT.muted,
    )
    return whole


def darkened_sweep(drawing: str) -> str:
    """Give the SVG of `plot_sweep` colours for a dark page."""
    for light, dark in zip(_DEPTH, _DEPTH_DARK, strict=True):
        drawing = drawing.replace(light, dark)
    return darkened(drawing)


def _draw_panel(axes: Axes, panel: _Panel, sweep: SweepScores) -> None:
    _begin(axes, panel.first.label, panel.note)
    drawn: list[float] = []
    for number, (name, label) in enumerate(panel.legend.items()):
        shift = 0.2 * (number - (len(panel.legend) - 1) / 2)
        drawn += _draw_series(axes, panel, sweep, name, label, number, shift)
    unit = " (log)" if panel.log else " (%)" if panel.first.unit == "share" else ""
    axes.set_ylabel(panel.label + unit)
    if not drawn:
        _say_missing(axes, "not measured")
    elif panel.log:
        ticks = _ticks(min(drawn), max(drawn))
        axes.set_yscale("log")
        axes.set_ylim(min(drawn) / 1.5, max(drawn) * 1.5)
        axes.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
        axes.set_yticks([], minor=True)
    else:
        axes.set_ylim(0, 1.03 * panel.top if panel.top else 1.08 * max(drawn) or 1.0)
    if len(panel.legend) > 1 and drawn:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 0.985),
            ncols=len(panel.legend),
            frameon=False,
            fontsize=9,
            labelcolor=LIGHT.ink,
            handlelength=2.2,
            columnspacing=1.2,
            handletextpad=0.5,
        )
    if "field_patches" in panel.legend:
        _share_axis(axes, sweep.patches)


def _begin(axes: Axes, title: str, note: str) -> None:
    begin_axes(axes, title, pad=24.0)
    axes.annotate(
        note, (0, 1), xytext=(0, 10), xycoords="axes fraction", textcoords="offset points",
        va="center", fontsize=9, color=LIGHT.muted,
    )  # fmt: skip


def _draw_series(
    axes: Axes,
    panel: _Panel,
    sweep: SweepScores,
    name: str,
    label: str,
    number: int,
    shift: float,
) -> list[float]:
    """Draw one score over depth; return all heights that the axis must hold."""
    colour = LIGHT.series[number]
    many = len(sweep.layers) * len(sweep.seeds) * 2 * len(_PANELS) > _MOST_DOTS
    points: list[tuple[float, float, float]] = []
    heights: list[float] = []
    for place, layer in enumerate(sweep.layers):
        values = [panel.factor * value for value in layer.values(name)]
        if not values:
            continue
        if len(values) > 1:
            across = [place + shift + _jitter(i, len(values)) for i in range(len(values))]
            dots: Any = {"markersize": 4.5, "markeredgewidth": 0, "alpha": 0.5, "rasterized": many}
            axes.plot(across, values, ".", color=colour, **dots)
        spread = layer.summary[name]
        mean, half = panel.factor * spread.mean, panel.factor * (spread.half_interval_95 or 0.0)
        points.append((place + shift, mean, half))
        # A logarithmic axis needs no room for an interval that reaches below 0.
        heights += [*values, mean + half] if panel.log else [*values, mean + half, mean - half]
    if points:
        across, means, halves = (list(column) for column in zip(*points, strict=True))
        axes.errorbar(
            across,
            means,
            yerr=halves if any(halves) else None,
            color=colour,
            marker=_MARKERS[number],
            markersize=5.5,
            linestyle=_STYLES[number],
            linewidth=1.8,
            elinewidth=1.3,
            capsize=4,
            label=label,
        )
    return heights


def _jitter(place: int, count: int) -> float:
    """Set a layer's dots apart, in the order of the pictures."""
    return 0.14 * (place / (count - 1) - 0.5)


def _share_axis(axes: Axes, patches: int) -> None:
    """Say the size of fields in percent of the picture on the right."""

    def to_share(size: Any) -> Any:
        return size * (100 / patches)

    def to_size(share: Any) -> Any:
        return share * (patches / 100)

    right = axes.secondary_yaxis("right", functions=(to_share, to_size))
    right.set_ylabel(f"% of the {patches} patches", color=LIGHT.muted, fontsize=10)
    right.tick_params(colors=LIGHT.muted, labelsize=9, length=3)
    right.spines["right"].set_color(LIGHT.muted)


def _draw_frontier(axes: Axes, sweep: SweepScores, *, beside: bool) -> None:
    """Draw leak against inside error as a price varies, a line a layer."""
    _begin(axes, "Frontier: what less leak costs", "each point another price")
    axes.set_xlabel("inside error (%, log)")
    axes.set_ylabel("leak (%)")
    curves = [(layer, layer.frontier) for layer in sweep.layers if layer.frontier]
    if not curves:
        axes.set_xticks([])
        _say_missing(axes, NOT_MEASURED)
        return
    last = max(len(sweep.layers) - 1, 1)
    inside: list[float] = []
    leak: list[float] = []
    for layer, points in curves:
        colour = _DEPTH[round(sweep.layers.index(layer) * (len(_DEPTH) - 1) / last)]
        marker = _MARKERS[sweep.layers.index(layer) % len(_MARKERS)]
        x, y = _draw_curve(axes, points, colour, marker, short_name(layer.layer))
        inside += x
        leak += y
    ticks = _ticks(min(inside), max(inside))
    axes.set_xscale("log")
    axes.set_xlim(min(inside) / 1.5, max(inside) * 1.5)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, (1.12 if beside else 1.3) * max(leak))
    where: Any = {"loc": "upper right", "borderaxespad": 0.1}
    if beside:
        where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.05)}
    axes.legend(
        facecolor=LIGHT.paper,
        edgecolor="none",
        framealpha=0.85,
        fontsize=9,
        labelcolor=LIGHT.ink,
        handlelength=1.6,
        **where,
    )


def _draw_curve(
    axes: Axes, points: tuple[FrontierPoint, ...], colour: str, marker: str, label: str
) -> tuple[list[float], list[float]]:
    x, x_half, y, y_half = (
        [100 * value for value in column]
        for column in zip(
            *(
                (
                    max(point.inside_error.mean, 1e-6),
                    point.inside_error.half_interval_95 or 0.0,
                    point.leak.mean,
                    point.leak.half_interval_95 or 0.0,
                )
                for point in points
            ),
            strict=True,
        )
    )
    # On a logarithmic axis an interval must end above 0.
    left = [min(half, 0.9 * value) for half, value in zip(x_half, x, strict=True)]
    axes.errorbar(
        x,
        y,
        xerr=[left, x_half],
        yerr=y_half,
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.8,
        elinewidth=0.9,
        label=label,
    )
    return x, [*y, *(a + b for a, b in zip(y, y_half, strict=True))]


def _say_missing(axes: Axes, text: str) -> None:
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=LIGHT.muted,
        fontsize=10, style="italic",
    )  # fmt: skip


def _ticks(low: float, high: float) -> list[float]:
    """Choose ticks 1, 2, 5, 10 … of a logarithmic axis, or only 1, 10, 100 … where these do."""
    ticks = [m * 10.0**e for e in range(-5, 7) for m in (1, 2, 5)]
    shown = [tick for tick in ticks if low / 1.5 <= tick <= high * 1.5]
    return [tick for tick in shown if f"{tick:.0e}"[0] == "1"] if len(shown) > 8 else shown
