"""A reproduction becomes figures and one self-contained page, reproduction.html."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regional_primitives.compare import Relatedness
from regional_primitives.compare.across import EXACT, STRUCTURED, Reproduction
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.run_files import FIGURES
from regional_primitives.runtime.staging import staged_file
from regional_primitives.show import experiment_pictures, experiment_plots, form, relation_plots
from regional_primitives.show.extras import require_report_extra
from regional_primitives.show.figures import write_figure
from regional_primitives.show.page import fill_template
from regional_primitives.show.pixels import data_uri
from regional_primitives.show.reproduction_table import (
    EXPERIMENTS,
    RELATIONS,
    Line,
    reproduction_lines,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:  # only annotations need it; matplotlib is loaded when a figure is drawn
    Figure = Any

__all__ = ["REPRODUCTION_REPORT", "write_reproduction_report"]

REPRODUCTION_REPORT = "reproduction.html"
_PIXELS_PER_INCH = 110
"""CSS pixels; the files have more, for screens that show them."""

_QUESTIONS = {
    "Sparsity": (
        "Are most components nearly nothing, and do few carry the feature?",
        "The energy is Σ‖Δf‖² over the components.",
    ),
    "Linear additivity": (
        "Do sums of components generate a demand as well as a feature that was optimised for this "
        "demand alone?",
        "All ways are measured on the exact form's demands, all sets of its chosen patches. The "
        "raw transform gives the features that were optimised back by construction, unless only "
        "its strongest components are kept. For this comparison the structured form was fitted to "
        "the chosen patches and to the rest as one more, on random demands.",
    ),
    "Spatial boundedness": (
        "Does a component change its action field, and nothing else?",
        "Δx is what a component does to the picture: alone, to the baseline picture x₀; in "
        "context, to the pictures of random sets of other components, for the strongest ones. By "
        "chance: the share of ‖x − x₀‖² inside the field, which a component would have that "
        "changes a little of all. Means are weighted by energy.",
    ),
    "Consistency": (
        "Does a component add the same pattern whatever other components are there?",
        "A context is a random set of other components. Patterns are compared inside the "
        "component's action field, in the strongest components, weighted by energy.",
    ),
    "Transfer": (
        "Do two pictures share their strongest action fields?",
        "t(a, b) is the share of the a strongest fields of one picture that are among the b "
        "strongest of another. It is measured in the structured form alone: in the exact form each "
        "picture has chosen patches of its own, so that its fields are not those of another. The "
        "paper's range is that of its own models and components.",
    ),
    "Superposition": (
        "Does the picture build up component by component, and is it the sum of their patterns?",
        "Errors are squared distances from x over those of x₀, on the patches that any action "
        "field covers; in the exact form these are chosen ones. A pattern is what one component "
        "does to x₀.",
    ),
    "Regional control": (
        "Does taking a region's components out change this region and no other?",
        "Regions are random blocks of up to 2 × 2 patches, in the exact form of chosen ones only. "
        "A region's components are those whose field lies inside it; the figures also have those "
        "whose field touches it. Random components have about the same energy.",
    ),
    RELATIONS: (
        "Which fields contain which, which components act together, and who gets the credit where "
        "fields overlap?",
        "Ours, from the action fields and strengths alone. Pairs and chains count every component "
        "that is not zero, however weak. Components act together as often as both are switched on "
        "by a random demand that switches on either; demands ask for a tenth of the grid's patches "
        "on average. A group joins those that do so at least half of the time, on the mean over "
        "pairs (average linkage). A patch's credit is its Shapley value in the summed strength of "
        "the components that a demand switches on.",
    ),
    "Redrawn patches": (
        "Does another random draw of patches give the same components where both draws can see?",
        "The exact form alone: two draws of patches of the same picture, compared on the patches "
        "that both have. Permuting the patches of one draw tells what chance gives.",
    ),
    "Cost": ("What does it take, and what would the obvious way take?", ""),
}
"""What each experiment of the paper asks, and three of its reviewers' questions; how to read it."""


@dataclass(frozen=True)
class _Drawing:
    uri: str
    width: int
    """CSS pixels."""
    caption: str
    label: str
    """What a reader who cannot see it is told."""


@dataclass(frozen=True)
class _Section:
    anchor: str
    title: str
    question: str
    note: str
    lines: list[Line]
    drawings: list[_Drawing]


@dataclass(frozen=True)
class _View:
    title: str
    summary: str
    forms: list[str]
    """What the two forms are, and what of them is counted."""
    sections: list[_Section]
    about: list[tuple[str, str]]


@ordinary()
def write_reproduction_report(folder: AnyPath, result: Reproduction) -> Path:
    """Draw all figures into the folder, then the page, whole or not at all.

    Raises:
        StorageError: the disk refuses.
        MissingExtraError: packages that only the report needs are not installed.
    """
    folder = path_of(folder, "the reproduction's folder")
    require_report_extra()
    drawings: dict[str, list[_Drawing]] = {title: [] for title in EXPERIMENTS}
    for title, name, caption, figure in _figures(result):
        path = folder / FIGURES / f"{name}.png"
        write_figure(path, figure)
        shown = name.removesuffix(f"_{EXACT}").removesuffix(f"_{STRUCTURED}").replace("_", " ")
        label = f"{title}, {shown}: {caption}"
        width = round(_PIXELS_PER_INCH * figure.get_figwidth())
        drawings[title].append(_Drawing(data_uri(path.read_bytes()), width, caption, label))
    page = fill_template(
        REPRODUCTION_REPORT, _view(result, drawings), "report.css", "reproduction.css"
    )
    report = folder / REPRODUCTION_REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report


def _figures(result: Reproduction) -> Iterator[tuple[str, str, str, Figure]]:
    """Yield each figure with its experiment, its name and its caption.

    Charts of all pictures come first, both forms side by side, then those of the first picture.
    """
    plots = (
        ("Sparsity", "sparsity", "strengths", experiment_plots.plot_strengths),
        ("Sparsity", "sparsity", "orders", experiment_plots.plot_orders),
        ("Spatial boundedness", "boundedness", "boundedness", experiment_plots.plot_boundedness),
        ("Consistency", "consistency", "consistency", experiment_plots.plot_consistency),
        ("Superposition", "superposition", "superposition", experiment_plots.plot_superposition),
        ("Regional control", "control", "control", experiment_plots.plot_control),
    )
    pictures = (
        ("Spatial boundedness", "boundedness", "real_fields", experiment_pictures.plot_real_fields),
        ("Consistency", "consistency", "contexts", experiment_pictures.plot_contexts),
        ("Superposition", "superposition", "build_up", experiment_pictures.plot_build_up),
        ("Regional control", "control", "edits", experiment_pictures.plot_edits),
        (RELATIONS, "relatedness", "containment", _related(relation_plots.plot_containment)),
        (RELATIONS, "relatedness", "togetherness", _related(relation_plots.plot_togetherness)),
        (RELATIONS, "relatedness", "overlap", _related(relation_plots.plot_overlap)),
        (RELATIONS, "relatedness", "credit", _related(relation_plots.plot_credit)),
    )
    several = _pictures(result.about["protocol"]["images"])
    first = f"the first picture (seed {result.about['seeds'][0]})"
    for title, name, label, plot in plots:
        for route in (STRUCTURED, EXACT):
            figure = plot(result.per_form[route][name])
            yield title, f"{label}_{route}", f"{route.capitalize()} form, {several}", figure
    for title, name, label, draw in pictures:
        for route in (STRUCTURED, EXACT):
            found = result.per_form[route].get(name)
            if found is not None:  # packages for relations may have been missing
                figure = draw(found.results[0])
                yield title, f"{label}_{route}", f"{route.capitalize()} form, {first}", figure
    if result.transfer is not None:
        caption = f"Structured form, {_pictures(result.transfer.pictures)}"
        yield "Transfer", "transfer", caption, experiment_plots.plot_transfer(result.transfer)
    if result.redraw is not None:
        caption = f"Exact form, {_pictures(len(result.redraw.results))}"
        yield "Redrawn patches", "redraw", caption, experiment_plots.plot_redraw(result.redraw)


def _related(plot: Callable[..., Figure]) -> Callable[[Relatedness], Figure]:
    """Draw relations with the components' numbers in the decomposition, as other figures do."""
    return lambda result: plot(result.relations, numbers=result.components.tolist())


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def _view(result: Reproduction, drawings: dict[str, list[_Drawing]]) -> _View:
    about, lines = result.about, reproduction_lines(result)
    protocol = about["protocol"]
    notes = {title: note for title, (_, note) in _QUESTIONS.items()} | {"Cost": _cost_note(about)}
    sections = [
        _Section(
            title.lower().replace(" ", "-"),
            title,
            _QUESTIONS[title][0],
            notes[title],
            [line for line in lines if line.experiment == title],
            drawings[title],
        )
        for title in EXPERIMENTS
    ]
    exact = {name: value for name, value in about["exact"].items() if name != "patches"}
    return _View(
        title=f"{about['generator']} at {about['layer']}",
        summary=f"{_pictures(protocol['images'])}, each explained in the structured form, on all "
        f"patches of the grid, and in the exact form, on {protocol['patches']} of them",
        forms=_forms(about),
        sections=[section for section in sections if section.lines or section.drawings],
        about=[
            ("Date", about["date"]),
            ("Weights", about["weights_digest"][:16]),
            *(
                [("Held behind the cut", form.held_in_words(about["hold"]))]
                if about["hold"]
                else []
            ),
            ("Protocol", _told(protocol)),
            ("Picture seeds", _seeds(about)),
            ("Exact form", _told(exact)),
            ("Structured form", _told(about["structured"])),
            ("Versions", _told(about["versions"])),
        ],
    )


def _forms(about: dict[str, Any]) -> list[str]:
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


def _cost_note(about: dict[str, Any]) -> str:
    twice = (
        " The exact form is fitted twice, for its noise floor, and both fits count."
        if about["exact"]["noise_floor"]
        else ""
    )
    return (
        "Seconds are those of the machine that made the fits, without the baseline's. The obvious "
        "way runs the whole network, for one demand after another; its seconds are those of one "
        f"such run times the exact form's evaluations.{twice}"
    )


def _seeds(about: dict[str, Any]) -> str:
    used = ", ".join(map(str, about["seeds"]))
    skipped = ", ".join(map(str, about["skipped_seeds"]))
    return f"{used}; too little foreground: {skipped}" if skipped else used


def _told(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
