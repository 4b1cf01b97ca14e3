"""Relations among components as figures: containment, acting together, overlap, and credit.

Each function takes the relations and an optional matplotlib axis, and returns the figure. Where the
components are some of another decomposition, `numbers` says what each is called there.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Mask
from regional_primitives.scores.relations import Relations, chain_levels, covering_pairs
from regional_primitives.show import form, numerals
from regional_primitives.show.extras import report_extra
from regional_primitives.show.glyphs import FieldGlyphs, coarse_labels
from regional_primitives.show.hasse import lay_out
from regional_primitives.show.outlines import segments
from regional_primitives.show.panels import explain_colours
from regional_primitives.show.style import (
    LIGHT,
    NOTE_PAD,
    Axes,
    Figure,
    begin_axes,
    clear,
    note_above,
)

_SLOT = (1.12, 1.02)
"""Width and height of a node's place in the diagram of containment, inches."""
_LEAST_CELL = 45.0
"""Points a cell of a grid needs for components with their shares; smaller ones get a number."""
_SHADE = "#2288d2"
"""Of maps: stands out from light and from dark paper alike."""
_SHORT = 22
"""Letters of a field's names that an axis has room for."""
_HEAD = 0.87
"""Inches that the title, this line and the margins take."""


def plot_containment(
    relations: Relations,
    axes: Axes | None = None,
    most: int = 16,
    numbers: Sequence[int] | None = None,
) -> Figure:
    """Draw which of the strongest action fields contain which, as a Hasse diagram.

    Args:
        relations: of the components.
        axes: where to draw; None for a figure of its own.
        most: how many components, strongest first.
        numbers: what each component is called; its place unless given.
    """
    d = relations.decomposition
    names = _names(relations, numbers)
    count = min(most, d.count)
    contains = relations.contains[:count, :count]
    layout = lay_out(chain_levels(contains).tolist(), covering_pairs(contains))
    columns, rows = layout.columns or 1, layout.rows
    title = f"Which action fields contain which: the {count} strongest of {d.count}"
    size = (max(columns * _SLOT[0], 6.4), rows * _SLOT[1] + _HEAD)
    figure, axes = _blank_axes(axes, title, size)
    note_above(
        axes,
        "arrow: from a field to one inside it; numbers: component, strength ‖Δf‖"
        + ("; right: nested with none of these" if 0 < len(layout.alone) < count else ""),
    )
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(-0.5, rows - 0.5)
    slot = _points(axes) / torch.tensor([columns, rows])
    side = min(0.46 * float(slot[0]), 0.58 * float(slot[1]))
    glyphs = FieldGlyphs(d.regions, side)
    apart = 0.54 * (glyphs.size[1] + 6)
    inside: dict[str, Any] = {"in_layout": False}  # there is room; measuring takes long
    for route in layout.routes.values():
        passed = route[:-1]
        axes.plot([x for x, _ in passed], [y for _, y in passed], color=LIGHT.muted, linewidth=1.0)
        arrow = {"arrowstyle": "-|>,head_width=0.18,head_length=0.34", "color": LIGHT.muted,
                 "linewidth": 1.0, "shrinkA": 0.0, "shrinkB": apart}  # fmt: skip
        axes.annotate("", route[-1], route[-2], arrowprops=arrow, **inside)
    # Keeps arrows that pass below a text off it.
    ground = {"facecolor": LIGHT.paper, "edgecolor": "none", "pad": 0.5}
    for k, place in layout.places.items():
        glyphs.draw(axes, d.action_fields[k], place, **inside)
        right = glyphs.size[0] / 2 + 4
        beside = {"xy": place, "textcoords": "offset points", "bbox": ground, **inside}
        axes.annotate(names[k], xytext=(right, 1), color=LIGHT.ink, fontweight="bold",
                      fontsize=9.5, **beside)  # fmt: skip
        axes.annotate(numerals.decimal(float(d.strengths[k])), xytext=(right, -11),
                      color=LIGHT.muted, fontsize=8, **beside)  # fmt: skip
        lines = textwrap.wrap(form.field_in_words(d, k), 16)
        if d.regions.given_names is not None and len(lines) <= 3:
            axes.annotate(
                "\n".join(lines), xytext=(0, -glyphs.size[1] / 2 - 2), ha="center", va="top",
                color=LIGHT.ink, fontsize=7.5, linespacing=0.95, **beside,
            )  # fmt: skip
    return figure


def plot_togetherness(
    relations: Relations, axes: Axes | None = None, numbers: Sequence[int] | None = None
) -> Figure:
    """Draw the hierarchy of the strongest components: those that act together join low down."""
    d, count = relations.decomposition, relations.strongest
    names = _names(relations, numbers, in_words=True)
    upright = 0 if d.regions.given_names is None else 90
    title = f"Components that act together: the {count} strongest of {d.count}"
    figure, axes = begin_axes(axes, title, NOTE_PAD, (max(0.28 * count + 0.8, 6.4), 4.6))
    asked = numerals.percent(relations.asked_share)
    note_above(
        axes,
        f"share of the random demands (mean {asked} of the patches) with both, of those with "
        "either",
    )
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.set_xlim(-0.6, max(count, 1) - 0.4)
    axes.set_ylabel("acting together (%)")
    joined = {k: (float(x), 100.0) for x, k in enumerate(relations.order)}
    low = 100.0 if count > 1 else 0.0
    for step, (one, other, distance, _) in enumerate(relations.merges.tolist()):
        (x, y), (other_x, other_y) = joined[int(one)], joined[int(other)]
        height = 100 * (1 - distance)
        axes.plot([x, x, other_x, other_x], [y, height, height, other_y], color=LIGHT.series[0],
                  linewidth=1.2, solid_joinstyle="miter", clip_on=False)  # fmt: skip
        joined[count + step] = ((x + other_x) / 2, height)
        low = min(low, height)
    axes.set_ylim(100, max(0.0, low - 0.08 * (100 - low)))
    glyphs = FieldGlyphs(d.regions, min(0.88 * float(_points(axes)[0]) / max(count, 1), 30.0))
    across = axes.get_xaxis_transform()
    for x, k in enumerate(relations.order):
        glyphs.draw(
            axes, d.action_fields[k], (float(x), 0.0), align=(0.5, 1.0), xycoords=across,
            xybox=(0, -5), boxcoords="offset points",
        )  # fmt: skip
        axes.annotate(
            names[k], (x, 0.0), (0, -9 - glyphs.size[1]), xycoords=across,
            textcoords="offset points", ha="center", va="top", color=LIGHT.ink, fontsize=8,
            rotation=upright,
        )  # fmt: skip
    return figure


def plot_overlap(
    relations: Relations, axes: Axes | None = None, numbers: Sequence[int] | None = None
) -> Figure:
    """Draw the overlap of each pair of the strongest action fields, in the hierarchy's order."""
    names = _names(relations, numbers, in_words=True)
    order, count = relations.order, relations.strongest
    title = f"Overlap of action fields: the {count} strongest of {relations.decomposition.count}"
    figure, axes = _blank_axes(axes, title, (6.4, 6.1))
    note_above(
        axes, f"strength-weighted mean over all pairs {numerals.percent(relations.mean_overlap)}"
    )
    shown = 100 * relations.overlap[order][:, order]
    # Each field overlaps itself wholly, which is not worth the darkest colour.
    shown.fill_diagonal_(float("nan"))
    draw_matrix(
        axes, shown, [names[k] for k in order], 1.0, "overlap, IoU of the action fields (%)"
    )
    axes.set(xlabel="component", ylabel="component")
    return figure


def plot_credit(
    relations: Relations, axes: Axes | None = None, numbers: Sequence[int] | None = None
) -> Figure:
    """Draw each patch's credit and the components that earn it the most."""
    d = relations.decomposition
    names = _names(relations, numbers)
    part = "patch" if d.regions.given_names is None else "part"
    labels = coarse_labels(d.regions)
    rows, columns = labels.shape
    cell = min(1.0, 9.0 / max(rows, columns)) if d.regions.is_grid else 6.5 / max(rows, columns)
    inches = (max(columns * cell + 1.1, 5.6), max(rows * cell, 2.2) + _HEAD)
    figure, axes = _blank_axes(axes, f"Who generates each {part}", inches)
    totals = relations.patch_totals
    shown = torch.where(labels >= 0, totals[labels.clamp_min(0)], float("nan"))
    drawn = axes.imshow(
        shown.numpy(), cmap=_shades(0.5), vmin=0, extent=(0, columns, rows, 0),
        interpolation="none",
    )  # fmt: skip
    _bar_beside(axes, drawn, f"credit of the {part}:\nits Shapley value in ‖Δf‖")
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection(segments(labels), colors=LIGHT.grid, linewidths=1.5))
    cell_points = float((_points(axes) / torch.tensor([columns, rows])).min())
    roomy = not d.regions.is_grid or cell_points >= _LEAST_CELL
    inside = "component, its share of that credit" if roomy else "the component that earns the most"
    note_above(axes, f"colour: the {part}'s credit; in it: {inside}")
    bars: list[tuple[float, float, float]] = []
    for patch in range(d.regions.count):
        shares = [(names[k], share) for k, share in relations.credit_of_patch(patch)]
        if not shares or not bool((labels == patch).any()):
            continue
        name, share = shares[0]
        row, column = divmod(patch, columns)
        if not d.regions.is_grid:
            told = f"{name}: {numerals.percent(share)}"
            if d.regions.given_names is not None:
                told = f"{_broken(d.regions.names[patch])}\n{told}"
            _write(axes, _middle(labels == patch), told, ha="center", fontsize=8)
        elif roomy:
            bars += _credit_cell(axes, shares, (row, column), cell_points)
        elif cell_points >= _LEAST_CELL / 3:
            size = min(8.0, cell_points / 3)
            _write(axes, (column + 0.5, row + 0.5), name, ha="center", fontsize=size)
    x, y, length = torch.tensor(bars, dtype=torch.float64).reshape(-1, 3).T.numpy()
    for drawn_to, colour in ((x + 0.84, LIGHT.paper), (x + 0.84 * length, LIGHT.series[1])):
        axes.hlines(y, x, drawn_to, color=colour, linewidth=2.4, in_layout=False)
    return figure


def _names(
    relations: Relations, numbers: Sequence[int] | None, *, in_words: bool = False
) -> list[str]:
    """Return what each component is called, by its place: its number, or its field if short."""
    d = relations.decomposition
    names = [str(number) for number in numbers or range(d.count)]
    if in_words and d.regions.given_names is not None:
        fields = [form.field_in_words(d, k) for k in range(d.count)]
        names = [
            field if len(field) <= _SHORT else name
            for field, name in zip(fields, names, strict=True)
        ]
    return names


def _broken(name: str) -> str:
    """Break a region's name where it is long."""
    return "\n".join(textwrap.wrap(name, 12))


def _credit_cell(
    axes: Axes, shares: Sequence[tuple[str, float]], cell: tuple[int, int], points: float
) -> list[tuple[float, float, float]]:
    """Write the leading components of one cell of a grid; return a bar for each one's share."""
    row, column = cell
    lines, size = min(3, int((points - 6) / 15)), min(8.0, points / 8)
    bars = []
    for place, (name, share) in enumerate(shares[:lines]):
        middle = row + (place + 0.5) / lines * 0.92
        _write(axes, (column + 0.08, middle), name, ha="left", fontweight="bold", fontsize=size)
        told = numerals.percent(share)
        _write(axes, (column + 0.92, middle), told, ha="right", fontsize=size)
        bars.append((column + 0.08, middle + 0.13, share))
    return bars


def _write(axes: Axes, place: tuple[float, float], text: str, **how: Any) -> None:
    axes.text(*place, text, va="center", color=LIGHT.ink, in_layout=False, **how)


def _middle(region: Mask) -> tuple[float, float]:
    """Return where a region has most room, the nearest pixel to the middle of such places."""
    with report_extra():
        from scipy.ndimage import distance_transform_cdt  # type: ignore[import-untyped]
    inside = torch.nn.functional.pad(region, (1, 1, 1, 1)).numpy()
    depth = torch.from_numpy(distance_transform_cdt(inside, "chessboard"))[1:-1, 1:-1]
    pixels = (depth == depth.max()).nonzero().double()
    y, x = (pixels[(pixels - pixels.mean(0)).norm(dim=1).argmin()] + 0.5).tolist()
    return x, y


def _blank_axes(axes: Axes | None, title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Begin on an axis whose places are no numbers."""
    figure, axes = begin_axes(axes, title, NOTE_PAD, size)
    clear(axes)
    return figure, axes


def draw_matrix(
    axes: Axes, percent: Float[Tensor, "n n"], names: Sequence[str], most: float, label: str
) -> None:
    """Fill a cleared axis with percentages of pairs, named where there is room.

    Args:
        axes: where to draw.
        percent: NaN where a pair has no number.
        names: of rows and columns.
        most: how far 100 % covers the paper, 0 … 1.
        label: of the colours.
    """
    if names:
        colours = {"cmap": _shades(most), "vmin": 0, "vmax": 100}
        drawn = axes.imshow(percent.numpy(), interpolation="none", **colours)
        _bar_beside(axes, drawn, label)
    size = min(8.0, 0.85 * float(_points(axes)[1]) / max(len(names), 1))
    shown = names if size >= 5 else [""] * len(names)
    axes.set_xticks(range(len(names)), shown, rotation=90)
    axes.set_yticks(range(len(names)), shown)
    axes.tick_params(labelsize=size, length=0, pad=2)


def _bar_beside(axes: Axes, drawn: Any, label: str) -> None:
    """Put the bar of a map's colours to the right of its axis."""
    explain_colours(drawn, axes.inset_axes((1.03, 0.1, 0.025, 0.8)), label)


def _shades(most: float) -> Any:
    """Return a colour that covers the paper ever more, as far as text on it needs.

    It is transparent, not white, where values are small, so that it suits dark paper too.
    """
    from matplotlib.colors import ListedColormap, to_rgba

    blue = to_rgba(_SHADE)[:3]
    colours = ListedColormap([(*blue, most * step / 255) for step in range(256)])
    return colours.with_extremes(bad=(0.5, 0.5, 0.5, 0.3))


def _points(axes: Axes) -> Float[Tensor, " 2"]:
    """Return the axis's width and height in points, as the layout has it so far."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    box = axes.get_window_extent()
    return torch.tensor([box.width, box.height]) * 72 / figure.dpi
