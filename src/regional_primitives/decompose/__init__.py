"""Decomposing a feature: two routes to components, and the decomposition that both end in.

`explain` is the door. `subject` prepares a picture, `demands` draws what it is asked for, and
`purpose` says which of two questions is answered. `structured` fits components to demands, of any
number of patches; `exact` transforms the minimal features of all demands, of few.
`forecast` tells what a fit takes, `decomposition` is the result, `stored` its files, `provenance`
where it comes from.
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
from regional_primitives.decompose.forecast import Forecast, forecast
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.structured import Structured

__all__ = [
    "Decomposition",
    "Exact",
    "ExactComponents",
    "Forecast",
    "Minimal",
    "MinimalFeatures",
    "Provenance",
    "Structured",
    "exact_components",
    "explain",
    "forecast",
    "minimal_features",
]
