"""What pictures share as figures: t(a, a) beside random fields, and t(a, b) of every pair.

Each function takes the comparison and an optional matplotlib axis, and returns the figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.compare import PictureComparison
from regional_primitives.show.extras import report_extra
from regional_primitives.show.relation_plots import colour_bar, shades
from regional_primitives.show.style import LIGHT, begin_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # only annotations need them; matplotlib is loaded when a figure is drawn
    Axes = Figure = Any

__all__ = ["plot_shared_fields", "plot_transfer_matrix"]

_PAD = 24.0
"""Points between an axis and its title, with room for a legend."""
_MOST_NUMBERS = 12
"""Pictures up to which every cell of the matrix has its number written in it."""
_MOST_NAMES = 40


def plot_shared_fields(comparison: PictureComparison, axes: Axes | None = None) -> Figure:
    """Draw t(a, a) for every a, mean over pairs, beside random fields of the same sizes.

    Bands: of the pictures, least and most over pairs (where there are several); of random fields,
    least and most over draws (and pairs).
    """
    with report_extra():
        from matplotlib.ticker import FuncFormatter, NullFormatter
    figure, axes = begin_axes(axes, "Action fields shared by pictures", pad=_PAD)
    pairs = comparison.pairs
    own = torch.stack([pair.curve for pair in pairs])
    kinds: list[tuple[str, Tensor, Tensor, Tensor]] = [
        ("pictures", own.mean(0), own.amin(0), own.amax(0))
    ]
    for name, kind in (("random connected", "connected"), ("random subsets", "subsets")):
        drawn = [getattr(pair, kind) for pair in pairs]
        mean = torch.stack([chance.curve for chance in drawn]).mean(0)
        least = torch.stack([chance.least for chance in drawn]).amin(0)
        most = torch.stack([chance.most for chance in drawn]).amax(0)
        kinds.append((name, mean, least, most))
    where = range(1, own.shape[1] + 1)
    for (name, mean, least, most), colour, line in zip(
        kinds, LIGHT.series, ("-", "--", ":"), strict=True
    ):
        axes.fill_between(where, 100 * least, 100 * most, color=colour, alpha=0.15, linewidth=0)
        axes.plot(where, 100 * mean, line, color=colour, linewidth=2, label=name)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, frameon=False, fontsize=8.5,
        labelcolor=LIGHT.ink, handlelength=1.6, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(0.9, max(own.shape[1], 2) * 1.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0, 103)
    axes.set_xlabel(f"a strongest components of each (log); {len(comparison.names)} pictures")
    axes.set_ylabel("common action fields t(a, a) (%)")
    return figure


def plot_transfer_matrix(comparison: PictureComparison, axes: Axes | None = None) -> Figure:
    """Draw t(a, b) from every picture (row) to every other (column)."""
    count = len(comparison.names)
    names = [_short(name) for name in comparison.names]
    if axes is None:
        side = min(6.4, max(2.2, 0.62 * count))
        left, right, above = 0.35 + 0.075 * max(map(len, names)), 0.95, 0.62
        below = left
        width, height = left + side + right, below + side + above
        place = (left / width, below / height, side / width, side / height)
        axes = new_figure((width, height)).add_axes(place)
    figure, axes = begin_axes(axes, f"t({comparison.a}, {comparison.b}) of every two pictures")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    shown = 100 * comparison.transfer
    drawn = axes.imshow(shown.numpy(), cmap=shades(0.8), vmin=0, vmax=100, interpolation="none")
    colour_bar(axes, drawn, "found in the other (%)")
    if count <= _MOST_NUMBERS:
        _write_numbers(axes, shown)
    if count > _MOST_NAMES:
        names = [""] * count
    axes.set_xticks(range(count), names)
    axes.set_yticks(range(count), names)
    axes.tick_params(labelsize=8, length=0, pad=3)
    axes.tick_params(axis="x", rotation=90)
    axes.set_ylabel("from")
    axes.set_xlabel("to")
    return figure


def _write_numbers(axes: Axes, shown: Float[Tensor, "pictures pictures"]) -> None:
    for (i, j), value in zip(
        torch.cartesian_prod(*[torch.arange(len(shown))] * 2).tolist(),
        shown.flatten().tolist(),
        strict=True,
    ):
        if i != j:
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", color=LIGHT.ink, fontsize=8.5)


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"
