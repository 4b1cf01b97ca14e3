"""All figures of a run, each drawn once from its results, and written as PNG files."""

from __future__ import annotations

from pathlib import Path

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.rivals import Comparison
from regional_primitives.runtime.run_files import figure_file
from regional_primitives.runtime.staging import staged_file
from regional_primitives.scores import Exhibits, Relations, Scores
from regional_primitives.show import form, plots, relation_plots
from regional_primitives.show.overview import plot_overview
from regional_primitives.show.style import Figure

_DPI = 160
_PNG = {"compress_level": 3}
"""A tenth larger than at 6, in three quarters of the time."""


def draw_figures(
    decomposition: Decomposition,
    scores: Scores,
    exhibits: Exhibits,
    comparison: Comparison | None = None,
    related: Relations | None = None,
) -> dict[str, Figure]:
    """Draw all figures that the run has numbers for, by name; none relates the remainder."""
    components = form.apart(decomposition)
    related = form.related(decomposition) if related is None else related
    numbers = form.numbers(decomposition)[: related.decomposition.count]
    figures = {
        "overview": plot_overview(decomposition, exhibits),
        "sparsity": plots.plot_sparsity(components, scores),
    }
    if scores.top_inside_error:
        figures["top_error"] = plots.plot_top_error(scores)
    if scores.field_sizes:
        figures["field_sizes"] = plots.plot_field_sizes(components, scores)
    if components.noise is not None:
        figures["noise"] = plots.plot_noise(components)
    if len(decomposition.history):
        figures["history"] = plots.plot_history(decomposition)
    if scores.frontier:
        figures["frontier"] = plots.plot_frontier(scores)
    if comparison is not None:
        figures["baselines"] = plots.plot_baselines(comparison, frontier=scores.frontier)
    if components.count > 1:  # a single component relates to nothing
        for name in ("containment", "togetherness", "overlap"):
            figures[name] = getattr(relation_plots, f"plot_{name}")(related, numbers=numbers)
    if components.count:
        figures["credit"] = relation_plots.plot_credit(related, numbers=numbers)
    return figures


def write_figures(
    folder: Path,
    decomposition: Decomposition,
    scores: Scores,
    exhibits: Exhibits,
    comparison: Comparison | None = None,
) -> list[Path]:
    """Write all figures of a run into its figures folder; return their paths.

    Raises:
        MissingExtraError: matplotlib is not installed.
        StorageError: the disk refuses.
    """
    figures = draw_figures(decomposition, scores, exhibits, comparison)
    for name, figure in figures.items():
        write_figure(folder / figure_file(name), figure)
    return [folder / figure_file(name) for name in figures]


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Raises:
        StorageError: the disk refuses.
    """
    with staged_file(path) as temporary:
        figure.savefig(
            temporary, format="png", dpi=_DPI, metadata={"Software": None}, pil_kwargs=_PNG
        )
