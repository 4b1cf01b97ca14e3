"""What one would do instead: other explanations of the same picture, scored on the same demands."""

from importlib import import_module
from pkgutil import iter_modules

from regional_primitives.rivals.compare import (
    Compared,
    Comparison,
    Point,
    baselines,
)
from regional_primitives.rivals.rival import BASELINES, Way, rival

__all__ = [
    "BASELINES",
    "Compared",
    "Comparison",
    "Point",
    "Way",
    "baselines",
    "rival",
]

# Each file here registers its own.
for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
