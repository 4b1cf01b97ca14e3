"""Scores, and methods that one would use instead, as rows of tables, ready to print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from regional_primitives.rivals import Compared, Comparison
from regional_primitives.scores.table import TABLE, Score, Scores
from regional_primitives.show import numerals

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


def in_sentences(
    scores: Scores, names: Iterable[str], parts: str, most: int = 4
) -> list[tuple[str, str]]:
    """Say what the first measured scores of these say, each by name with its sentence."""
    told = []
    for score in (TABLE[name] for name in names):
        value = getattr(scores, score.name)
        if score.sentence and value is not None:
            among = numerals.count(getattr(scores, score.among) or 0) if score.among else ""
            sentence = score.sentence.format(value=write(score, value), among=among, parts=parts)
            told.append((score.name, numerals.unbroken(sentence)))
    return told[:most]


@dataclass(frozen=True)
class ScoreRow:
    """One score of a decomposition, as its row of `TABLE` has it."""

    name: str
    group: str
    label: str
    value: str
    spread: str
    good: str
    notion: str
    meaning: str
    measured: bool


def score_rows(
    scores: Scores, names: Iterable[str] = TABLE, *, exact: bool = False
) -> list[ScoreRow]:
    """Return the rows of these scores, as they are meant in the structured or the exact form."""
    rows = []
    for score in (TABLE[name] for name in names):
        value = getattr(scores, score.name)
        spread = getattr(scores, score.spread) if score.spread else None
        row = ScoreRow(
            name=score.name,
            group=score.group,
            label=numerals.unbroken(score.label),
            value=write(score, value),
            spread="" if spread is None else f"± {numerals.percent(spread)}",
            good=numerals.unbroken(score.good),
            notion=score.notion,
            meaning=numerals.unbroken((exact and score.exact) or score.meaning),
            measured=value is not None,
        )
        if score.group:
            rows.append(row)
    return rows


def rival_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Tell every method at the setting that serves it best, the decomposition first."""
    return [_rival(method) for method in (comparison.own, *comparison.baselines)]


def _rival(method: Compared) -> dict[str, str]:
    best, none = method.best, "–"
    spreads = {"inside": best.inside_error_spread, "leak": best.leak_spread}
    means = {"inside": best.inside_error, "leak": best.leak}
    of_components = {"boundedness": method.boundedness, "consistency": method.consistency}
    return {
        "name": method.name,
        "about": method.about,
        "source": method.source,
        "setting": best.setting if len(method.points) > 1 else "",
        **{
            name: f"{numerals.percent(mean)} ± {numerals.percent(spreads[name])}"
            for name, mean in means.items()
        },
        "objective": numerals.decimal(best.objective),
        **{
            name: none if value is None else numerals.decimal(value)
            for name, value in of_components.items()
        },
        "n90": none
        if method.n90 is None
        else f"{numerals.count(method.n90)} of {numerals.count(method.components or 0)}",
        "evaluations": numerals.count(method.evaluations),
    }
