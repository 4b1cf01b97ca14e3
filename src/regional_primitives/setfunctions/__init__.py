"""Set functions over patches: subsets as bitmasks, and the AND and OR Harsanyi transforms."""

from regional_primitives.setfunctions.moebius import (
    and_harsanyi,
    and_values,
    or_harsanyi,
    or_values,
)
from regional_primitives.setfunctions.ridge import OrRidge
from regional_primitives.setfunctions.subsets import MAX_DENSE_PATCHES, membership, orders

__all__ = [
    "MAX_DENSE_PATCHES",
    "OrRidge",
    "and_harsanyi",
    "and_values",
    "membership",
    "or_harsanyi",
    "or_values",
    "orders",
]
