"""The application that commands register with: its statuses, its signals, its standard streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.runtime.interrupts import endings_ignored_from_now, endings_interrupt

app = typer.Typer(
    name="primitives",
    epilog="Exit status: 0 done, 2 bad input or output that cannot be written (one line says "
    "what), 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _told_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"primitives {metadata.version('regional_primitives')}")
        raise typer.Exit
    return asked


@app.callback()
def _top(
    version: Annotated[  # its callback tells it
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_told_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Which part of an image generator's feature makes which part of the picture?"""


_INTERRUPTED = 130
# The base of all errors of parsing; typer shows it under no name of its own.
_UsageError: Any = typer.BadParameter.__mro__[1]


def tell(line: str) -> None:
    """Print a line on standard error."""
    typer.echo(line, err=True)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn expected failures into one line and a status; bugs keep their traceback."""
    try:
        yield
    except RegionalPrimitivesError as error:
        tell(f"error: {error}")
        sys.exit(2)
    except _UsageError as error:
        tell(f"error: {error.format_message()}")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        endings_ignored_from_now()
        tell("interrupted; nothing unfinished was left behind")
        with suppress(UnwrittenError):
            sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: where the interrupt met code run by exec(), as imports do, Python would
        # end by the signal instead of this status. All cleaning up is done by now.
        os._exit(_INTERRUPTED)
    except UnwrittenError as error:
        why = error.__cause__
        # The reader of our output may have gone; closing quietly is what it expects.
        if isinstance(why, BrokenPipeError):
            sys.exit(0)
        tell(f"error: standard output cannot be written: {getattr(why, 'strerror', why)}")
        sys.exit(2)


def main() -> None:
    """Run the command."""
    with standard_streams(), _exit_codes(), endings_interrupt():
        if sys.stdout is None:
            raise InputError("standard output is closed; send it to a file, or to /dev/null")
        words = sys.argv[1:] or ["--help"]
        result = app(words, prog_name="primitives", standalone_mode=False)
        if result == _INTERRUPTED:  # typer turns an interrupt into its status
            raise KeyboardInterrupt
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else 0)


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
