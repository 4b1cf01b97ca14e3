"""How far to believe a decomposition: scores with one definition each, and pictures as evidence."""

from regional_primitives.evaluate.baselines import BASELINES, Comparison, baselines
from regional_primitives.evaluate.evaluation import Evaluation
from regional_primitives.evaluate.exhibits import Exhibits, exhibit
from regional_primitives.evaluate.measure import evaluate
from regional_primitives.evaluate.relations import Relations, relations
from regional_primitives.evaluate.scores import SCORES, Scores

__all__ = [
    "BASELINES",
    "SCORES",
    "Comparison",
    "Evaluation",
    "Exhibits",
    "Relations",
    "Scores",
    "baselines",
    "evaluate",
    "exhibit",
    "relations",
]
