"""Tables of README and docs, which stand between markers that name them and are written anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from regional_primitives.scores.table import Score

__all__ = ["narrow", "renew", "table"]


def narrow(score: Score) -> str:
    """Return what stands over a score's column."""
    return score.column.lower().replace("\u00ad", "")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a table as lines of Markdown."""
    lines = ["| " + " | ".join(header) + " |", "| " + "--- | " * (len(header) - 1) + "--- |"]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def renew(page: Path, name: str, lines: Iterable[str]) -> None:
    """Replace what stands between the page's markers of that name.

    Raises:
        ValueError: the page does not hold them.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no markers of the name {name}")
    text = "".join(f"{line}\n" for line in lines)
    page.write_text(before + begin + text + end + after, encoding="utf-8")
