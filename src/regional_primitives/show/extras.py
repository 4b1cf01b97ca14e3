"""The packages that only a report needs, and the one error that says how to get them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from regional_primitives.errors import MissingExtraError

__all__ = ["report_extra"]

_PACKAGES = ("PIL", "jinja2", "matplotlib")


@contextmanager
def report_extra() -> Iterator[None]:
    """Wrap imports of the report's packages.

    Raises:
        MissingExtraError: one of them is not installed; the message has the pip line.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _PACKAGES:
            raise
        raise MissingExtraError("the report", "report") from error
