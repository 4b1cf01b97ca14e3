"""The experiments' numbers as figures, of one picture or of several with their 95 % intervals.

Each function takes a result and an optional matplotlib axis, and returns the figure. Thin lines and
small dots are single pictures, bold ones their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.compare.across import AcrossPictures
from regional_primitives.scores.boundedness import Boundedness
from regional_primitives.scores.consistency import Consistency
from regional_primitives.scores.control import SCALES, SELECTIONS, Control
from regional_primitives.scores.measured import Measured
from regional_primitives.scores.redraw import Redraw
from regional_primitives.scores.sparsity import NEAR_ZERO, Sparsity
from regional_primitives.scores.spread import Spread, spreads
from regional_primitives.scores.superposition import Superposition
from regional_primitives.show.style import LIGHT, Axes, Figure, begin_axes, legend_above, log_ticks

ResultT = TypeVar("ResultT", bound=Measured)
_LEGEND_PAD = 21.0
"""Points between an axis and its title, with room for a legend."""


def plot_strengths(result: Sparsity | AcrossPictures[Sparsity], axes: Axes | None = None) -> Figure:
    """Draw the strengths in descending order, over the strongest."""
    figure, axes = begin_axes(axes, "Strengths of the components")
    pictures = _several(result)
    curves = [100 * picture.strengths for picture in pictures]
    ranks = [list(range(1, len(curve) + 1)) for curve in curves]
    _thin(axes, ranks, curves, LIGHT.series[0])
    least = min(map(len, curves))
    mean = torch.stack([curve[:least] for curve in curves]).mean(0)
    axes.plot(ranks[0][:least], mean, color=LIGHT.series[0], linewidth=2)
    _log_counts(axes, max(map(len, curves)))
    axes.set_yscale("log")
    axes.set_ylim(min(0.4, float(min(curve.min() for curve in curves))), 130)
    for limit in NEAR_ZERO:
        share = sum(picture.under[limit] for picture in pictures) / len(pictures)
        axes.axhline(100 * limit, color=LIGHT.muted, linewidth=0.9, linestyle="--")
        axes.annotate(
            f"{100 * share:.1f} % of the components lie below {100 * limit:g} %",
            (1, 100 * limit), xytext=(2, 3), textcoords="offset points", fontsize=8.5,
            color=LIGHT.ink,
        )  # fmt: skip
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"component, strongest first (log){_how_many(pictures)}")
    axes.set_ylabel("‖Δf‖, % of the strongest (log)")
    return figure


def plot_orders(result: Sparsity | AcrossPictures[Sparsity], axes: Axes | None = None) -> Figure:
    """Draw the share of Σ‖Δf_k‖² by the number of patches in the action field."""
    figure, axes = begin_axes(axes, "Energy by size of the action field")
    pictures = _several(result)
    sizes = sorted({size for picture in pictures for size in picture.orders})
    found = [
        Spread.over([100 * picture.orders.get(size, 0.0) for picture in pictures]) for size in sizes
    ]
    axes.bar(sizes, [spread.mean for spread in found], color=LIGHT.series[0], width=0.75)
    for size, spread in zip(sizes, found, strict=True):
        if spread.half_interval_95 is not None:
            low = min(spread.half_interval_95, spread.mean)
            axes.errorbar(
                size, spread.mean, yerr=[[low], [spread.half_interval_95]], color=LIGHT.ink,
                linewidth=1.1, capsize=2.5,
            )  # fmt: skip
    # Sizes that hold next to nothing would only push the others together.
    visible = [size for size, spread in zip(sizes, found, strict=True) if spread.mean > 0.2]
    shown = min(max(sizes), max([*visible, 4]))
    axes.set_xlim(0.3, shown + 0.7)
    axes.set_xticks(range(1, shown + 1, 1 if shown <= 16 else 4))
    axes.set_xlabel(f"patches in the action field (of {pictures[0].patches}){_how_many(pictures)}")
    axes.set_ylabel("share of Σ‖Δf‖² (%)")
    return figure


def plot_boundedness(
    result: Boundedness | AcrossPictures[Boundedness], axes: Axes | None = None
) -> Figure:
    """Draw how well real action fields fit the action fields, alone and in context."""
    figure, axes = begin_axes(axes, "Real action fields against action fields", pad=_LEGEND_PAD)
    pictures = _several(result)
    # A map that knows nothing of the field has an AUC of ½.
    numbers = [{**picture.numbers(), "auc_chance": 0.5} for picture in pictures]
    names = ("boundedness", "auc", "iou")
    series = {
        "alone": names,
        "in context": [f"{name}_in_context" for name in names],
        "by chance": [f"{name}_chance" for name in names],
    }
    colours = (*LIGHT.series[:2], LIGHT.muted)
    _dots(axes, numbers, ["energy inside", "AUC", "IoU"], series, colours)
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("energy-weighted mean (1 is perfect)")
    axes.set_xlabel(f"agreement with the action field{_how_many(pictures)}")
    return figure


def plot_consistency(
    result: Consistency | AcrossPictures[Consistency], axes: Axes | None = None
) -> Figure:
    """Draw how alike each strong component's pattern is over random contexts."""
    figure, axes = begin_axes(axes, "The same pattern in every context?")
    pictures = _several(result)
    for picture in pictures:
        axes.plot(
            range(1, len(picture.cosine) + 1), picture.cosine, "o", color=LIGHT.series[0],
            alpha=1.0 if len(pictures) == 1 else 0.4, markersize=4, markeredgewidth=0,
        )  # fmt: skip
    most = max(len(picture.cosine) for picture in pictures)
    spread = Spread.over([picture.numbers()["consistency"] for picture in pictures])
    half = spread.half_interval_95
    if half is not None:
        axes.axhspan(spread.mean - half, spread.mean + half, color=LIGHT.series[1], alpha=0.15)
    axes.axhline(spread.mean, color=LIGHT.series[1], linewidth=2)
    interval = "" if half is None else f" ± {half:.2f}"
    axes.annotate(
        f"energy-weighted mean {spread.mean:.2f}{interval}",
        (most + 0.5, 0.02), ha="right", color=LIGHT.series[1], fontsize=9, fontweight="bold",
    )  # fmt: skip
    low = min(float(picture.cosine.min()) for picture in pictures)
    axes.set_ylim(min(0.0, low - 0.05), 1.03)
    axes.set_xlim(0.3, most + 0.7)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel(f"component, strongest first{_how_many(pictures)}")
    axes.set_ylabel(f"mean pairwise cosine, {pictures[0].contexts} contexts")
    return figure


def plot_superposition(
    result: Superposition | AcrossPictures[Superposition], axes: Axes | None = None
) -> Figure:
    """Draw the error of the picture as components are added, in two orders and as patterns."""
    figure, axes = begin_axes(axes, "Building the picture up", pad=_LEGEND_PAD)
    pictures = _several(result)
    kinds = (
        ("strongest first", "strongest_first", "inside_error", "-"),
        ("smallest first", "smallest_first", "inside_error", "--"),
        ("sum of patterns", "strongest_first", "superposition_error", ":"),
    )
    common = sorted(set.intersection(*(set(picture.steps[:-1]) for picture in pictures)))
    for (name, order, error, line), colour in zip(kinds, LIGHT.series, strict=True):
        curves = [100 * getattr(getattr(picture, order), error).double().clamp_min(1e-9)
                  for picture in pictures]  # fmt: skip
        _thin(axes, [picture.steps for picture in pictures], curves, colour)
        mean = torch.stack([curve[: len(common)] for curve in curves]).mean(0).tolist()
        last = sum(picture.steps[-1] for picture in pictures) / len(pictures)
        mean.append(sum(float(curve[-1]) for curve in curves) / len(curves))
        axes.plot([*common, last], mean, line, color=colour, linewidth=2.2, label=name)
    legend_above(axes)
    _log_counts(axes, max(picture.steps[-1] for picture in pictures))
    axes.set_yscale("log")
    axes.set_ylim(0.8, 260)
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"components added, K (log){_how_many(pictures)}")
    axes.set_ylabel("error (%, log; 100 = baseline picture)")
    return figure


def plot_control(result: Control | AcrossPictures[Control], axes: Axes | None = None) -> Figure:
    """Draw how much of an edit stays in its region, beside random components."""
    figure, axes = begin_axes(axes, "How much of an edit stays in its region", pad=_LEGEND_PAD)
    pictures = _several(result)
    numbers = [{name: 100 * value for name, value in picture.numbers().items()}
               for picture in pictures]  # fmt: skip
    area = sum(row["area"] for row in numbers) / len(numbers)
    axes.axhline(area, color=LIGHT.muted, linewidth=1.2, linestyle="--", label="region's area")
    kinds = [(selection, scale) for selection in SELECTIONS for scale in SCALES]
    keys = [f"share_inside_{selection}_x{scale:g}" for selection, scale in kinds]
    series = {"the region's": keys, "random ones": [f"random_{key}" for key in keys]}
    _dots(axes, numbers, [f"×{scale:g}\n{selection}" for selection, scale in kinds], series)
    axes.set_ylim(0, 108)
    axes.set_ylabel("share of ‖Δx‖² in the region (%)")
    axes.tick_params(axis="x", pad=1)  # labels of two lines leave the axis's own little room
    axes.set_xlabel(
        f"components whose field is inside, or touches{_how_many(pictures)}", labelpad=0
    )
    return figure


def plot_redraw(result: Redraw | AcrossPictures[Redraw], axes: Axes | None = None) -> Figure:
    """Draw how alike two draws of patches are on the patches that both contain."""
    figure, axes = begin_axes(axes, "Another draw of patches", pad=_LEGEND_PAD)
    series = {
        name: [f"{prefix}overlap", f"{prefix}cosine"]
        for name, prefix in {
            "another draw": "",
            "patches shuffled": "shuffled_",
        }.items()
    }
    pictures = _several(result)
    numbers = [picture.numbers() for picture in pictures]
    _dots(axes, numbers, ["strengths, Σmin / Σmax", "vectors, cosine"], series)
    least = min([0.0, *(row[key] for row in numbers for keys in series.values() for key in keys
                        if key in row)])  # fmt: skip
    axes.axhline(0.0, color=LIGHT.muted, linewidth=0.8)
    axes.set_ylim(least - 0.06 if least < 0 else 0.0, 1.08)
    axes.set_ylabel("likeness (1 is the same)")
    common = sorted({len(picture.common) for picture in pictures})
    span = f"{common[0]}" if len(common) == 1 else f"{common[0]} to {common[-1]}"
    axes.set_xlabel(f"on {span} common patches{_how_many(pictures)}")
    return figure


def _dots(
    axes: Axes,
    numbers: list[dict[str, float]],
    groups: list[str],
    series: Mapping[str, Sequence[str]],
    colours: Sequence[str] = LIGHT.series,
) -> None:
    """Draw a dot for each picture, a bar and its interval for the mean, the mean in figures.

    Each series names the number that it shows in every group; one that nobody has is left out.
    """
    found = spreads(numbers)
    width = 0.8 / len(series)
    room = axes.get_window_extent().width / axes.figure.dpi
    labelled = room / (len(groups) * len(series)) > 0.36  # inches that a number needs
    for place, ((name, keys), colour) in enumerate(zip(series.items(), colours, strict=False)):
        shown = [(group, key) for group, key in enumerate(keys) if key in found]
        for group, key in shown:
            spread = found[key]
            x = group + (place - (len(series) - 1) / 2) * width
            label = name if group == shown[0][0] else None
            axes.bar(x, spread.mean, width=0.86 * width, color=colour, alpha=0.3, linewidth=0,
                     label=label)  # fmt: skip
            axes.plot([x - 0.43 * width, x + 0.43 * width], [spread.mean] * 2, color=colour,
                      linewidth=2.2, solid_capstyle="butt")  # fmt: skip
            values = [row[key] for row in numbers if key in row]
            if len(values) > 1:
                # Beside each other, in the pictures' order, so that equal values stay visible.
                offsets = torch.linspace(-0.25, 0.25, len(values)) * width
                axes.plot((x + offsets).tolist(), values, "o", color=colour, markersize=3.2,
                          markeredgecolor=LIGHT.paper, markeredgewidth=0.4)  # fmt: skip
            if labelled:
                axes.annotate(
                    f"{spread.mean:.2f}" if spread.mean <= 1 else f"{spread.mean:.0f}",
                    (x, max(spread.mean, *values)), xytext=(0, 4), textcoords="offset points",
                    ha="center", fontsize=8, color=LIGHT.ink,
                )  # fmt: skip
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.55, len(groups) - 0.45)
    axes.tick_params(axis="x", length=0)
    legend_above(axes)


def _several(result: ResultT | AcrossPictures[ResultT]) -> tuple[ResultT, ...]:
    """Return the results of one picture or of several."""
    return result.results if isinstance(result, AcrossPictures) else (result,)


def _how_many(pictures: Sequence[Any]) -> str:
    return f"; {len(pictures)} pictures" if len(pictures) > 1 else "; one picture"


def _thin(
    axes: Axes, places: Sequence[Sequence[int]], curves: list[Float[Tensor, " _"]], colour: str
) -> None:
    """Draw a thin line for each of several pictures."""
    if len(curves) > 1:
        for where, curve in zip(places, curves, strict=True):
            axes.plot(where, curve, color=colour, linewidth=0.7, alpha=0.4)


def _log_counts(axes: Axes, most: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(0.9, max(most, 2) * 1.12)
    log_ticks(axes.xaxis)
