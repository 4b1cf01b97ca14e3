"""Anybody's answer as a decomposition: what another method found of a picture, scored as ours is.

Each file holds a form that answers come in; what it lacks is defined once: `fields` of components
that have none, `gates` of maps that have no feature. `components` makes a decomposition of any.
"""

from regional_primitives.others.answer import Answer
from regional_primitives.others.attributions import Attributions, region_scores
from regional_primitives.others.codes import Codes
from regional_primitives.others.components import Components, answer_of, components
from regional_primitives.others.directions import Directions
from regional_primitives.others.files import read_answer
from regional_primitives.others.interactions import Interactions
from regional_primitives.others.maps import Maps
from regional_primitives.others.parts import Parts

__all__ = [
    "Answer",
    "Attributions",
    "Codes",
    "Components",
    "Directions",
    "Interactions",
    "Maps",
    "Parts",
    "answer_of",
    "components",
    "read_answer",
    "region_scores",
]
