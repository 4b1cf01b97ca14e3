"""Parts of an aligned face, drawn as ellipses over the mean of many generated faces."""

from __future__ import annotations

import torch

from regional_primitives.regions import Regions

Ellipse = tuple[int | float, int | float, int | float, int | float]
"""Middle from the left and from the top, half width and half height, in pixels."""


def face_parts(size: int, **ellipses: Ellipse) -> Regions:
    """Divide a picture of `size` pixels a side; later ellipses lie over earlier ones.

    Left and right are those of the picture. What no ellipse covers is hair and background.
    """
    y, x = (torch.arange(size)[:, None] + 0.5, torch.arange(size) + 0.5)
    labels = torch.zeros(size, size, dtype=torch.long)
    for label, (left, top, across, down) in enumerate(ellipses.values(), start=1):
        labels[((x - left) / across) ** 2 + ((y - top) / down) ** 2 <= 1] = label
    names = ["hair and background", *(name.replace("_", " ") for name in ellipses)]
    return Regions.from_labels(labels, names)
