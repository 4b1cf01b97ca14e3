"""A reproduction becomes figures and one self-contained page, reproduction.html."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regional_primitives.experiments.reproduced import EXACT, STRUCTURED, Reproduction
from regional_primitives.runtime.storage import staged_file
from regional_primitives.show import experiment_pictures, experiment_plots
from regional_primitives.show.extras import require_report_extra
from regional_primitives.show.figures import FIGURES, write_figure
from regional_primitives.show.pixels import data_uri
from regional_primitives.show.report import fill_template
from regional_primitives.show.reproduction_table import Line, reproduction_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:  # only annotations need it; matplotlib is loaded when a figure is drawn
    Figure = Any

__all__ = ["REPRODUCTION_REPORT", "write_reproduction_report"]

REPRODUCTION_REPORT = "reproduction.html"
_DPI = 110

_QUESTIONS = {
    "Sparsity": "Are most components nearly nothing, and do few carry the feature?",
    "Linear additivity": "Do sums of components generate a demand as well as a feature that was "
    "optimised for this demand alone?",
    "Spatial boundedness": "Does a component change its action field, and nothing else?",
    "Consistency": "Does a component add the same pattern whatever other components are there?",
    "Transfer": "Do two pictures share their strongest action fields?",
    "Superposition": "Does the picture build up component by component, and is it the sum of "
    "their patterns?",
    "Regional control": "Does taking a region's components out change this region and no other?",
    "Redrawn patches": "Does another random draw of patches give the same components where both "
    "draws can see?",
    "Cost": "What does it take, and what would the obvious way take?",
}
"""What each experiment of the paper asks, and two that its reviewers asked for."""


@dataclass(frozen=True)
class _Drawing:
    uri: str
    label: str


@dataclass(frozen=True)
class _Section:
    anchor: str
    title: str
    question: str
    lines: list[Line]
    drawings: list[_Drawing]


@dataclass(frozen=True)
class _View:
    title: str
    summary: str
    sections: list[_Section]
    about: list[tuple[str, str]]


def write_reproduction_report(folder: Path, result: Reproduction) -> Path:
    """Draw all figures into the folder, then the page, whole or not at all.

    Raises:
        StorageError: the disk refuses.
        MissingExtraError: packages that only the report needs are not installed.
    """
    require_report_extra()
    drawings: dict[str, list[_Drawing]] = {title: [] for title in _QUESTIONS}
    for title, name, figure in _figures(result):
        write_figure(folder / FIGURES / f"{name}.png", figure)
        drawings[title].append(_Drawing(_uri(figure), _caption(name)))
    page = fill_template(
        REPRODUCTION_REPORT, _view(result, drawings), "report.css", "reproduction.css"
    )
    report = folder / REPRODUCTION_REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report


def _figures(result: Reproduction) -> Iterator[tuple[str, str, Figure]]:
    """Yield each figure with its experiment and its name: numbers of both routes, then pictures."""
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
    )
    for route in (STRUCTURED, EXACT):
        found = result.per_form[route]
        for title, name, label, plot in plots:
            yield title, f"{label}_{route}", plot(found[name])
        for title, name, label, draw in pictures:
            yield title, f"{label}_{route}", draw(found[name].results[0])
    if result.transfer is not None:
        yield "Transfer", "transfer", experiment_plots.plot_transfer(result.transfer)
    if result.redraw is not None:
        yield "Redrawn patches", "redraw", experiment_plots.plot_redraw(result.redraw)


def _caption(name: str) -> str:
    """Say which route a figure is of."""
    for route in (STRUCTURED, EXACT):
        if name.endswith(f"_{route}"):
            return f"{route.capitalize()} form"
    return name.replace("_", " ").capitalize()


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return data_uri(buffer.getvalue())


def _view(result: Reproduction, drawings: dict[str, list[_Drawing]]) -> _View:
    about, lines = result.about, reproduction_lines(result)
    protocol = about["protocol"]
    sections = [
        _Section(
            title.lower().replace(" ", "-"),
            title,
            question,
            [line for line in lines if line.experiment == title],
            drawings[title],
        )
        for title, question in _QUESTIONS.items()
    ]
    return _View(
        title=f"{about['generator']} at {about['layer']}",
        summary=f"{protocol['images']} pictures; exact: {protocol['patches']} random foreground "
        f"patches, all {2 ** protocol['patches'] - 1} demands; structured: all patches",
        sections=[section for section in sections if section.lines or section.drawings],
        about=[
            ("Date", about["date"]),
            ("Weights", about["weights_digest"][:16]),
            ("Protocol", _told(protocol)),
            ("Exact form", _told(about["exact"])),
            ("Structured form", _told(about["structured"])),
            ("Versions", _told(about["versions"])),
        ],
    )


def _told(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
