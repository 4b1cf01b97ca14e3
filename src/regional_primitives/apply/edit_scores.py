"""Any tool's edit as numbers: a picture before and after, and a mask of what was meant to change.

With x the picture, y the edited one and M the mask's pixels, the names are those of an edit through
components (`effects`). Beside them stand PSNR and SSIM outside the mask, of y with the mask's own
pixels taken from x, so that an edit that leaves the rest as it is has an SSIM of 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regional_primitives.apply.effects import changes, seam
from regional_primitives.axes import Image, Mask
from regional_primitives.errors import InputError, MissingExtraError, first_line
from regional_primitives.runtime.arguments import path_of
from regional_primitives.runtime.eight_bit import black_and_white, refuse_outside
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.storage import measurable
from regional_primitives.scores.quality import quality_within

_WHITE = 0.5
"""A picture marks its brighter half."""
_MOST_PIXELS = 2**26
_UNIT = (0.0, 1.0)
_FAR = 1.0
"""Networks overshoot black and white, but not by the whole range between them."""


@dataclass(frozen=True)
class EditScores:
    """What an edit changes inside and outside the mask."""

    pixels: float
    """Share of the picture's pixels in the mask."""
    inside: float
    """Root mean square change of the mask's pixels, as a share of the image range."""
    outside: float
    """That of all other pixels; 0 where there are none."""
    outside_share: float | None
    """‖(1 − M)(y − x)‖² / ‖y − x‖², the share of the change that falls outside; None if nothing
    changes."""
    psnr_outside: float | None
    """Decibels; None where the mask is the whole picture."""
    ssim_outside: float | None
    """Likewise; None too where scikit-image is not installed."""
    seam: float | None
    """How far colours jump across the mask's border, as a share of the image range."""
    seam_before: float | None
    """The same in the picture before."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@ordinary()
@torch.no_grad()
def edit_scores(
    before: Any, after: Any, mask: Any, image_range: tuple[float, float] = (0.0, 1.0)
) -> EditScores:
    """Score an edit that any tool made.

    Args:
        before: the picture, [C, H, W] or [1, C, H, W], or a file's path.
        after: the edited picture, likewise, of the same size.
        mask: what was meant to change, [H, W], true or false; of a picture file, its brighter half.
        image_range: the values of black and white in tensors; files have their own.

    Raises:
        InputError: pictures that cannot be read, of unlike shapes, or far outside of `image_range`;
            or a mask of no pixel.
        MissingExtraError: Pillow is not installed, which reads files.
    """
    span = black_and_white(image_range)
    one, other = _picture(before, "before", span), _picture(after, "after", span)
    if one.shape != other.shape:
        raise InputError(
            f"before and after are of one shape, not {list(one.shape)} and {list(other.shape)}"
        )
    marked = _mask(mask, one)
    quality: tuple[float | None, float | None] = (None, None)
    if not bool(marked.all()):
        quality = quality_within(~marked, one, torch.where(marked, one, other), _UNIT)
    return EditScores(
        float(marked.double().mean()),
        *changes(one, other, marked, _UNIT),
        *quality,
        seam(other, marked, _UNIT),
        seam(one, marked, _UNIT),
    )


def _picture(value: Any, what: str, image_range: tuple[float, float]) -> Image:
    """Return a picture whose black is 0 and whose white is 1."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return _read(value, what)
    found = torch.as_tensor(value).detach().cpu()
    found = found[0] if found.ndim == 4 and len(found) == 1 else found
    if found.ndim != 3 or not found.numel() or found.is_complex() or not measurable(found):
        raise InputError(
            f"the picture {what} is finite numbers [channels, height, width], not "
            f"{found.dtype} {list(found.shape)}"
        )
    refuse_outside(found.float(), image_range, f"the picture {what}", _FAR)
    low, high = image_range
    return (found.float() - low) / (high - low)


def _mask(value: Any, picture: Image) -> Mask:
    if isinstance(value, (Tensor, np.ndarray)):
        found = torch.as_tensor(value).detach().cpu()
        if not bool(((found == 0) | (found == 1)).all()):
            raise InputError("a mask is true or false, or 1 and 0, pixel by pixel")
        found = found.bool()
    else:
        found = _read(value, "mask").mean(0) > _WHITE
    if found.shape != picture.shape[-2:]:
        raise InputError(
            f"the mask is {list(found.shape)}, the picture {list(picture.shape[-2:])} pixels"
        )
    if not bool(found.any()):
        raise InputError("the mask marks no pixel that was meant to change")
    return found


def _read(name: Any, what: str) -> Image:
    """Read a picture file as colours in [0, 1]."""
    file: Path = path_of(name, f"the picture {what}")
    if not file.is_file():
        raise InputError(f"there is no picture {file}")
    try:
        from PIL import Image as Pictures
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading a picture", "report") from error
    try:
        with Pictures.open(file) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise InputError(f"{file} has {picture.size} pixels, more than any picture")
            pixels = np.array(picture.convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # decoders raise all kinds on damaged files
        raise InputError(f"{file} cannot be read as a picture: {first_line(error)}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
