"""torch's global random state, left as the caller has it by networks that move it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from regional_primitives.runtime.modes import Turn

__all__ = ["RandomState", "seeded"]

_turn = Turn()
"""The state is one for all threads: whoever seeds it draws from it alone."""


class RandomState:
    """Keeps the global random state as it is while one network runs.

    Few networks move it: draws are frozen from streams of their own, see noise.py, and what is left
    is a network that seeds, or draws where nobody sees it. To set the state back after any other
    would take back what other threads have drawn meanwhile.
    """

    def __init__(self) -> None:
        self.moved: bool | None = None
        """Whether the network moves the state; None until a run tells."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Set the state back after a run within this context, if that run moved it."""
        alone = threading.active_count() == 1
        if self.moved is False and not alone:
            yield
            return
        with _turn:
            before = _states()
            try:
                yield
            finally:
                with torch._C.DisableTorchFunction():  # none of the network's own calculations
                    moved = not all(map(torch.equal, before, _states()))
                if moved:
                    _set(before)
        # Here are only runs that came to their end. Others' draws look like the network's, but
        # whoever leaves the state alone once does not move it.
        if not moved:
            self.moved = self.moved or False
        elif alone:
            self.moved = True


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from the global state as it is after `torch.manual_seed(seed)`, and set it back."""
    with _turn:
        before = _states()
        try:
            torch.manual_seed(seed)
            yield
        finally:
            _set(before)


def _states() -> list[Tensor]:
    """Return the states of the CPU and of all GPUs in use."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(i) for i in gpus)]


def _set(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for i, state in enumerate(states[1:]):
        torch.cuda.set_rng_state(state, i)
