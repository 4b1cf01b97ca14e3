"""The main numbers of a reproduction, as rows for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.evaluate.spread import Spread
from regional_primitives.experiments.transfer import PAPER_SHARE

if TYPE_CHECKING:
    from regional_primitives.experiments.reproduced import Reproduction

__all__ = ["Line", "reproduction_lines", "reproduction_table"]


@dataclass(frozen=True)
class Line:
    """One number of one experiment, by both routes."""

    experiment: str
    score: str
    structured: str
    exact: str


_PER_FORM = (
    ("Sparsity", "sparsity", "n90", "components for 90 % of the energy", "{:.0f}"),
    ("Sparsity", "sparsity", "under_5_percent", "share of components under 5 % of the strongest",
     "{:.0%}"),
    ("Sparsity", "sparsity", "mean_order", "patches a field, by energy", "{:.2f}"),
    ("Spatial boundedness", "boundedness", "boundedness", "effect inside the field", "{:.2f}"),
    ("Spatial boundedness", "boundedness", "boundedness_in_context", "… in context", "{:.2f}"),
    ("Spatial boundedness", "boundedness", "boundedness_chance", "… of random fields", "{:.2f}"),
    ("Consistency", "consistency", "consistency", "cosine between contexts", "{:.2f}"),
    ("Superposition", "superposition", "superposition_error", "picture less sum of patterns",
     "{:.2f}"),
    ("Regional control", "control", "share_inside_inside_x0",
     "change inside the region, its components removed", "{:.2f}"),
    ("Regional control", "control", "random_share_inside_inside_x0", "… of random components",
     "{:.2f}"),
)  # fmt: skip
_ADDITIVITY = (
    ("free", "freely optimised (the bound)"),
    ("raw", "raw transform"),
    ("sparse", "sparse"),
    ("structured", "structured, same patches"),
)


def reproduction_lines(result: Reproduction) -> list[Line]:
    """List the numbers that the paper's experiments are about, mean ± half the 95 % interval."""
    lines = []
    for experiment, name, key, score, form in _PER_FORM:
        cells = [
            told(result.per_form[route][name].summary.get(key), form)
            for route in ("structured", "exact")
        ]
        lines.append(Line(experiment, score, *cells))
    summary = result.additivity.summary
    ways = dict(_ADDITIVITY)
    for name in result.additivity.results[0].predicted:
        ways.setdefault(name.replace(" ", "_"), name)
    for key, name in ways.items():
        inside = told(summary.get(f"{key}_inside_error"), "{:.2%}")
        leak = told(summary.get(f"{key}_leak"), "{:.1%}")
        lines.append(
            Line("Linear additivity", f"{name}: inside error; leak", "", f"{inside}; {leak}")
        )
    if result.transfer is not None:
        lines += _transfer(result.transfer.summary, result.transfer.a, result.transfer.b)
    if result.redraw is not None:
        summary = result.redraw.summary
        for key, score in (
            ("overlap", "another draw of patches: overlap of strengths"),
            ("shuffled_overlap", "… with its patches permuted"),
            ("cosine", "another draw of patches: cosine of components"),
            ("shuffled_cosine", "… with its patches permuted"),
        ):
            lines.append(Line("Redrawn patches", score, "", told(summary.get(key), "{:.2f}")))
    cost = result.cost.summary
    lines += [
        Line("Cost", "evaluations a picture", "", told(cost["evaluations"], "{:,.0f}")),
        Line("Cost", "seconds a picture", "", told(cost["seconds"], "{:,.0f}")),
        Line("Cost", "each demand alone through the whole model, seconds", "",
             told(cost["obvious_seconds"], "{:,.0f}")),
    ]  # fmt: skip
    return lines


def _transfer(summary: Mapping[str, Spread], a: int, b: int) -> list[Line]:
    paper = f"; the paper: {PAPER_SHARE[0]:.0%} to {PAPER_SHARE[1]:.0%}"
    named = (
        ("transfer", f"t({a}, {b}){paper if (a, b) == (20, 100) else ''}"),
        ("transfer_connected_fields", "… of random connected fields of the same sizes"),
        ("symmetric_transfer", f"t({a}, {a})"),
        ("mean_symmetric_transfer", "t(a, a), mean over all a"),
    )
    return [Line("Transfer", score, told(summary[key], "{:.0%}"), "") for key, score in named]


def told(spread: Spread | None, form: str) -> str:
    """Write a mean with its interval."""
    if spread is None:
        return ""
    half = "" if spread.half_interval_95 is None else f" ± {form.format(spread.half_interval_95)}"
    return form.format(spread.mean) + half


def reproduction_table(result: Reproduction) -> Any:
    """Lay the lines out for the terminal."""
    from rich.table import Table

    pictures = result.about["protocol"]["images"]
    title = f"{result.about['generator']} at {result.about['layer']}, {pictures} pictures"
    table = Table("experiment", "number", "structured", "exact", title=title)
    before = ""
    for line in reproduction_lines(result):
        name = line.experiment if line.experiment != before else ""
        table.add_row(name, line.score, line.structured, line.exact, end_section=False)
        before = line.experiment
    return table
