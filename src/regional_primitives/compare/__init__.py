"""Pictures compared: which primitives they share, and all experiments over several of them."""

from regional_primitives.compare.comparison import (
    Chance,
    CommonField,
    PictureComparison,
    Span,
    compare,
)
from regional_primitives.compare.likeness import Likeness
from regional_primitives.compare.relatedness import Relatedness, relatedness
from regional_primitives.compare.transfer import Transfer, transfer

__all__ = [
    "Chance",
    "CommonField",
    "Likeness",
    "PictureComparison",
    "Relatedness",
    "Span",
    "Transfer",
    "compare",
    "relatedness",
    "transfer",
]
