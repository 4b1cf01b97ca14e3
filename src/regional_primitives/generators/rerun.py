"""A whole network's gradient in less memory: its submodules run again while it is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def running_again(network: nn.Module, ready: Callable[[], bool]) -> Iterator[None]:
    """Within this context submodules keep nothing for a gradient but what they are given.

    Each that is called once `ready`, and not by another such, runs again for its gradient, behind
    this context: as it is, so without what the caller replaces, holds or freezes within it. The
    network is to be the caller's own.
    """
    mine, busy = threading.get_ident(), False

    def forward(own: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal busy
        if busy or threading.get_ident() != mine or not (torch.is_grad_enabled() and ready()):
            return own(*args, **kwargs)
        busy = True
        try:
            return checkpoint(own, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
        finally:
            busy = False

    parts = [
        part
        for part in network.modules()
        if part is not network
        and not isinstance(part, torch.jit.ScriptModule)
        and "forward" not in vars(part)
    ]
    for part in parts:
        vars(part)["forward"] = partial(forward, part.forward)
    try:
        yield
    finally:
        for part in parts:
            del vars(part)["forward"]
