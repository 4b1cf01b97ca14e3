"""Results made visible: pixels, outlines, figures, and the report, all from a run folder alone."""

from regional_primitives.show.figures import write_figures
from regional_primitives.show.report import REPORT, write_report

__all__ = ["REPORT", "write_figures", "write_report"]
