"""A sweep's folder becomes one self-contained page, sweep.html, from sweep.json alone."""

from __future__ import annotations

from pathlib import Path

from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.run_files import FIGURES
from regional_primitives.runtime.staging import staged_file
from regional_primitives.scores.sweep_scores import SweepScores
from regional_primitives.show.extras import require_report_extra
from regional_primitives.show.figures import write_figure
from regional_primitives.show.page import fill_template
from regional_primitives.show.sweep_plots import plot_sweep
from regional_primitives.show.sweep_view import sweep_view

__all__ = ["SWEEP_FIGURE", "SWEEP_REPORT", "write_sweep_report"]

SWEEP_REPORT = "sweep.html"
SWEEP_FIGURE = "sweep.png"
"""In the folder's figures."""


@ordinary()
def write_sweep_report(folder: AnyPath) -> Path:
    """Read sweep.json; write the figure and then sweep.html, whole or not at all.

    Raises:
        StorageError: sweep.json is missing or corrupt, or the disk refuses.
        MissingExtraError: packages that only the report needs are not installed.
    """
    folder = path_of(folder, "the sweep's folder")
    require_report_extra()
    sweep = SweepScores.read(folder)
    page = fill_template(SWEEP_REPORT, sweep_view(sweep), "report.css", "sweep.css")
    write_figure(folder / FIGURES / SWEEP_FIGURE, plot_sweep(sweep))
    report = folder / SWEEP_REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report
