"""A run folder becomes one self-contained page, report.html, without model, GPU or network."""

from __future__ import annotations

from pathlib import Path

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.rivals import Comparison
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.run_files import REPORT
from regional_primitives.runtime.staging import staged_file
from regional_primitives.scores import Exhibits, Scores
from regional_primitives.show.extras import require_report_extra
from regional_primitives.show.figures import write_figures
from regional_primitives.show.page import fill_template
from regional_primitives.show.view import ReportView, report_view

_BOARD = tuple(
    f"board/{name}.js"
    for name in ("words", "outline", "state", "grid", "components", "buildup", "board", "stored")
)
"""The board's modules, each after those that it imports."""


@ordinary()
def write_report(folder: AnyPath) -> Path:
    """Read a run folder; write its figures and then its report.html, whole or not at all.

    Raises:
        StorageError: the folder is no run folder, is incomplete or corrupt, or cannot be written.
        MissingExtraError: packages that only the report needs are not installed.
    """
    folder = path_of(folder, "the run folder")
    require_report_extra()
    decomposition = Decomposition.load(folder)
    scores = Scores.read(folder)
    exhibits = Exhibits.read(folder, decomposition)
    comparison = Comparison.read(folder)
    manifest = read_manifest(folder)
    page = render(report_view(decomposition, scores, exhibits, manifest, comparison))
    write_figures(folder, decomposition, scores, exhibits, comparison)
    report = folder / REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report


def render(view: ReportView) -> str:
    """Fill the template; everything that a run brings along is escaped."""
    return fill_template(REPORT, view, "report.css", "board/board.css", scripts=_BOARD)
