"""How far to believe a decomposition: scores with one definition each, and pictures as evidence."""

from regional_primitives.scores.evaluation import Evaluation
from regional_primitives.scores.exhibits import Exhibits, exhibit
from regional_primitives.scores.measure import evaluate
from regional_primitives.scores.relations import Relations, relations
from regional_primitives.scores.table import Scores

__all__ = [
    "Evaluation",
    "Exhibits",
    "Relations",
    "Scores",
    "evaluate",
    "exhibit",
    "relations",
]
