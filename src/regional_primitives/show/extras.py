"""The packages of an extra, and the one error that says how to get them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from regional_primitives.errors import MissingExtraError

REPORT = ("PIL", "jinja2", "matplotlib", "scipy")
"""What only a report needs."""


@contextmanager
def report_extra(
    packages: tuple[str, ...] = REPORT, what: str = "the report", extra: str = "report"
) -> Iterator[None]:
    """Wrap imports of the report's packages, or of what else has an extra.

    Raises:
        MissingExtraError: one of them is not installed; the message has the pip line.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in packages:
            raise
        raise MissingExtraError(what, extra) from error


def require_extra(
    packages: tuple[str, ...] = REPORT, what: str = "the report", extra: str = "report"
) -> None:
    """Fail before any work is done if a package is missing; raises what `report_extra` raises."""
    with report_extra(packages, what, extra):
        for package in packages:
            importlib.import_module(package)
