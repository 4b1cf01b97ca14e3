"""An action field as a small sign of the patches, filled where it acts, for use in figures."""

from __future__ import annotations

from typing import Any

from jaxtyping import Int
from torch import Tensor

from regional_primitives.axes import Region
from regional_primitives.compare.kept import thinned
from regional_primitives.regions import Regions
from regional_primitives.show.outlines import loops, segments
from regional_primitives.show.style import LIGHT, Axes

_MOST_PIXELS = 72
"""A longer side of a label map is thinned out to this, as far as a glyph can show."""


def coarse_labels(regions: Regions) -> Int[Tensor, "height width"]:
    """Return a small label map: one pixel a patch of a grid, a thinned-out map of other regions."""
    if regions.labels is None:
        assert regions.rows is not None
        assert regions.columns is not None
        return regions.label_map(regions.rows, regions.columns)
    return thinned(regions.labels, _MOST_PIXELS)


class FieldGlyphs:
    """Draws action fields over the same patches as vector signs of one size."""

    def __init__(self, regions: Regions, points: float) -> None:
        self._labels = coarse_labels(regions)
        height, width = self._labels.shape
        self._scale = points / max(height, width)
        self.size = (width * self._scale, height * self._scale)
        """Width and height in points; `points` is the longer."""
        self._patches = self._labels >= 0
        around = loops(self._patches)
        self._ground = self._path([[*corners, corners[0]] for corners in around])
        self._borders = self._path([list(ends) for ends in segments(self._labels)])

    def draw(
        self,
        axes: Axes,
        field: Region,
        place: tuple[float, float],
        *,
        align: tuple[float, float] = (0.5, 0.5),
        colour: str = LIGHT.series[0],
        **how: Any,
    ) -> None:
        """Put the sign of a field on an axis.

        Args:
            axes: where to draw.
            field: the patches to fill.
            place: the point that the sign stands at, in data coordinates unless `how` has xycoords.
            align: which point of the sign stands there, as a share of its width and height.
            colour: of the filled patches.
            how: further options of matplotlib's AnnotationBbox.
        """
        from matplotlib.offsetbox import AnnotationBbox, DrawingArea
        from matplotlib.patches import PathPatch

        area = DrawingArea(*self.size)
        filled = loops(field[self._labels.clamp_min(0)] & self._patches)
        for path, fill, ink, line in (
            (self._ground, LIGHT.paper, "none", 0.0),
            (self._path([[*corners, corners[0]] for corners in filled]), colour, "none", 0.0),
            (self._borders, "none", LIGHT.grid, 0.5),
            (self._ground, "none", LIGHT.muted, 0.7),
        ):
            area.add_artist(PathPatch(path, facecolor=fill, edgecolor=ink, linewidth=line))
        how = {"frameon": False, "pad": 0.0, "annotation_clip": False, **how}
        axes.add_artist(AnnotationBbox(area, place, box_alignment=align, **how))

    def _path(self, lines: list[list[tuple[int, int]]]) -> Any:
        """Join lines of a label map's corners as a path in points, whose y runs upwards."""
        from matplotlib.path import Path

        height, scale = len(self._labels), self._scale
        each = [Path([(x * scale, (height - y) * scale) for x, y in line]) for line in lines]
        return Path.make_compound_path(*each) if each else Path([(0.0, 0.0)])
