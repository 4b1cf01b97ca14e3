"""The packages that only the explorer needs, and the one error that says how to get them."""

from __future__ import annotations

import importlib

from regional_primitives.errors import MissingExtraError

__all__ = ["require_explore_extra"]

_PACKAGES = ("fastapi", "uvicorn", "pydantic", "PIL", "jinja2", "matplotlib", "scipy", "skimage")


def require_explore_extra() -> None:
    """Fail before any work is done if a package is missing.

    Raises:
        MissingExtraError: one of them is not installed; the message has the pip line.
    """
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in _PACKAGES:
                raise
            raise MissingExtraError("the explorer", "explore") from error
