"""Checks of a network at full precision.

Since Ampere, GPUs round the operands of float32 convolutions to TF32, ten bits, unless told
otherwise, and which kernel does so depends on the size of the batch. Two ways to one image then
differ in the third digit, and a check that compares them would blame the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from regional_primitives.runtime.modes import ProcessWide

__all__ = ["full_precision"]


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
