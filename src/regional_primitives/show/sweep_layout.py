"""Where the panels of a sweep's figure stand, and how layers are named below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.generators.feature import tensor_shapes
from regional_primitives.generators.layers import JOIN
from regional_primitives.scores.sweep_scores import LayerScores
from regional_primitives.show.style import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:  # only annotations need it; matplotlib is loaded when a figure is drawn
    Axes = Any

__all__ = ["WIDTH", "LayerNames", "Sheet", "layout_of", "short_name"]

WIDTH, _PANEL = 12.6, 2.0  # inches: the figure's width, a panel's height
_TITLE, _HEAD = 0.35, 0.62  # above the panels, above each
_LEFT, _RIGHT, _GAP, _FIRST_GAP = 0.75, 0.2, 0.9, 1.4  # beside and between them
_LEGEND = 2.0  # right of the frontier where it has a row of its own
_NAMES, _ASLANT, _SHARED = 0.62, 1.15, 0.2  # below: names, longer ones aslant, what all share
_ABREAST = 3
_MOST_ABREAST = 5
"""Layers whose names still fit under that many panels a row; more get two."""
_MOST_CHARACTERS = {_ABREAST: 42, 2: 70}
"""Letters that fit under a panel, by panels a row; longer names are written aslant."""
_LONGEST_NAME = 16


def layout_of(layers: tuple[LayerScores, ...], panels: int) -> tuple[LayerNames, Sheet]:
    """Lay out so many panels over these layers: fewer a row where the layers are many."""
    columns = _ABREAST if len(layers) <= _MOST_ABREAST else 2
    names = LayerNames.of(layers, _MOST_CHARACTERS[columns])
    return names, Sheet(columns, -(-panels // columns), names.room)


@dataclass(frozen=True)
class Sheet:
    """Where panels stand: fixed margins, since fitting them takes longer than drawing."""

    columns: int
    rows: int
    room: float
    """Inches below a panel, for the names of layers."""

    @property
    def height(self) -> float:
        """Inches."""
        return _TITLE + self.rows * (_PANEL + _HEAD + self.room)

    @property
    def width(self) -> float:
        """Inches of one panel."""
        gaps = _FIRST_GAP + _GAP * (self.columns - 2)
        return (WIDTH - _LEFT - _RIGHT - gaps) / self.columns

    def panel(self, place: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a panel, as shares of the figure."""
        row, column = divmod(place, self.columns)
        left = _LEFT + column * self.width
        left += _FIRST_GAP + _GAP * (column - 1) if column else 0.0
        bottom = self.height - _TITLE - (row + 1) * (_PANEL + _HEAD + self.room) + self.room
        return (
            left / WIDTH, bottom / self.height, self.width / WIDTH, _PANEL / self.height,
        )  # fmt: skip

    def rest(self, place: int) -> tuple[float, float, float, float]:
        """Return the rest of a panel's row, with room for a legend where it is more than one."""
        left, bottom, width, height = self.panel(place)
        if self.has_rest(place):
            width = 1 - left - (_RIGHT + _LEGEND) / WIDTH
        return left, bottom, width, height

    def has_rest(self, place: int) -> bool:
        """Tell whether a panel would leave a part of its row empty."""
        return place % self.columns < self.columns - 1


@dataclass(frozen=True)
class LayerNames:
    """What stands below the panels: each layer's name and the shape of its feature."""

    labels: tuple[str, ...]
    shared: str
    """The beginning of all names that the labels leave out."""
    aslant: bool

    @property
    def room(self) -> float:
        """Inches that they take."""
        return (_ASLANT if self.aslant else _NAMES) + (_SHARED if self.shared else 0.0)

    @staticmethod
    def of(layers: tuple[LayerScores, ...], most_characters: int) -> LayerNames:
        """Shorten names that would run into each other."""
        shapes = [_shape(layer) for layer in layers]
        full = [layer.layer for layer in layers]
        fits = max(map(len, full)) * len(layers) <= most_characters
        shared = "" if fits else _shared_prefix(full)
        names = [short_name(name.removeprefix(shared)) for name in full]
        return LayerNames(
            tuple(f"{name}\n{shape}" for name, shape in zip(names, shapes, strict=True)),
            shared,
            max(map(len, [*names, *shapes])) * len(layers) > most_characters,
        )

    def below(self, axes: Axes) -> None:
        """Write them below an axis."""
        axes.set_xticks(range(len(self.labels)), self.labels)
        for text in axes.get_xticklabels():
            text.set(fontsize=8.5, linespacing=1.35, color=LIGHT.muted)
            if self.aslant:
                text.set(rotation=35, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(self.labels) - 0.5)
        if self.shared:
            axes.set_xlabel(f"layers {self.shared}*")


def _shared_prefix(names: list[str]) -> str:
    """Return the dotted beginning that all names share; bundles share none."""
    shared = ""
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1 or any(JOIN in name for name in names):
            break
        shared += f"{parts[0]}."
    return shared


def short_name(name: str) -> str:
    """Shorten a layer's name to its end, and a bundle's to its first layer and how many more."""
    first, *others = name.split(JOIN)
    cut = first if len(first) <= _LONGEST_NAME else f"…{first[1 - _LONGEST_NAME :]}"
    return f"{cut} +{len(others)}" if others else cut


def _shape(layer: LayerScores) -> str:
    shapes = tensor_shapes(layer.feature_shape)
    if len(shapes) > 1:
        return f"{layer.units:,} units"
    return "×".join(map(str, shapes[0])) or "1"
