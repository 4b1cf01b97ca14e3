"""Signed pictures inside a page: whole numbers of a stated quantum, deflated, in base64.

The page's script undoes this with what every browser brings (`DecompressionStream`), and adds up
whole numbers, so that a sum in the page differs from the sum of the tensors by rounding alone.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = 255
"""Steps from black to white on a screen."""
STEPS_PER_LEVEL = 16
_LARGEST = 32767
_EFFORT = 6
"""A hundredth larger than at 9, in a fifth of the time."""


def quantum_of(
    image_range: tuple[float, float], changes: Iterable[Float[Tensor, "..."]] = ()
) -> float:
    """Return the quantum: a 16th of a screen level, or what lets the largest change fit 16 bits.

    Args:
        image_range: what black and white are.
        changes: all that will be packed, in the units of the image range.
    """
    low, high = image_range
    largest = max(
        (float(one.nan_to_num(0.0).abs().max()) for one in changes if one.numel()), default=0.0
    )
    return max((high - low) / (LEVELS * STEPS_PER_LEVEL), largest / _LARGEST)


def pack(change: Float[Tensor, "*shape"], quantum: float) -> str:
    """Round to whole quanta, at most half a quantum off; NaN becomes 0.

    All low bytes come before all high bytes, since high bytes are mostly alike and so take little.
    """
    steps = (change.double() / quantum).nan_to_num(0.0).round().clamp(-_LARGEST, _LARGEST)
    whole = steps.to(torch.int16).numpy().astype("<i2").tobytes()
    planes = np.frombuffer(whole, np.uint8).reshape(-1, 2).T.tobytes()
    return base64.b64encode(zlib.compress(planes, _EFFORT)).decode("ascii")
