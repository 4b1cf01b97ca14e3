"""What a decomposition is good for: edits of a picture, and what they change where."""

from regional_primitives.apply.editing import edit
from regional_primitives.apply.edits import Edit
from regional_primitives.apply.effects import (
    WAYS,
    EditEffects,
    WayEffect,
    edit_effects,
    edit_ways,
    measured_ways,
)
from regional_primitives.apply.records import EditedRun

__all__ = [
    "WAYS",
    "Edit",
    "EditEffects",
    "EditedRun",
    "WayEffect",
    "edit",
    "edit_effects",
    "edit_ways",
    "measured_ways",
]
