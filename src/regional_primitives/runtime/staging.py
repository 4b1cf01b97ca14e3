"""Folders and files that are whole or absent: staged beside their place, then put there at once.

What is being made for NAME lies beside it as `.NAME.primitives-…`, locked while its process lives.
Whoever stages something next to what an ended process left there clears that away first.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from regional_primitives.errors import BusyError, StorageError
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.run_files import FIGURES, MANIFEST, is_run, is_run_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

_HIDDEN = re.compile(r"\.(?P<name>.+)\.primitives-(?P<state>new|old|[a-z0-9_]{8})", re.DOTALL)
_NEW, _OLD = "new", "old"
"""Of a folder: what is being made; what was exchanged for it, or is about to be."""
_NO_LOCK = -1
_PATIENCE = 1.0  # seconds in which another process has cleared away what a third one left


@contextmanager
def staged_folder(folder: AnyPath, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a hidden sibling of `folder` that takes its name only if the block succeeds.

    An interrupt, a full disk or any other exception leaves `folder` as it was and no debris; what
    a killed process leaves is cleared away by the next that writes there. A symbolic link stays,
    and its target is written. A run folder that is replaced loses the files that we write, and
    nothing else: whatever lies beside them is carried over, also if it came during the block.

    Raises:
        StorageError: before the block, if `folder` holds something already (a run folder may be
            replaced with `overwrite`; anything else never is), is being written by another
            process or cannot be replaced; after it, if something has come to stand there meanwhile
            (the message says where the result lies) or the disk refuses.
    """
    folder = _resolved(path_of(folder, "the folder"))
    recover(folder.parent)
    _refuse_occupied(folder, overwrite=overwrite)
    with refusals(f"cannot write {folder}"), parents_of(folder):
        staging, lock = _claimed(folder)
        made = staging.stat()
        try:
            yield staging
            staging.chmod(_mode(folder, 0o777))
            _put(staging, folder, overwrite=overwrite)
        finally:
            # By now another process may have begun under the same hidden name.
            with suppress(OSError):
                if os.path.samestat(made, staging.lstat()):
                    shutil.rmtree(staging, ignore_errors=True)
            _release(lock)
            recover(folder.parent)
            if os.path.lexists(_sibling(folder, _OLD)):
                _log.warning("%s could not be cleared away", _sibling(folder, _OLD))


@contextmanager
def staged_file(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary neighbour of `path` that replaces it only if the block succeeds.

    A symbolic link stays, and its target is written; a device or pipe is written into.

    Raises:
        StorageError: `path` is a folder or write-protected, or the disk refuses.
    """
    path = check_file(path)
    written_into = _is_written_into(path)
    parent = Path(tempfile.gettempdir()) if written_into else path.parent
    recover(parent)
    with refusals(f"cannot write {path}"), parents_of(parent / path.name):
        temporary, lock = _temporary(parent, path.name)
        try:
            yield temporary
            if written_into:
                with temporary.open("rb") as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
            else:
                temporary.chmod(_mode(path, 0o666))
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            _release(lock)


def check_file(path: AnyPath) -> Path:
    """Return where a file that is named for output is written; refuse where none can be."""
    path = path_of(path, "the file")
    if _is_stream(path):
        return path
    path = _resolved(path)
    with refusals(f"cannot write {path}"):
        if path.is_dir():
            raise StorageError(f"cannot write {path}: it is a folder; name a file in it")
        if path.exists() and not os.access(path, os.W_OK):
            raise StorageError(f"cannot write {path}: it is write-protected; choose another name")
        if not _is_written_into(path):
            _refuse_unwritable(path, f".{path.name}.primitives-xxxxxxxx")
    return path


def check_folder(folder: AnyPath) -> Path:
    """Return where a folder is that files are to be written into; refuse where none can be."""
    folder = _resolved(path_of(folder, "the folder"))
    with refusals(f"cannot write to {folder}"):
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{folder} is a file; choose a folder")
        _refuse_unwritable(folder / MANIFEST, folder.name)
    return folder


def is_being_made(folder: Path) -> bool:
    """Tell whether a living process is making what is to stand under this name.

    Where the file system has no locks, a process that was killed while it did counts as living.
    """
    staging = _sibling(folder, _NEW)
    if not staging.is_dir():
        return False
    try:
        lock = _locked(staging)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    _release(lock)
    return lock == _NO_LOCK


@contextmanager
def attended(folder: Path, *, alone: bool) -> Iterator[None]:
    """Be at work in an existing folder during the block.

    Raises:
        BusyError: `alone`, and others are at work there; where the file system has no locks,
            nobody can tell.
    """
    folder = _resolved(folder)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if alone:
                _release(_locked(folder))
            lock = _locked(folder, shared=True)
            break
        except BlockingIOError as error:
            # Who comes to share may meet somebody who is just asking whether he is alone.
            if alone or time.monotonic() > deadline:
                raise BusyError(f"another process is at work in {folder}") from error
            time.sleep(_PATIENCE / 20)
    try:
        yield
    finally:
        _release(lock)


@contextmanager
def marked(folder: Path) -> Iterator[Path]:
    """Yield a hidden file in a folder, by which other machines tell that they see it too."""
    mark, lock = _temporary(folder, "mark")
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
        _release(lock)


def recover(folder: Path) -> None:
    """Clear a folder of what ended processes left there, and put back what they had moved aside.

    Nothing is touched that a living process holds, or that has no name of ours.
    """
    try:
        left = [path for path in folder.iterdir() if _HIDDEN.fullmatch(path.name)]
    except OSError:
        return
    for path in left:
        with suppress(OSError):
            _clear(path)


def visible(folder: Path) -> list[Path]:
    """List what a folder, if there is one, holds but for hidden files, such as ours."""
    with refusals(f"cannot read {folder}"):
        try:
            return [path for path in folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Tell in one line what the system refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or error}") from error


# Before the work: what cannot be written is refused


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links that go in a circle
        raise StorageError(f"cannot write {path}: {error}") from error


def _refuse_occupied(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that may not, or cannot, be replaced by another."""
    with refusals(f"cannot write to {folder}"):
        _refuse_unwritable(folder, _sibling(folder, _NEW).name)
        if not os.path.lexists(folder):
            return
        if folder.is_symlink() or not folder.is_dir():
            raise StorageError(f"{folder} is a file; choose a folder")
        inside = list(folder.iterdir())
        ours = is_run(folder)
    if inside and not ours:
        raise StorageError(f"{folder} exists and is not a run folder; choose a new or empty folder")
    if inside and not overwrite:
        raise StorageError(f"{folder} holds a run already; overwrite it or choose another")
    if os.path.ismount(folder) or any(folder in (at, *at.parents) for at in _mounts()):
        raise StorageError(
            f"{folder} is or holds a mount point and cannot be replaced; choose a folder in it"
        )
    with suppress(OSError):  # the working folder has been removed
        here = Path.cwd().resolve()
        if folder in (here, *here.parents):
            raise StorageError(
                f"{folder} is where this process works and cannot be replaced; change to another "
                "folder, or choose a new one in it"
            )
    # What lies inside is removed or moved; moving a folder takes the right to write into it.
    for place in (folder, *(p for p in inside if p.is_dir() and not p.is_symlink())):
        if inside and not os.access(place, os.W_OK | os.X_OK):
            raise StorageError(f"{place} is write-protected; choose another folder")


def _mounts() -> list[Path]:
    """List where file systems and bound folders are mounted; Linux alone tells."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []
    # Blanks and the like are told as octal numbers of three digits.
    return [
        Path(os.fsdecode(re.sub(rb"\\(\d{3})", lambda m: bytes([int(m[1], 8)]), line.split()[4])))
        for line in lines
    ]


def _refuse_unwritable(path: Path, hidden: str) -> None:
    """Ask whether a file or folder can be made at a path; raises OSError as making it would."""
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        raise NotADirectoryError(f"{parent} is a file")
    with suppress(FileNotFoundError):
        os.lstat(parent / hidden)  # a name that is too long is told here
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{parent} takes no new files")


def _is_stream(path: Path) -> bool:
    """Tell a name of this process's own streams, which lead to whatever they were sent to."""
    return str(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))


def _is_written_into(path: Path) -> bool:
    """Tell a stream, device, pipe or mounted file: what a rename cannot or must not replace."""
    return _is_stream(path) or (path.exists() and not path.is_file()) or path in _mounts()


# Hidden siblings and their locks


def _sibling(folder: Path, state: str) -> Path:
    return folder.parent / f".{folder.name}.primitives-{state}"


def _claimed(folder: Path) -> tuple[Path, int]:
    """Make the hidden sibling that nobody else can have while this process lives; lock it."""
    staging = _sibling(folder, _NEW)
    deadline = time.monotonic() + _PATIENCE
    while (lock := _claim(folder)) is None:
        if time.monotonic() > deadline:
            no_locks = (
                "" if fcntl else f", or was ended while it did and left {staging}, to be moved away"
            )
            raise BusyError(
                f"another process is writing {folder}{no_locks}; wait for it, or choose another "
                "folder"
            )
        time.sleep(_PATIENCE / 20)
    return staging, lock


def _claim(folder: Path) -> int | None:
    """Try once; None where another process has it, or is just clearing away what a third left."""
    staging, old = _sibling(folder, _NEW), _sibling(folder, _OLD)
    staging.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.mkdir(mode=0o700)
        fresh = True
    except FileExistsError:
        fresh = False
    try:
        lock = _locked(staging)
    except (BlockingIOError, FileNotFoundError):
        return None
    if fresh or lock != _NO_LOCK:
        for path in staging.iterdir():
            _remove(path)
        with suppress(BlockingIOError, FileNotFoundError):
            _clear(old)
        if not os.path.lexists(old):
            return lock
        staging.rmdir()
    _release(lock)
    return None


def _temporary(parent: Path, name: str) -> tuple[Path, int]:
    """Make a hidden file beside the one that it is for; lock it."""
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(prefix=f".{name}.primitives-", dir=parent)
        os.close(handle)
        with suppress(BlockingIOError, FileNotFoundError):  # just being cleared away
            return Path(path), _locked(Path(path))


def _locked(path: Path, *, shared: bool = False) -> int:
    """Lock a file or folder until it is released or the process ends, however it ends.

    Gives _NO_LOCK where the system or the file system has no locks; raises BlockingIOError where
    somebody holds it, FileNotFoundError where it is gone.
    """
    if fcntl is None:
        return _NO_LOCK
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), os.lstat(path)):
            raise FileNotFoundError
    except OSError as error:
        os.close(handle)
        if isinstance(error, (BlockingIOError, FileNotFoundError)):
            raise
        return _NO_LOCK
    return handle


def _release(lock: int) -> None:
    if lock != _NO_LOCK:
        fcntl.flock(lock, fcntl.LOCK_UN)  # which a forked process would hold on to
        os.close(lock)


# After the work: put in place, and what was there cleared away


def _put(staging: Path, folder: Path, *, overwrite: bool) -> None:
    """Give what was made its name; where that cannot be, keep it under a visible one."""
    try:
        try:
            if os.name == "nt" and folder.is_dir():
                folder.rmdir()
            staging.rename(folder)  # takes a free name or that of an empty folder, no other
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            _refuse_occupied(folder, overwrite=overwrite)
            _replace(staging, folder)
    except (OSError, StorageError) as error:
        reason = error if isinstance(error, StorageError) else f"cannot write {folder}: {error}"
        kept = _renamed_free(staging, folder.with_name(f"{folder.name}-2"), folder.name, "")
        raise StorageError(f"{reason}; the finished result lies in {kept}") from error


def _replace(staging: Path, folder: Path) -> None:
    """Exchange what was made for what stands there, which `recover` then clears away."""
    old = _sibling(folder, _OLD)
    staging.rename(old)
    try:
        exchanged = _renamed(old, folder, _EXCHANGE)
    except OSError:
        old.rename(staging)
        raise
    if exchanged:
        return
    old.rename(staging)
    lock = _NO_LOCK
    with suppress(BlockingIOError):
        lock = _locked(folder)
    try:
        folder.rename(old)
        staging.rename(folder)  # if this is not reached, `recover` puts the old one back
    finally:
        _release(lock)


def _clear(path: Path) -> None:
    """Clear away one hidden sibling of an ended process; raises as `_locked` does."""
    found = _HIDDEN.fullmatch(path.name)
    if found is None:
        return
    lock = _locked(path)
    if lock == _NO_LOCK:
        return
    try:
        folder, state = path.with_name(found["name"]), found["state"]
        if state == _NEW and path.is_dir():
            shutil.rmtree(path)
        elif state == _OLD and path.is_dir():
            if not os.path.lexists(folder) and is_run(path):
                _rename_to_free(path, folder)
            else:
                _retire(path, folder)
        elif path.is_file():
            path.unlink()
    finally:
        _release(lock)


def _retire(old: Path, folder: Path, inside: str = "") -> None:
    """Carry over into `folder` whatever in `old` is not ours, and remove the rest."""
    # A run that has lost its manifest is never put back.
    for path in sorted(old.iterdir(), key=lambda path: path.name != MANIFEST):
        name = PurePath(inside, path.name)
        is_folder = path.is_dir() and not path.is_symlink()
        with suppress(OSError):  # if another process writes it into the run, it is carried over
            _clear(path)
            if not os.path.lexists(path):
                continue
        if is_folder and str(name) == FIGURES:
            _retire(path, folder / path.name, str(name))
        elif not is_folder and is_run_file(name):
            path.unlink()
        else:
            folder.mkdir(parents=True, exist_ok=True)
            _renamed_free(path, folder / path.name, path.stem, path.suffix)
    old.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _mode(path: Path, mode: int) -> int:
    """Return the permissions of what is replaced, or those that new files get anyway."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


@contextmanager
def parents_of(path: Path) -> Iterator[None]:
    """Remove the folders above a path that are made in the block, if they stay empty."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        yield
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


# Renames that the system does in one step: two names exchanged, or a name taken if it is free

# renameat2(2) on Linux, renamex_np(2) on macOS: their names, and their flags' values.
_FREE, _EXCHANGE = (4, 2) if sys.platform == "darwin" else (1, 2)
_AT_FDCWD = -100
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def _rename_to_free(path: Path, target: Path) -> None:
    """Rename to a name that nothing stands under; raises FileExistsError where something does."""
    if _renamed(path, target, _FREE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    path.rename(target)


def _renamed_free(path: Path, target: Path, stem: str, suffix: str) -> Path:
    """Rename to `target`, or where that is taken to STEM-2, STEM-3, …; return the new name."""
    number = 1
    while True:
        try:
            _rename_to_free(path, target)
            return target
        except FileExistsError:
            number += 1
            target = target.with_name(f"{stem}-{number}{suffix}")


def _renamed(one: Path, other: Path, flag: int) -> bool:
    """Rename in one step as `flag` says; False where the system or the file system cannot."""
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
