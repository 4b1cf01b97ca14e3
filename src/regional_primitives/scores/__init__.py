"""How far to believe a decomposition: scores with one definition each, and pictures as evidence."""

from regional_primitives.scores.boundedness import Boundedness, boundedness
from regional_primitives.scores.bounds import Additivity, additivity, strongest
from regional_primitives.scores.consistency import Consistency, consistency
from regional_primitives.scores.control import Control, control
from regional_primitives.scores.effort import ObviousCost, Spent, obvious_cost, spent
from regional_primitives.scores.evaluation import Evaluation
from regional_primitives.scores.exhibits import Exhibits, exhibit
from regional_primitives.scores.measure import evaluate
from regional_primitives.scores.redraw import Redraw, redraw
from regional_primitives.scores.relations import Relations, relations
from regional_primitives.scores.sparsity import Sparsity, sparsity
from regional_primitives.scores.superposition import Superposition, superposition
from regional_primitives.scores.table import Scores

__all__ = [
    "Additivity",
    "Boundedness",
    "Consistency",
    "Control",
    "Evaluation",
    "Exhibits",
    "ObviousCost",
    "Redraw",
    "Relations",
    "Scores",
    "Sparsity",
    "Spent",
    "Superposition",
    "additivity",
    "boundedness",
    "consistency",
    "control",
    "evaluate",
    "exhibit",
    "obvious_cost",
    "redraw",
    "relations",
    "sparsity",
    "spent",
    "strongest",
    "superposition",
]
