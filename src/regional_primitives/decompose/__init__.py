"""Decomposing a feature: demands, measured influence, the structured form, and the result."""

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.structured import Structured

__all__ = ["Decomposition", "Provenance", "Structured", "explain"]
