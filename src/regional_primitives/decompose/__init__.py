"""Decomposing a feature: demands, measured influence, the structured form, and the result."""

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.exact import Exact, ExactComponents, exact_components
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.minimal import MinimalFeatures, minimal_features
from regional_primitives.decompose.objective import Minimal
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
