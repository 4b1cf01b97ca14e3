"""Tensors as pixels: pictures and maps of change as PNG, under one stated colour scale."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.arguments import AnyPath
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.runtime.staging import check_file, staged_file
from regional_primitives.show.extras import report_extra

COLOUR_MAP = "magma"
"""Even in lightness from black to pale yellow, so it survives colour blindness and grey print."""
_LEVELS = 256
_PNG = b"\x89PNG"


def channel_note(channels: int) -> str:
    """Say how pictures of so many channels are shown, where it is not obvious."""
    if channels in (1, 3):
        return ""
    return f"The pictures have {channels} channels; shown is the mean over them."


def png(
    pixels: UInt8[Tensor, "height width bands"], palette: bytes = b"", *, quickly: bool = False
) -> bytes:
    """Encode grey (1 band) or colour (3 bands) as PNG; the same pixels give the same bytes.

    Args:
        pixels: what is shown; with a palette, places on it.
        palette: colours, three bytes each.
        quickly: rather than tightly.
    """
    with report_extra():
        from PIL import Image
    picture = Image.fromarray((pixels if pixels.shape[2] == 3 else pixels[..., 0]).numpy())
    if palette:
        picture.putpalette(palette)  # a grey picture becomes one of mode P
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **({"compress_level": 1} if quickly else {"optimize": True}))
    return buffer.getvalue()


def write_picture(
    path: AnyPath, image: Float[Tensor, "channels height width"], image_range: tuple[float, float]
) -> None:
    """Write one picture as a PNG file, whole or not at all.

    Raises:
        StorageError: a file that is no PNG stands there, or the disk refuses.
    """
    check_picture_file(path)
    content = png(bytes_of(image, image_range))
    with staged_file(path) as temporary:
        temporary.write_bytes(content)


def check_picture_file(path: AnyPath) -> Path:
    """Return where a picture is written; a file that is no PNG is not written over.

    Raises:
        StorageError: such a file stands there, or nothing can be written.
    """
    place = check_file(path)
    if place.is_file():
        with place.open("rb") as file:
            begin = file.read(len(_PNG))
        if begin not in (b"", _PNG):
            raise StorageError(f"{place} exists and is no PNG file; choose another name")
    return place


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Wrap a file for use inside a page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def magnitude(
    change: Float[Tensor, "*batch channels height width"], image_range: tuple[float, float]
) -> Float[Tensor, "*batch height width"]:
    """Return each pixel's root mean square over channels, as a share of the image range."""
    low, high = image_range
    return change.float().square().mean(-3).sqrt() / (high - low)


@dataclass(frozen=True)
class ColourScale:
    """Colours for shares of the image range from 0 to `limit`, at the square root of their place.

    The square root keeps faint leaks visible beside strong changes.
    """

    limit: float
    """The share that gets the last colour, as does whatever exceeds it."""
    clipped: float = 0.0
    """Share of all pixels that exceed the limit in the maps that the scale was made for."""

    @staticmethod
    def over(maps: Iterable[Float[Tensor, "... height width"]]) -> ColourScale:
        """Make the scale that maps share: it ends at a round number that 99.9 % of pixels obey."""
        values = torch.cat([one.flatten() for one in maps]).double()
        rank = min(len(values), math.ceil(0.999 * len(values)))
        limit = _round_up(float(values.kthvalue(rank).values))
        return ColourScale(limit, float((values > limit).double().mean()))

    def place(self, values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return each value's colour, 0 … 255."""
        unit = (values / self.limit).nan_to_num(0.0).clamp(0.0, 1.0).sqrt()
        return (unit * (_LEVELS - 1)).round().long()

    def png(self, values: Float[Tensor, "height width"], *, quickly: bool = False) -> bytes:
        """Encode a map as PNG with a palette."""
        return png(self.place(values).byte()[..., None], self.palette(), quickly=quickly)

    def bar(self) -> bytes:
        """Encode the colours from 0 to the limit as a PNG one pixel high."""
        return png(torch.arange(_LEVELS).byte()[None, :, None], self.palette())

    def palette(self) -> bytes:
        """Return the colours from 0 to the limit, three bytes each."""
        with report_extra():
            import matplotlib
        colours = matplotlib.colormaps[COLOUR_MAP](range(_LEVELS), bytes=True)
        return colours[:, :3].tobytes()

    def ticks(self) -> list[tuple[float, float]]:
        """Return values worth labelling, and where they stand on the bar (0 … 1)."""
        return [(share * self.limit, math.sqrt(share)) for share in (0.0, 0.01, 0.1, 0.2, 0.5, 1.0)]


def _round_up(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    if not value > 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return power * next((step for step in steps if value <= step * power * (1 + 1e-9)), 10)
