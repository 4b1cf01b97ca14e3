"""Renames that the system does in one step: two names exchanged, or a name taken if it is free."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["exchange", "rename_to_free"]

# renameat2(2) on Linux, renamex_np(2) on macOS: their names, and their flags' values.
_FREE, _EXCHANGE = (4, 2) if sys.platform == "darwin" else (1, 2)
_AT_FDCWD = -100
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot.

    Raises:
        OSError: it can, but refuses.
    """
    return _renamed(one, other, _EXCHANGE)


def rename_to_free(path: Path, target: Path) -> None:
    """Rename to a name that nothing stands under.

    Raises:
        FileExistsError: something stands there.
        OSError: the system refuses.
    """
    if _renamed(path, target, _FREE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    path.rename(target)


def _renamed(one: Path, other: Path, flag: int) -> bool:
    call = _system_call()
    if call is None:
        return False
    sys.audit("os.rename", one, other, -1, -1)
    if call(os.fsencode(one), os.fsencode(other), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@lru_cache(maxsize=1)
def _system_call() -> Any:
    """Return a function of two names and a flag; None where the system has none."""
    if os.name != "posix":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        return getattr(library, "renamex_np", None)
    call: Any = getattr(library, "renameat2", None)
    if call is None:
        return None
    return lambda one, other, flag: call(_AT_FDCWD, one, _AT_FDCWD, other, flag)
