"""The command's standard streams: a result that is not taken is told, and a message never fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

__all__ = ["UnwrittenError", "standard_streams"]


class UnwrittenError(Exception):
    """Standard output did not take a result; the cause is the system's error."""


class _Stream:
    """A standard stream whose failures are told apart from those of files.

    Once it has failed it leads nowhere, so that Python can end in peace. A result's stream goes on
    to fail: who tried it first may have been curious only, as typer is.
    """

    def __init__(self, stream: Any, *, needed: bool) -> None:
        self._stream, self._needed = stream, needed
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        """Write; returns how many characters it was asked to."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except OSError as error:
            self._error = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if self._needed and self._error is not None:
            raise UnwrittenError from self._error


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within this context output fails with UnwrittenError alone, whatever its encoding.

    What an encoding lacks becomes a question mark; messages that nobody can get are dropped.
    """
    if sys.stderr is None:  # it was closed: `2>&-`
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    output: Any = sys.stdout
    if output is not None:  # it may be closed, `>&-`, which who calls tells
        if getattr(output, "errors", None) == "strict":
            with suppress(AttributeError):  # a stream that is not Python's own
                output.reconfigure(errors="replace")
        output = _Stream(output, needed=True)
    messages: Any = _Stream(sys.stderr, needed=False)
    with redirect_stdout(output), redirect_stderr(messages):
        yield
