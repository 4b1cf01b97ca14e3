"""How results are shown in notebooks: what draws them is set here, from above.

Results never import plots, so that a result only knows that something may draw it. `_repr_html_` is
the protocol of IPython's rich display, which other notebooks follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class RichResult:
    """A result that a notebook shows as more than text."""

    drawer: ClassVar[Callable[[Any], str | None] | None] = None
    """Turns a result into HTML; None where it cannot, and the text form is shown."""

    def _repr_html_(self) -> str | None:
        return None if RichResult.drawer is None else RichResult.drawer(self)
