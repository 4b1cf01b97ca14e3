"""The scores of a decomposition: one row each, which says what it is called, means and looks like.

Whatever tells a score, in a page, a table, a notebook or on the terminal, reads its row here. A new
score is a row below and a formula in measure.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from regional_primitives.errors import InputError, StorageError
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.run_files import SCORES
from regional_primitives.runtime.storage import (
    AtLeastZero,
    Count,
    Real,
    read_json,
    typed,
    write_json,
)

__all__ = ["HEADLINES", "TABLE", "Score", "Scores"]

_PLAIN = {
    "share": "{:.1%}",
    "decimal": "{:.2f}",
    "count": "{:,.0f}",
    "ratio": "{:.2f}",
    "decibels": "{:.1f} dB",
    "seconds": "{:,.1f}",
}


@dataclass(frozen=True)
class Score:
    """One score: how it is written, and what it says."""

    label: str
    meaning: str
    """In plain words."""
    unit: Literal["share", "decimal", "count", "ratio", "decibels", "seconds", "curve"] = "share"
    good: str = ""
    group: str = ""
    """The question that it answers; empty where notes and figures tell it instead of a row."""
    notion: Literal["paper", "ours"] = "ours"
    """Whose idea it is to look at this."""
    exact: str = ""
    """What it means in the exact form, where that is something else."""
    missing: str = "not measured"
    """What stands in its place, and why it may be missing."""
    spread: str = ""
    """The score that holds its standard deviation over demands."""
    among: str = ""
    """The score that counts what this one counts some of."""
    short: str = ""
    """The label where columns are narrow."""
    plain: str = ""
    """`form`, where that differs from its unit's."""
    name: str = ""
    """The attribute of `Scores`, and its name in scores.json."""

    @property
    def phrase(self) -> str:
        """The label within a sentence."""
        first, rest = self.label[:1], self.label[1:]
        return self.label if rest[:1].isupper() else first.lower() + rest

    @property
    def column(self) -> str:
        """The label over a column."""
        return self.short or self.label

    @property
    def form(self) -> str:
        """How terminals and Markdown write it, for `str.format`."""
        return self.plain or _PLAIN[self.unit]


_NO_FREE = "not measured: no demand was optimised by itself"
_NO_REFIT = "not measured: takes three more fits; ask for it with refits=True"
_NO_SKIMAGE = (
    "not measured: scikit-image was not installed; get it with: "
    'pip install "regional_primitives[report]"'
)


def _row(label: str, meaning: str, default: Any = None, **rest: Any) -> Any:
    """Make a row of the table; what is not measured is None, or an empty curve."""
    about = {"score": Score(label, meaning, **rest)}
    return field(default_factory=default or (lambda: None), metadata=about)


@dataclass(frozen=True)
class Scores(RichResult):
    """Scores of one decomposition, shares in [0, 1]; what was not measured is None.

    Names that a file lacks, because an earlier release wrote it, count as not measured; names that
    this release does not know are left aside.
    """

    inside_error: Real | None = _row(
        "Inside error",
        "How wrong the demanded patches still are: squared error against the picture, over that "
        "of the baseline picture. 0 % is exact; 100 % is as wrong as showing the baseline.",
        good="0 %",
        group="demands",
        spread="inside_error_spread",
        plain="{:.2%}",
    )
    pooled_inside_error: Real | None = _row(
        "Pooled inside error",
        "The same of all demands taken together: all squared errors over all that the baseline "
        "picture makes. A demand for patches that are nearly blank, where a trifle is a large "
        "share, cannot outweigh all others.",
        good="0 %",
        group="demands",
        plain="{:.2%}",
    )
    cost: Real | None = _row(
        "Cost",
        "Which share of the feature's departure from the baseline (summed absolute values) is "
        "switched on for a demand. The paper asks for the least departure that does the job.",
        good="small",
        group="demands",
        notion="paper",
        plain="{:.2f}",
    )
    psnr: Real | None = _row(
        "PSNR inside",
        "Peak signal-to-noise ratio in the demanded patches; from about 35 dB on, most eyes see no "
        "difference.",
        unit="decibels",
        good="high",
        group="demands",
        missing=_NO_SKIMAGE,
    )
    ssim: Real | None = _row(
        "SSIM inside",
        "Structural similarity in the demanded patches: 1 is identical texture and contrast. Its "
        "window also sees pixels just outside, so patch borders lower it.",
        unit="decimal",
        good="1",
        group="demands",
        missing="not measured: it needs scikit-image and pictures of at least 3 × 3 pixels",
        plain="{:.3f}",
    )
    inside_error_spread: Real | None = _row(
        "Spread of the inside error", "Standard deviation over demands.", plain="{:.2%}"
    )
    leak_spread: Real | None = _row("Spread of the leak", "Standard deviation over demands.")
    demands: Count | None = _row("Demands", "How many these are means over.", unit="count")

    leak: Real | None = _row(
        "Leak",
        "How much the other patches change although nobody asked for them: squared change from "
        "the baseline picture, over the change that the full picture makes there.",
        good="0 % for edits",
        group="leak",
        spread="leak_spread",
    )
    pooled_leak: Real | None = _row(
        "Pooled leak",
        "The same of all demands taken together, as the pooled inside error.",
        good="0 % for edits",
        group="leak",
    )
    stray: Real | None = _row(
        "Stray",
        "Leak with what is lawful excused: a patch counts less, the more of its strength is in "
        "components that the demand switches on.",
        good="0 %",
        group="leak",
    )
    structured_leak: Real | None = _row(
        "Leak, components added up",
        "Leak on those demands that were also optimised, each by itself.",
        good="near the row below",
        group="leak",
        missing=_NO_FREE,
    )
    gated_leak: Real | None = _row(
        "Leak, gated optimum",
        "Leak where each demand gets a feature of its own at this run's prices, every unit within "
        "what components can reach.",
        good="the bound",
        group="leak",
        missing=_NO_FREE,
        short="Leak, gated",
    )
    gated_pooled_leak: Real | None = _row(
        "Pooled leak, gated optimum",
        "The same of all these demands taken together.",
        good="the bound",
        group="leak",
        missing=_NO_FREE,
    )
    free_leak: Real | None = _row(
        "Leak, optimised freely",
        "Leak where units may take any value: a layer that cannot keep patches apart leaks even "
        "here.",
        good="the bound",
        group="leak",
        missing=_NO_FREE,
        short="Leak, bound",
    )
    entanglement: Real | None = _row(
        "Entanglement of the layer",
        "How much is generated along where that costs nothing: leak of the gated optimum where "
        "leak has no price and the departure hardly any, whatever this run's own prices.",
        good="no target",
        group="leak",
        missing=_NO_FREE,
        short="Entangle\u00adment",
    )

    departure: Real | None = _row(
        "Departure over the bound's",
        "How many times as far from the baseline feature these components go (summed absolute "
        "values) as the gated optimum, which needs no unit that its demand does not.",
        unit="ratio",
        good="1 ×",
        group="bound",
        notion="paper",
        missing=_NO_FREE,
        short="Depar\u00adture, of bound's",
    )
    bound_ratio: Real | None = _row(
        "Errors over the bound's",
        "How many times as wrong: pooled inside error plus priced leak, over those of the gated "
        "optimum. Below 1 × where the optimum saves on the departure instead.",
        unit="ratio",
        good="1 ×",
        group="bound",
        missing=_NO_FREE,
    )
    additivity_gap: Real | None = _row(
        "Additivity gap",
        "What it costs that one set of components must serve all demands: the fit's objective "
        "(inside error, priced leak and cost) with components added up, minus that with each "
        "demand optimised on its own, over that at the baseline.",
        good="0 %",
        group="bound",
        notion="paper",
        missing=_NO_FREE,
        exact="What it costs that one set of components must serve all demands: inside error plus "
        "leak and cost at this run's prices with components added up, minus that with each demand "
        "optimised on its own, over that at the baseline. The fit itself weighed these three in "
        "other units, so that this is no gap of its own objective.",
    )
    structured_inside_error: Real | None = _row(
        "Inside error, components added up",
        "Inside error on just those demands that were also optimised, each by itself.",
        good="near the row below",
        group="bound",
        missing=_NO_FREE,
        plain="{:.2%}",
    )
    gated_inside_error: Real | None = _row(
        "Inside error, gated optimum",
        "The same where each demand gets a feature of its own at this run's prices, every unit "
        "within what components can reach: the bound of any sum of components.",
        good="the bound",
        group="bound",
        missing=_NO_FREE,
        plain="{:.2%}",
    )
    gated_pooled_inside_error: Real | None = _row(
        "Pooled inside error, gated optimum",
        "The same of all these demands taken together.",
        good="the bound",
        group="bound",
        missing=_NO_FREE,
        plain="{:.2%}",
    )
    free_inside_error: Real | None = _row(
        "Inside error, optimised freely",
        "The same where units may take any value: what the network allows at all.",
        good="the bound",
        group="bound",
        missing=_NO_FREE,
        plain="{:.2%}",
    )
    gated_cost: Real | None = _row(
        "Cost, gated optimum",
        "How much of the departure the gated optimum switches on.",
        good="the bound",
        group="bound",
        missing=_NO_FREE,
        plain="{:.2f}",
    )
    free_cost: Real | None = _row(
        "Cost, optimised freely",
        "How much of the departure a feature optimised for one demand alone switches on.",
        good="the bound",
        group="bound",
        missing=_NO_FREE,
        plain="{:.2f}",
    )
    free_demands: Count | None = _row(
        "Demands optimised", "How many of the demands were, each by itself.", unit="count"
    )
    bound_evaluations: Count | None = _row(
        "Evaluations of the optima", "What these optimisations took.", unit="count"
    )

    completeness_gap: Real | None = _row(
        "Completeness gap",
        "What is missing when all components are added to the baseline feature: distance to the "
        "true feature, over its departure from the baseline.",
        good="0 %",
        group="axioms",
        notion="paper",
        exact="What is missing when all components and the remainder are added to the baseline "
        "feature: distance to the true feature, over its departure from the baseline. The "
        "remainder is made to fill what is missing, so that only rounding is left.",
        plain="{:.0e}",
    )
    boundedness: Real | None = _row(
        "Boundedness",
        "Which share of a component's visible effect (squared) stays in its action field when it "
        "is added to the baseline.",
        good="100 %",
        group="axioms",
        notion="paper",
        short="Bounded, alone",
        plain="{:.2f}",
    )
    boundedness_in_context: Real | None = _row(
        "Boundedness in context",
        "The same when it is added to random sets of other components.",
        good="100 %",
        group="axioms",
        notion="paper",
        short="Bounded, in context",
        plain="{:.2f}",
    )
    chance_boundedness: Real | None = _row(
        "Boundedness by chance",
        "What it would be of components that change a little of all, as the picture departs from "
        "the baseline picture: the share of that departure which the fields hold.",
        good="far below",
        group="axioms",
        short="Bounded, by chance",
        plain="{:.2f}",
    )
    consistency: Real | None = _row(
        "Consistency",
        "Whether a component paints the same pattern in whatever company: mean cosine between the "
        "patterns that it paints in its field among random sets of others.",
        unit="decimal",
        good="1",
        group="axioms",
        notion="paper",
        short="Consis\u00adtency",
    )
    inconsistency: Real | None = _row(
        "Deviation of patterns",
        "How far these patterns stray from their mean, over the mean's size. Sensitive to "
        "strength, where the cosine only sees shape.",
        good="0 %",
        group="axioms",
    )
    superposition_error: Real | None = _row(
        "Superposition error",
        "How far the picture is from the plain sum of all patterns, each made alone. Features add "
        "up exactly; pixels need not, because the network behind the cut is not linear. Over "
        "100 %, the sum is further off than the baseline picture.",
        good="0 %",
        group="axioms",
        exact="How far the picture is from the plain sum of all patterns, each made alone, the "
        "remainder's among them. Features add up exactly; pixels need not, because the network "
        "behind the cut is not linear. Over 100 %, the sum is further off than the baseline "
        "picture.",
        short="Super\u00adposition error",
        plain="{:.2f}",
    )
    measured_components: Count | None = _row(
        "Components measured in context", "How many, the strongest ones.", unit="count"
    )
    measured_share: Real | None = _row(
        "Their share", "Share of Σ‖Δf_k‖² in the components that were measured in contexts."
    )

    components: Count | None = _row(
        "Components",
        "How many components the feature splits into.",
        unit="count",
        good="few",
        group="sparsity",
        notion="paper",
        exact="How many components the chosen patches' share of the feature splits into; of "
        "all subsets of these patches, those that have any strength left.",
        short="Compo\u00adnents",
    )
    n50: Count | None = _row(
        "Components for 50 % of the energy",
        "How many, strongest first, carry half of the summed squared strength.",
        unit="count",
        good="few",
        group="sparsity",
        notion="paper",
        among="components",
        short="n50",
    )
    n90: Count | None = _row(
        "Components for 90 % of the energy",
        "How many carry 90 % of it.",
        unit="count",
        good="few",
        group="sparsity",
        notion="paper",
        among="components",
        short="n90",
    )
    n95: Count | None = _row(
        "Components for 95 % of the energy",
        "How many carry 95 % of it.",
        unit="count",
        good="few",
        group="sparsity",
        notion="paper",
        among="components",
        short="n95",
    )
    remainder: Real | None = _row(
        "Remainder",
        "Which share of the feature's squared departure from the baseline no demand needs: that "
        "of the component of no patch.",
        good="no target",
        group="sparsity",
        exact="Which share of the feature's squared departure from the baseline no demand for "
        "chosen patches needs.",
    )
    overlap: Real | None = _row(
        "Overlap of fields",
        "How much the action fields of two components share: intersection over union, mean over "
        "pairs weighted by strength. Overlap is expected where large and small fields nest.",
        good="no target",
        group="sparsity",
    )
    field_sizes: dict[Count, AtLeastZero] = _row(
        "Sizes of fields",
        "Share of Σ‖Δf_k‖² by the number of patches in the field.",
        dict,
        unit="curve",
    )
    top_inside_error: dict[Count, AtLeastZero] = _row(
        "Inside error of the strongest",
        "Inside error on the same demands when only the K strongest components are kept.",
        dict,
        unit="curve",
    )

    stability: Real | None = _row(
        "Stability of fields",
        "How much of the strength stays with the same action fields when the same picture is "
        "fitted again with other random demands: Σ min over Σ max of the two fits' strengths.",
        good="100 %",
        group="refits",
        missing=_NO_REFIT,
        exact="How much of the strength stays with the same action fields when every demand of the "
        "same picture is optimised again from another start: Σ min over Σ max of the two fits' "
        "strengths.",
        short="Stability",
        plain="{:.2f}",
    )
    unit_stability: Real | None = _row(
        "Stability of components",
        "The same over every single unit of every component, which asks for much more.",
        good="100 %",
        group="refits",
        missing=_NO_REFIT,
        plain="{:.2f}",
    )
    frontier: list[dict[str, Real]] | None = _row(
        "Frontier",
        "Fits at other prices (of leak; of the departure where leak has none), drawn under Curves: "
        "leak beside inside error, and what less leak costs in exactness.",
        unit="curve",
        good="low and left",
        group="refits",
        missing=_NO_REFIT,
        short="Frontier: leak at inside error",
    )

    evaluations: Count | None = _row(
        "Evaluations of the tail",
        "Pictures generated and differentiated (forward and backward through the part of the "
        "network behind the cut) to fit the components.",
        unit="count",
        good="few",
        group="effort",
        exact="Pictures generated and differentiated (forward and backward through the part of the "
        "network behind the cut) to find all minimal features and fit the components to them; of "
        "both fits where the noise floor was measured.",
    )
    overhead_ratio: Real | None = _row(
        "Overhead ratio",
        "Wall time of the fit over the time that these evaluations alone take; 1 × means that the "
        "method itself costs nothing.",
        unit="ratio",
        good="1 ×",
        group="effort",
    )

    def to_dict(self) -> dict[str, Any]:
        """Return the scores by name, ready for JSON."""
        return {name: getattr(self, name) for name in TABLE}

    def write(self, folder: AnyPath) -> None:
        """Write scores.json into an existing run folder."""
        write_json(path_of(folder, "the run folder") / SCORES, self.to_dict())

    @staticmethod
    def read(folder: AnyPath) -> Scores:
        """Read what `write` wrote, in this release or another.

        Raises:
            StorageError: missing or corrupt.
        """
        path = path_of(folder, "the run folder") / SCORES
        content = read_json(path)
        try:
            return Scores.from_dict(content)
        except InputError as error:
            raise StorageError(f"{path} is corrupt: {error}") from error

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Scores:
        """Undo `to_dict`, also after JSON has turned the keys of tables into text.

        Raises:
            InputError: none of the names is that of a score, or values that no score has.
        """
        known = {name: content[name] for name in TABLE if name in content}
        if not known:
            raise InputError("none of its names is that of a score")
        try:
            scores = typed(known, Scores)
        except ValueError as error:
            raise InputError(str(error)) from error
        if scores.field_sizes and not sum(scores.field_sizes.values()) > 0:
            raise InputError("field_sizes share out nothing")
        for point in scores.frontier or ():
            if _EARLIER in point:
                point["price"] = point.pop(_EARLIER)
        if not all(point.keys() == _POINT for point in scores.frontier or ()):
            raise InputError(f"every point of frontier tells {', '.join(sorted(_POINT))}")
        return scores


_POINT = {"price", "inside_error", "leak"}
_EARLIER = "outside_weight"
"""What a point's price was called while leak alone had one."""

TABLE: dict[str, Score] = {
    one.name: replace(one.metadata["score"], name=one.name) for one in fields(Scores)
}
"""Every score's row by name, in the order in which they are told."""

HEADLINES = {
    "generate": (
        "pooled_inside_error", "departure", "boundedness", "consistency", "leak", "entanglement",
        "n90", "evaluations",
    ),
    "isolate": ("inside_error", "leak", "boundedness", "consistency", "n90", "evaluations"),
}  # fmt: skip
"""Names of the scores that come first, by the purpose of the run."""
