"""The application that commands register with, and the statuses that it ends with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer

from regional_primitives.cli.output import tell
from regional_primitives.cli.streams import UnwrittenError, standard_streams
from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.runtime.interrupts import endings_ignored_from_now, endings_interrupt

__all__ = ["app", "main"]

app = typer.Typer(
    name="primitives",
    help="Which part of an image generator's feature makes which part of the picture?",
    epilog="Exit status: 0 done, 2 bad input or output that cannot be written (one line says "
    "what), 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130
# The base of all errors of parsing; typer shows it under no name of its own.
_UsageError: Any = typer.BadParameter.__mro__[1]


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
