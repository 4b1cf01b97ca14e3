"""The paper's experiments on one picture as functions, each a result with its numbers."""

from regional_primitives.experiments.across import AcrossPictures
from regional_primitives.scores.boundedness import Boundedness, boundedness
from regional_primitives.scores.bounds import Additivity, additivity, strongest
from regional_primitives.scores.consistency import Consistency, consistency
from regional_primitives.scores.control import Control, control
from regional_primitives.scores.effort import ObviousCost, Spent, obvious_cost, spent
from regional_primitives.scores.redraw import Redraw, redraw
from regional_primitives.scores.sparsity import Sparsity, sparsity
from regional_primitives.scores.superposition import Superposition, superposition

__all__ = [
    "AcrossPictures",
    "Additivity",
    "Boundedness",
    "Consistency",
    "Control",
    "ObviousCost",
    "Redraw",
    "Sparsity",
    "Spent",
    "Superposition",
    "additivity",
    "boundedness",
    "consistency",
    "control",
    "obvious_cost",
    "redraw",
    "sparsity",
    "spent",
    "strongest",
    "superposition",
]
