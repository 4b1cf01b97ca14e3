"""Comparing two ways to one image: at full precision, and what passes as rounding.

Since Ampere, GPUs round the operands of float32 convolutions to TF32, ten bits, unless told
otherwise, and which kernel does so depends on the size of the batch. Two ways to one image then
differ in the third digit, and a check that compares them would blame the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regional_primitives.runtime.modes import ProcessWide

ROUNDING = 1e-5
"""The largest difference of two images, relative to the largest pixel, that passes as rounding."""


def tolerance(dtypes: Sequence[torch.dtype]) -> float:
    """Return what passes as rounding in a network's precision."""
    return max(ROUNDING, *(4 * torch.finfo(dtype).eps for dtype in dtypes))


def relative_gap(image: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest pixel.

    Pixels that are finite in neither count as equal; in one of them, or other shapes, as infinite.
    """
    if image.shape != expected.shape:
        return float("inf")
    image, expected = image.float(), expected.float()
    known = expected.isfinite()
    if not torch.equal(known, image.isfinite()):
        return float("inf")
    if not bool(known.any()):
        return 0.0
    largest = float(expected[known].abs().max()) or 1.0
    return float((image[known] - expected[known]).abs().max()) / largest


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 in float32 on every device; the user's own choice stands again after."""
    with _precision:
        yield


def _set_all() -> list[Callable[[], None]]:
    """Set torch's switches, and return what sets them back, in that order.

    torch 2.9 has newer ones beside the older. Whoever has set those differently from each other can
    no longer read the older, and a network that reads the older within the check could not after
    we had set the newer. So the older are set where they can be read.
    """
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    newer = []
    if hasattr(cudnn, "conv"):
        places = (cudnn.conv, cudnn.rnn, matmul)
        newer = [(place, "fp32_precision", place.fp32_precision) for place in places]
    try:
        older = [(place, "allow_tf32", place.allow_tf32) for place in (cudnn, matmul)]
    except RuntimeError:
        older = []
    if older and not any(allowed for _, _, allowed in older):
        return []
    for place, name, _ in older or newer:
        setattr(place, name, False if older else "ieee")
    return [partial(setattr, *before) for before in older + newer]


_precision = ProcessWide(_set_all)
