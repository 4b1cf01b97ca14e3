"""Checks of a network at full precision.

Since Ampere, GPUs round the operands of float32 convolutions to TF32, ten bits, unless told
otherwise, and which kernel does so depends on the size of the batch. Two ways to one image then
differ in the third digit, and a check that compares them would blame the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["full_precision"]


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 in float32 on every device; the user's own choice stands again after."""
    switches = _switches()
    before = [getattr(place, name) for place, name, _ in switches]
    try:
        for place, name, value in switches:
            setattr(place, name, value)
        yield
    finally:
        for (place, name, _), value in zip(switches, before, strict=True):
            setattr(place, name, value)


def _switches() -> list[tuple[object, str, object]]:
    """Name torch's switches and what they must be.

    torch 2.9 has newer ones. Whoever has set those can no longer read the older, and the reverse
    would be true of what a network reads within the check, so that the older come first.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    older: list[tuple[object, str, object]] = [
        (place, "allow_tf32", False) for place in (cudnn, matmul)
    ]
    try:
        for place, name, _ in older:
            getattr(place, name)
    except RuntimeError:
        places = (getattr(cudnn, "conv"), getattr(cudnn, "rnn"), matmul)  # noqa: B009
        return [(place, "fp32_precision", "ieee") for place in places]
    return older
