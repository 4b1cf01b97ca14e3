"""The strengths of exact components beside the noise floor of their order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.show.style import LIGHT, begin_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = Any

__all__ = ["plot_noise"]

_PAD = 24.0
"""Points between an axis and its title, with room for a legend."""
_HALF = 0.36
"""Half the width of an order's strip, in orders."""


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
    order = decomposition.action_fields.sum(1)
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
            axes.plot(x[marks], decomposition.strengths[marks], "o", markersize=5.5,
                      markerfacecolor=inside, markeredgecolor=LIGHT.series[0],
                      label=f"{name} ({int(marks.sum())})")  # fmt: skip
    floors = {
        patches: floor
        for patches, floor in zip(order.tolist(), decomposition.noise.tolist(), strict=True)
        if floor > 0
    }
    for place, (patches, floor) in enumerate(sorted(floors.items())):
        axes.plot([patches - _HALF, patches + _HALF], [floor, floor], color=LIGHT.series[1],
                  linewidth=2.5, label="noise floor" if place == 0 else None)  # fmt: skip
    most = int(order.max()) if len(order) else 1
    axes.set_xlim(0.5, most + 0.5)
    axes.set_xticks(range(1, most + 1))
    _log_axis(axes, [*decomposition.strengths.tolist(), *floors.values()] or [1.0])
    axes.set_xlabel("order: patches in the action field")
    axes.set_ylabel("strength ‖Δf‖ (log)")
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, frameon=False, fontsize=8.5,
        labelcolor=LIGHT.ink, handlelength=1.2, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    return figure


def _log_axis(axes: Axes, values: list[float]) -> None:
    """Make the y axis logarithmic, with ticks in plain numbers."""
    low, high = min(values) / 1.6, max(values) * 1.6
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    span = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**e for e in span for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if f"{tick:.0e}"[0] == "1"]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
