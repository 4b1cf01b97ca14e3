"""What a decomposition is good for: regional edits."""

from regional_primitives.apply.editing import edit

__all__ = ["edit"]
