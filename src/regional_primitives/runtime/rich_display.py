"""How results are shown in notebooks: what can draw one is registered here, from above.

Results never import plots, so that a result only knows that something may draw it. `_repr_html_` is
the protocol of IPython's rich display, which other notebooks follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Drawer: TypeAlias = Callable[[Any], str | None]
"""Turns a result into HTML; None where it cannot, and the text form is shown."""

_DRAWERS: dict[type, Drawer] = {}


class RichResult:
    """A result that a notebook shows as more than text."""

    def _repr_html_(self) -> str | None:
        for kind in type(self).__mro__:
            if kind in _DRAWERS:
                return _DRAWERS[kind](self)
        return None


def draw_with(kind: type[RichResult], drawer: Drawer) -> None:
    """Let notebooks show results of this kind with a function."""
    _DRAWERS[kind] = drawer
