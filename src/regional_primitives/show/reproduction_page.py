"""The paper's experiments as a page, reproduction.html, and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from regional_primitives.compare.across import EXACT, STRUCTURED, Reproduction
from regional_primitives.compare.relatedness import Relatedness
from regional_primitives.compare.transfer import PAPER_COUNTS, PAPER_SHARE, Transfer
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.run_files import FIGURES
from regional_primitives.scores.table import TABLE
from regional_primitives.show import (
    comparison_plots,
    experiment_pictures,
    experiment_plots,
    form,
    relation_plots,
)
from regional_primitives.show.extras import require_extra
from regional_primitives.show.figures import write_figure
from regional_primitives.show.numerals import with_interval
from regional_primitives.show.sections import (
    Column,
    Drawing,
    Facts,
    Page,
    Row,
    Section,
    Table,
    listing,
    write_page,
)
from regional_primitives.show.style import Figure

REPRODUCTION_REPORT = "reproduction.html"
_ROUTES = (STRUCTURED, EXACT)
_FIRST = "the first picture (seed {})"
_ADDITIVITY = {
    "free": "each demand optimised by itself",
    "raw": "raw transform, all components",
    "sparse": "sparse form, all components",
    "structured": "structured form, fitted to the same patches",
}

Cells = tuple[str, str, str]
"""A number's label, and what it is in the structured and in the exact form."""


@dataclass(frozen=True)
class Line:
    """One number of one experiment, by both routes."""

    experiment: str
    score: str
    structured: str
    exact: str


@dataclass(frozen=True)
class Experiment:
    """One section: what is asked, which numbers answer it, and what is drawn of them."""

    title: str
    question: str
    note: str = ""
    name: str = ""
    """Of its results."""
    routes: tuple[str, ...] = _ROUTES
    """By which it is measured."""
    numbers: tuple[tuple[str, str, str], ...] = ()
    """Key, label and form of each; a score of a run has the last two from its row."""
    further: Callable[[Reproduction], list[Cells]] | None = None
    """Numbers that no key gives."""
    charts: tuple[str, ...] = ()
    """Of all pictures: the names of `plot_…`."""
    sheets: tuple[str, ...] = ()
    """Of the first picture."""

    def found(self, result: Reproduction) -> dict[str, Any]:
        """Return its results by route, where it has any."""
        of_both = {route: result.per_form[route].get(self.name) for route in _ROUTES}
        found = of_both if self.routes == _ROUTES else {self.routes[0]: getattr(result, self.name)}
        return {route: one for route, one in found.items() if one is not None}

    def lines(self, result: Reproduction) -> list[Line]:
        """List the numbers, mean ± half the 95 % interval over pictures."""
        found = self.found(result)
        lines = []
        for key, label, written in self.numbers if found else ():
            cells = [
                with_interval(found[route].summary.get(key), written or TABLE[key].form)
                if route in found
                else ""
                for route in _ROUTES
            ]
            lines.append(Line(self.title, label or TABLE[key].phrase, *cells))
        further = self.further(result) if self.further else []
        return [*lines, *(Line(self.title, *cells) for cells in further)]

    def figures(self, result: Reproduction) -> Iterator[tuple[str, str, str, Figure]]:
        """Yield each figure with its name, its file's name and its caption."""
        for name in (*self.charts, *self.sheets):
            for route, found in self.found(result).items():
                if name in self.sheets:
                    shown, of = found.results[0], _FIRST.format(result.about["seeds"][0])
                else:
                    shown, of = (
                        found,
                        _pictures(
                            found.pictures if isinstance(found, Transfer) else len(found.results)
                        ),
                    )
                file = f"{name}_{route}" if len(self.routes) > 1 else name
                caption = f"{route.capitalize()} form, {of}"
                yield name.replace("_", " "), file, caption, _drawn(name, shown)


@ordinary()
def write_reproduction_report(folder: AnyPath, result: Reproduction) -> Path:
    """Draw all figures into the folder, then the page, whole or not at all.

    Raises:
        StorageError: the disk refuses.
        MissingExtraError: packages that only the report needs are not installed.
    """
    folder = path_of(folder, "the reproduction's folder")
    require_extra()
    about, protocol = result.about, result.about["protocol"]
    sections = (_section(experiment, result, folder / FIGURES) for experiment in EXPERIMENTS)
    page = Page(
        kicker="The paper's experiments, with numbers",
        title=f"{about['generator']} at {about['layer']}",
        summary=f"{_pictures(protocol['images'])}, each explained in the structured form, on all "
        f"patches of the grid, and in the exact form, on {protocol['patches']} of them",
        notes=_forms(about),
        sections=[*filter(None, sections), _origin(about)],
    )
    return write_page(folder / REPRODUCTION_REPORT, page)


def reproduction_lines(result: Reproduction) -> list[Line]:
    """List the numbers that the paper's experiments are about."""
    return [line for experiment in EXPERIMENTS for line in experiment.lines(result)]


def reproduction_table(result: Reproduction) -> Any:
    """Lay the lines out for the terminal."""
    from rich.table import Table as RichTable

    about = result.about
    title = f"{about['generator']} at {about['layer']}, {about['protocol']['images']} pictures"
    if about["skipped_seeds"]:
        skipped = ", ".join(map(str, about["skipped_seeds"]))
        title += f" (too little foreground: seeds {skipped})"
    table = RichTable("experiment", "number", "structured", "exact", title=title)
    for name, lines in groupby(reproduction_lines(result), lambda line: line.experiment):
        for place, line in enumerate(lines):
            table.add_row("" if place else name, line.score, line.structured, line.exact)
    return table


def _section(experiment: Experiment, result: Reproduction, folder: Path) -> Section | None:
    """Tell one experiment, its figures drawn into the folder; None where it was left out."""
    drawings = []
    for name, file, caption, figure in experiment.figures(result):
        picture = folder / f"{file}.png"
        write_figure(picture, figure)
        label = f"{experiment.title}, {name}: {caption}"
        drawings.append(Drawing.of(figure, label, caption, picture))
    rows = [Row(line.score, [line.structured, line.exact]) for line in experiment.lines(result)]
    if not rows and not drawings:
        return None
    head = "Number, mean ± half the 95 % interval over pictures"
    columns = [Column("Structured form"), Column("Exact form")]
    fitted_twice = " The exact form is fitted twice, for its noise floor, and both fits count."
    twice = experiment.title == "Cost" and result.about["exact"]["noise_floor"]
    return Section(
        experiment.title.lower().replace(" ", "-"),
        experiment.title,
        prose=[experiment.question],
        notes=[f"{experiment.note}{fitted_twice if twice else ''}"],
        table=Table(f"{experiment.title}: numbers", head, columns, rows) if rows else None,
        drawings=drawings,
    )


def _additivity(result: Reproduction) -> list[Cells]:
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
    lines: list[Cells] = []
    for measure in ("inside_error", "leak"):
        for key, way in ways.items():
            spread = result.additivity.summary.get(f"{key}_{measure}")
            written = with_interval(spread, TABLE[measure].form)
            label = f"{TABLE[measure].phrase}: {way}" if key == "free" else f"… {way}"
            lines.append((label, written, "") if key == "structured" else (label, "", written))
    return lines


def _transfer(result: Reproduction) -> list[Cells]:
    found = result.transfer
    if found is None:
        return []
    paper = f"; the paper: {PAPER_SHARE[0]:.0%} to {PAPER_SHARE[1]:.0%}"
    named = {
        "transfer": f"t({found.a}, {found.b}){paper if (found.a, found.b) == PAPER_COUNTS else ''}",
        "transfer_connected_fields": "… of random connected fields of the same sizes",
        "symmetric_transfer": f"t({found.a}, {found.a})",
        "mean_symmetric_transfer": "t(a, a), mean over all a",
    }
    return [(label, with_interval(found.summary[key], "{:.0%}"), "")
            for key, label in named.items()]  # fmt: skip


def _obvious(result: Reproduction) -> list[Cells]:
    seconds = with_interval(result.cost.summary["obvious_seconds"], "{:,.1f}")
    return [("… as many evaluations, one by one through the whole model", "", seconds)]


def _drawn(name: str, found: Any) -> Figure:
    """Draw results by the name of their figure."""
    if isinstance(found, Relatedness):  # numbered as in the decomposition, as other figures do
        plot = getattr(relation_plots, f"plot_{name}")
        return plot(found.relations, numbers=found.components.tolist())
    modules = (experiment_plots, experiment_pictures, comparison_plots)
    return next(getattr(one, f"plot_{name}") for one in modules if hasattr(one, f"plot_{name}"))(
        found
    )


RELATIONS = "Structure among components"
EXPERIMENTS = (
    Experiment(
        "Sparsity",
        "Are most components nearly nothing, and do few carry the feature?",
        "The energy is Σ‖Δf‖² over the components.",
        "sparsity",
        numbers=(
            ("components", "components that are not zero", ""),
            ("n90", "", ""),
            ("under_5_percent", "… share of them under 5 % of the strongest", "{:.0%}"),
            ("mean_order", "patches in a field, weighted by energy", "{:.2f}"),
            ("low_orders", "share of the energy in fields of 1 to 3 patches", "{:.1%}"),
            ("noise_floor", "noise floor over the strongest component, at its loudest order",
             "{:.0%}"),
            ("above_noise", "components above the noise of their order", "{:.0f}"),
        ),
        charts=("strengths", "orders"),
    ),
    Experiment(
        "Linear additivity",
        "Do sums of components generate a demand as well as a feature that was optimised for this "
        "demand alone?",
        "All ways are measured on the exact form's demands, all sets of its chosen patches. The "
        "raw transform gives the features that were optimised back by construction, unless only "
        "its strongest components are kept. For this comparison the structured form was fitted to "
        "the chosen patches and to the rest as one more, on random demands.",
        further=_additivity,
    ),
    Experiment(
        "Spatial boundedness",
        "Does a component change its action field, and nothing else?",
        "Δx is what a component does to the picture: alone, to the baseline picture x₀; in "
        "context, to the pictures of random sets of other components, for the strongest ones. By "
        "chance: the share of ‖x − x₀‖² inside the field, which a component would have that "
        "changes a little of all. Means are weighted by energy.",
        "boundedness",
        numbers=(
            ("boundedness", "", ""),
            ("boundedness_in_context", "", ""),
            ("boundedness_chance", "… by chance", "{:.2f}"),
        ),
        charts=("boundedness",),
        sheets=("real_fields",),
    ),
    Experiment(
        "Consistency",
        "Does a component add the same pattern whatever other components are there?",
        "A context is a random set of other components. Patterns are compared inside the "
        "component's action field, in the strongest components, weighted by energy.",
        "consistency",
        numbers=(("consistency", "", ""),),
        charts=("consistency",),
        sheets=("contexts",),
    ),
    Experiment(
        "Transfer",
        "Do two pictures share their strongest action fields?",
        "t(a, b) is the share of the a strongest fields of one picture that are among the b "
        "strongest of another. It is measured in the structured form alone: in the exact form each "
        "picture has chosen patches of its own, so that its fields are not those of another. The "
        "paper's range is that of its own models and components.",
        "transfer",
        routes=(STRUCTURED,),
        further=_transfer,
        charts=("transfer",),
    ),
    Experiment(
        "Superposition",
        "Does the picture build up component by component, and is it the sum of their patterns?",
        "Errors are squared distances from x over those of x₀, on the patches that any action "
        "field covers; in the exact form these are chosen ones. A pattern is what one component "
        "does to x₀.",
        "superposition",
        numbers=(
            ("inside_error", "error of the picture of all components together", "{:.1%}"),
            ("superposition_error", "", ""),
        ),
        charts=("superposition",),
        sheets=("build_up",),
    ),
    Experiment(
        "Regional control",
        "Does taking a region's components out change this region and no other?",
        "Regions are random blocks of up to 2 × 2 patches, in the exact form of chosen ones only. "
        "A region's components are those whose field lies inside it; the figures also have those "
        "whose field touches it. Random components have about the same energy.",
        "control",
        numbers=(
            ("share_inside_inside_x0",
             "share of the change inside the region, its components removed", "{:.2f}"),
            ("random_share_inside_inside_x0", "… random components removed", "{:.2f}"),
        ),
        charts=("control",),
        sheets=("edits",),
    ),
    Experiment(
        RELATIONS,
        "Which fields contain which, which components act together, and who gets the credit where "
        "fields overlap?",
        "Ours, from the action fields and strengths alone. Pairs and chains count every component "
        "that is not zero, however weak. Components act together as often as both are switched on "
        "by a random demand that switches on either; demands ask for a tenth of the grid's patches "
        "on average. A group joins those that do so at least half of the time, on the mean over "
        "pairs (average linkage). A patch's credit is its Shapley value in the summed strength of "
        "the components that a demand switches on.",
        "relatedness",
        numbers=(
            ("contained_pairs", "pairs of components of which one field contains the other",
             "{:.1%}"),
            ("longest_chain", "fields in the longest chain, each inside the one before", "{:.1f}"),
            ("mean_overlap", "overlap of two fields, IoU weighted by both strengths", "{:.1%}"),
            ("grouped", "strongest components that may form groups", "{:.0f}"),
            ("groups", "… groups of them that act together", "{:.1f}"),
            ("largest_group", "… components in the largest group", "{:.1f}"),
            ("leading_share", "share of a patch's credit that its largest contributor holds",
             "{:.0%}"),
        ),
        sheets=("containment", "togetherness", "overlap", "credit"),
    ),
    Experiment(
        "Redrawn patches",
        "Does another random draw of patches give the same components where both draws can see?",
        "The exact form alone: two draws of patches of the same picture, compared on the patches "
        "that both have. Permuting the patches of one draw tells what chance gives.",
        "redraw",
        routes=(EXACT,),
        numbers=(
            ("overlap", "another draw of patches: overlap of strengths", "{:.2f}"),
            ("shuffled_overlap", "… with its patches permuted", "{:.2f}"),
            ("cosine", "another draw of patches: cosine of components", "{:.2f}"),
            ("shuffled_cosine", "… with its patches permuted", "{:.2f}"),
        ),
        charts=("redraw",),
    ),
    Experiment(
        "Cost",
        "What does it take, and what would the obvious way take?",
        "Seconds are those of the machine that made the fits, without the baseline's. The obvious "
        "way runs the whole network, for one demand after another; its seconds are those of one "
        "such run times the exact form's evaluations.",
        "spent",
        numbers=(
            ("evaluations", "forward-and-backward evaluations a picture", "{:,.0f}"),
            ("seconds", "seconds a picture", "{:,.1f}"),
        ),
        further=_obvious,
    ),
)  # fmt: skip
"""What each experiment of the paper asks, and three of its reviewers' questions, in order."""


def _forms(about: Mapping[str, Any]) -> list[str]:
    """Say what the two forms are, and what of them is counted."""
    patches = about["protocol"]["patches"]
    how = (
        "a sparse OR representation of these features, fitted to the same demands (ours)"
        if about["exact"]["form"] == "sparse"
        else "the OR transform of these features"
    )
    return [
        "The structured form (ours) fits components of all patches to random demands.",
        "The exact form is the paper's route: features are optimised for each of the "
        f"{2**patches - 1} demands of {patches} random patches of the foreground, and its "
        f"components are {how}. What they leave of the feature is the remainder. "
        "No number here counts it and no edit scales it; it may only be part of a context, and "
        "stays in edited pictures.",
    ]


def _origin(about: Mapping[str, Any]) -> Section:
    exact = {name: value for name, value in about["exact"].items() if name != "patches"}
    held = [("Held behind the cut", form.held_in_words(about["hold"]))] if about["hold"] else []
    rows = [
        ("Date", about["date"]),
        ("Weights", about["weights_digest"][:16]),
        *held,
        ("Protocol", listing(about["protocol"])),
        ("Picture seeds", _seeds(about)),
        ("Exact form", listing(exact)),
        ("Structured form", listing(about["structured"])),
        ("Versions", listing(about["versions"])),
    ]
    return Section("origin", "Origin", facts=[Facts(rows)])


def _seeds(about: Mapping[str, Any]) -> str:
    used = ", ".join(map(str, about["seeds"]))
    skipped = ", ".join(map(str, about["skipped_seeds"]))
    return f"{used}; too little foreground: {skipped}" if skipped else used


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"
