"""A matplotlib figure that belongs to no window, wears the library's style and shows itself."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_STYLE = matplotlib.rc_params_from_file(
    Path(__file__).with_name("figures.mplstyle"), use_default_template=False
)


def _in_style(make: Callable[..., Any]) -> Callable[..., Any]:
    """Let axes and ticks that are made within have the figure's style."""

    @wraps(make)
    def styled(figure: OwnFigure, *args: Any, **kwargs: Any) -> Any:
        with matplotlib.rc_context(figure.style):
            return make(figure, *args, **kwargs)

    return styled


class OwnFigure(Figure):
    """A figure that pyplot does not know, so that none piles up and none is drawn twice.

    A notebook shows it without `%matplotlib inline` as well as with it.
    """

    def __init__(
        self, size: tuple[float, float], colours: Mapping[str, str], layout: Any = None
    ) -> None:
        self.style: dict[Any, Any] = {**_STYLE, **colours}
        """All that is made in the figure has these parameters of matplotlib."""
        self._is_laid_out = False
        with matplotlib.rc_context(self.style):
            super().__init__(figsize=size, layout=layout)
        FigureCanvasAgg(self)

    add_axes = _in_style(Figure.add_axes)
    add_subplot = _in_style(Figure.add_subplot)
    draw = _in_style(Figure.draw)

    @_in_style
    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Lay the figure out once, since that takes as long as drawing it, and save it."""
        engine = self.get_layout_engine()
        if engine is not None:
            engine.execute(self)
            self.set_layout_engine("none")
        self._is_laid_out = True
        try:
            super().savefig(*args, **kwargs)
        finally:
            self._is_laid_out = False

    def get_layout_engine(self) -> Any:
        """Return what lays the figure out; nothing while it is saved.

        matplotlib would draw the figure twice, the first time only to lay it out.
        """
        return None if self._is_laid_out else super().get_layout_engine()

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()
