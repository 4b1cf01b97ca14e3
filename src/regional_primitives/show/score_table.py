"""The scores grouped into the tables of a report, each with what it means in the run's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.evaluate import Scores
from regional_primitives.show import form, numerals
from regional_primitives.show.score_entries import GROUPS, OURS, TOLD_ELSEWHERE, Entry

__all__ = ["ScoreGroup", "ScoreRow", "score_groups", "score_rows"]


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
    """Group all scores; one that this table does not know yet stands under its own name.

    Args:
        scores: what is told.
        decomposition: what was measured; its form decides what some of the scores mean.
    """
    exact = form.is_exact(decomposition)
    questions = {
        "demands": (
            "Asked for some patches, does it generate these and no others?",
            form.demands_in_words(decomposition, scores.demands),
        ),
        "bound": (
            "How far from the best possible?",
            f"{numerals.count(scores.free_demands)} of {'these' if exact else 'the held-out'} "
            "demands, each also optimised on its own, without components.",
        ),
        "axioms": ("Do the paper's axioms hold?", _measured(scores, decomposition)),
        "sparsity": ("How few components say most of it?", _strength(decomposition)),
        "refits": ("Would another fit say the same?", ""),
        "effort": ("What did it take?", ""),
    }
    groups = [
        _group(scores, *questions[name], entries, exact=exact) for name, entries in GROUPS.items()
    ]
    known = {entry.name for group in GROUPS.values() for entry in group} | TOLD_ELSEWHERE
    rest = tuple(
        Entry(name, name.replace("_", " "), _plain, "", OURS, "")
        for name in scores.to_dict()
        if name not in known
    )
    if rest:
        groups.append(_group(scores, "Further scores", "", rest, exact=exact))
    return tuple(groups)


def score_rows(scores: Scores, names: Sequence[str] | None = None) -> tuple[ScoreRow, ...]:
    """Return the rows of these scores, or of all, in the words of the structured form."""
    rows = [_row(scores, entry, exact=False) for group in GROUPS.values() for entry in group]
    return tuple(row for row in rows if names is None or row.name in names)


def _measured(scores: Scores, decomposition: Decomposition) -> str:
    but = "" if decomposition.remainder is None else " but the remainder"
    return (
        f"Means are weighted by squared strength; boundedness is over all components{but}, what is "
        f"measured in context over the {numerals.count(scores.measured_components)} strongest, "
        f"which carry {numerals.percent(scores.measured_share)} of it."
    )


def _strength(decomposition: Decomposition) -> str:
    told = ["Strength is ‖Δf‖, the size of a component in the feature."]
    if decomposition.remainder is not None:
        told.append("The remainder is left out.")
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


def _group(
    scores: Scores, question: str, note: str, entries: tuple[Entry, ...], *, exact: bool
) -> ScoreGroup:
    return ScoreGroup(question, note, tuple(_row(scores, entry, exact=exact) for entry in entries))


def _row(scores: Scores, entry: Entry, *, exact: bool) -> ScoreRow:
    value = getattr(scores, entry.name)
    spread = getattr(scores, entry.spread) if entry.spread else None
    return ScoreRow(
        name=entry.name,
        label=numerals.unbroken(entry.label),
        value=(entry.missing or "not measured") if value is None else entry.write(value),
        spread="" if spread is None else f"± {numerals.percent(spread)}",
        good=numerals.unbroken(entry.good),
        notion=entry.notion,
        meaning=numerals.unbroken(entry.exact if exact and entry.exact else entry.meaning),
        measured=value is not None,
    )


def _plain(value: Any) -> str:
    return numerals.decimal(value) if isinstance(value, (int, float)) else str(value)
