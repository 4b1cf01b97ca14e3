"""The main numbers of a reproduction, as rows for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.compare.across import EXACT, STRUCTURED
from regional_primitives.compare.transfer import PAPER_COUNTS, PAPER_SHARE
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE, Score

if TYPE_CHECKING:
    from regional_primitives.compare.across import Reproduction

__all__ = ["EXPERIMENTS", "RELATIONS", "Line", "reproduction_lines", "reproduction_table"]

RELATIONS = "Structure among components"
EXPERIMENTS = (
    "Sparsity",
    "Linear additivity",
    "Spatial boundedness",
    "Consistency",
    "Transfer",
    "Superposition",
    "Regional control",
    RELATIONS,
    "Redrawn patches",
    "Cost",
)
"""In the order in which they are told."""


@dataclass(frozen=True)
class Line:
    """One number of one experiment, by both routes."""

    experiment: str
    score: str
    structured: str
    exact: str


_PER_FORM = (
    ("Sparsity", "sparsity", "components", "components that are not zero", ""),
    ("Sparsity", "sparsity", "n90", "", ""),
    ("Sparsity", "sparsity", "under_5_percent", "… share of them under 5 % of the strongest",
     "{:.0%}"),
    ("Sparsity", "sparsity", "mean_order", "patches in a field, weighted by energy", "{:.2f}"),
    ("Sparsity", "sparsity", "low_orders", "share of the energy in fields of 1 to 3 patches",
     "{:.1%}"),
    ("Sparsity", "sparsity", "noise_floor",
     "noise floor over the strongest component, at its loudest order", "{:.0%}"),
    ("Sparsity", "sparsity", "above_noise", "components above the noise of their order", "{:.0f}"),
    ("Spatial boundedness", "boundedness", "boundedness", "", ""),
    ("Spatial boundedness", "boundedness", "boundedness_in_context", "", ""),
    ("Spatial boundedness", "boundedness", "boundedness_chance", "… by chance", "{:.2f}"),
    ("Consistency", "consistency", "consistency", "", ""),
    ("Superposition", "superposition", "inside_error",
     "error of the picture of all components together", "{:.1%}"),
    ("Superposition", "superposition", "superposition_error", "", ""),
    ("Regional control", "control", "share_inside_inside_x0",
     "share of the change inside the region, its components removed", "{:.2f}"),
    ("Regional control", "control", "random_share_inside_inside_x0",
     "… random components removed", "{:.2f}"),
    (RELATIONS, "relatedness", "contained_pairs",
     "pairs of components of which one field contains the other", "{:.1%}"),
    (RELATIONS, "relatedness", "longest_chain",
     "fields in the longest chain, each inside the one before", "{:.1f}"),
    (RELATIONS, "relatedness", "mean_overlap",
     "overlap of two fields, IoU weighted by both strengths", "{:.1%}"),
    (RELATIONS, "relatedness", "grouped", "strongest components that may form groups", "{:.0f}"),
    (RELATIONS, "relatedness", "groups", "… groups of them that act together", "{:.1f}"),
    (RELATIONS, "relatedness", "largest_group", "… components in the largest group", "{:.1f}"),
    (RELATIONS, "relatedness", "leading_share",
     "share of a patch's credit that its largest contributor holds", "{:.0%}"),
    ("Cost", "spent", "evaluations", "forward-and-backward evaluations a picture", "{:,.0f}"),
    ("Cost", "spent", "seconds", "seconds a picture", "{:,.1f}"),
)  # fmt: skip
"""What is a score of a run has its label and form from there."""
_ADDITIVITY = {
    "free": "each demand optimised by itself",
    "raw": "raw transform, all components",
    "sparse": "sparse form, all components",
    "structured": "structured form, fitted to the same patches",
}


def reproduction_lines(result: Reproduction) -> list[Line]:
    """List the numbers that the paper's experiments are about, mean ± half the 95 % interval."""
    lines = []
    for experiment, name, key, label, form in _PER_FORM:
        found = [result.per_form[route].get(name) for route in (STRUCTURED, EXACT)]
        if any(found):
            row = TABLE.get(key, Score(label, "", plain=form))
            cells = [told(one.summary.get(key) if one else None, form or row.form) for one in found]
            lines.append(Line(experiment, label or row.phrase, *cells))
    lines += _additivity(result)
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
    obvious = told(result.cost.summary["obvious_seconds"], "{:,.1f}")
    score = "… as many evaluations, one by one through the whole model"
    lines.append(Line("Cost", score, "", obvious))
    return sorted(lines, key=lambda line: EXPERIMENTS.index(line.experiment))


def _additivity(result: Reproduction) -> list[Line]:
    """List every way of predicting the demands; `sparse` is no way of its own in the raw form."""
    ways = dict(_ADDITIVITY)
    for name in result.additivity.results[0].predicted:
        way, top, count = name.partition(" top ")
        if top:
            ways[name.replace(" ", "_")] = _ADDITIVITY[way].replace(
                "all components", f"the {count} strongest"
            )
    if result.about["exact"]["form"] == "raw":
        ways = {key: way for key, way in ways.items() if not key.startswith("sparse")}
    lines = []
    for measure in ("inside_error", "leak"):
        for key, way in ways.items():
            summary = result.additivity.summary.get(f"{key}_{measure}")
            score = f"{TABLE[measure].phrase}: {way}" if key == "free" else f"… {way}"
            cells = (told(summary, TABLE[measure].form), "")
            lines.append(
                Line("Linear additivity", score, *cells if key == "structured" else cells[::-1])
            )
    return lines


def _transfer(summary: Mapping[str, Spread], a: int, b: int) -> list[Line]:
    paper = f"; the paper: {PAPER_SHARE[0]:.0%} to {PAPER_SHARE[1]:.0%}"
    named = (
        ("transfer", f"t({a}, {b}){paper if (a, b) == PAPER_COUNTS else ''}"),
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
    if result.about["skipped_seeds"]:
        skipped = ", ".join(map(str, result.about["skipped_seeds"]))
        title += f" (too little foreground: seeds {skipped})"
    table = Table("experiment", "number", "structured", "exact", title=title)
    before = ""
    for line in reproduction_lines(result):
        name = line.experiment if line.experiment != before else ""
        table.add_row(name, line.score, line.structured, line.exact, end_section=False)
        before = line.experiment
    return table
