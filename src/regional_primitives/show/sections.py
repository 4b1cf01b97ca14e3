"""A page is a list of sections: prose, a table, figures; one template draws every such page.

A new section is one more function in a page's list, such as `SECTIONS` of sweep_page.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from regional_primitives.runtime.staging import staged_file
from regional_primitives.show.page import fill_template
from regional_primitives.show.pixels import data_uri
from regional_primitives.show.style import Figure, darkened, svg

_PIXELS_PER_INCH = 110
"""CSS pixels of a figure that has room."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a page, for light pages and for dark ones."""

    light: str
    dark: str
    """Empty for a picture that keeps its white paper."""
    width: int
    """CSS pixels."""
    label: str
    """What a reader who cannot see it is told."""
    caption: str

    @staticmethod
    def of(figure: Figure, label: str, caption: str, picture: Path | None = None) -> Drawing:
        """Take a figure as vectors, or the picture file that it was written to."""
        width = round(_PIXELS_PER_INCH * figure.get_figwidth())
        if picture is not None:
            return Drawing(data_uri(picture.read_bytes()), "", width, label, caption)
        drawing = svg(figure)
        light, dark = (data_uri(text.encode("utf-8"), "image/svg+xml")
                       for text in (drawing, darkened(drawing)))  # fmt: skip
        return Drawing(light, dark, width, label, caption)


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    label: str
    group: str = ""
    """What it has in common with its neighbours."""
    kind: str = "number"
    """Its class in the style sheet."""


@dataclass(frozen=True)
class Cell:
    """A number with what stands smaller beside it."""

    text: str
    spread: str = ""
    """± half an interval; empty where there is none."""
    kind: str = "main"
    """`missing` where nothing was measured, `lines` for text of several lines."""

    def __str__(self) -> str:
        return f"{self.text} {self.spread}".strip()


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    head: str
    cells: Sequence[Cell | str]
    note: str = ""
    """Smaller, below the head."""
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table; one of many columns scrolls on narrow screens, others stack their cells."""

    label: str
    head: str
    """Of the column of the rows' heads."""
    columns: Sequence[Column]
    rows: Sequence[Row]
    scrolls: bool = False

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Names of groups of columns, each with how many it has."""
        found = groupby(self.columns, key=lambda column: column.group)
        return [(name, len(list(columns))) for name, columns in found if name]


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    rows: Sequence[tuple[str, str]]
    title: str = ""
    changed: frozenset[str] | None = None
    """Of settings: those that differ from their defaults."""


@dataclass(frozen=True)
class Section:
    """One section, in the order in which its parts stand; `**` in prose marks strong words."""

    anchor: str
    title: str
    prose: Sequence[str] = ()
    notes: Sequence[str] = ()
    template: str = ""
    """Of a part that only this section has; it finds `values` in the section."""
    values: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None
    drawings: Sequence[Drawing] = ()
    details: Table | None = None
    """Folded away, below its label."""
    code: str = ""
    facts: Sequence[Facts] = ()


@dataclass(frozen=True)
class Page:
    """A whole page."""

    kicker: str
    """What pages of this kind are about."""
    title: str
    summary: str
    sections: Sequence[Section]
    notes: Sequence[str] = ()
    footer: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    """Each image once, a data URI by name."""
    sizes: Mapping[str, int | float] = field(default_factory=dict)
    """Of these images: width and height, and how they are enlarged."""


def write_page(path: Path, page: Page) -> Path:
    """Write a self-contained page, whole or not at all; return its path.

    Raises:
        StorageError: the disk refuses.
    """
    content = fill_template("page.html", page, "report.css", "page.css")
    with staged_file(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return path


def for_terminal(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str | None = None
) -> Any:
    """Lay rows out as a table of rich, the first column its rows' heads."""
    from rich.table import Column as RichColumn
    from rich.table import Table as RichTable

    head, *others = columns
    numbers = [RichColumn(name, justify="right", no_wrap=name == others[0]) for name in others]
    table = RichTable(
        RichColumn(head, overflow="fold"), *numbers, title=title, title_justify="left",
        caption=caption, caption_justify="left",
    )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    return table


def listing(values: Mapping[str, Any]) -> str:
    """Write names and values one after another."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
