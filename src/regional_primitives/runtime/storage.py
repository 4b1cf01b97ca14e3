"""Files that are whole or absent: JSON beside safetensors, staged folders, digests, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from regional_primitives.errors import StorageError

__all__ = [
    "MANIFEST",
    "file_digest",
    "read_json",
    "read_tensors",
    "staged_file",
    "staged_folder",
    "tensors_digest",
    "write_json",
    "write_tensors",
]

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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON; NaN is refused, since JSON has none."""
    with staged_file(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StorageError: the file is missing, unreadable, or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StorageError(f"{path} is missing") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path} holds no JSON object")
    return content


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors as safetensors and return the file's SHA-256 digest.

    Raises:
        StorageError: the disk refuses.
    """
    # The format knows no views: each tensor goes in as a copy that shares memory with no other.
    ready = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with staged_file(path) as temporary:
        try:
            save_file(ready, temporary)
        except SafetensorError as error:
            raise StorageError(f"cannot write {path}: {error}") from error
        return file_digest(temporary)


def read_tensors(path: Path, *, digest: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file, checked against `digest` (SHA-256) when one is given.

    Raises:
        StorageError: the file is missing, corrupt, or not the one that the digest names.
    """
    if not path.is_file():
        raise StorageError(f"{path} is missing")
    if digest is not None and file_digest(path) != digest:
        raise StorageError(f"{path} is corrupt: its SHA-256 digest is not the one on record")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise StorageError(f"{path} is corrupt: {error}") from error


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 digest in hexadecimal."""
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return sha.hexdigest()


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 digest of names, types, shapes and values, whatever the device."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        if tensor.numel():
            sha.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
