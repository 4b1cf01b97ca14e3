"""The table of docs/scores.md: every score's row, from the library's own table.

.venv/bin/python benchmarks/scores.py
"""

from pathlib import Path

from pages import renew, table

from regional_primitives.scores.table import TABLE

PAGE = Path(__file__).parents[1] / "docs" / "scores.md"


def main() -> None:
    """Write the table between the page's markers."""
    rows = [
        (f"`{name}`", one.label, one.unit, one.good, one.notion, one.meaning)
        for name, one in TABLE.items()
    ]
    header = ("name in scores.json", "label", "unit", "good", "notion", "what it says")
    renew(PAGE, "scores", table(header, rows))


if __name__ == "__main__":
    main()
