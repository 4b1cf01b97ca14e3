"""Pictures compared: which primitives they share, and all experiments over several of them."""

from regional_primitives.compare.checkpoints import (
    CheckpointComparison,
    PartChange,
    are_checkpoints,
    checkpoints,
)
from regional_primitives.compare.comparison import (
    Chance,
    CommonField,
    PictureComparison,
    compare,
)
from regional_primitives.compare.likeness import Likeness
from regional_primitives.compare.part_units import LeadingChannel, PartUnits
from regional_primitives.compare.relatedness import Relatedness, relatedness
from regional_primitives.compare.transfer import Span, Transfer, transfer
from regional_primitives.compare.vocabulary import Vocabulary

__all__ = [
    "Chance",
    "CheckpointComparison",
    "CommonField",
    "LeadingChannel",
    "Likeness",
    "PartChange",
    "PartUnits",
    "PictureComparison",
    "Relatedness",
    "Span",
    "Transfer",
    "Vocabulary",
    "are_checkpoints",
    "checkpoints",
    "compare",
    "relatedness",
    "transfer",
]
