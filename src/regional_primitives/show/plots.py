"""Results as figures: sparsity, top-K error, action-field sizes, fit history, and an overview.

Each function takes results and an optional matplotlib axis, and returns the figure; none needs a
model, and none touches pyplot's global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores import Scores
from regional_primitives.show.extras import report_extra
from regional_primitives.show.style import LIGHT, begin_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = SubFigure = Any

_MOST_LABELS = 20
"""Bars that still have room for a number each."""
_SMOOTH = 10
"""Fit steps in a running mean, since each step draws demands of its own."""


def plot_sparsity(decomposition: Decomposition, scores: Scores, axes: Axes | None = None) -> Figure:
    """Draw the share of Σ‖Δf_k‖² that the K strongest components carry; n50, n90, n95 marked."""
    figure, axes = begin_axes(axes, "Strength carried by the strongest components")
    energy = decomposition.strengths.double().square()
    carried = 100 * energy.cumsum(0) / energy.sum()
    kept = range(1, len(carried) + 1)
    axes.plot(kept, carried, color=LIGHT.series[0], linewidth=2)
    for name, share in (("n50", 50), ("n90", 90), ("n95", 95)):
        count = getattr(scores, name)
        if count is None:
            continue
        axes.plot([count, count], [0, share], color=LIGHT.muted, linewidth=0.8, linestyle=":")
        axes.plot(count, share, "o", color=LIGHT.series[0], markersize=6)
        axes.annotate(
            f"{name} = {count}",
            (count, share),
            xytext=(-8, -1 if name != "n95" else 6),
            textcoords="offset points",
            ha="right",
            va="center",
            color=LIGHT.ink,
        )
    _component_axis(axes, decomposition.count)
    axes.set_ylim(0, 104)
    axes.set_ylabel("share of Σ‖Δf‖² (%)")
    return figure


def plot_top_error(scores: Scores, axes: Axes | None = None) -> Figure:
    """Draw the inside error on held-out demands when only the K strongest components are kept."""
    figure, axes = begin_axes(axes, "Error when only the strongest are kept")
    kept = sorted(scores.top_inside_error)
    errors = [max(100 * scores.top_inside_error[count], 1e-4) for count in kept]
    axes.plot(kept, errors, "-o", color=LIGHT.series[1], linewidth=2, markersize=5)
    _percent_axis(axes, errors)
    axes.annotate(
        f"all {kept[-1]}: {_short(errors[-1])} %",
        (kept[-1], errors[-1]),
        xytext=(-9, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=LIGHT.ink,
    )
    _component_axis(axes, kept[-1])
    axes.set_ylabel("inside error (%, log)")
    return figure


def plot_field_sizes(
    decomposition: Decomposition, scores: Scores, axes: Axes | None = None
) -> Figure:
    """Draw how the strength divides among action fields by their number of patches."""
    figure, axes = begin_axes(axes, "Strength by size of the action field")
    sizes = sorted(scores.field_sizes)
    shares = [100 * scores.field_sizes[size] for size in sizes]
    numbers = decomposition.action_fields.sum(1).bincount().tolist()
    bars = axes.bar(sizes, shares, color=LIGHT.series[0], width=0.8)
    labels = [f"{numbers[size]:,}" if size < len(numbers) else "" for size in sizes]
    if len(sizes) <= _MOST_LABELS:
        axes.bar_label(bars, labels, padding=2, color=LIGHT.muted, fontsize=8)
    axes.set_xlim(0.2, max([*sizes, 4]) + 0.8)
    axes.set_ylim(0, 1.12 * max(shares))
    if len(sizes) <= 12:
        axes.set_xticks(sizes)
    else:
        with report_extra():
            from matplotlib.ticker import MaxNLocator
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    on_bars = "; on bars: components" if len(sizes) <= _MOST_LABELS else ""
    axes.set_xlabel(f"patches in the action field (of {decomposition.regions.count}){on_bars}")
    axes.set_ylabel("share of Σ‖Δf‖² (%)")
    return figure


def plot_history(decomposition: Decomposition, axes: Axes | None = None) -> Figure:
    """Draw inside error, leak and cost of each fit step's own random demands."""
    figure, axes = begin_axes(axes, "How the fit went", pad=24.0)
    history = 100 * decomposition.history.double().clamp_min(1e-6)
    steps = range(1, len(history) + 1)
    for column, (name, colour) in enumerate(
        zip(("inside error", "leak", "cost"), LIGHT.series, strict=True)
    ):
        values = history[:, column]
        smooth = _running_mean(values)
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.35)
        label = f"{name} {_short(float(smooth[-1]))} %"
        axes.plot(steps, smooth, color=colour, linewidth=2, label=label)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        labelcolor=LIGHT.ink,
        handlelength=1.2,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    _percent_axis(axes, history.flatten().tolist())
    axes.set_xlabel(f"fit step (thick: mean of the last {_SMOOTH})")
    axes.set_ylabel("mean over its demands (%, log)")
    axes.set_xlim(1, max(len(history), 2))
    return figure


def plot_frontier(scores: Scores, axes: Axes | None = None) -> Figure:
    """Draw leak against inside error as a price varies; needs a measured frontier."""
    figure, axes = begin_axes(axes, "Leak and inside error at other prices")
    points = scores.frontier or []
    inside = [100 * point["inside_error"] for point in points]
    leak = [100 * point["leak"] for point in points]
    axes.plot(inside, leak, "-o", color=LIGHT.series[0], linewidth=2, markersize=6)
    for point, x, y in zip(points, inside, leak, strict=True):
        axes.annotate(
            f"price {point['price']:.2g}",
            (x, y),
            xytext=(8, 8),
            textcoords="offset points",
            color=LIGHT.ink,
        )
    axes.set_xlim(0, 1.3 * max([*inside, 1e-3]))
    axes.set_ylim(0, 1.2 * max([*leak, 1e-3]))
    axes.set_xlabel("inside error, mean over demands (%)")
    axes.set_ylabel("leak (%)")
    return figure


def _component_axis(axes: Axes, count: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(0.9, max(count, 2) * 1.12)
    ticks = [m * 10**e for e in range(7) for m in (1, 2, 5)]
    shown = [tick for tick in ticks if tick <= count]
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("K strongest components (log)")


def _percent_axis(axes: Axes, values: list[float]) -> None:
    """Make the y axis logarithmic, with ticks in plain percent."""
    axes.set_yscale("log")
    low, high = min(values), max(values)
    axes.set_ylim(low / 1.6, high * 1.6)
    ticks = [m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5)]
    shown = [tick for tick in ticks if low / 1.6 <= tick <= high * 1.6]
    if len(shown) > 8:
        shown = [tick for tick in shown if f"{tick:.0e}"[0] == "1"]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_yticks([], minor=True)


def _running_mean(values: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """Average each step with up to nine before it."""
    total = torch.cat([values.new_zeros(1), values.cumsum(0)])
    stop = torch.arange(1, len(values) + 1)
    start = (stop - _SMOOTH).clamp_min(0)
    return (total[stop] - total[start]) / (stop - start)


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
