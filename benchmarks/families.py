"""What cutting the published networks of docs/families.md costs, and that each cut is right.

    .venv/bin/python benchmarks/families.py MY_MODELS.py:FUNCTION LAYER [name=value …]

Run it where the recipe's checkout and file are; one cut a process, since checkouts call their
packages alike and memory is counted by process. What is measured is told in cuts.py. Adds a row to
benchmarks/results/families.json and to the page's table; without arguments, only writes the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cuts
import pages
import record
import torch

import regional_primitives as rp

PAGE = Path(__file__).parents[1] / "docs" / "families.md"


def main(model: str, layer: str, *given: str) -> None:
    """Cut, compare, print, write."""
    torch.set_num_threads(1)
    options = {name: _number(value) for name, value in (text.split("=", 1) for text in given)}
    cost: dict[str, float] = {}
    rp.cut = cuts.counting(rp.cut, cost)  # recipes call it
    generator = rp.load_generator(model, layer, **options)
    row = {
        "recipe": model.rpartition(":")[2],
        "layer": layer,
        "options": options,
        **cuts.row(generator, cost),
    }
    print(row)
    add(row)


def add(row: dict[str, Any]) -> None:
    """Put a row in the place of an older one of the same cut."""
    kept = record.read("families")
    same = ("recipe", "layer", "options")
    rows = [r for r in kept.get("rows", []) if any(r[name] != row[name] for name in same)]
    record.keep("families", {**kept, **record.ran_on(), "rows": [*rows, row]})
    show([*rows, row])


def show(rows: list[dict[str, Any]]) -> None:
    """Write the page's table, networks by recipe and size."""
    by_size = sorted(rows, key=lambda row: (row["recipe"], row["parameters"]))
    header = (
        "recipe", "parameters", "cut", "feature", "tail", "flow past",
        "forward pass", "cut", "memory of the cut", "tail / whole",
    )  # fmt: skip
    pages.renew(PAGE, "families", pages.table(header, map(_cells, by_size)))


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"`{row['recipe']}`",
        f"{row['parameters'] / 1e6:.1f} M",
        row["layer"],
        " and ".join("×".join(map(str, shape)) for shape in row["feature"]),
        cuts.kind(row),
        str(row["flows_past"]),
        f"{row['forward_seconds']:.2g} s",
        f"{row['cut_passes']:.0f} passes",
        f"{row['cut_mib']:.0f} MiB",
        f"{min(row['tail_share'], 1):.2f}",
    ]


def _number(value: str) -> Any:
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        show(record.read("families")["rows"])
