"""What a page may say of a run by its form: patches chosen and left over, and noise of a component.

The structured form draws random demands of all patches to fit and keeps others for the scores. The
exact form takes every demand of some chosen patches P, keeps none, and puts what these patches
leave of the feature into one more component, the remainder.
"""

from __future__ import annotations

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import QUESTIONS
from regional_primitives.show import numerals

__all__ = [
    "above_floor",
    "apart",
    "chosen_in_words",
    "demand_in_words",
    "demands_in_words",
    "held_in_words",
    "indices",
    "is_exact",
    "leak_in_words",
    "noise_in_words",
    "question_in_words",
    "remainder_in_words",
]


def is_exact(decomposition: Decomposition) -> bool:
    """Whether the components are exact interactions of chosen patches."""
    return decomposition.provenance.method == "exact"


def question_in_words(decomposition: Decomposition) -> tuple[str, str]:
    """Say which question the run answers, and what that leaves open."""
    if decomposition.provenance.purpose == "generate":
        return QUESTIONS["generate"], (
            "Components are fitted to generate the patches S that are asked for with as little of "
            "the feature as will do, whatever else they bring along."
        )
    return QUESTIONS["isolate"], (
        "Components are fitted to generate the patches S that are asked for and to leave all "
        "others as they are, as edits need it."
    )


def leak_in_words(decomposition: Decomposition) -> str:
    """Say what leak is in this run: an error, or a property of the layer."""
    if decomposition.provenance.purpose == "generate":
        return (
            "Here leak is no error but a property of the layer: a demand generates all of every "
            "component that it touches. Read it beside that of features made for one demand each."
        )
    return "For an edit, all that changes unasked is an error."


def apart(decomposition: Decomposition) -> Decomposition:
    """Return the decomposition without its remainder, which is no interaction of patches."""
    return decomposition.without(decomposition.remainder)


def indices(patches: tuple[int, ...]) -> str:
    """List patches in words: 3, 4 and 7."""
    *first, last = map(str, patches)
    return f"{', '.join(first)} and {last}" if first else last


def chosen_in_words(decomposition: Decomposition) -> str:
    """Name the chosen patches P; empty for the structured form, which chooses none."""
    if not is_exact(decomposition):
        return ""
    chosen = decomposition.patches
    if len(chosen) == decomposition.regions.count:
        return f"all {len(chosen)} patches"
    word = "patch" if len(chosen) == 1 else "patches"
    first = (
        "patch 0 is top left, row by row" if decomposition.regions.is_grid else "numbered from 0"
    )
    return f"{word} {indices(chosen)} of {decomposition.regions.count} ({first})"


def remainder_in_words(decomposition: Decomposition) -> str:
    """Say what the remainder is the remainder of; empty where there is none."""
    if decomposition.remainder is None:
        return ""
    others = decomposition.regions.count - len(decomposition.patches)
    if others == 0:
        energy = decomposition.strengths.square()
        share = float(energy[decomposition.remainder] / energy.sum())
        told = "next to nothing" if share < 5e-4 else f"{numerals.percent(share)} of the energy"
        return f"a remainder that no patch asks for ({told})"
    were = "1 patch that was" if others == 1 else f"{numerals.count(others)} patches that were"
    return f"the remainder of the {were} not chosen"


def demands_in_words(decomposition: Decomposition, count: int | None) -> str:
    """Say which demands the scores are means over, and whether the fit saw them."""
    drawn = f"Means over {'' if count is None else f'{numerals.count(count)} '}random demands"
    spread = "; ± is one standard deviation over these demands, all of one picture."
    if not is_exact(decomposition):
        return f"{drawn} that the fit never saw{spread}"
    n = len(decomposition.patches)
    if n == 1:
        return f"{drawn}, all of the one chosen patch, which the fit saw{spread}"
    others = (
        ""
        if n == decomposition.regions.count
        else " No score asks for a patch that was not chosen."
    )
    return (
        f"{drawn}, drawn from the {numerals.count(2**n - 1)} sets of the {n} chosen patches. The "
        f"fit saw every one of these sets, so that no demand is held out{spread}{others}"
    )


def held_in_words(hold: str) -> str:
    """Say what `hold` of a cut means."""
    return f"each {hold}, at the statistics that it has for the explained picture"


def demand_in_words(decomposition: Decomposition, name: str) -> str:
    """Name a demand that is shown; the exact form keeps none of the chosen patches for later."""
    if is_exact(decomposition):
        return name.replace("held-out demand", "random demand")
    return name


def above_floor(decomposition: Decomposition) -> int | None:
    """Count the components, less the remainder, above the noise floor; None where none is known."""
    if decomposition.noise is None:
        return None
    return int(apart(decomposition).significant.sum())


def noise_in_words(decomposition: Decomposition, k: int) -> str:
    """Say how component k compares with the noise of its order; empty where none is known."""
    if decomposition.noise is None or k == decomposition.remainder:
        return ""
    floor = float(decomposition.noise[k])
    if floor == 0:
        return "two fits agree on its order"
    ratio = float(decomposition.strengths[k]) / floor
    # Two digits: the floor is no surer than that.
    told = f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:#.2g}"
    return numerals.unbroken(f"{told} × the noise of its order")
