"""What a decomposition is good for: regional edits."""

from regional_primitives.apply.editing import edit
from regional_primitives.apply.edits import Edit, EditedRun

__all__ = ["Edit", "EditedRun", "edit"]
