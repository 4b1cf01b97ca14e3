"""Decomposing a feature: two routes to components, and the decomposition that both end in.

`explain` is the door. `subject` prepares a picture, `demands` draws what it is asked for, and
`purpose` says which of two questions is answered. `structured` fits components to demands, of any
number of patches; `exact` transforms the minimal features of all demands, of few.
`decomposition` is the result, `stored` its files, `provenance` where it comes from.
"""

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.exact import (
    Exact,
    ExactComponents,
    Minimal,
    MinimalFeatures,
    exact_components,
    minimal_features,
)
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.structured import Structured

__all__ = [
    "Decomposition",
    "Exact",
    "ExactComponents",
    "Minimal",
    "MinimalFeatures",
    "Provenance",
    "Structured",
    "exact_components",
    "explain",
    "minimal_features",
]
