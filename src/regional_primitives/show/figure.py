"""A matplotlib figure that belongs to no window and shows itself in notebooks."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["OwnFigure"]


class OwnFigure(Figure):
    """A figure that pyplot does not know, so that none piles up and none is drawn twice.

    A notebook shows it without `%matplotlib inline` as well as with it.
    """

    def __init__(self, size: tuple[float, float], paper: str) -> None:
        super().__init__(figsize=size, facecolor=paper)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()
