"""Spatial crop: switch on the feature's cells that lie where the demand is.

What one does without any explanation: a cell of a feature map stands for the pixels at the same
place of the picture. Three variants, by which cells count.
"""

from __future__ import annotations

from collections.abc import Iterator

from regional_primitives.axes import Demands, Units
from regional_primitives.decompose.cells import (
    Choose,
    and_neighbours,
    mostly,
    touching,
    units_under,
)
from regional_primitives.rivals.rival import Scene, Way, rival


@rival(
    "spatial crop",
    "switches on the feature's cells where the demand lies",
    "common practice",
    "which cells count",
    place=1,
)
def crops(scene: Scene) -> Iterator[Way]:
    """Yield the three variants."""
    yield _way(scene, "cells mostly in S", mostly)
    yield _way(scene, "cells that touch S", touching)
    yield _way(scene, "touching cells and their neighbours", and_neighbours)


def _way(scene: Scene, setting: str, choose: Choose) -> Way:
    under = units_under(scene.decomposition, choose)

    def answer(demands: Demands) -> Units:
        return scene.switched(under(demands).float())

    return Way(setting, answer)
