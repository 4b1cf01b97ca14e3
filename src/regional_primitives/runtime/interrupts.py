"""Signals that end a command: TERM and HUP do what an interrupt from the keyboard does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def endings_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at every such signal, during the block.

    What is ignored, as under nohup, stays ignored.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def endings_ignored_from_now() -> None:
    """Ignore these signals, for what must not be interrupted again."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def endings_held_back() -> Iterator[None]:
    """Let such signals wait until the block is done; processes begun in it hold them back on."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
