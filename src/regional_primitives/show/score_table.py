"""The scores grouped into the tables of a report, each with what it means in the run's form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores.table import TABLE, Score, Scores
from regional_primitives.show import form, numerals

__all__ = ["ScoreGroup", "ScoreRow", "score_groups", "score_rows", "write", "write_mean"]

_WRITE = {
    "share": numerals.percent,
    "decimal": numerals.decimal,
    "count": numerals.count,
    "ratio": numerals.times,
    "decibels": lambda value: f"{value:.1f}\u00a0dB",
    "seconds": numerals.seconds,
    "curve": lambda points: f"{len(points)} fits",
}
"""By the unit of a score."""


def write(score: Score, value: Any) -> str:
    """Write a score's value as a page has it, or why it is missing."""
    return score.missing if value is None else _WRITE[score.unit](value)


def write_mean(score: Score, mean: float) -> str:
    """Write a mean over pictures; that of counts is no whole number."""
    return numerals.decimal(mean) if score.unit == "count" else write(score, mean)


@dataclass(frozen=True)
class ScoreRow:
    """One line of a table, ready to print."""

    name: str
    """The attribute of `Scores`."""
    label: str
    value: str
    spread: str
    good: str
    notion: str
    """Whose idea it is to look at this: the paper's, or ours."""
    meaning: str
    measured: bool


@dataclass(frozen=True)
class ScoreGroup:
    """Scores that answer one question."""

    question: str
    note: str
    rows: tuple[ScoreRow, ...]


def score_groups(scores: Scores, decomposition: Decomposition) -> tuple[ScoreGroup, ...]:
    """Group all scores by the question that they answer.

    Args:
        scores: what is told.
        decomposition: what was measured; its form decides what some of the scores mean.
    """
    exact = form.is_exact(decomposition)
    questions = {
        "demands": (
            "Asked for some patches, does it generate these?",
            form.demands_in_words(decomposition, scores.demands),
        ),
        "leak": ("What comes along that nobody asked for?", form.leak_in_words(decomposition)),
        "bound": (
            "How far from the best possible?",
            _optimised(scores, "these" if exact else "the held-out"),
        ),
        "axioms": ("Do the paper's axioms hold?", _measured(scores, decomposition)),
        "sparsity": ("How few components say most of it?", _strength(scores, decomposition)),
        "refits": ("Would another fit say the same?", ""),
        "effort": ("What did it take?", ""),
    }
    return tuple(
        ScoreGroup(*words, tuple(_row(scores, one, exact) for one in TABLE.values()
                                 if one.group == group))
        for group, words in questions.items()
    )  # fmt: skip


def score_rows(scores: Scores, names: Iterable[str] | None = None) -> tuple[ScoreRow, ...]:
    """Return the rows of these scores, or of all, in the words of the structured form."""
    chosen = TABLE.values() if names is None else (TABLE[name] for name in names)
    return tuple(_row(scores, one, exact=False) for one in chosen if one.group)


def _optimised(scores: Scores, demands: str) -> str:
    told = ""
    if scores.free_demands:
        told = (
            f"{numerals.count(scores.free_demands)} of {demands} demands, each also optimised by "
            "itself, without components"
        )
    if scores.bound_evaluations:
        told += f", as far as {numerals.count(scores.bound_evaluations)} evaluations go"
    return told and f"{told}."


def _measured(scores: Scores, decomposition: Decomposition) -> str:
    if scores.measured_components is None or scores.measured_share is None:
        return ""
    but = "" if decomposition.remainder is None else " but the remainder"
    return (
        f"Means are weighted by squared strength; boundedness is over all components{but}, what is "
        f"measured in context over the {numerals.count(scores.measured_components)} strongest, "
        f"which carry {numerals.percent(scores.measured_share)} of it."
    )


def _strength(scores: Scores, decomposition: Decomposition) -> str:
    told = ["Strength is ‖Δf‖, the size of a component in the feature."]
    if decomposition.remainder is not None:
        told.append("The remainder is left out.")
    if scores.remainder and len(decomposition.patches) == decomposition.regions.count:
        left = write(TABLE["remainder"], scores.remainder)
        told.append(f"{left} of the feature is not needed by this picture.")
    above = form.above_floor(decomposition)
    if above is not None:
        told.append(
            f"{numerals.count(above)} of {numerals.count(form.apart(decomposition).count)} "
            "components are stronger than the noise of their order: by how much two fits from "
            "different starts differ, divided by √2, in the noisiest set of as many chosen patches."
        )
    elif form.is_exact(decomposition):
        told.append("Their noise was not measured: noise_floor was off.")
    return " ".join(told)


def _row(scores: Scores, score: Score, exact: bool) -> ScoreRow:
    value = getattr(scores, score.name)
    spread = getattr(scores, score.spread) if score.spread else None
    return ScoreRow(
        name=score.name,
        label=numerals.unbroken(score.label),
        value=write(score, value),
        spread="" if spread is None else f"± {numerals.percent(spread)}",
        good=numerals.unbroken(score.good),
        notion=score.notion,
        meaning=numerals.unbroken((exact and score.exact) or score.meaning),
        measured=value is not None,
    )
