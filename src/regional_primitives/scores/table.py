"""The scores of a decomposition: one row each, which says what it is called, means and looks like.

Whatever tells a score, in a page, a table, a notebook or on the terminal, reads its row here. A new
score is a row below and its formula in the file of its family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.run_files import SCORES
from regional_primitives.runtime.storage import (
    AtLeastZero,
    Count,
    Real,
    read_as,
    typed,
    write_json,
)

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
    sentence: str = ""
    """What its value says of a run in one sentence, for `str.format`: {value}, the score it is
    {among}, and the {parts} of the picture; empty where rows alone tell it."""
    spread: str = ""
    """The score that holds its standard deviation over demands."""
    among: str = ""
    """The score that counts what this one counts some of."""
    short: str = ""
    """The label where columns are narrow."""
    plain: str = ""
    """`form`, where that differs from its unit's."""
    first: Mapping[str, int] = field(default_factory=dict)
    """Its place among the scores that are told first, by the purpose of the run."""
    sweep: str = ""
    """Its heading in the table of a sweep, one of `HEADINGS`; empty where it has no column."""
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


_NO_BOUND = "not measured: no demand was optimised by itself"
_NO_FREE = "not measured: ask for it with free_bounds=True"
_NO_REFIT = "not measured: takes three more fits; ask for it with refits=True"
_SAMPLED = "not measured: it takes the pattern of every component; ask for more patterns"
_NO_SKIMAGE = (
    "not measured: scikit-image was not installed; get it with: "
    'pip install "regional_primitives[report]"'
)


def row(label: str, meaning: str, default: Any = None, **rest: Any) -> Any:
    """Make a row of the table; what is not measured is None, or an empty curve."""
    about = {"score": Score(label, meaning, **rest)}
    return field(default_factory=default or (lambda: None), metadata=about)


_demand = partial(row, group="demands")
_leak = partial(row, group="leak")
_bound = partial(row, group="bound", missing=_NO_BOUND)
_axiom = partial(row, group="axioms")
_sparse = partial(row, group="sparsity")
_refit = partial(row, group="refits", missing=_NO_REFIT)
_effort = partial(row, group="effort")


@dataclass(frozen=True)
class Scores(RichResult):
    """Scores of one decomposition, shares in [0, 1]; what was not measured is None.

    Names that a file lacks, because an earlier release wrote it, count as not measured; names that
    this release does not know are left aside.
    """

    # fmt: off
    inside_error: Real | None = _demand(
        "Inside error", good="0 %",
        meaning="How wrong the demanded patches still are: squared error against the picture, "
        "over that of the baseline picture. 0 % is exact; 100 % is as wrong as showing the "
        "baseline.",
        sentence="Asked for any {parts}, these come out {value} off, on average.",
        spread="inside_error_spread", plain="{:.2%}", first={"isolate": 1}, sweep="Demands",
    )
    pooled_inside_error: Real | None = _demand(
        "Pooled inside error", good="0 %",
        meaning="The same of all demands taken together: all squared errors over all that the "
        "baseline picture makes. A demand for patches that are nearly blank, where a trifle is a "
        "large share, cannot outweigh all others.",
        sentence="Asked for any {parts}, their pixels come out {value} off.",
        plain="{:.3%}", first={"generate": 1}, sweep="Demands",
    )
    cost: Real | None = _demand(
        "Cost", good="small",
        meaning="Which share of the feature's departure from the baseline (summed absolute "
        "values) is switched on for a demand. The paper asks for the least departure that does "
        "the job.",
        notion="paper", plain="{:.2f}", sweep="Demands",
    )
    psnr: Real | None = _demand(
        "PSNR inside", good="high",
        meaning="Peak signal-to-noise ratio in the demanded patches; from about 35 dB on, most "
        "eyes see no difference.",
        unit="decibels", missing=_NO_SKIMAGE,
    )
    ssim: Real | None = _demand(
        "SSIM inside", good="1",
        meaning="Structural similarity in the demanded patches: 1 is identical texture and "
        "contrast. Its window also sees pixels just outside, so patch borders lower it.",
        unit="decimal", plain="{:.3f}",
        missing="not measured: it needs scikit-image and pictures of at least 3 × 3 pixels",
    )

    inside_error_spread: Real | None = row(
        "Spread of the inside error",
        meaning="Standard deviation over demands.",
        plain="{:.2%}",
    )
    leak_spread: Real | None = row(
        "Spread of the leak",
        meaning="Standard deviation over demands.",
    )
    demands: Count | None = row(
        "Demands",
        meaning="How many these are means over.",
        unit="count",
    )

    leak: Real | None = _leak(
        "Leak", good="0 % for edits",
        meaning="How much the other patches change although nobody asked for them: squared "
        "change from the baseline picture, over the change that the full picture makes there.",
        sentence="Of all that nobody asked for, {value} comes along.",
        spread="leak_spread", first={"isolate": 2}, sweep="Unasked",
    )
    pooled_leak: Real | None = _leak(
        "Pooled leak", good="0 % for edits",
        meaning="The same of all demands taken together, as the pooled inside error.",
        sentence="Of all that nobody asked for, {value} comes along.", first={"generate": 5},
    )
    stray: Real | None = _leak(
        "Stray", good="0 %",
        meaning="Leak with what is lawful excused: a patch counts less, the more of its strength "
        "is in components that the demand switches on.",
    )
    structured_leak: Real | None = _leak(
        "Leak, components added up", good="near the row below",
        meaning="Leak on those demands that were also optimised, each by itself.",
        missing=_NO_BOUND,
    )
    gated_leak: Real | None = _leak(
        "Leak, gated optimum", good="the bound",
        meaning="Leak where each demand gets a feature of its own at this run's prices, every "
        "unit within what components can reach.",
        short="Leak, gated", missing=_NO_BOUND, sweep="Unasked",
    )
    gated_pooled_leak: Real | None = _leak(
        "Pooled leak, gated optimum", good="the bound",
        meaning="The same of all these demands taken together.",
        missing=_NO_BOUND,
    )
    free_leak: Real | None = _leak(
        "Leak, optimised freely", good="the bound",
        meaning="Leak where units may take any value: a layer that cannot keep patches apart "
        "leaks even here.",
        short="Leak, bound", missing=_NO_FREE, sweep="Unasked",
    )
    entanglement: Real | None = _leak(
        "Entanglement of the layer", good="no target",
        meaning="How much is generated along where that costs nothing: leak of the gated optimum "
        "where leak has no price and the departure hardly any, whatever this run's own prices.",
        short="Entangle\u00adment", missing=_NO_FREE, first={"generate": 6}, sweep="Unasked",
    )

    departure: Real | None = _bound(
        "Departure over the bound's", good="1 ×",
        meaning="How many times as far from the baseline feature these components go (summed "
        "absolute values) as the gated optimum, which needs no unit that its demand does not.",
        sentence="Each demand takes {value} the feature that it would need by itself.",
        unit="ratio", notion="paper", short="Depar\u00adture, of bound's", first={"generate": 2},
        sweep="Demands",
    )
    bound_ratio: Real | None = _bound(
        "Errors over the bound's", good="1 ×",
        meaning="How many times as wrong: pooled inside error plus priced leak, over those of "
        "the gated optimum. Below 1 × where the optimum saves on the departure instead.",
        unit="ratio",
    )
    additivity_gap: Real | None = _bound(
        "Additivity gap", good="0 %",
        meaning="What it costs that one set of components must serve all demands: the fit's "
        "objective (inside error, priced leak and cost) with components added up, minus that "
        "with each demand optimised on its own, over that at the baseline.",
        missing=_NO_FREE,
        exact="What it costs that one set of components must serve all demands: inside error "
        "plus leak and cost at this run's prices with components added up, minus that with each "
        "demand optimised on its own, over that at the baseline. The fit itself weighed these "
        "three in other units, so that this is no gap of its own objective.",
        notion="paper",
    )
    structured_inside_error: Real | None = _bound(
        "Inside error, components added up", good="near the row below",
        meaning="Inside error on just those demands that were also optimised, each by itself.",
        plain="{:.2%}",
    )
    gated_inside_error: Real | None = _bound(
        "Inside error, gated optimum", good="the bound",
        meaning="The same where each demand gets a feature of its own at this run's prices, "
        "every unit within what components can reach: the bound of any sum of components.",
        plain="{:.2%}",
    )
    gated_pooled_inside_error: Real | None = _bound(
        "Pooled inside error, gated optimum", good="the bound",
        meaning="The same of all these demands taken together.",
        plain="{:.2%}",
    )
    free_inside_error: Real | None = _bound(
        "Inside error, optimised freely", good="the bound",
        meaning="The same where units may take any value: what the network allows at all.",
        plain="{:.2%}", missing=_NO_FREE,
    )
    gated_cost: Real | None = _bound(
        "Cost, gated optimum", good="the bound",
        meaning="How much of the departure the gated optimum switches on.",
        plain="{:.2f}",
    )
    free_cost: Real | None = _bound(
        "Cost, optimised freely", good="the bound",
        meaning="How much of the departure a feature optimised for one demand alone switches on.",
        plain="{:.2f}", missing=_NO_FREE,
    )

    free_demands: Count | None = row(
        "Demands optimised",
        meaning="How many of the demands were, each by itself.",
        unit="count",
    )
    bound_evaluations: Count | None = row(
        "Evaluations of the optima",
        meaning="What these optimisations took.",
        unit="count",
    )

    completeness_gap: Real | None = _axiom(
        "Completeness gap", good="0 %",
        meaning="What is missing when all components are added to the baseline feature: distance "
        "to the true feature, over its departure from the baseline.",
        exact="What is missing when all components and the remainder are added to the baseline "
        "feature: distance to the true feature, over its departure from the baseline. The "
        "remainder is made to fill what is missing, so that only rounding is left.",
        notion="paper", plain="{:.0e}",
    )
    boundedness: Real | None = _axiom(
        "Boundedness", good="100 %",
        meaning="Which share of a component's visible effect (squared) stays in its action field "
        "when it is added to the baseline.",
        sentence="Of what a component changes, {value} lies in its own {parts}.",
        notion="paper", short="Bounded, alone", plain="{:.2f}",
        first={"generate": 3, "isolate": 3}, sweep="Axioms of the paper",
    )
    boundedness_in_context: Real | None = _axiom(
        "Boundedness in context", good="100 %",
        meaning="The same when it is added to random sets of other components.",
        notion="paper", short="Bounded, in context", plain="{:.2f}", sweep="Axioms of the paper",
    )
    chance_boundedness: Real | None = _axiom(
        "Boundedness by chance", good="far below",
        meaning="What it would be of components that change a little of all, as the picture "
        "departs from the baseline picture: the share of that departure which the fields hold.",
        short="Bounded, by chance", plain="{:.2f}", sweep="Axioms of the paper",
    )
    consistency: Real | None = _axiom(
        "Consistency", good="1",
        meaning="Whether a component paints the same pattern in whatever company: mean cosine "
        "between the patterns that it paints in its field among random sets of others.",
        sentence="In any company a component paints the same pattern: {value}, where 1 is alike.",
        unit="decimal", notion="paper", short="Consis\u00adtency",
        first={"generate": 4, "isolate": 4}, sweep="Axioms of the paper",
    )
    inconsistency: Real | None = _axiom(
        "Deviation of patterns", good="0 %",
        meaning="How far these patterns stray from their mean, over the mean's size. Sensitive "
        "to strength, where the cosine only sees shape.",
    )
    superposition_error: Real | None = _axiom(
        "Superposition error", good="0 %",
        meaning="How far the picture is from the plain sum of all patterns, each made alone. "
        "Features add up exactly; pixels need not, because the network behind the cut is not "
        "linear. Over 100 %, the sum is further off than the baseline picture.",
        exact="How far the picture is from the plain sum of all patterns, each made alone, the "
        "remainder's among them. Features add up exactly; pixels need not, because the network "
        "behind the cut is not linear. Over 100 %, the sum is further off than the baseline "
        "picture.",
        missing=_SAMPLED,
        short="Super\u00adposition error", plain="{:.2f}", sweep="Axioms of the paper",
    )

    patterns: Count | None = row(
        "Components measured alone",
        meaning="How many: all of them, or where there are more than were asked for those that "
        "are strong enough to count one by one and a sample of the others, drawn by energy.",
        unit="count", among="components",
    )
    patterns_share: Real | None = row(
        "Share measured alone",
        meaning="Share of Σ‖Δf_k‖² in the components that were measured alone.",
    )
    measured_components: Count | None = row(
        "Components measured in context",
        meaning="How many, the strongest ones.",
        unit="count",
    )
    measured_share: Real | None = row(
        "Their share",
        meaning="Share of Σ‖Δf_k‖² in the components that were measured in contexts.",
    )

    components: Count | None = _sparse(
        "Components", good="few",
        meaning="How many components the feature splits into.",
        exact="How many components the chosen patches' share of the feature splits into; of all "
        "subsets of these patches, those that have any strength left.",
        unit="count", notion="paper", short="Compo\u00adnents", sweep="Sparsity",
    )
    n50: Count | None = _sparse(
        "Components for 50 % of the energy", good="few",
        meaning="How many, strongest first, carry half of the summed squared strength.",
        unit="count", notion="paper", among="components", short="n50", sweep="Sparsity",
    )
    n90: Count | None = _sparse(
        "Components for 90 % of the energy", good="few",
        meaning="How many carry 90 % of it.",
        sentence="{value} of {among} components hold 90 % of the energy.",
        unit="count", notion="paper", among="components", short="n90",
        first={"generate": 7, "isolate": 5}, sweep="Sparsity",
    )
    n95: Count | None = _sparse(
        "Components for 95 % of the energy", good="few",
        meaning="How many carry 95 % of it.",
        unit="count", notion="paper", among="components", short="n95",
    )
    remainder: Real | None = _sparse(
        "Remainder", good="no target",
        meaning="Which share of the feature's squared departure from the baseline no demand "
        "needs: that of the component of no patch.",
        exact="Which share of the feature's squared departure from the baseline no demand for "
        "chosen patches needs.",
        sweep="Sparsity",
    )
    overlap: Real | None = _sparse(
        "Overlap of fields", good="no target",
        meaning="How much the action fields of two components share: intersection over union, "
        "mean over pairs weighted by strength. Overlap is expected where large and small fields "
        "nest.",
    )

    field_sizes: dict[Count, AtLeastZero] = row(
        "Sizes of fields",
        meaning="Share of Σ‖Δf_k‖² by the number of patches in the field.",
        default=dict, unit="curve",
    )
    top_inside_error: dict[Count, AtLeastZero] = row(
        "Inside error of the strongest",
        meaning="Inside error on the same demands when only the K strongest components are kept.",
        default=dict, unit="curve",
    )

    stability: Real | None = _refit(
        "Stability of fields", good="100 %",
        meaning="How much of the strength stays with the same action fields when the same "
        "picture is fitted again with other random demands: Σ min over Σ max of the two fits' "
        "strengths.",
        exact="How much of the strength stays with the same action fields when every demand of "
        "the same picture is optimised again from another start: Σ min over Σ max of the two "
        "fits' strengths.",
        short="Stability", plain="{:.2f}", sweep="Refits",
    )
    unit_stability: Real | None = _refit(
        "Stability of components", good="100 %",
        meaning="The same over every single unit of every component, which asks for much more.",
        plain="{:.2f}",
    )
    frontier: list[dict[str, Real]] | None = _refit(
        "Frontier", good="low and left",
        meaning="Fits at other prices (of leak; of the departure where leak has none), drawn "
        "under Curves: leak beside inside error, and what less leak costs in exactness.",
        unit="curve", short="Frontier: leak at inside error", sweep="Refits",
    )

    evaluations: Count | None = _effort(
        "Evaluations of the tail", good="few",
        meaning="Pictures generated and differentiated (forward and backward through the part of "
        "the network behind the cut) to fit the components.",
        exact="Pictures generated and differentiated (forward and backward through the part of "
        "the network behind the cut) to find all minimal features and fit the components to "
        "them; of both fits where the noise floor was measured.",
        unit="count", first={"generate": 8, "isolate": 6},
    )
    overhead_ratio: Real | None = _effort(
        "Overhead ratio", good="1 ×",
        meaning="Wall time of the fit over the time that these evaluations alone take; 1 × means "
        "that the method itself costs nothing.",
        unit="ratio",
    )
    # fmt: on

    @property
    def sampled(self) -> bool:
        """Whether scores of single components are estimates, from a sample of very many."""
        alone, all_of_them = self.patterns, self.components
        return alone is not None and all_of_them is not None and alone < all_of_them

    def __repr__(self) -> str:
        measured = (
            f"{TABLE[name].phrase} {TABLE[name].form.format(value)}"
            for name in _FIRST
            if (value := getattr(self, name)) is not None
        )
        return f"<Scores: {', '.join(measured) or 'nothing measured'}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the scores by name, ready for JSON."""
        return {name: getattr(self, name) for name in TABLE}

    def write(self, folder: AnyPath) -> None:
        """Write scores.json into an existing run folder."""
        write_json(path_of(folder, "the run folder") / SCORES, self.to_dict())

    @staticmethod
    def of(found: Mapping[str, Any]) -> Scores:
        """Hold what was measured, by name."""
        return Scores(**found)

    @staticmethod
    def read(folder: AnyPath) -> Scores:
        """Read what `write` wrote, in this release or another.

        Raises:
            StorageError: missing or corrupt.
        """
        return read_as(path_of(folder, "the run folder") / SCORES, Scores.from_dict)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Scores:
        """Undo `to_dict`, also after JSON has turned the keys of tables into text.

        Raises:
            InputError: none of the names is that of a score, or values that no score has.
        """
        known = {name: content[name] for name in TABLE if name in content}
        if not known:
            raise InputError("none of its names is that of a score")
        scores: Scores = typed(known, Scores)
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


def table_of(kind: type[Scores]) -> dict[str, Score]:
    """Collect the rows of the scores that a class has."""
    return {one.name: replace(one.metadata["score"], name=one.name) for one in fields(kind)}


TABLE = table_of(Scores)
"""Every score's row by name, in the order in which they are told."""


HEADINGS = (
    "Action fields", "Axioms of the paper", "Sparsity", "Demands", "Unasked", "Refits", "Effort",
)  # fmt: skip
"""Of the columns in the table of a sweep."""


def columns(rows: Mapping[str, Score]) -> dict[str, tuple[str, ...]]:
    """Name the scores that a sweep tells under each of its headings."""
    return {
        heading: tuple(name for name, score in rows.items() if score.sweep == heading)
        for heading in HEADINGS
    }


def headlines(purpose: str) -> tuple[str, ...]:
    """Name the scores that come first where a run was fitted for this purpose."""
    found = {name: score.first[purpose] for name, score in TABLE.items() if purpose in score.first}
    return tuple(sorted(found, key=lambda name: found[name]))


_FIRST = tuple(dict.fromkeys([*headlines("generate"), *headlines("isolate")]))
"""What comes first, whatever the purpose."""
