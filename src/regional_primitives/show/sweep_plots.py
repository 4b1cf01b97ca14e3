"""The figure of a sweep: every score over depth, one panel a question, pictures as thin dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regional_primitives.decompose.purpose import varied_price
from regional_primitives.generators.feature import tensor_shapes
from regional_primitives.generators.layers import JOIN
from regional_primitives.regions import described
from regional_primitives.scores.sweep_scores import AVERAGED, LayerScores, SweepScores
from regional_primitives.scores.table import Score
from regional_primitives.show.style import (
    LIGHT,
    NOTE_PAD,
    Axes,
    Figure,
    SubFigure,
    begin_axes,
    begin_figure,
    legend_above,
    log_ticks,
    note_above,
)

NOT_MEASURED = "not measured; --thorough"
"""What stands for scores that take further fits."""
_WIDTH, _PANEL = 12.6, 3.2  # inches: the figure's width, a row's height
_MOST_ABREAST = 5
"""Layers whose names still fit under three panels a row; more get two."""
_MOST_DOTS = 6000
"""Dots that stay vectors; more make the page heavy."""
_CROWD = 200
"""Pictures of which single dots would cover each other and the mean."""
_LONGEST_NAME = 16
_MARKERS = ("o", "s", "^")
_STYLES = ("-", (0, (4, 2)), (0, (1, 1.5)))


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
    _Panel("patches", {"field_patches": ""}, "mean over components, by squared strength"),
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
    """Draw a panel a question that was measured: means with 95 % intervals, and single pictures.

    Args:
        sweep: what is shown.
        figure: where to draw, since there are many axes: a figure or a SubFigure, best about
            12.6 inches wide, whose layout becomes a constrained one unless it has another; None
            for one of its own.
    """
    measured = {name for layer in sweep.layers for name in layer.summary}
    panels = [panel for panel in _PANELS if measured & panel.legend.keys()]
    frontiers = any(layer.frontier for layer in sweep.layers)
    columns = 3 if len(sweep.layers) <= _MOST_ABREAST else 2
    rows = -(-(len(panels) + frontiers) // columns)
    whole, figure = begin_figure(figure, (_WIDTH, 0.5 + _PANEL * rows), layout="constrained")
    figure.suptitle(_heading(sweep, frontiers), x=0.01, ha="left", fontsize=10.5, color=LIGHT.muted)
    places = _places(figure, len(panels) + frontiers, columns)
    for axes, panel in zip(places, panels, strict=False):
        _draw_panel(axes, panel, sweep)
        _name_layers(axes, sweep.layers, 42 if columns == 3 else 70)
    if frontiers:
        _draw_frontier(places[-1], sweep)
    return whole


def _places(figure: Figure | SubFigure, count: int, columns: int) -> list[Axes]:
    """Make so many axes, row by row; those of an incomplete last row share all of its width."""
    grid = figure.add_gridspec(-(-count // columns), 6)
    axes = []
    for place in range(count):
        row, column = divmod(place, columns)
        span = 6 // min(columns, count - row * columns)
        axes.append(figure.add_subplot(grid[row, column * span : (column + 1) * span]))
    return axes


def _heading(sweep: SweepScores, frontiers: bool) -> str:
    count = len(sweep.seeds)
    told = [
        sweep.generator,
        described(sweep.regions).partition(":")[0],  # without names, which would not fit
        f"{count} pictures" if count > 1 else "one picture",
    ]
    rest = "; dots are pictures, marks their mean ± 95 % interval" if count > 1 else ""
    return f"{', '.join(told)}{rest}{'' if frontiers else f'; frontier: {NOT_MEASURED}'}"


def _draw_panel(axes: Axes, panel: _Panel, sweep: SweepScores) -> None:
    begin_axes(axes, panel.first.label, NOTE_PAD)
    note_above(axes, panel.note)
    drawn: list[float] = []
    for number, (name, label) in enumerate(panel.legend.items()):
        shift = 0.2 * (number - (len(panel.legend) - 1) / 2)
        drawn += _draw_series(axes, panel, sweep, name, label, number, shift)
    unit = " (log)" if panel.log else " (%)" if panel.first.unit == "share" else ""
    axes.set_ylabel(panel.label + unit)
    if panel.log:
        axes.set_yscale("log")
        axes.set_ylim(min(drawn) / 1.5, max(drawn) * 1.5)
        log_ticks(axes.yaxis)
    else:
        axes.set_ylim(0, 1.03 * panel.top if panel.top else 1.08 * max(drawn) or 1.0)
    if len(panel.legend) > 1:
        legend_above(axes)
    if "field_patches" in panel.legend:
        _share_axis(axes, sweep.patches)


def _draw_series(
    axes: Axes, panel: _Panel, sweep: SweepScores, name: str, label: str, number: int, shift: float
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
            # A layer's dots stand apart, in the order of the pictures.
            across = [place + shift + 0.14 * (i / (len(values) - 1) - 0.5)
                      for i in range(len(values))]  # fmt: skip
            crowd = len(values) > _CROWD
            dots: Any = {"markersize": 3.0 if crowd else 4.5, "alpha": 0.2 if crowd else 0.5}
            dots |= {"markeredgewidth": 0, "rasterized": many}
            axes.plot(across, values, ".", color=colour, **dots)
        spread = layer.summary[name]
        mean, half = panel.factor * spread.mean, panel.factor * (spread.half_interval_95 or 0.0)
        points.append((place + shift, mean, half))
        # A logarithmic axis needs no room for an interval that reaches below 0.
        heights += [*values, mean + half] if panel.log else [*values, mean + half, mean - half]
    if points:
        across, means, halves = (list(column) for column in zip(*points, strict=True))
        axes.errorbar(
            across, means, yerr=halves if any(halves) else None, color=colour,
            marker=_MARKERS[number], markersize=5.5, linestyle=_STYLES[number], linewidth=1.8,
            elinewidth=1.3, capsize=4, label=label, zorder=3, markeredgecolor=LIGHT.paper,
        )  # fmt: skip
    return heights


def _share_axis(axes: Axes, patches: int) -> None:
    """Say the size of fields in percent of the picture on the right."""
    share = 100 / patches
    functions: Any = (lambda size: size * share, lambda percent: percent / share)
    right = axes.secondary_yaxis("right", functions=functions)
    right.set_ylabel(f"% of the {patches} patches", color=LIGHT.muted, fontsize=10)
    right.tick_params(colors=LIGHT.muted, labelsize=9, length=3)
    right.spines["right"].set_color(LIGHT.muted)


def _draw_frontier(axes: Axes, sweep: SweepScores) -> None:
    """Draw leak against inside error as a price varies, a line a layer."""
    priced = varied_price(sweep.settings)[1].removeprefix("the ")
    begin_axes(axes, f"Frontier: what less {priced} costs", NOTE_PAD)
    note_above(axes, "each point another price")
    axes.set_xlabel("inside error (%, log)")
    axes.set_ylabel("leak (%)")
    for place, layer in enumerate(sweep.layers):
        if not layer.frontier:
            continue
        inside = [max(100 * point.inside_error.mean, 1e-4) for point in layer.frontier]
        right = [100 * (point.inside_error.half_interval_95 or 0.0) for point in layer.frontier]
        # On a logarithmic axis an interval must end above 0.
        left = [min(half, 0.9 * value) for half, value in zip(right, inside, strict=True)]
        axes.errorbar(
            inside, [100 * point.leak.mean for point in layer.frontier],
            xerr=[left, right],
            yerr=[100 * (point.leak.half_interval_95 or 0.0) for point in layer.frontier],
            color=layer_colour(place, len(sweep.layers)),
            marker=_MARKERS[place % len(_MARKERS)], markersize=5, linewidth=1.8, elinewidth=0.9,
            label=short_name(layer.layer),
        )  # fmt: skip
    axes.set_xscale("log")
    log_ticks(axes.xaxis)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False, fontsize=9,
                labelcolor=LIGHT.ink, handlelength=1.6)  # fmt: skip


def _name_layers(axes: Axes, layers: Sequence[LayerScores], most_characters: int) -> None:
    """Write each layer's name and the shape of its feature below; long ones short, or aslant."""
    full = [layer.layer for layer in layers]
    shapes = [_shape(layer) for layer in layers]
    shared = ""
    if max(map(len, full)) * len(full) > most_characters:
        shared = _shared_prefix(full)
        full = [short_name(name.removeprefix(shared)) for name in full]
        axes.set_xlabel(f"layers {shared}*" if shared else "")
    names = [f"{name}\n{shape}" for name, shape in zip(full, shapes, strict=True)]
    aslant = max(map(len, [*full, *shapes])) * len(names) > most_characters
    slope: Any = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if aslant else {}
    axes.set_xticks(
        range(len(names)), names, fontsize=8.5, linespacing=1.35, color=LIGHT.muted, **slope
    )
    axes.set_xlim(-0.5, len(names) - 0.5)


def _shared_prefix(names: list[str]) -> str:
    """Return the dotted beginning that all names share; bundles share none."""
    shared = ""
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1 or any(JOIN in name for name in names):
            break
        shared += f"{parts[0]}."
    return shared


def layer_colour(place: int, layers: int) -> str:
    """Return the colour of a layer among so many, from the latent to the picture."""
    return LIGHT.depth[round(place * (len(LIGHT.depth) - 1) / max(layers - 1, 1))]


def short_name(name: str) -> str:
    """Shorten a layer's name to its end, and a bundle's to its first layer and how many more."""
    first, *others = name.split(JOIN)
    cut = first if len(first) <= _LONGEST_NAME else f"…{first[1 - _LONGEST_NAME :]}"
    return f"{cut} +{len(others)}" if others else cut


def _shape(layer: LayerScores) -> str:
    shapes = tensor_shapes(layer.feature_shape)
    if len(shapes) > 1:
        return f"{layer.units:,} units"
    return "×".join(map(str, shapes[0])) or "1"
