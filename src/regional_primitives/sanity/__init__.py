"""Would the explanation look the same on nonsense? Checks that should change it, or should not."""

from regional_primitives.sanity.suite import Checked, Sanity, sanity

__all__ = ["Checked", "Sanity", "sanity"]
