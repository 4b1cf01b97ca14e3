"""The table of a sweep: a row a layer, a column a score, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regional_primitives.evaluate.spread import Spread
from regional_primitives.evaluate.sweep_scores import LayerScores, SweepScores
from regional_primitives.generators.feature import describe_shape
from regional_primitives.show import numerals

__all__ = [
    "NOT_MEASURED",
    "Cell",
    "Column",
    "ColumnGroup",
    "Row",
    "column_groups",
    "rows",
    "terminal_table",
]

NOT_MEASURED = "not measured; --thorough"
"""What stands for scores that take further fits."""
_LEFT_OUT = "not measured"
_FRONTIER = "frontier"
_PERCENT = "\u00a0%"
_IN_TERMINAL = (
    "field_patches", "boundedness", "boundedness_in_context", "n90", "inside_error", "leak",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One score."""

    name: str
    """A name of `LayerScores.summary`, or `frontier`."""
    label: str
    good: str
    meaning: str
    write: Callable[[float], str] = numerals.percent
    missing: str = _LEFT_OUT


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that answer one question."""

    label: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Cell:
    """One score of one layer, ready to print."""

    mean: str
    interval: str = ""
    """± half the 95 % interval; empty for a single picture."""
    lines: tuple[str, ...] = ()
    """Instead of a mean: one line a point of the frontier."""
    measured: bool = True


@dataclass(frozen=True)
class Row:
    """One layer."""

    layer: str
    shape: str
    units: str
    cells: dict[str, Cell]
    """By the name of the column."""


def column_groups(patches: int) -> tuple[ColumnGroup, ...]:
    """List all columns, for a picture of so many patches."""
    return (
        ColumnGroup(
            "Action fields",
            (
                Column(
                    "field_patches",
                    "Patches a field",
                    f"no target, 1 … {patches}",
                    "How many patches an action field has, mean weighted by squared strength.",
                    numerals.decimal,
                ),
                Column(
                    "field_share",
                    "Share of the grid",
                    "no target",
                    f"The same over all {patches} patches.",
                ),
            ),
        ),
        ColumnGroup(
            "Axioms of the paper",
            (
                Column(
                    "boundedness",
                    "Bounded, alone",
                    "100 %",
                    "Boundedness: which share of a component's visible effect (squared) stays in "
                    "its action field when it is added to the baseline alone.",
                ),
                Column(
                    "boundedness_in_context",
                    "Bounded, in context",
                    "100 %",
                    "The same when it is added to random sets of other components.",
                ),
                Column(
                    "consistency",
                    "Consis\u00adtency",
                    "1",
                    "Whether a component paints the same pattern in whatever company: mean cosine "
                    "between its patterns among random sets of others.",
                    numerals.decimal,
                ),
                Column(
                    "superposition_error",
                    "Super\u00adposition error",
                    "0 %",
                    "How far the picture is from the plain sum of all patterns, each made alone. "
                    "Over 100 %, the sum is further off than the baseline picture.",
                ),
            ),
        ),
        ColumnGroup(
            "Sparsity",
            (
                Column(
                    "components",
                    "Compo\u00adnents",
                    "few",
                    "How many components the feature splits into.",
                    numerals.decimal,
                ),
                Column(
                    "n50",
                    "n50",
                    "few",
                    "How many, strongest first, carry half of the summed squared strength.",
                    numerals.decimal,
                ),
                Column("n90", "n90", "few", "How many carry 90 % of it.", numerals.decimal),
                Column(
                    "n90_per_unit",
                    "n90 / units",
                    "small",
                    "n90 over the number of units of the feature, which changes with the layer.",
                ),
            ),
        ),
        ColumnGroup(
            "Demands",
            (
                Column(
                    "inside_error",
                    "Inside error",
                    "0 %",
                    "How wrong the demanded patches still are: squared error against the picture, "
                    "over that of the baseline picture.",
                ),
                Column(
                    "leak",
                    "Leak",
                    "0 %",
                    "How much the other patches change unasked: squared change from the baseline "
                    "picture, over the change that the full picture makes there.",
                ),
                Column(
                    "free_leak",
                    "Leak, bound",
                    "the bound",
                    "Leak where each demand gets a feature of its own, without components: what "
                    "the layer allows at all.",
                ),
                Column(
                    "cost",
                    "Cost",
                    "small",
                    "Which share of the feature's departure from the baseline (summed absolute "
                    "values) a demand switches on.",
                ),
            ),
        ),
        ColumnGroup(
            "Refits",
            (
                Column(
                    "stability",
                    "Stability",
                    "100 %",
                    "How much of the strength stays with the same action fields when the picture "
                    "is fitted again with other random demands.",
                    missing=NOT_MEASURED,
                ),
                Column(
                    _FRONTIER,
                    "Frontier: leak at inside error",
                    "low",
                    "Leak, and the inside error that goes with it, at several prices of leak: what "
                    "less leak costs in exactness.",
                    missing=NOT_MEASURED,
                ),
            ),
        ),
        ColumnGroup(
            "Effort",
            (
                Column(
                    "wall_seconds",
                    "Time of a fit",
                    "short",
                    "Wall time, one process a fit; other work on the machine makes it longer.",
                    numerals.seconds,
                ),
            ),
        ),
    )


def rows(sweep: SweepScores) -> tuple[Row, ...]:
    """Fill the table."""
    columns = [column for group in column_groups(sweep.patches) for column in group.columns]
    return tuple(
        Row(
            layer.layer,
            describe_shape(layer.feature_shape),
            f"{numerals.count(layer.units)} units",
            {column.name: _cell(layer, column) for column in columns},
        )
        for layer in sweep.layers
    )


def terminal_table(sweep: SweepScores) -> Any:
    """Return the main columns as a table of rich."""
    from rich.table import Table
    from rich.text import Text

    columns = [column for group in column_groups(sweep.patches) for column in group.columns
               if column.name in _IN_TERMINAL]  # fmt: skip
    pictures = f"{len(sweep.seeds)} picture" + ("s" if len(sweep.seeds) > 1 else "")
    interval = " ± half the 95 % interval" if len(sweep.seeds) > 1 else ""
    refitted = any(layer.frontier for layer in sweep.layers)
    table = Table(
        title=f"{sweep.generator}, mean over {pictures}{interval}",
        title_justify="left",
        caption=None if refitted else f"frontier and stability: {NOT_MEASURED}",
        caption_justify="left",
    )
    table.add_column("layer", overflow="fold")
    for column in columns:
        table.add_column(column.label.lower(), justify="right", min_width=8)
    for row in rows(sweep):
        cells = [row.cells[column.name] for column in columns]
        # The unit stands behind the mean; twice it would not fit 80 letters.
        told = (f"{cell.mean}\n{cell.interval.removesuffix(_PERCENT)}".strip() for cell in cells)
        table.add_row(Text(f"{row.layer}\n{row.shape.replace(' × ', '×')}"), *told)
    return table


def _cell(layer: LayerScores, column: Column) -> Cell:
    if column.name == _FRONTIER:
        if layer.frontier is None:
            return Cell(column.missing, measured=False)
        lines = (
            f"{numerals.percent(point.leak.mean)} at {numerals.percent(point.inside_error.mean)}"
            for point in layer.frontier
        )
        return Cell("", lines=tuple(lines))
    spread = layer.summary.get(column.name)
    if spread is None:
        return Cell(column.missing, measured=False)
    return Cell(column.write(spread.mean), _interval(spread, column.write))


def _interval(spread: Spread, write: Callable[[float], str]) -> str:
    half = spread.half_interval_95
    if half is None:
        return ""
    # Of plain numbers, two digits of an uncertainty say enough.
    told = f"{half:.2g}" if write is numerals.decimal and half < 100 else write(half)
    return f"±\u00a0{told}"
