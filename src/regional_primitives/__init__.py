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

from regional_primitives.compare import compare
from regional_primitives.explore import explore
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.sanity import sanity

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
    from regional_primitives.compare.comparison import PictureComparison
    from regional_primitives.compare.vocabulary import Vocabulary
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
    from regional_primitives.generators import CutPoint, Generator, cut, layers, load_generator
    from regional_primitives.others import components
    from regional_primitives.picture import Picture, ask
    from regional_primitives.regions import Regions
    from regional_primitives.rivals import Comparison, baselines
    from regional_primitives.runs.folder import report
    from regional_primitives.runs.sweep import load_sweep, sweep
    from regional_primitives.sanity.suite import Sanity
    from regional_primitives.scores import Evaluation, Relations, Scores, evaluate, relations
    from regional_primitives.scores.sweep_scores import SweepScores
    from regional_primitives.setfunctions import and_harsanyi, and_values, or_harsanyi, or_values

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

_WHERE = {
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
    "compare.comparison": ("PictureComparison",),
    "compare.vocabulary": ("Vocabulary",),
    "decompose": (
        "Decomposition",
        "Exact",
        "Forecast",
        "Minimal",
        "MinimalFeatures",
        "Structured",
        "exact_components",
        "explain",
        "forecast",
        "minimal_features",
    ),
    "errors": (
        "GeneratorError",
        "ImageRangeWarning",
        "InputError",
        "MissingExtraError",
        "RegionalPrimitivesError",
        "SomeFailedError",
        "StorageError",
        "WholeRunWarning",
    ),
    "generators": ("CutPoint", "Generator", "cut", "layers", "load_generator"),
    "others": ("components",),
    "picture": ("Picture", "ask"),
    "regions": ("Regions",),
    "rivals": ("Comparison", "baselines"),
    "runs.folder": ("report",),
    "runs.sweep": ("load_sweep", "sweep"),
    "sanity.suite": ("Sanity",),
    "scores": ("Evaluation", "Relations", "Scores", "evaluate", "relations"),
    "scores.sweep_scores": ("SweepScores",),
    "setfunctions": ("and_harsanyi", "and_values", "or_harsanyi", "or_values"),
}
"""Which module has what. Each is loaded when it is first asked for, and torch with the first."""
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return globals()[name]
    if name in _WHERE or name in ("runs", "show"):  # as packages that are loaded at once
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _shown_in_notebooks(result: Any) -> str | None:
    """Draw a result for a notebook; what draws is loaded when the first one is shown."""
    from regional_primitives.show.notebook import in_notebook

    return in_notebook(result)


RichResult.drawer = staticmethod(_shown_in_notebooks)
