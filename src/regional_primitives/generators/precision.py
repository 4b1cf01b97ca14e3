"""Checks of a network at full precision.

Since Ampere, GPUs round the operands of float32 convolutions to TF32, ten bits, unless told
otherwise, and which kernel does so depends on the size of the batch. Two ways to one image then
differ in the third digit, and a check that compares them would blame the network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["full_precision"]

_lock = threading.Lock()
_inside = 0
"""How many checks are under way: torch's switches are one for all threads, so that the first to
come sets them and the last to go sets them back."""
_before: list[tuple[Any, str, Any]] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 in float32 on every device; the user's own choice stands again after."""
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _before[:] = _set_all()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for place, name, value in _before:
                    setattr(place, name, value)


def _set_all() -> list[tuple[Any, str, Any]]:
    """Set torch's switches, and return how they stood, in the order in which to set them back.

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
        for place, name, _ in newer:
            setattr(place, name, "ieee")
        return newer
    for place, name, _ in older:
        setattr(place, name, False)
    return older + newer
