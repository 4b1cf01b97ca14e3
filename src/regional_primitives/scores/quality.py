"""Visual quality by kept definitions: PSNR in decibels, and SSIM as scikit-image computes it."""

from __future__ import annotations

import importlib.util
import math

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Demands, Image, Images, Mask, PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import MissingExtraError

NOTICEABLE = 8 / 255
"""Share of the values that a picture spans by which pixels must change to be noticed: 8 grey levels
of 255, amid the 3 to 17 that just-noticeable differences are (Chou and Li, 1995)."""
_WINDOW_PIXELS = 7


def similarity_available() -> bool:
    """Tell whether scikit-image is installed."""
    return importlib.util.find_spec("skimage") is not None


def similarity_map(target: Image, image: Image, image_range: tuple[float, float]) -> Image:
    """Return SSIM around each pixel, in windows of 7 × 7 (smaller on tiny pictures).

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    if not similarity_available():
        raise MissingExtraError("structural similarity", "report")
    from skimage.metrics import structural_similarity

    side = min(_WINDOW_PIXELS, *target.shape[-2:])
    if side < 3:
        return (target == image).float()
    low, high = image_range
    _, table = structural_similarity(
        target.numpy(),
        image.numpy(),
        win_size=side if side % 2 else side - 1,
        data_range=high - low,
        channel_axis=0,
        full=True,
    )
    return torch.from_numpy(table).float()


def structural_change(
    decomposition: Decomposition, changes: Float[Tensor, "components channels height width"]
) -> PerComponent:
    """Return the structure lost: 1 − SSIM of the picture and the picture less each change.

    Counted where one notices the change: where its root mean square, over the channels and SSIM's
    window, is above `NOTICEABLE`. On plain fur SSIM falls by changes that nobody sees.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    picture, image_range = decomposition.image, decomposition.provenance.image_range
    least = NOTICEABLE * float(picture.max() - picture.min())
    side = min(_WINDOW_PIXELS, *picture.shape[-2:])
    side -= 1 - side % 2
    lost = []
    for change in changes:
        power = change.square().mean(0, keepdim=True)
        around = torch.nn.functional.avg_pool2d(
            power, side, stride=1, padding=side // 2, count_include_pad=False
        )
        structure = 1 - similarity_map(picture, picture - change, image_range)
        lost.append((structure * (around > least**2)).mean())
    return torch.stack(lost)


def visual_quality(
    decomposition: Decomposition, demands: Demands, images: Images
) -> tuple[float | None, float | None]:
    """Return mean PSNR in dB, and mean SSIM if it can be had, over the demanded patches."""
    image_range, target = decomposition.provenance.image_range, decomposition.image
    psnr, ssim = [], []
    for demand, image in zip(demands, images, strict=True):
        mask = decomposition.regions.pixel_mask(demand, *target.shape[-2:])
        ratio, similarity = quality_within(mask, target, image, image_range)
        psnr.append(ratio)
        ssim += [] if similarity is None else [similarity]
    return sum(psnr) / len(psnr), sum(ssim) / len(ssim) if ssim else None


def quality_within(
    mask: Mask, target: Image, image: Image, image_range: tuple[float, float]
) -> tuple[float, float | None]:
    """Return PSNR in dB over the pixels of a mask, and mean SSIM there if it can be had."""
    low, high = image_range
    error = float((image - target)[:, mask].square().mean())
    psnr = 10 * math.log10((high - low) ** 2 / max(error, 1e-12))
    if not similarity_available():
        return psnr, None
    return psnr, float(similarity_map(target, image, image_range)[:, mask].mean())
