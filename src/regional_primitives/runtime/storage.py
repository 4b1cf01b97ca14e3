"""What is kept on disk: JSON beside safetensors, with digests, and no pickle.

Whatever is read passes here: a file's bytes are read once, and what is checked is what is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor

from regional_primitives.errors import InputError, StorageError, first_line
from regional_primitives.runtime.staging import staged_file

_Made = TypeVar("_Made")
Real: TypeAlias = Annotated[float, Meta(ge=-1e30, le=1e30)]
"""A number that a file may hold: none is ever NaN or infinite, nor are sums of squares of it."""
AtLeastZero: TypeAlias = Annotated[float, Meta(ge=0, le=1e30)]
"""One that cannot be negative."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A whole number that counts something."""
Digest: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
"""A SHA-256 digest in hexadecimal."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON; NaN is refused, since JSON has none."""
    with staged_file(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; of keys that are there twice the last counts, as JSON's readers have it.

    NaN, infinity and numbers beyond a double are no JSON, and refused as whatever else is none.
    """
    data = _bytes(path)
    try:
        content = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path} holds no JSON object")
    return content


def read_as(path: Path, make: Callable[[dict[str, Any]], _Made]) -> _Made:
    """Make something of the JSON object in a file; what `make` cannot take is corrupt."""
    content = read_json(path)
    try:
        return make(content)
    except ValueError as error:
        raise StorageError(f"{path} is corrupt: {error}") from error


def check_version(path: Path, content: Mapping[str, Any], *readable: int) -> None:
    """Refuse content whose `schema_version` is none of those that this release reads."""
    version = content.get("schema_version")
    if version not in readable or isinstance(version, bool):
        raise StorageError(
            f"{path} has schema version {repr(version)[:20]}; this release reads "
            f"{' and '.join(map(str, readable))}"
        )


def typed(content: Any, kind: Any) -> Any:
    """Turn what JSON held into `kind`, a type of annotated fields, without guessing at types.

    Names that a dataclass does not know are refused on the outside, and left aside within.

    Raises:
        InputError: what does not fit.
    """
    if is_dataclass(kind) and isinstance(content, dict):
        unknown = content.keys() - {field.name for field in fields(kind)}
        if unknown:
            told = ", ".join(map(repr, sorted(unknown)))
            raise InputError(f"it has names that are not known: {told[:200]}")
    try:
        return msgspec.convert(content, kind, str_keys=True)
    except msgspec.ValidationError as error:  # one line that names the place, and may hold a value
        raise InputError(str(error)[:300]) from error


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None
) -> str:
    """Write tensors as safetensors, and texts about them; return the file's SHA-256 digest."""
    # The format knows no views: each tensor goes in as a copy that shares memory with no other.
    ready = {
        name: tensor.detach().cpu().as_subclass(Tensor).clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with staged_file(path) as temporary:
        try:
            save_file(ready, temporary, None if about is None else dict(about))
        except SafetensorError as error:
            raise StorageError(f"cannot write {path}: {error}") from error
        return file_digest(temporary)


def read_tensors(path: Path, digest: str | None) -> dict[str, Tensor]:
    """Read a safetensors file into memory of its own, which no later change of the file reaches.

    Its SHA-256 digest is the one on record, if there is a record.
    """
    data = _bytes(path)
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise StorageError(f"{path} is corrupt: its SHA-256 digest is not the one on record")
    return _tensors(path, data)


def read_beginnings(path: Path, **entries: int | None) -> dict[str, Tensor]:
    """Read some tensors of a safetensors file by name: so many entries of each, all for None.

    The rest of the file is not read, so that no digest can be checked.
    """
    try:
        with safe_open(path, "pt") as file:
            return {
                name: (file.get_tensor(name) if end is None else file.get_slice(name)[:end]).clone()
                for name, end in entries.items()
            }
    except Exception as error:  # the parser raises all kinds on a damaged file
        if not path.is_file():
            raise StorageError(f"{path} is missing") from error
        raise StorageError(f"{path} is corrupt: {first_line(error)}") from error


_SEAL = "seal"


def write_sealed(path: Path, key: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors with a digest of themselves and of `key` within the same file."""
    write_tensors(path, tensors, {_SEAL: _seal(key, tensors)})


def read_sealed(path: Path, key: str) -> dict[str, Tensor]:
    """Read what `write_sealed` wrote for the same key; without that seal it is refused."""
    data = _bytes(path)
    tensors = _tensors(path, data)
    # The parser has read the header, JSON behind its length, and keeps what it says for itself.
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    try:
        found = msgspec.json.decode(header)["__metadata__"][_SEAL]
    except (ValueError, LookupError, TypeError):
        found = None
    if found != _seal(key, tensors):
        raise StorageError(f"{path} is corrupt, or of an earlier release: its seal does not fit")
    return tensors


def _seal(key: str, tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(f"{key}/{tensors_digest(tensors)}".encode()).hexdigest()


def _bytes(path: Path) -> bytes:
    """Read a whole file; a pipe or a device, which might never end, is none."""
    try:
        if not path.exists():
            raise StorageError(f"{path} is missing")
        if not path.is_file():
            raise StorageError(f"{path} is no file")
        return path.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error or "it is too large"
        raise StorageError(f"cannot read {path}: {reason}") from error


def _tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        tensors = load(data)
    except Exception as error:  # the parser raises all kinds on a damaged file
        raise StorageError(f"{path} is corrupt: {first_line(error)}") from error
    for name, tensor in tensors.items():
        # A truth value is a byte that is 0 or 1; torch takes others for neither.
        if tensor.dtype == torch.bool and bool((tensor.view(torch.uint8) > 1).any()):
            raise StorageError(f"{path} is corrupt: {name} holds bytes that are no truth values")
    return tensors


def measurable(tensor: Tensor) -> bool:
    """Tell whether a tensor's norm is a number: no NaN, nothing infinite or with such a square."""
    return bool(tensor.float().square().sum().isfinite())


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
