"""What pictures share as figures: t(a, a) beside random fields, and t(a, b) of every pair.

Each function takes the result and an optional matplotlib axis, and returns the figure.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.compare.comparison import PictureComparison
from regional_primitives.compare.transfer import PAPER_COUNTS, PAPER_SHARE, Transfer
from regional_primitives.scores.spread import Spread
from regional_primitives.show.relation_plots import draw_matrix
from regional_primitives.show.style import (
    LIGHT,
    Axes,
    Figure,
    begin_axes,
    begin_figure,
    clear,
    legend_above,
    log_ticks,
)

_MOST_NUMBERS = 12
"""Pictures up to which every cell of the matrix has its number written in it."""

Band = tuple[Float[Tensor, " counts"], Float[Tensor, " counts"], Float[Tensor, " counts"]]
"""A mean, and from where to where its band goes, in shares."""


def plot_shared_fields(comparison: PictureComparison, axes: Axes | None = None) -> Figure:
    """Draw t(a, a) for every a, mean over pairs, beside random fields of the same sizes.

    Bands: of the pictures, least and most over pairs (where there are several); of random fields,
    least and most over draws (and pairs).
    """
    own = torch.stack([pair.curve for pair in comparison.pairs])
    bands: list[Band] = [(own.mean(0), own.amin(0), own.amax(0))]
    for kind in ("connected", "subsets"):
        drawn = [getattr(pair, kind) for pair in comparison.pairs]
        mean, least, most = (torch.stack([getattr(chance, name) for chance in drawn])
                             for name in ("curve", "least", "most"))  # fmt: skip
        bands.append((mean.mean(0), least.amin(0), most.amax(0)))
    return _draw_shares(bands, len(comparison.names), axes)[0]


def plot_transfer(result: Transfer, axes: Axes | None = None) -> Figure:
    """Draw t(a, a) for every a and t(a, b) beside random fields; at (20, 100) the paper's range."""
    kinds = (result.found, result.connected, result.subsets)
    bands: list[Band] = []
    for shares in kinds:
        over = [Spread.over(column) for column in shares.curves.T.tolist()]
        mean = torch.tensor([spread.mean for spread in over])
        half = torch.tensor([spread.half_interval_95 or 0.0 for spread in over])
        bands.append((mean, (mean - half).clamp_min(0), (mean + half).clamp_max(1)))
    figure, axes = _draw_shares(bands, result.pictures, axes)
    for shares, colour, mark, aside in zip(
        kinds, LIGHT.series, ("o", "s", "^"), (1.0, 1.09, 0.92), strict=True
    ):
        point = Spread.over([100 * value for value in shares.by_picture])
        reach = point.half_interval_95 or 0.0
        within = [[min(reach, point.mean)], [min(reach, 100 - point.mean)]]
        axes.errorbar(
            aside * result.a, point.mean, yerr=within, fmt=mark, color=colour,
            markersize=6, capsize=3, markeredgecolor=LIGHT.paper,
        )  # fmt: skip
    told = f"marks: t({result.a}, {result.b})"
    low, high = (100 * share for share in PAPER_SHARE)
    if (result.a, result.b) == PAPER_COUNTS:
        told += f"\ngrey: paper, {low:.0f}–{high:.0f} %"
        axes.plot([result.a] * 2, [low, high], color=LIGHT.ink, linewidth=7, alpha=0.22,
                  solid_capstyle="butt", zorder=1)  # fmt: skip
    # At the upper left no curve passes unless the few strongest fields are all the same.
    axes.annotate(told, (0.02, 0.97), xycoords="axes fraction", ha="left", va="top",
                  color=LIGHT.ink, fontsize=8.5)  # fmt: skip
    return figure


def plot_transfer_matrix(comparison: PictureComparison, axes: Axes | None = None) -> Figure:
    """Draw t(a, b) from every picture (row) to every other (column)."""
    count = len(comparison.names)
    if axes is None:
        side = min(8.0, max(3.6, 0.62 * count + 1.8))
        axes = begin_figure(None, (side + 0.8, side), layout="constrained")[0].add_subplot()
    figure, axes = begin_axes(axes, f"t({comparison.a}, {comparison.b}) of every two pictures")
    clear(axes)
    shown = 100 * comparison.transfer
    names = [name if len(name) <= 24 else f"…{name[-23:]}" for name in comparison.names]
    draw_matrix(axes, shown, names, 0.8, "found in the other (%)")
    if count <= _MOST_NUMBERS:
        for i, j in (~torch.eye(count, dtype=torch.bool)).nonzero().tolist():
            axes.text(j, i, f"{float(shown[i, j]):.0f}", ha="center", va="center",
                      color=LIGHT.ink, fontsize=8.5, in_layout=False)  # fmt: skip
    axes.set(xlabel="to", ylabel="from")
    return figure


def _draw_shares(bands: list[Band], pictures: int, axes: Axes | None) -> tuple[Figure, Axes]:
    """Draw t(a, a) of the pictures, of random connected fields and of random subsets."""
    figure, axes = begin_axes(axes, "Action fields shared by pictures", pad=21.0)
    count = len(bands[0][0])
    where = range(1, count + 1)
    names = ("pictures", "random connected", "random subsets")
    for name, band, colour, line in zip(names, bands, LIGHT.series, ("-", "--", ":"), strict=True):
        mean, low, high = (100 * values for values in band)
        axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(where, mean, line, color=colour, linewidth=2, label=name)
    legend_above(axes)
    axes.set_xscale("log")
    axes.set_xlim(0.9, max(count, 2) * 1.12)
    log_ticks(axes.xaxis)
    axes.set_ylim(0, 103)
    axes.set_xlabel(f"a strongest components of each (log); {pictures} pictures")
    axes.set_ylabel("common action fields t(a, a) (%)")
    return figure, axes
