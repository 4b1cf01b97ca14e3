"""What is kept on disk: JSON beside safetensors, with digests, and no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.staging import staged_file

__all__ = [
    "file_digest",
    "read_json",
    "read_tensors",
    "tensors_digest",
    "write_json",
    "write_tensors",
]


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
