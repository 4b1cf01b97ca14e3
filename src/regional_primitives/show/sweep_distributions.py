"""How the main scores of a sweep are spread over its pictures: a histogram a layer, one panel each.

Below each histogram, a dot is the median and a bar goes from quartile to quartile.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence

from regional_primitives.errors import InputError
from regional_primitives.scores.sweep_scores import AVERAGED, ENOUGH, LayerScores, SweepScores
from regional_primitives.scores.table import Score, headlines
from regional_primitives.show.score_table import write
from regional_primitives.show.style import (
    LIGHT,
    Axes,
    Figure,
    SubFigure,
    begin_axes,
    begin_figure,
    log_ticks,
)
from regional_primitives.show.sweep_plots import layer_colour, short_name

_WIDTH = 12.6  # inches
_COLUMNS = 3
_MOST_BINS = 30
_HEIGHT = 0.66
"""Of the highest bar, where layers are 1 apart."""
_LOG_FROM = 20.0
"""Values of which the largest is so many times the least stand on a logarithmic axis."""


def plot_distributions(sweep: SweepScores, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw how the main scores are spread over the pictures, of layers with at least 8 of them.

    Args:
        sweep: what is shown.
        figure: where to draw, as for `plot_sweep`.

    Raises:
        InputError: no layer has so many.
    """
    panels = {name: layers for name in _names(sweep) if (layers := _enough(sweep, name))}
    if not panels:
        raise InputError(
            f"a distribution takes at least {ENOUGH} pictures; this sweep has {len(sweep.seeds)}"
        )
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    height = 1.05 + 0.62 * max(1.6, max(map(len, panels.values())))
    whole, figure = begin_figure(figure, (_WIDTH, rows * height), layout="constrained")
    for place, (name, layers) in enumerate(panels.items(), start=1):
        _draw(figure.add_subplot(rows, columns, place), AVERAGED[name], layers)
    return whole


def _names(sweep: SweepScores) -> tuple[str, ...]:
    first = headlines(sweep.purpose)[0]
    return first, "leak", "boundedness_in_context", "consistency", "field_patches", "n90"


def _enough(sweep: SweepScores, name: str) -> list[tuple[LayerScores, str, list[float]]]:
    """Return the layers of which enough was measured, with their colours and values."""
    found = [(layer, layer_colour(place, len(sweep.layers)), layer.values(name))
             for place, layer in enumerate(sweep.layers)]  # fmt: skip
    return [one for one in found if len(one[2]) >= ENOUGH]


def _draw(axes: Axes, score: Score, layers: list[tuple[LayerScores, str, list[float]]]) -> None:
    begin_axes(axes, score.label)
    factor = 100.0 if score.unit == "share" else 1.0
    every = [factor * value for _, _, values in layers for value in values]
    log = min(every) > 0 and max(every) > _LOG_FROM * min(every)
    edges = _edges(every, max(len(values) for _, _, values in layers), score.unit == "count", log)
    for place, (_, colour, values) in enumerate(reversed(layers)):
        shown = [factor * value for value in values]
        counts = [0] * (len(edges) - 1)
        for value in shown:
            counts[max(bisect_right(edges[:-1], value) - 1, 0)] += 1
        heights = [_HEIGHT * count / max(counts) for count in counts]
        axes.stairs([place + height for height in heights], edges, baseline=place, fill=True,
                    color=colour, alpha=0.45)  # fmt: skip
        low, middle, high = statistics.quantiles(shown, n=4, method="inclusive")
        axes.plot([low, high], [place - 0.13] * 2, color=colour, linewidth=3.5,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot([middle], [place - 0.13], "o", color=LIGHT.ink, markersize=5)
        told = f"{middle:g}" if score.unit == "count" else write(score, middle / factor)
        axes.text(1.02, place + 0.1, told, color=LIGHT.ink, fontsize=9,
                  transform=axes.get_yaxis_transform(), va="center")  # fmt: skip
    if log:
        axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    if log:
        log_ticks(axes.xaxis)
    else:
        axes.locator_params(axis="x", nbins=5)
    unit = "%" if score.unit == "share" else ""
    axes.set_xlabel(", ".join(filter(None, (unit, "log" if log else ""))))
    names = [short_name(layer.layer) for layer, _, _ in reversed(layers)]
    axes.set_yticks(range(len(names)), names, color=LIGHT.muted, fontsize=9)
    axes.set_ylim(-0.32, len(names) - 1 + 0.8)
    axes.grid(visible=False, axis="y")


def _edges(values: Sequence[float], pictures: int, whole: bool, log: bool) -> list[float]:
    """Return where bars begin and end: of counts between whole numbers."""
    bins = min(_MOST_BINS, max(ENOUGH, round(2 * math.sqrt(pictures))))
    low, high = min(values), max(values)
    if log:
        return [low * (high / low) ** (i / bins) for i in range(bins)] + [high]
    if whole:
        step = max(1, math.ceil((high - low + 1) / bins))
        return [low - 0.5 + step * i for i in range(math.ceil((high - low + 1) / step) + 1)]
    width = (high - low) / bins or max(abs(low), 1.0) / 20
    first = low if high > low else low - width * bins / 2
    return [first + width * i for i in range(bins + 1)]
