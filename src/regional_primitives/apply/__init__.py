"""What a decomposition is good for: edits of a picture, and what they change where."""

from regional_primitives.apply.carry import BY, CarriedEdit, carry
from regional_primitives.apply.edit_scores import EditScores, edit_scores
from regional_primitives.apply.edits import Edit, EditedRun, check_edit_file, edit
from regional_primitives.apply.effects import (
    WAYS,
    EditEffects,
    WayEffect,
    edit_effects,
    edit_ways,
    measured_ways,
)
from regional_primitives.apply.pairs import RULES

__all__ = [
    "BY",
    "RULES",
    "WAYS",
    "CarriedEdit",
    "Edit",
    "EditEffects",
    "EditScores",
    "EditedRun",
    "WayEffect",
    "carry",
    "check_edit_file",
    "edit",
    "edit_effects",
    "edit_scores",
    "edit_ways",
    "measured_ways",
]
