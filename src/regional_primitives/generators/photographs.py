"""Photographs as tensors in [0, 1]: any picture file, and random crops of scikit-image's own.

The wheel of scikit-image (BSD-3-Clause) carries a few photographs; they are found without
importing it and without a download. Colour profiles are not applied.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.errors import InputError, MissingExtraError, StorageError, first_line
from regional_primitives.runtime.arguments import AnyPath, path_of, whole

if TYPE_CHECKING:
    from PIL import Image

LARGEST_SIZE = 4096
"""Pixels, a side, that a photograph is resized to at most."""
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
"""Those of scikit-image that show things as a camera sees them; no microscope, no telescope, and
one of the stereo pair."""

_FEWEST_PIXELS = 8
"""A side of a picture that is worth enlarging."""
_MOST_PIXELS = 100_000_000
"""What is still decoded: 300 MB as RGB. A file of a few kB may claim far more."""
_SMALLEST_CROP = 0.4
"""The side of the smallest crop, as a part of the photograph's shorter side."""


def read_photograph(path: AnyPath, size: int) -> Float[Tensor, "1 3 size size"]:
    """Read a picture file: turned upright, its middle square, resized to `size` pixels a side.

    Whatever the file's mode, the result is RGB; what is transparent becomes white.
    """
    whole("size", size, 1, LARGEST_SIZE)
    file = path_of(path, "the picture file")
    try:
        is_folder, is_file = file.is_dir(), file.is_file()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    if is_folder:
        raise InputError(f"{file} is a folder; give one picture file")
    if not is_file:
        raise InputError(f"{file} is not there; give one picture file")
    picture = _decode(file)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return _resized(picture, (left, top, left + side, top + side), size)


def draw_crop(rng: torch.Generator, size: int) -> Float[Tensor, "1 3 size size"]:
    """Draw one crop: which photograph, how large, where, and whether mirrored.

    It is enlarged only where the whole photograph is smaller than `size`.
    """
    whole("size", size, 1, LARGEST_SIZE)
    # Always five numbers, so that what is drawn next does not depend on what was drawn.
    which, scale, down, right, mirrored = torch.rand(5, generator=rng, dtype=torch.float64).tolist()
    picture = _shipped(PHOTOGRAPHS[int(which * len(PHOTOGRAPHS))])
    largest = min(picture.size)
    smallest = min(largest, max(size, round(_SMALLEST_CROP * largest)))
    side = smallest + int(scale * (largest - smallest + 1))
    left = int(right * (picture.width - side + 1))
    top = int(down * (picture.height - side + 1))
    crop = _resized(picture, (left, top, left + side, top + side), size)
    return crop.flip(3) if mirrored < 0.5 else crop


def _shipped(name: str) -> Image.Image:
    """Read a photograph that scikit-image carries."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("drawing photographs", "photos")
    path = Path(spec.submodule_search_locations[0], "data", name)
    if not path.is_file():
        raise StorageError(
            f"{path} is missing: this scikit-image does not carry the photograph; "
            "get one that does: pip install scikit-image==0.26.0"
        )
    return _decode_once(path)


def _decode(file: Path) -> Image.Image:
    """Read a file into an upright RGB picture."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "PIL":
            raise
        raise MissingExtraError("reading a photograph", "photos") from error
    try:
        with warnings.catch_warnings():
            # A picture is read or refused; Pillow's remarks on its tags and its size are neither.
            warnings.simplefilter("ignore")
            with Image.open(file) as picture:
                if picture.format == "EPS":
                    raise InputError(f"{file} is a program that draws (EPS); save it as PNG")
                _refuse_extremes(file, *picture.size)
                return _to_rgb(file, ImageOps.exif_transpose(picture))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{file} has too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{file} is not a picture that Pillow can read; save it as PNG or JPEG"
        ) from error
    except Exception as error:  # the decoders raise all kinds on a damaged file
        raise InputError(
            f"{file} cannot be read, truncated or damaged: {first_line(error)}"
        ) from error


_decode_once = functools.cache(_decode)


def _refuse_extremes(file: Path, width: int, height: int) -> None:
    if min(width, height) < _FEWEST_PIXELS:
        raise InputError(
            f"{file} has {width} × {height} pixels; at least {_FEWEST_PIXELS} a side are needed"
        )
    if width * height > _MOST_PIXELS:
        raise InputError(
            f"{file} has too many pixels: {width:,} × {height:,}; "
            f"at most {_MOST_PIXELS // 10**6} million are read"
        )


def _to_rgb(file: Path, picture: Image.Image) -> Image.Image:
    """Turn any mode into RGB, transparency laid on white."""
    from PIL import Image

    if picture.mode == "F":
        raise InputError(
            f"{file} holds real numbers, whose black and white are unknown; "
            "save it with 8 or 16 bits a channel"
        )
    if picture.mode.startswith("I"):
        # Pillow would clip what is above 255 instead of scaling it.
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise InputError(
                f"{file} holds whole numbers from {values.min()} to {values.max()}; "
                "save it with 8 or 16 bits a channel"
            )
        picture = Image.fromarray(((values * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    # Premultiplied grey has no direct way to RGBA.
    layer = picture.convert("LA") if picture.mode == "La" else picture
    layer = layer.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _resized(
    picture: Image.Image, box: tuple[int, int, int, int], size: int
) -> Float[Tensor, "1 3 size size"]:
    """Resize the part of a picture in `box` (left, top, right, bottom), with antialiasing."""
    from PIL import Image

    small = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
    return pixels.view(1, size, size, 3).permute(0, 3, 1, 2).contiguous().float() / 255
