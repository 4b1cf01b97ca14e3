"""The command `primitives` from its first moment on: ended while it loads, it ends quietly.

It lies outside the package, of which nothing is loaded before it knows what to do when ended.
"""

from __future__ import annotations

import os
import signal
from typing import Any

_INTERRUPTED = 130


def main() -> None:
    """Load the library, and run the command."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from regional_primitives.cli import main as command

    command()


def _end(*_: Any) -> None:
    # Nothing has begun that would have to be cleaned up, and imports must not be able to catch it.
    os.write(2, b"interrupted; nothing unfinished was left behind\n")
    os._exit(_INTERRUPTED)
