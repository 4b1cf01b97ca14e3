"""The table of a sweep: a row a layer, a column a score, each with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regional_primitives.generators.feature import describe_shape
from regional_primitives.scores.sweep_scores import AVERAGED, LayerScores, SweepScores
from regional_primitives.scores.table import Score, columns
from regional_primitives.show import numerals
from regional_primitives.show.score_table import write_mean

__all__ = [
    "NOT_MEASURED",
    "Cell",
    "ColumnGroup",
    "Row",
    "column_groups",
    "rows",
    "terminal_table",
]

NOT_MEASURED = "not measured; --thorough"
"""What stands for scores that take further fits."""
_PERCENT = "\u00a0%"
_IN_TERMINAL = {
    "generate": (
        "field_patches", "pooled_inside_error", "departure", "boundedness", "consistency", "n90",
    ),
    "isolate": (
        "field_patches", "boundedness", "boundedness_in_context", "n90", "inside_error", "leak",
    ),
}  # fmt: skip
"""By the purpose of the runs."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that answer one question."""

    label: str
    columns: tuple[Score, ...]


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
    """By the name of the score."""


def column_groups() -> tuple[ColumnGroup, ...]:
    """List all columns."""
    return tuple(
        ColumnGroup(label, tuple(AVERAGED[name] for name in names))
        for label, names in columns(AVERAGED).items()
    )


def rows(sweep: SweepScores) -> tuple[Row, ...]:
    """Fill the table."""
    names = [name for group in columns(AVERAGED).values() for name in group]
    return tuple(
        Row(
            layer.layer,
            describe_shape(layer.feature_shape),
            f"{numerals.count(layer.units)} units",
            {name: _cell(layer, AVERAGED[name]) for name in names},
        )
        for layer in sweep.layers
    )


def terminal_table(sweep: SweepScores) -> Any:
    """Return the main columns as a table of rich."""
    from rich.table import Table
    from rich.text import Text

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
    chosen = _IN_TERMINAL[sweep.purpose]
    for name in chosen:
        label = AVERAGED[name].column.lower().replace("\u00ad", "-\n")
        table.add_column(label, justify="right", min_width=8)
    for row in rows(sweep):
        cells = [row.cells[name] for name in chosen]
        # The unit stands behind the mean; twice it would not fit 80 letters.
        told = (f"{cell.mean}\n{cell.interval.removesuffix(_PERCENT)}".strip() for cell in cells)
        table.add_row(Text(f"{row.layer}\n{row.shape.replace(' × ', '×')}"), *told)
    return table


def _cell(layer: LayerScores, score: Score) -> Cell:
    missing = NOT_MEASURED if score.group == "refits" else "not measured"
    if score.name == "frontier" and layer.frontier is not None:
        lines = (
            f"{numerals.percent(point.leak.mean)} at {numerals.percent(point.inside_error.mean)}"
            for point in layer.frontier
        )
        return Cell("", lines=tuple(lines))
    spread = layer.summary.get(score.name)
    if spread is None:
        return Cell(missing, measured=False)
    half = spread.half_interval_95
    if half is None:
        return Cell(write_mean(score, spread.mean))
    # Of numbers that are no shares, two digits of an uncertainty say enough.
    short = score.unit in ("decimal", "count", "ratio") and half < 100
    told = f"{half:.2g}" if short else write_mean(score, half)
    return Cell(write_mean(score, spread.mean), f"±\u00a0{told}")
