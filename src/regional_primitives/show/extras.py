"""The packages that only a report needs, and the one error that says how to get them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from regional_primitives.errors import MissingExtraError

_PACKAGES = ("PIL", "jinja2", "matplotlib", "scipy")


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


def require_report_extra() -> None:
    """Fail before any work is done if a package is missing; raises what `report_extra` raises."""
    with report_extra():
        for package in _PACKAGES:
            importlib.import_module(package)
