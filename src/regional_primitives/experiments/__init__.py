"""Experiments as functions: the paper's, each a result with its numbers, and pictures compared."""

from regional_primitives.experiments.across import AcrossPictures
from regional_primitives.experiments.additivity import Additivity, additivity, strongest
from regional_primitives.experiments.boundedness import Boundedness, boundedness
from regional_primitives.experiments.comparing import compare
from regional_primitives.experiments.consistency import Consistency, consistency
from regional_primitives.experiments.control import Control, control
from regional_primitives.experiments.obvious import ObviousCost, Spent, obvious_cost, spent
from regional_primitives.experiments.redraw import Redraw, redraw
from regional_primitives.experiments.relatedness import Relatedness, relatedness
from regional_primitives.experiments.shared import PictureComparison
from regional_primitives.experiments.sparsity import Sparsity, sparsity
from regional_primitives.experiments.superposition import Superposition, superposition
from regional_primitives.experiments.transfer import Transfer, transfer

__all__ = [
    "AcrossPictures",
    "Additivity",
    "Boundedness",
    "Consistency",
    "Control",
    "ObviousCost",
    "PictureComparison",
    "Redraw",
    "Relatedness",
    "Sparsity",
    "Spent",
    "Superposition",
    "Transfer",
    "additivity",
    "boundedness",
    "compare",
    "consistency",
    "control",
    "obvious_cost",
    "redraw",
    "relatedness",
    "sparsity",
    "spent",
    "strongest",
    "superposition",
    "transfer",
]
