"""All figures of a run, drawn from its results and written as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.rivals import Comparison
from regional_primitives.runtime.run_files import figure_file
from regional_primitives.runtime.staging import staged_file
from regional_primitives.scores import Exhibits, Scores
from regional_primitives.show import form, noise_plots, plots
from regional_primitives.show.baseline_plots import plot_baselines
from regional_primitives.show.overview import plot_overview
from regional_primitives.show.relation_view import relation_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:  # only annotations need it; matplotlib is loaded when a figure is drawn
    Figure = Any

__all__ = ["draw_figures", "write_figure", "write_figures"]

_DPI = 160


def draw_figures(
    decomposition: Decomposition,
    scores: Scores,
    exhibits: Exhibits,
    comparison: Comparison | None = None,
) -> dict[str, Figure]:
    """Draw all figures that the run has numbers for, by name."""
    components = form.apart(decomposition)
    figures = {
        "overview": plot_overview(decomposition, exhibits),
        "sparsity": plots.plot_sparsity(components, scores),
    }
    if scores.top_inside_error:
        figures["top_error"] = plots.plot_top_error(scores)
    if scores.field_sizes:
        figures["field_sizes"] = plots.plot_field_sizes(components, scores)
    if components.noise is not None:
        figures["noise"] = noise_plots.plot_noise(components)
    if len(decomposition.history):
        figures["history"] = plots.plot_history(decomposition)
    if scores.frontier:
        figures["frontier"] = plots.plot_frontier(scores)
    if comparison is not None:
        figures["baselines"] = plot_baselines(comparison, frontier=scores.frontier)
    return {**figures, **relation_figures(decomposition)}


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
    written = []
    figures = draw_figures(decomposition, scores, exhibits, comparison)
    for name, figure in figures.items():
        path = folder / figure_file(name)
        write_figure(path, figure)
        written.append(path)
    return written


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Raises:
        StorageError: the disk refuses.
    """
    with staged_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})
