"""Paths at the border: whatever names a file becomes a Path in one way, for reading and writing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from regional_primitives.errors import InputError

__all__ = ["AnyPath", "path_of"]

AnyPath: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
"""What names a file or folder."""


def path_of(name: Any, what: str = "a path") -> Path:
    """Return the path that a text or a path-like object names, with `~` replaced by the home.

    Args:
        name: what the user gave.
        what: what messages call it, such as "the run folder".

    Raises:
        InputError: no text and no path, an empty one, one that no file system takes, or the home
            of a user who does not exist.
    """
    try:
        text = os.fspath(name)
    except TypeError:
        raise InputError(f"{what} is a text or a path, not {type(name).__name__}") from None
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not text or "\0" in text:
        raise InputError(f"{what} is no path: {text!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} {text!r} names the home of a user who is not known") from error
