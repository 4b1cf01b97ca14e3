"""Results as curves and bars: sparsity, errors, action-field sizes, noise, fit history, rivals.

Each function takes results and an optional matplotlib axis, and returns the figure; none needs a
model, and none touches pyplot's global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.rivals import Comparison
from regional_primitives.rivals.compare import Point
from regional_primitives.scores import Scores
from regional_primitives.show.style import LIGHT, Axes, Figure, begin_axes, legend_above, log_ticks

_PAD = 24.0
"""Points between an axis and its title, with room for a legend."""
_MOST_LABELS = 20
"""Bars that still have room for a number each."""
_SMOOTH = 10
"""Fit steps in a running mean, since each step draws demands of its own."""
_HALF = 0.36
"""Half the width of an order's strip, in orders."""
_MARKERS = ("o", "s", "^")
_DASHES = ("-", "--", ":")
_LEAST = 0.01
"""Errors of rivals below this percentage are drawn there, so that a logarithm exists."""


def plot_sparsity(decomposition: Decomposition, scores: Scores, axes: Axes | None = None) -> Figure:
    """Draw the share of Σ‖Δf_k‖² that the K strongest components carry; n50, n90, n95 marked."""
    figure, axes = begin_axes(axes, "Strength carried by the strongest components")
    energy = decomposition.strengths.double().square()
    carried = 100 * energy.cumsum(0) / energy.sum()
    axes.plot(range(1, len(carried) + 1), carried, color=LIGHT.series[0], linewidth=2)
    for name, share in (("n50", 50), ("n90", 90), ("n95", 95)):
        count = getattr(scores, name)
        if count is None:
            continue
        axes.plot([count, count], [0, share], color=LIGHT.muted, linewidth=0.8, linestyle=":")
        axes.plot(count, share, "o", color=LIGHT.series[0], markersize=6)
        place = (-8, -1 if name != "n95" else 6)
        _say(axes, f"{name} = {count}", (count, share), place, ha="right", va="center")
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
    _log_axis(axes, errors)
    end = (kept[-1], errors[-1])
    _say(axes, f"all {kept[-1]}: {_short(errors[-1])} %", end, (-9, 0), ha="right", va="center")
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
    roomy = len(sizes) <= _MOST_LABELS
    if roomy:
        labels = [f"{numbers[size]:,}" if size < len(numbers) else "" for size in sizes]
        axes.bar_label(bars, labels, padding=2, color=LIGHT.muted, fontsize=8)
    axes.set_xlim(0.2, max([*sizes, 4]) + 0.8)
    axes.set_ylim(0, 1.12 * max(shares))
    if len(sizes) <= 12:
        axes.set_xticks(sizes)
    else:
        axes.locator_params(axis="x", integer=True)
    on_bars = "; on bars: components" if roomy else ""
    axes.set_xlabel(f"patches in the action field (of {decomposition.regions.count}){on_bars}")
    axes.set_ylabel("share of Σ‖Δf‖² (%)")
    return figure


def plot_noise(decomposition: Decomposition, axes: Axes | None = None) -> Figure:
    """Draw each component's strength by order, |A_k|, and the noise floor of each order.

    Args:
        decomposition: in the exact form, without its remainder.
        axes: where to draw; None for a figure of its own.

    Raises:
        InputError: no noise floor was measured.
    """
    if decomposition.noise is None:
        raise InputError(
            "no noise floor was measured; it takes the exact form with noise_floor=True"
        )
    figure, axes = begin_axes(axes, "Strength beside the noise of its order", pad=_PAD)
    order, strengths = decomposition.action_fields.sum(1), decomposition.strengths
    above = decomposition.significant
    x = order.double()
    for size in order.unique():
        # Components of one order stand side by side, the strongest in the middle.
        there = (order == size).nonzero().flatten()
        rank = torch.arange(len(there))
        step = (rank + 1) // 2 * (1 - 2 * (rank % 2)) / max(len(there) // 2, 1)
        x[there] += 0.8 * _HALF * step * min(1.0, len(there) / 12)
    for marks, name, inside in (
        (above, "above the floor", LIGHT.series[0]),
        (~above, "below it", LIGHT.paper),
    ):
        if bool(marks.any()):
            axes.plot(x[marks], strengths[marks], "o", markersize=5.5, markerfacecolor=inside,
                      markeredgecolor=LIGHT.series[0],
                      label=f"{name} ({int(marks.sum())})")  # fmt: skip
    floors = dict(zip(order.tolist(), decomposition.noise.tolist(), strict=True))
    drawn = {patches: floor for patches, floor in sorted(floors.items()) if floor > 0}
    for place, (patches, floor) in enumerate(drawn.items()):
        axes.plot([patches - _HALF, patches + _HALF], [floor, floor], color=LIGHT.series[1],
                  linewidth=2.5, label="noise floor" if place == 0 else None)  # fmt: skip
    most = int(order.max()) if len(order) else 1
    axes.set_xlim(0.5, most + 0.5)
    axes.set_xticks(range(1, most + 1))
    _log_axis(axes, [*strengths.tolist(), *drawn.values()] or [1.0])
    axes.set_xlabel("order: patches in the action field")
    axes.set_ylabel("strength ‖Δf‖ (log)")
    legend_above(axes)
    return figure


def plot_history(decomposition: Decomposition, axes: Axes | None = None) -> Figure:
    """Draw inside error, leak and cost of each fit step's own random demands."""
    figure, axes = begin_axes(axes, "How the fit went", pad=_PAD)
    history = 100 * decomposition.history.double().clamp_min(1e-6)
    steps = range(1, len(history) + 1)
    names = ("inside error", "leak", "cost")
    for values, name, colour in zip(history.T, names, LIGHT.series, strict=True):
        smooth = _running_mean(values)
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.35)
        label = f"{name} {_short(float(smooth[-1]))} %"
        axes.plot(steps, smooth, color=colour, linewidth=2, label=label)
    legend_above(axes)
    _log_axis(axes, history.flatten().tolist())
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
    for point, place in zip(points, zip(inside, leak, strict=True), strict=True):
        _say(axes, f"price {point['price']:.2g}", place, (8, 8))
    axes.set_xlim(0, 1.3 * max([*inside, 1e-3]))
    axes.set_ylim(0, 1.2 * max([*leak, 1e-3]))
    axes.set_xlabel("inside error, mean over demands (%)")
    axes.set_ylabel("leak (%)")
    return figure


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
    title = "This decomposition and what one would do instead"
    figure, axes = begin_axes(axes, title, size=(7.6, 4.2))
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
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        log_ticks(axis)
    axes.grid(axis="x", color=LIGHT.grid, linewidth=0.8)
    axes.set_xlabel("inside error, mean over demands (%, log)")
    axes.set_ylabel("leak (%, log)")
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9,
                labelcolor=LIGHT.ink)  # fmt: skip
    return figure


def _places(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Return inside errors and leaks in percent."""
    inside, leak = ([getattr(one, name) for one in points] for name in ("inside_error", "leak"))
    return _percent(inside), _percent(leak)


def _percent(shares: Sequence[float]) -> list[float]:
    return [max(100 * share, _LEAST) for share in shares]


def _say(axes: Axes, text: str, place: tuple[Any, Any], apart: tuple[int, int], **how: Any) -> None:
    """Write beside a point, so many points apart."""
    axes.annotate(text, place, apart, textcoords="offset points", color=LIGHT.ink, **how)


def _component_axis(axes: Axes, count: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(0.9, max(count, 2) * 1.12)
    ticks = [m * 10**e for e in range(7) for m in (1, 2, 5)]
    shown = [tick for tick in ticks if tick <= count]
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("K strongest components (log)")


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Make the y axis logarithmic round these values, with ticks in plain numbers."""
    axes.set_yscale("log")
    axes.set_ylim(min(values) / 1.6, max(values) * 1.6)
    log_ticks(axes.yaxis)


def _running_mean(values: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """Average each step with up to nine before it."""
    total = torch.cat([values.new_zeros(1), values.cumsum(0)])
    stop = torch.arange(1, len(values) + 1)
    start = (stop - _SMOOTH).clamp_min(0)
    return (total[stop] - total[start]) / (stop - start)


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
