"""How far to believe a decomposition: scores with one definition each, and pictures as evidence."""

from regional_primitives.evaluate.exhibits import Exhibits, exhibit
from regional_primitives.evaluate.scores import Evaluation, Scores, evaluate

__all__ = ["Evaluation", "Exhibits", "Scores", "evaluate", "exhibit"]
