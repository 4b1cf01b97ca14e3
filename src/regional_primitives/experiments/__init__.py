"""The paper's experiments on one picture as functions, each a result with its numbers."""

from regional_primitives.experiments.across import AcrossPictures
from regional_primitives.experiments.additivity import Additivity, additivity, strongest
from regional_primitives.experiments.boundedness import Boundedness, boundedness
from regional_primitives.experiments.consistency import Consistency, consistency
from regional_primitives.experiments.control import Control, control
from regional_primitives.experiments.obvious import ObviousCost, Spent, obvious_cost, spent
from regional_primitives.experiments.redraw import Redraw, redraw
from regional_primitives.experiments.sparsity import Sparsity, sparsity
from regional_primitives.experiments.superposition import Superposition, superposition

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
