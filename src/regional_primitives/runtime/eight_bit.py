"""Pictures as the 8-bit pixels that files hold, and the digest by which two are told apart."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import real

OVERSHOOT = 0.1
"""How far pixels of a photograph may lie outside of black and white, in shares of their range: what
resizing and rounding leave there, and no other range."""
_FARTHEST = 1e9
"""No value of black or white lies farther from 0, and none nearer to the other than its inverse."""


def black_and_white(image_range: Any) -> tuple[float, float]:
    """Return the values of black and white as numbers that single precision tells apart."""
    try:
        low, high = (real("image_range", value) for value in image_range)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    sane = max(abs(low), abs(high)) <= _FARTHEST and high - low >= 1 / _FARTHEST
    if not (sane and high - low > 1e-6 * max(abs(low), abs(high))):
        raise InputError(f"image_range is (black, white) with black < white, not {image_range!r}")
    return low, high


def refuse_outside(
    pixels: Tensor, image_range: tuple[float, float], what: str, overshoot: float = OVERSHOOT
) -> None:
    """Refuse a user's picture whose values cannot be meant for this range; messages call it `what`.

    Raises:
        InputError: no real numbers, NaN or infinite pixels, or one that lies outside by more than
            `overshoot` times the range.
    """
    low, high = image_range
    wanted = f"{what} holds real numbers in [{low:g}, {high:g}]"
    if not pixels.is_floating_point():
        raise InputError(f"{wanted}, not {pixels.dtype}")
    if not bool(pixels.isfinite().all()):
        raise InputError(f"{wanted}, not NaN or infinite ones")
    room = overshoot * (high - low)
    if bool(((pixels < low - room) | (pixels > high + room)).any()):
        least, most = map(float, pixels.aminmax())
        raise InputError(f"{wanted}, not in [{least:.3g}, {most:.3g}]; scale or clamp them")


def bytes_of(
    image: Float[Tensor, "channels height width"], image_range: tuple[float, float]
) -> UInt8[Tensor, "height width bands"]:
    """Map `image_range` to 0 … 255, clipped; 3 channels are colours, others are averaged to grey.

    NaN becomes black.
    """
    low, high = image_range
    shown = image if len(image) == 3 else image.mean(0, keepdim=True)
    unit = ((shown.float() - low) / (high - low)).nan_to_num(0.0).clamp(0.0, 1.0)
    return (unit * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()


def picture_digest(
    image: Float[Tensor, "channels height width"], image_range: tuple[float, float]
) -> str:
    """Return the SHA-256 digest of the picture's 8-bit pixels, row by row.

    It is also the digest of the pixels of the PNG file, whatever wrote it.
    """
    pixels = bytes_of(image.detach().cpu(), image_range)
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
