"""The structured form: every unit divides itself among action fields, fitted to random demands.

In the order of the method: `settings`; `influence` measures on which patches a unit acts;
`candidates` lists the action fields that suit it; `shares` are the unknowns, started from
influence; `trials` hold the axioms of the paper against single components; `fit` takes the steps;
`descent` moves the unknowns.
"""

from regional_primitives.decompose.structured.fit import Fit, fit_structured
from regional_primitives.decompose.structured.settings import (
    PURPOSES,
    QUALITIES,
    Structured,
    preset,
)

__all__ = ["PURPOSES", "QUALITIES", "Fit", "Structured", "fit_structured", "preset"]
