"""The border between the caller's torch modes and our work, whose results do not depend on them.

Gradients off, inference mode, autocast and a default device belong to a thread, and are left and
entered again. The default dtype belongs to the process: while anything is at work here it is
float32 for all threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch


class ProcessWide:
    """A switch that is one for all threads: the last to go sets back what those before have set."""

    def __init__(self, switch: Callable[[], list[Callable[[], None]]]) -> None:
        """Take what sets it, if it must be set, and returns what sets it back, in that order."""
        self._switch = switch
        self._lock = threading.Lock()
        self._inside = 0
        self._back: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._back = [*self._switch(), *self._back]
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for back in self._back:
                    back()
                self._back = []


class Turn:
    """A lock that a thread may take again while it holds it, and that may be copied and forked.

    A copy is free, and so is that of a child process, whose parent's threads are not there.
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._lock, self._process = threading.RLock(), os.getpid()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()


@contextmanager
def ordinary(*, gradients: bool = True) -> Iterator[None]:
    """Compute as in a fresh process, whatever modes the caller is in; they stand again after.

    Without `gradients`, whether they are followed, and inference mode, are left to the caller.
    """
    with ExitStack() as stack:
        if gradients and not (torch.is_grad_enabled() and not torch.is_inference_mode_enabled()):
            stack.enter_context(torch.inference_mode(False))  # which also follows gradients
        for device in AUTOCASTING:
            if torch.is_autocast_enabled(device):
                torch.set_autocast_enabled(device, False)
                stack.callback(torch.set_autocast_enabled, device, True)
        stack.enter_context(_default_dtype)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def _can_autocast(device: str) -> bool:
    try:
        torch.is_autocast_enabled(device)
    except RuntimeError:  # a kind of device that this torch does not know
        return False
    return True


AUTOCASTING = tuple(filter(_can_autocast, ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia")))


def _in_single_precision() -> list[Callable[[], None]]:
    before = torch.get_default_dtype()
    if before == torch.float32:
        return []
    torch.set_default_dtype(torch.float32)
    return [partial(torch.set_default_dtype, before)]


_default_dtype = ProcessWide(_in_single_precision)
