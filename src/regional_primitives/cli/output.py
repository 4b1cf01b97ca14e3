"""What commands print: results on standard output, the rest on standard error."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from regional_primitives.cli.application import tell
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.rivals import Comparison
from regional_primitives.runtime.run_files import REPORT
from regional_primitives.sanity.suite import Sanity
from regional_primitives.scores import Scores
from regional_primitives.scores.table import TABLE, headlines

_LEAST_WIDTH = 80
"""Columns; the tables are made for these."""
_ANY_WIDTH = 10_000


def print_run(
    folder: Path, scores: Scores, as_json: bool, compared: Comparison | None = None
) -> None:
    """Print the main scores of a run, its comparison with other methods, and its report's path."""
    report = folder / REPORT
    if as_json:
        content: dict[str, Any] = {
            "run": str(folder),
            "report": str(report) if report.is_file() else None,
            "scores": scores.to_dict(),
        }
        print_json(content | ({} if compared is None else {"baselines": compared.to_dict()}))
        return
    rows: list[tuple[str, str, str]] = []
    first = headlines(read_manifest(folder).provenance.purpose)
    sampled = ("patterns", "patterns_share") if scores.sampled else ()
    for score in (TABLE[name] for name in (*first, "stability", *sampled)):
        value = _told(scores, score.name, score.form)
        if not value:
            continue
        whole = _told(scores, score.among, " of {:,}")
        rows.append((score.phrase, value + whole, _told(scores, score.spread, score.form)))
    checked = Sanity.read(folder)
    if checked is not None and checked.margin is not None:
        rows.append(("sanity: what stays less what goes", f"{checked.margin:.2f}", ""))
    spread = ["spread over demands"] * any(row[2] for row in rows)
    table = Table("score", "value", *spread, title=str(folder), title_justify="left")
    for row in rows:
        table.add_row(*row[: 2 + len(spread)])
    print_table(table)
    if compared is not None:
        print_rivals(compared)
    print_report(report)


def _told(scores: Scores, name: str, form: str) -> str:
    """Write a score; nothing where there is none of that name or it was not measured."""
    value = getattr(scores, name, None)
    return "" if value is None else form.format(value)


def print_rivals(compared: Comparison) -> None:
    """Print each method at the setting that serves it best."""
    title = f"means over the same {compared.demands} demands, each method at its best setting"
    table = Table(title=title, title_justify="left")
    table.add_column("method", no_wrap=True)
    # Broken by hand, so that 80 columns hold them.
    columns = {
        "inside_error": "inside\nerror",
        "leak": "leak",
        "boundedness": "bounded-\nness",
        "consistency": "consis-\ntency",
        "completeness_gap": "miss-\ning",
        "evaluations": "evalua-\ntions",
    }
    # What is missing is not only rounding here, as it is of our own components.
    forms = {name: TABLE[name].form for name in columns} | {"completeness_gap": "{:.1%}"}
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for method in (compared.own, *compared.baselines):
        told = vars(method) | vars(method.best)
        table.add_row(
            method.name,
            *(
                "" if told[name] is None else form.format(told[name])
                for name, form in forms.items()
            ),
        )
    print_table(table)
    for name, note in compared.notes.items():
        tell(f"{name} {note}")


def print_json(content: Any) -> None:
    """Print a result for scripts; its escapes suit every encoding."""
    typer.echo(json.dumps(content, indent=2))


def print_table(table: Table) -> None:
    """Print a table, of which no word is ever broken or left out.

    A terminal gets lines of its width, or of as much as the longest words take; a pipe or a file
    one line a row, without a frame.
    """
    console = Console(markup=False, highlight=False)
    options = console.options.update(max_width=_ANY_WIDTH)
    columns = [
        [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
        for column in table.columns
    ]
    longest_words = [max(cell.minimum for cell in column) for column in columns]
    widths = [max(cell.maximum for cell in column) for column in columns]
    frame = 3 * len(widths) + 1
    if console.is_terminal:
        most = max(console.width, _LEAST_WIDTH) - frame
        while sum(widths) > most and widths != longest_words:
            spare = [width > word for width, word in zip(widths, longest_words, strict=True)]
            widest = max(range(len(widths)), key=lambda k: spare[k] * widths[k])
            widths[widest] -= 1
    else:
        if table.title:
            typer.echo(table.title)
        table.title, table.box, table.pad_edge = None, None, False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    console.width = max(console.width, _LEAST_WIDTH, sum(widths) + frame)
    console.print(table)


def print_report(report: Path) -> None:
    """Print where a page is, if it was made."""
    if report.is_file():
        typer.echo(f"report: {report}")


def open_report(report: Path) -> None:
    """Open a report in a browser if there is a screen."""
    if has_screen() and report.is_file():
        webbrowser.open(report.absolute().as_uri())


def has_screen() -> bool:
    """Tell whether a browser could show anything."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
