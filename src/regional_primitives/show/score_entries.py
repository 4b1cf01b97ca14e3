"""What each score means in plain words, for either form; the tables of a report are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regional_primitives.show import numerals

__all__ = ["GROUPS", "OURS", "TOLD_ELSEWHERE", "Entry"]

_Format = Callable[[Any], str]
_PAPER, OURS = "paper", "ours"


def _decibels(value: float) -> str:
    return f"{value:.1f}\u00a0dB"


def _points(frontier: list[dict[str, float]]) -> str:
    return f"{len(frontier)} fits"


@dataclass(frozen=True)
class Entry:
    """One score: how it is written, and what it says."""

    name: str
    """The attribute of `Scores`."""
    label: str
    write: _Format
    good: str
    notion: str
    meaning: str
    missing: str = ""
    """Why the score may be None."""
    spread: str = ""
    """The attribute that holds its standard deviation over demands."""
    exact: str = ""
    """What it means in the exact form, where that is something else."""


_NO_FREE = "not measured: no demand was optimised freely"
_NO_REFIT = "not measured: takes three more fits; ask for it with refits=True"
_NO_SKIMAGE = (
    "not measured: scikit-image was not installed; get it with: "
    'pip install "regional_primitives[report]"'
)

_DEMANDS = (
    Entry(
        "inside_error",
        "Inside error",
        numerals.percent,
        "0 %",
        OURS,
        "How wrong the demanded patches still are: squared error against the picture, over that "
        "of the baseline picture. 0 % is exact; 100 % is as wrong as showing the baseline.",
        spread="inside_error_spread",
    ),
    Entry(
        "leak",
        "Leak",
        numerals.percent,
        "0 %",
        OURS,
        "How much the other patches change although nobody asked for them: squared change from "
        "the baseline picture, over the change that the full picture makes there.",
        spread="leak_spread",
    ),
    Entry(
        "cost",
        "Cost",
        numerals.percent,
        "small",
        _PAPER,
        "Which share of the feature's departure from the baseline (summed absolute values) is "
        "switched on for a demand. The paper asks for the least departure that does the job.",
    ),
    Entry(
        "psnr",
        "PSNR inside",
        _decibels,
        "high",
        OURS,
        "Peak signal-to-noise ratio in the demanded patches; from about 35 dB on, most eyes see no "
        "difference.",
        missing=_NO_SKIMAGE,
    ),
    Entry(
        "ssim",
        "SSIM inside",
        numerals.decimal,
        "1",
        OURS,
        "Structural similarity in the demanded patches: 1 is identical texture and contrast. Its "
        "window also sees pixels just outside, so patch borders lower it.",
        missing="not measured: it needs scikit-image and pictures of at least 3 × 3 pixels",
    ),
)
_BOUND = (
    Entry(
        "additivity_gap",
        "Additivity gap",
        numerals.percent,
        "0 %",
        _PAPER,
        "What it costs that one set of components must serve all demands: the fit's objective "
        "(inside error, priced leak and cost) with components added up, minus that with each "
        "demand optimised on its own, over that at the baseline.",
        missing=_NO_FREE,
        exact="What it costs that one set of components must serve all demands: inside error plus "
        "leak and cost at this run's prices with components added up, minus that with each demand "
        "optimised on its own, over that at the baseline. The fit itself weighed these three in "
        "other units, so that this is no gap of its own objective.",
    ),
    Entry(
        "structured_inside_error",
        "Inside error, components added up",
        numerals.percent,
        "near the row below",
        OURS,
        "Inside error on just those demands that were also optimised freely.",
        missing=_NO_FREE,
    ),
    Entry(
        "free_inside_error",
        "Inside error, optimised freely",
        numerals.percent,
        "the bound",
        OURS,
        "The same when each demand gets a feature of its own: what the network allows at all.",
        missing=_NO_FREE,
    ),
    Entry(
        "structured_leak",
        "Leak, components added up",
        numerals.percent,
        "near the row below",
        OURS,
        "Leak on those demands.",
        missing=_NO_FREE,
    ),
    Entry(
        "free_leak",
        "Leak, optimised freely",
        numerals.percent,
        "the bound",
        OURS,
        "Leak of the freely optimised features: a layer that cannot keep patches apart leaks even "
        "here.",
        missing=_NO_FREE,
    ),
    Entry(
        "free_cost",
        "Cost, optimised freely",
        numerals.percent,
        "the bound",
        OURS,
        "How much of the departure a feature optimised for one demand alone switches on.",
        missing=_NO_FREE,
    ),
)
_AXIOMS = (
    Entry(
        "completeness_gap",
        "Completeness gap",
        numerals.percent,
        "0 %",
        _PAPER,
        "What is missing when all components are added to the baseline feature: distance to the "
        "true feature, over its departure from the baseline.",
        exact="What is missing when all components and the remainder are added to the baseline "
        "feature: distance to the true feature, over its departure from the baseline. The "
        "remainder is made to fill what is missing, so that only rounding is left.",
    ),
    Entry(
        "boundedness",
        "Boundedness",
        numerals.percent,
        "100 %",
        _PAPER,
        "Which share of a component's visible effect (squared) stays in its action field when it "
        "is added to the baseline.",
    ),
    Entry(
        "boundedness_in_context",
        "Boundedness in context",
        numerals.percent,
        "100 %",
        _PAPER,
        "The same when it is added to random sets of other components.",
    ),
    Entry(
        "consistency",
        "Consistency",
        numerals.decimal,
        "1",
        _PAPER,
        "Whether a component paints the same pattern in whatever company: mean cosine between the "
        "patterns that it paints in its field among random sets of others.",
    ),
    Entry(
        "inconsistency",
        "Deviation of patterns",
        numerals.percent,
        "0 %",
        OURS,
        "How far these patterns stray from their mean, over the mean's size. Sensitive to "
        "strength, where the cosine only sees shape.",
    ),
    Entry(
        "superposition_error",
        "Superposition error",
        numerals.percent,
        "0 %",
        OURS,
        "How far the picture is from the plain sum of all patterns, each made alone. Features add "
        "up exactly; pixels need not, because the network behind the cut is not linear. Over "
        "100 %, the sum is further off than the baseline picture.",
        exact="How far the picture is from the plain sum of all patterns, each made alone, the "
        "remainder's among them. Features add up exactly; pixels need not, because the network "
        "behind the cut is not linear. Over 100 %, the sum is further off than the baseline "
        "picture.",
    ),
)
_SPARSITY = (
    Entry(
        "components",
        "Components",
        numerals.count,
        "few",
        _PAPER,
        "How many components the feature splits into.",
        exact="How many components the chosen patches' share of the feature splits into; of "
        "all subsets of these patches, those that have any strength left.",
    ),
    Entry(
        "n50",
        "For half the strength",
        numerals.count,
        "few",
        _PAPER,
        "How many, strongest first, carry 50 % of the summed squared strength.",
    ),
    Entry("n90", "For 90 %", numerals.count, "few", _PAPER, "How many carry 90 % of it."),
    Entry("n95", "For 95 %", numerals.count, "few", _PAPER, "How many carry 95 % of it."),
    Entry(
        "overlap",
        "Overlap of fields",
        numerals.percent,
        "no target",
        OURS,
        "How much the action fields of two components share: intersection over union, mean over "
        "pairs weighted by strength. Overlap is expected where large and small fields nest.",
    ),
)
_REFITS = (
    Entry(
        "stability",
        "Stability of fields",
        numerals.percent,
        "100 %",
        OURS,
        "How much of the strength stays with the same action fields when the same picture is "
        "fitted again with other random demands: Σ min over Σ max of the two fits' strengths.",
        missing=_NO_REFIT,
        exact="How much of the strength stays with the same action fields when every demand of the "
        "same picture is optimised again from another start: Σ min over Σ max of the two fits' "
        "strengths.",
    ),
    Entry(
        "unit_stability",
        "Stability of components",
        numerals.percent,
        "100 %",
        OURS,
        "The same over every single unit of every component, which asks for much more.",
        missing=_NO_REFIT,
    ),
    Entry(
        "frontier",
        "Frontier",
        _points,
        "low and left",
        OURS,
        "Fits at other prices of leak, drawn under Curves: what less leak costs in exactness.",
        missing=_NO_REFIT,
    ),
)
_EFFORT = (
    Entry(
        "evaluations",
        "Evaluations",
        numerals.count,
        "few",
        OURS,
        "Pictures generated and differentiated (forward and backward through the part of the "
        "network behind the cut) to fit the components.",
        exact="Pictures generated and differentiated (forward and backward through the part of the "
        "network behind the cut) to find all minimal features and fit the components to them; of "
        "both fits where the noise floor was measured.",
    ),
    Entry(
        "overhead_ratio",
        "Overhead ratio",
        numerals.times,
        "1 ×",
        OURS,
        "Wall time of the fit over the time that these evaluations alone take; 1 × means that the "
        "method itself costs nothing.",
    ),
)
TOLD_ELSEWHERE = {
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

GROUPS = {
    "demands": _DEMANDS,
    "bound": _BOUND,
    "axioms": _AXIOMS,
    "sparsity": _SPARSITY,
    "refits": _REFITS,
    "effort": _EFFORT,
}
"""All entries, by the question that they answer."""
