"""The exact form, the paper's own route: minimal features of all demands, and their OR transform.

In the order of the method: `settings`; `lattice` lists the demands and where each one's search
starts; `objective` is what a minimal feature minimises; `quasi_newton` minimises many at once;
`minimal` finds the features, with `checkpoint` between; `components` transforms them; `sparse_or`
finds the sparsest of equally good representations.
"""

from regional_primitives.decompose.exact.components import (
    ExactComponents,
    exact_components,
    fit_exact,
)
from regional_primitives.decompose.exact.minimal import MinimalFeatures, minimal_features
from regional_primitives.decompose.exact.settings import Exact, Minimal

__all__ = [
    "Exact",
    "ExactComponents",
    "Minimal",
    "MinimalFeatures",
    "exact_components",
    "fit_exact",
    "minimal_features",
]
