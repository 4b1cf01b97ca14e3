"""Which part of an image generator's feature makes which part of the picture?

Follows "Disentangling Regional Primitives for Image Generation" (arXiv 2410.04421). The README has
a dozen lines that explain a face; the modules, in the order of the method, are generators (cut a
network), regions (the patches), setfunctions (OR interactions), decompose (the components), picture
(what they generate), others (anybody's components), scores (how far to believe them), rivals (what
one would do instead), compare (several pictures), apply (edits), sanity (whether nonsense is told
from sense), show and explore (pages), runs (folders and sweeps) and cli.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from regional_primitives.compare import PictureComparison, Vocabulary, compare
from regional_primitives.decompose import (
    Decomposition,
    Exact,
    Forecast,
    Minimal,
    MinimalFeatures,
    Structured,
    exact_components,
    explain,
    forecast,
    minimal_features,
)
from regional_primitives.errors import (
    GeneratorError,
    ImageRangeWarning,
    InputError,
    MissingExtraError,
    RegionalPrimitivesError,
    SomeFailedError,
    StorageError,
    WholeRunWarning,
)
from regional_primitives.explore import explore
from regional_primitives.generators import CutPoint, Generator, cut, layers, load_generator
from regional_primitives.others import components
from regional_primitives.picture import Picture, ask
from regional_primitives.regions import Regions
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.sanity import Sanity, sanity
from regional_primitives.scores import Evaluation, Relations, Scores, evaluate, relations
from regional_primitives.scores.sweep_scores import SweepScores
from regional_primitives.setfunctions import and_harsanyi, and_values, or_harsanyi, or_values

if TYPE_CHECKING:
    from regional_primitives.apply import (
        CarriedEdit,
        Edit,
        EditEffects,
        EditScores,
        carry,
        edit,
        edit_effects,
        edit_scores,
    )
    from regional_primitives.rivals import Comparison, baselines
    from regional_primitives.runs.folder import report
    from regional_primitives.runs.sweep import load_sweep, sweep

__all__ = [
    "CarriedEdit",
    "Comparison",
    "CutPoint",
    "Decomposition",
    "Edit",
    "EditEffects",
    "EditScores",
    "Evaluation",
    "Exact",
    "Forecast",
    "Generator",
    "GeneratorError",
    "ImageRangeWarning",
    "InputError",
    "Minimal",
    "MinimalFeatures",
    "MissingExtraError",
    "Picture",
    "PictureComparison",
    "RegionalPrimitivesError",
    "Regions",
    "Relations",
    "Sanity",
    "Scores",
    "SomeFailedError",
    "StorageError",
    "Structured",
    "SweepScores",
    "Vocabulary",
    "WholeRunWarning",
    "and_harsanyi",
    "and_values",
    "ask",
    "baselines",
    "carry",
    "compare",
    "components",
    "cut",
    "edit",
    "edit_effects",
    "edit_scores",
    "evaluate",
    "exact_components",
    "explain",
    "explore",
    "forecast",
    "layers",
    "load_generator",
    "load_sweep",
    "minimal_features",
    "or_harsanyi",
    "or_values",
    "relations",
    "report",
    "sanity",
    "sweep",
]

_WHEN_ASKED = {
    "apply": (
        "CarriedEdit",
        "Edit",
        "EditEffects",
        "EditScores",
        "carry",
        "edit",
        "edit_effects",
        "edit_scores",
    ),
    "rivals": ("Comparison", "baselines"),
    "runs.folder": ("report",),
    "runs.sweep": ("load_sweep", "sweep"),
}
"""What explaining and scoring do without, by its module: loaded when it is first asked for."""


def __getattr__(name: str) -> Any:
    for module, names in _WHEN_ASKED.items():
        if name in names:
            globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return globals()[name]
    if name in ("apply", "rivals", "runs", "show"):  # as packages that are loaded at once
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _shown_in_notebooks(result: Any) -> str | None:
    """Draw a result for a notebook; what draws is loaded when the first one is shown."""
    from regional_primitives.show.notebook import in_notebook

    return in_notebook(result)


RichResult.drawer = staticmethod(_shown_in_notebooks)
