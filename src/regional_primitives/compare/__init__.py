"""Pictures compared: which primitives they share, and all experiments over several of them."""

from regional_primitives.compare.comparing import compare
from regional_primitives.compare.relatedness import Relatedness, relatedness
from regional_primitives.compare.shared import PictureComparison
from regional_primitives.compare.transfer import Transfer, transfer

__all__ = [
    "PictureComparison",
    "Relatedness",
    "Transfer",
    "compare",
    "relatedness",
    "transfer",
]
