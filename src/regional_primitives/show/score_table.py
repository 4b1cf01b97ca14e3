"""What each score means in plain words, and the scores grouped into the tables of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regional_primitives.evaluate import Scores
from regional_primitives.show import numerals

__all__ = ["ScoreGroup", "ScoreRow", "score_groups"]

_Format = Callable[[Any], str]
_PAPER, _OURS = "paper", "ours"


def _decibels(value: float) -> str:
    return f"{value:.1f}\u00a0dB"


def _points(frontier: list[dict[str, float]]) -> str:
    return f"{len(frontier)} fits"


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


@dataclass(frozen=True)
class _Entry:
    name: str
    label: str
    write: _Format
    good: str
    notion: str
    meaning: str
    missing: str = ""
    """Why the score may be None."""
    spread: str = ""
    """The attribute that holds its standard deviation over demands."""


_NO_FREE = "not measured: no demand was optimised freely"
_NO_REFIT = "not measured: takes three more fits; ask for it with refits=True"
_NO_SKIMAGE = (
    "not measured: scikit-image was not installed; get it with: "
    'pip install "regional_primitives[report]"'
)

_DEMANDS = (
    _Entry(
        "inside_error",
        "Inside error",
        numerals.percent,
        "0 %",
        _OURS,
        "How wrong the demanded patches still are: squared error against the picture, over that "
        "of the baseline picture. 0 % is exact; 100 % is as wrong as showing the baseline.",
        spread="inside_error_spread",
    ),
    _Entry(
        "leak",
        "Leak",
        numerals.percent,
        "0 %",
        _OURS,
        "How much the other patches change although nobody asked for them: squared change from "
        "the baseline picture, over the change that the full picture makes there.",
        spread="leak_spread",
    ),
    _Entry(
        "cost",
        "Cost",
        numerals.percent,
        "small",
        _PAPER,
        "Which share of the feature's departure from the baseline (summed absolute values) is "
        "switched on for a demand. The paper asks for the least departure that does the job.",
    ),
    _Entry(
        "psnr",
        "PSNR inside",
        _decibels,
        "high",
        _OURS,
        "Peak signal-to-noise ratio in the demanded patches; from about 35 dB on, most eyes see no "
        "difference.",
        missing=_NO_SKIMAGE,
    ),
    _Entry(
        "ssim",
        "SSIM inside",
        numerals.decimal,
        "1",
        _OURS,
        "Structural similarity in the demanded patches: 1 is identical texture and contrast. Its "
        "window also sees pixels just outside, so patch borders lower it.",
        missing="not measured: it needs scikit-image and pictures of at least 3 × 3 pixels",
    ),
)
_BOUND = (
    _Entry(
        "additivity_gap",
        "Additivity gap",
        numerals.percent,
        "0 %",
        _PAPER,
        "What it costs that one set of components must serve all demands: the fit's objective "
        "(inside error, priced leak and cost) with components added up, minus that with each "
        "demand optimised on its own, over that at the baseline.",
        missing=_NO_FREE,
    ),
    _Entry(
        "structured_inside_error",
        "Inside error, components added up",
        numerals.percent,
        "near the row below",
        _OURS,
        "Inside error on just those demands that were also optimised freely.",
        missing=_NO_FREE,
    ),
    _Entry(
        "free_inside_error",
        "Inside error, optimised freely",
        numerals.percent,
        "the bound",
        _OURS,
        "The same when each demand gets a feature of its own: what the network allows at all.",
        missing=_NO_FREE,
    ),
    _Entry(
        "structured_leak",
        "Leak, components added up",
        numerals.percent,
        "near the row below",
        _OURS,
        "Leak on those demands.",
        missing=_NO_FREE,
    ),
    _Entry(
        "free_leak",
        "Leak, optimised freely",
        numerals.percent,
        "the bound",
        _OURS,
        "Leak of the freely optimised features: a layer that cannot keep patches apart leaks even "
        "here.",
        missing=_NO_FREE,
    ),
    _Entry(
        "free_cost",
        "Cost, optimised freely",
        numerals.percent,
        "the bound",
        _OURS,
        "How much of the departure a feature optimised for one demand alone switches on.",
        missing=_NO_FREE,
    ),
)
_AXIOMS = (
    _Entry(
        "completeness_gap",
        "Completeness gap",
        numerals.percent,
        "0 %",
        _PAPER,
        "What is missing when all components are added to the baseline feature: distance to the "
        "true feature, over its departure from the baseline.",
    ),
    _Entry(
        "boundedness",
        "Boundedness",
        numerals.percent,
        "100 %",
        _PAPER,
        "Which share of a component's visible effect (squared) stays in its action field when it "
        "is added to the baseline.",
    ),
    _Entry(
        "boundedness_in_context",
        "Boundedness in context",
        numerals.percent,
        "100 %",
        _PAPER,
        "The same when it is added to random sets of other components.",
    ),
    _Entry(
        "consistency",
        "Consistency",
        numerals.decimal,
        "1",
        _PAPER,
        "Whether a component paints the same pattern in whatever company: mean cosine between the "
        "patterns that it paints in its field among random sets of others.",
    ),
    _Entry(
        "inconsistency",
        "Deviation of patterns",
        numerals.percent,
        "0 %",
        _OURS,
        "How far these patterns stray from their mean, over the mean's size. Sensitive to "
        "strength, where the cosine only sees shape.",
    ),
    _Entry(
        "superposition_error",
        "Superposition error",
        numerals.percent,
        "0 %",
        _OURS,
        "How far the picture is from the plain sum of all patterns, each made alone. Features add "
        "up exactly; pixels need not, because the network behind the cut is not linear. Over "
        "100 %, the sum is further off than the baseline picture.",
    ),
)
_SPARSITY = (
    _Entry(
        "components",
        "Components",
        numerals.count,
        "few",
        _PAPER,
        "How many components the feature splits into.",
    ),
    _Entry(
        "n50",
        "For half the strength",
        numerals.count,
        "few",
        _PAPER,
        "How many, strongest first, carry 50 % of the summed squared strength.",
    ),
    _Entry("n90", "For 90 %", numerals.count, "few", _PAPER, "How many carry 90 % of it."),
    _Entry("n95", "For 95 %", numerals.count, "few", _PAPER, "How many carry 95 % of it."),
    _Entry(
        "overlap",
        "Overlap of fields",
        numerals.percent,
        "no target",
        _OURS,
        "How much the action fields of two components share: intersection over union, mean over "
        "pairs weighted by strength. Overlap is expected where large and small fields nest.",
    ),
)
_REFITS = (
    _Entry(
        "stability",
        "Stability of fields",
        numerals.percent,
        "100 %",
        _OURS,
        "How much of the strength stays with the same action fields when the same picture is "
        "fitted again with other random demands: Σ min over Σ max of the two fits' strengths.",
        missing=_NO_REFIT,
    ),
    _Entry(
        "unit_stability",
        "Stability of components",
        numerals.percent,
        "100 %",
        _OURS,
        "The same over every single unit of every component, which asks for much more.",
        missing=_NO_REFIT,
    ),
    _Entry(
        "frontier",
        "Frontier",
        _points,
        "low and left",
        _OURS,
        "Fits at other prices of leak, drawn under Curves: what less leak costs in exactness.",
        missing=_NO_REFIT,
    ),
)
_EFFORT = (
    _Entry(
        "evaluations",
        "Evaluations",
        numerals.count,
        "few",
        _OURS,
        "Pictures generated and differentiated (forward and backward through the part of the "
        "network behind the cut) to fit the components.",
    ),
    _Entry(
        "overhead_ratio",
        "Overhead ratio",
        numerals.times,
        "1 ×",
        _OURS,
        "Wall time of the fit over the time that these evaluations alone take; 1 × means that the "
        "method itself costs nothing.",
    ),
)
_TOLD_ELSEWHERE = {
    "inside_error_spread",
    "leak_spread",
    "demands",
    "measured_components",
    "measured_share",
    "free_demands",
    "field_sizes",
    "top_inside_error",
}
"""Spreads and counts stand in other rows and notes, tables are drawn as curves."""


def score_groups(scores: Scores) -> tuple[ScoreGroup, ...]:
    """Group all scores; one that this table does not know yet stands under its own name."""
    measured = (
        "Means are weighted by squared strength; boundedness is over all components, what is "
        f"measured in context over the {numerals.count(scores.measured_components)} strongest, "
        f"which carry {numerals.percent(scores.measured_share)} of it."
    )
    demands = (
        f"Means over {numerals.count(scores.demands)} random demands that the fit never saw; ± is "
        "one standard deviation over these demands, all of one picture."
    )
    bound = (
        f"{numerals.count(scores.free_demands)} of the held-out demands, each also optimised on "
        "its own, without components."
    )
    groups = [
        _group(scores, "Asked for some patches, does it generate these and no others?", demands,
               _DEMANDS),
        _group(scores, "How far from the best possible?",
               bound, _BOUND),
        _group(scores, "Do the paper's axioms hold?",
               measured, _AXIOMS),
        _group(scores, "How few components say most of it?",
               "Strength is ‖Δf‖, the size of a component in the feature.", _SPARSITY),
        _group(scores, "Would another fit say the same?", "", _REFITS),
        _group(scores, "What did it take?", "", _EFFORT),
    ]  # fmt: skip
    known = {entry.name for group in _ALL for entry in group} | _TOLD_ELSEWHERE
    rest = tuple(
        _Entry(name, name.replace("_", " "), _plain, "", _OURS, "")
        for name in scores.to_dict()
        if name not in known
    )
    if rest:
        groups.append(_group(scores, "Further scores", "", rest))
    return tuple(groups)


_ALL = (_DEMANDS, _BOUND, _AXIOMS, _SPARSITY, _REFITS, _EFFORT)


def _group(scores: Scores, question: str, note: str, entries: tuple[_Entry, ...]) -> ScoreGroup:
    return ScoreGroup(question, note, tuple(_row(scores, entry) for entry in entries))


def _row(scores: Scores, entry: _Entry) -> ScoreRow:
    value = getattr(scores, entry.name)
    spread = getattr(scores, entry.spread) if entry.spread else None
    return ScoreRow(
        name=entry.name,
        label=numerals.unbroken(entry.label),
        value=(entry.missing or "not measured") if value is None else entry.write(value),
        spread="" if spread is None else f"± {numerals.percent(spread)}",
        good=numerals.unbroken(entry.good),
        notion=entry.notion,
        meaning=numerals.unbroken(entry.meaning),
        measured=value is not None,
    )


def _plain(value: Any) -> str:
    return numerals.decimal(value) if isinstance(value, (int, float)) else str(value)
