"""How the components relate, as a section of the report: figures, how to read them, key numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores import Relations, relations
from regional_primitives.show import form, numerals, relation_plots, style
from regional_primitives.show.pixels import data_uri

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:  # only annotations need it; matplotlib is loaded when a figure is drawn
    Figure = Any

__all__ = ["RelationFigure", "RelationView", "relation_figures", "relation_view"]

_TOGETHER = 0.5
"""Where the hierarchy is cut for the number of groups."""


@dataclass(frozen=True)
class RelationFigure:
    """One relation: its figure for light and for dark pages, and how to read it."""

    title: str
    reading: str
    light: str
    dark: str
    label: str
    """What a reader who cannot see it is told."""
    width: int
    """CSS pixels at which its text has the size that it was drawn with."""


@dataclass(frozen=True)
class RelationView:
    """The section: what it is about, its numbers, its figures."""

    note: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[RelationFigure, ...]


def relation_figures(decomposition: Decomposition) -> dict[str, Figure]:
    """Draw all relations that these components have, by name; none where there are none."""
    return _figures(relations(form.apart(decomposition)), _numbers(decomposition))


def relation_view(decomposition: Decomposition) -> RelationView:
    """Relate the components, the remainder left out, and tell what is found.

    Raises:
        MissingExtraError: a package that only the report needs is not installed.
    """
    found = relations(form.apart(decomposition))
    words = _words(found)
    return RelationView(
        note=_note(decomposition, found),
        facts=_facts(found),
        figures=tuple(
            RelationFigure(
                *words[name][:2],
                light=_uri(drawing := style.svg(figure)),
                dark=_uri(style.darkened(drawing)),
                label=words[name][2],
                width=round(96 * figure.get_figwidth()),
            )
            for name, figure in _figures(found, _numbers(decomposition)).items()
        ),
    )


def _numbers(decomposition: Decomposition) -> list[int]:
    """Return the components' numbers on the page, where the remainder has one too."""
    return [k for k in range(decomposition.count) if k != decomposition.remainder]


def _figures(found: Relations, numbers: list[int]) -> dict[str, Figure]:
    count = found.decomposition.count
    figures = {}
    if count > 1:  # a single component relates to nothing
        for name in ("containment", "togetherness", "overlap"):
            figures[name] = getattr(relation_plots, f"plot_{name}")(found, numbers=numbers)
    if count:
        figures["credit"] = relation_plots.plot_credit(found, numbers=numbers)
    return figures


def _uri(drawing: str) -> str:
    return data_uri(drawing.encode("utf-8"), "image/svg+xml")


def _note(decomposition: Decomposition, found: Relations) -> str:
    count = found.decomposition.count
    told = ["These relations follow from the action fields and strengths alone, and are ours."]
    if decomposition.remainder is not None:
        told.append("The remainder is left out.")
    if count == 0:
        told.append("There are no components to relate.")
    elif count == 1:
        told.append("There is one component only, so that just its credit is drawn.")
    else:
        above = form.above_floor(decomposition)
        if above is not None and above < count:
            told.append(
                f"All {numerals.count(count)} components are related, the "
                f"{numerals.count(count - above)} below the noise floor too."
            )
    return " ".join(told)


def _facts(found: Relations) -> tuple[tuple[str, str], ...]:
    count = found.decomposition.count
    if count < 2:
        return ()
    pairs, possible = int(found.contains.sum()), count * (count - 1) // 2
    longest = int(found.levels.max()) + 1
    groups = found.groups(_TOGETHER)
    largest = max(map(len, groups))
    return (
        ("Fields inside another", f"{_of(pairs, possible)} pairs of components"),
        ("Longest chain", f"{longest} fields, each inside the one before" if longest > 1
         else "no field lies inside another"),
        ("Mean overlap", f"{numerals.percent(found.mean_overlap)} (IoU, weighted by strength)"),
        ("Groups that act together", f"{numerals.count(len(groups))} among the "
         f"{numerals.count(found.strongest)} strongest components, at a togetherness of at least "
         f"{numerals.percent(_TOGETHER)}"),
        ("Largest such group", "1 component" if largest == 1 else f"{largest} components"),
    )  # fmt: skip


def _of(part: int, whole: int) -> str:
    return f"{numerals.count(part)} of {numerals.count(whole)}"


def _words(found: Relations) -> dict[str, tuple[str, str, str]]:
    """Return title, how to read it, and text alternative of each figure."""
    asked = numerals.percent(found.asked_share)
    strongest = numerals.count(found.strongest)
    groups = len(found.groups(_TOGETHER))
    return {
        "containment": (
            "Which action field contains which?",
            "An arrow leads from a field to one that lies wholly inside it, and detours are left "
            "out: whoever asks for the inner field's patches gets the outer component too. Chains "
            "show detail laid over area; fields without arrows stand side by side.",
            f"Diagram of containment: {int(found.contains.sum())} pairs of fields, the longest "
            f"chain has {int(found.levels.max()) + 1 if len(found.levels) else 0}.",
        ),
        "togetherness": (
            "Which components act together?",
            "Components that join low down are mostly switched on by the same demands; groups that "
            "join only near the top serve different places. A random demand asks for "
            f"{asked} of the patches on average.",
            f"Tree of the {strongest} strongest components; {groups} groups at 50 %.",
        ),
        "overlap": (
            "How much do action fields overlap?",
            "Each square is a pair of components, the bluer the more patches they "
            "share; neighbours in the order act together. Blocks along the diagonal are "
            "components that share a place.",
            f"Overlap of pairs of fields; the mean is {numerals.percent(found.mean_overlap)}.",
        ),
        "credit": (
            "Who gets the credit where fields overlap?",
            "A component's strength is divided evenly among the patches of its field, which is the "
            "Shapley value since one patch is enough to switch it on. The colour is what a patch "
            "gets in all, and the numbers are the components that give it most.",
            "Map of the patches: each one's credit and the components that it comes from.",
        ),
    }
