"""Folders and files that are whole or absent: staged beside their place, then put there at once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regional_primitives.errors import StorageError

__all__ = ["MANIFEST", "staged_file", "staged_folder"]

MANIFEST = "run.json"
"""The file whose presence makes a folder a run folder."""


@contextmanager
def staged_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a hidden sibling of `folder` that takes its name only if the block succeeds.

    An interrupt, a full disk or any other exception leaves `folder` as it was and no debris.

    Raises:
        StorageError: `folder` holds something already (a run folder may be replaced with
            `overwrite`; anything else never is), or the disk refuses.
    """
    folder = folder.expanduser().absolute()
    _refuse_occupied(folder, overwrite=overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        yield staging
        staging.chmod(_ordinary_mode(0o777))
        _swap_in(staging, folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _ordinary_mode(mode: int) -> int:
    """Lift the privacy of what tempfile makes: the permissions that new files get anyway."""
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


def _refuse_occupied(folder: Path, *, overwrite: bool) -> None:
    if folder.is_dir():
        occupied = any(folder.iterdir())
        is_run = (folder / MANIFEST).is_file()
        if occupied and not is_run:
            raise StorageError(
                f"{folder} exists and is not a run folder; choose a new or empty folder"
            )
        if occupied and not overwrite:
            raise StorageError(f"{folder} holds a run already; overwrite it or choose another")
    elif folder.exists():
        raise StorageError(f"{folder} is a file; choose a folder")


def _swap_in(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        folder.rename(retired / "run")
        try:
            staging.rename(folder)
        except BaseException:
            (retired / "run").rename(folder)
            raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield a temporary neighbour of `path` that replaces it only if the block succeeds.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(_ordinary_mode(0o666))
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
