"""A comparison of pictures becomes one self-contained page, compare.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regional_primitives.compare import PictureComparison
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.staging import staged_file
from regional_primitives.scores.exhibits import Patterns
from regional_primitives.show.comparison_view import comparison_view
from regional_primitives.show.extras import require_report_extra
from regional_primitives.show.page import fill_template

__all__ = ["COMPARISON_REPORT", "write_comparison_report"]

COMPARISON_REPORT = "compare.html"


@ordinary()
def write_comparison_report(
    folder: AnyPath, comparison: PictureComparison, patterns: Sequence[Patterns]
) -> Path:
    """Write compare.html, whole or not at all; return its path.

    Args:
        folder: where.
        comparison: what the page is about.
        patterns: of each picture, of the components that `shown_components` names.

    Raises:
        MissingExtraError: packages that only the report needs are not installed.
        StorageError: the disk refuses.
    """
    require_report_extra()
    view = comparison_view(comparison, patterns)
    page = fill_template(COMPARISON_REPORT, view, "report.css", "compare.css")
    report = path_of(folder, "the comparison's folder") / COMPARISON_REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report
