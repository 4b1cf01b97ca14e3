"""Results made visible: pixels, outlines, figures, and the report, all from a run folder alone.

Every `plot_…` takes a result and returns a matplotlib figure. Those of one chart accept `axes`, the
others `figure`, which may be a SubFigure. matplotlib is loaded when the first one draws.
"""

from regional_primitives.show.comparison_plots import (
    plot_shared_fields,
    plot_transfer,
    plot_transfer_matrix,
)
from regional_primitives.show.experiment_pictures import (
    plot_build_up,
    plot_carried,
    plot_contexts,
    plot_edits,
    plot_real_fields,
)
from regional_primitives.show.experiment_plots import (
    plot_boundedness,
    plot_consistency,
    plot_control,
    plot_orders,
    plot_redraw,
    plot_strengths,
    plot_superposition,
)
from regional_primitives.show.figures import write_figures
from regional_primitives.show.overview import plot_overview
from regional_primitives.show.plots import (
    plot_baselines,
    plot_field_sizes,
    plot_frontier,
    plot_history,
    plot_noise,
    plot_sparsity,
    plot_top_error,
)
from regional_primitives.show.relation_plots import (
    plot_containment,
    plot_credit,
    plot_overlap,
    plot_togetherness,
)
from regional_primitives.show.report import write_report
from regional_primitives.show.sweep_distributions import plot_distributions
from regional_primitives.show.sweep_plots import plot_sweep

__all__ = [
    "plot_baselines",
    "plot_boundedness",
    "plot_build_up",
    "plot_carried",
    "plot_consistency",
    "plot_containment",
    "plot_contexts",
    "plot_control",
    "plot_credit",
    "plot_distributions",
    "plot_edits",
    "plot_field_sizes",
    "plot_frontier",
    "plot_history",
    "plot_noise",
    "plot_orders",
    "plot_overlap",
    "plot_overview",
    "plot_real_fields",
    "plot_redraw",
    "plot_shared_fields",
    "plot_sparsity",
    "plot_strengths",
    "plot_superposition",
    "plot_sweep",
    "plot_togetherness",
    "plot_top_error",
    "plot_transfer",
    "plot_transfer_matrix",
    "write_figures",
    "write_report",
]
