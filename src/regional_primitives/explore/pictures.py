"""Pictures and maps for the page: exact 8-bit pixels as PNG, packed quickly rather than tightly."""

from __future__ import annotations

import io
from typing import Any

from jaxtyping import Float
from torch import Tensor

from regional_primitives.show.extras import report_extra
from regional_primitives.show.pixels import COLOUR_MAP, ColourScale, bytes_of, data_uri

__all__ = ["bar_uri", "map_uri", "picture_uri"]


def picture_uri(
    image: Float[Tensor, "channels height width"], image_range: tuple[float, float]
) -> str:
    """Encode a picture; its pixels are those that `primitives edit` writes."""
    with report_extra():
        from PIL import Image
    pixels = bytes_of(image, image_range)
    array = pixels.numpy() if pixels.shape[2] == 3 else pixels[..., 0].numpy()
    return _encode(Image.fromarray(array))


def map_uri(values: Float[Tensor, "height width"], scale: ColourScale) -> str:
    """Encode a map of change under a colour scale."""
    with report_extra():
        import matplotlib
        from PIL import Image
    colours = matplotlib.colormaps[COLOUR_MAP](range(256), bytes=True)[:, :3]
    picture = Image.fromarray(scale.place(values).byte().numpy())
    picture.putpalette(colours.tobytes())
    return _encode(picture)


def bar_uri(scale: ColourScale) -> str:
    """Encode the colours from 0 to the scale's limit."""
    return data_uri(scale.bar())


def _encode(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return data_uri(buffer.getvalue())
