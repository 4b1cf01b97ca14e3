"""Set functions over patches: subsets as bitmasks, and the AND and OR Harsanyi transforms."""

from __future__ import annotations

from regional_primitives.setfunctions.moebius import (
    and_harsanyi,
    and_values,
    or_harsanyi,
    or_values,
)
from regional_primitives.setfunctions.ridge import OrRidge
from regional_primitives.setfunctions.subsets import (
    MAX_DENSE_PATCHES,
    bitmask,
    bitmasks,
    membership,
    orders,
    patches_of,
)

__all__ = [
    "MAX_DENSE_PATCHES",
    "OrRidge",
    "and_harsanyi",
    "and_values",
    "bitmask",
    "bitmasks",
    "membership",
    "or_harsanyi",
    "or_values",
    "orders",
    "patches_of",
]
