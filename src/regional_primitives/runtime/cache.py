"""Caches addressed by content, on disk and in memory, for what depends on nothing but its key."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.storage import measurable, read_sealed, write_sealed

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return $REGIONAL_PRIMITIVES_CACHE, or the platform's cache folder for this library."""
    chosen = os.environ.get("REGIONAL_PRIMITIVES_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("regional_primitives"))


def cached_tensors(
    kind: str,
    key: str,
    shapes: Mapping[str, tuple[int, ...]],
    compute: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Return what `compute` gives, from disk if it was computed for the same key before.

    The key names all that the result depends on; `kind` is its folder in the cache. A corrupt
    entry, or one without finite tensors of these shapes in single precision, is computed anew; a
    folder that cannot be written costs the cache, not the result (a warning says so).
    """
    path = cache_folder() / kind / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
    # Path.exists raises where a folder may not be looked into.
    stands = os.path.exists(path)  # noqa: PTH110
    if stands:
        try:
            found = read_sealed(path, key)
            if expected(found, shapes):
                return found
            _log.warning("the cache entry is computed anew: %s is none of its kind", path)
        except StorageError as error:
            _log.warning("the cache entry is computed anew: %s", error)
    tensors = compute()
    try:
        if stands and not path.is_file():
            raise StorageError(f"{path} is no file")
        write_sealed(path, key, tensors)
    except StorageError as error:
        _log.warning("the result is not cached: %s", error)
    return tensors


def expected(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell whether these are tensors of those names and shapes, finite, in single precision."""
    return tensors.keys() == shapes.keys() and all(
        tensor.dtype == torch.float32 and tuple(tensor.shape) == shapes[name] and measurable(tensor)
        for name, tensor in tensors.items()
    )


class Recent:
    """Keeps in memory what was computed lately, up to a number of bytes and nothing larger.

    Tensors are handed out as they are: whoever gets one must not change it.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return what `compute` gives, from memory if it was computed for the same key lately."""
        with self._lock:
            found = self._kept.pop(key, None)
        if found is None:
            found = compute()
        with self._lock:
            self._kept[key] = found
            while sum(tensor.nbytes for tensor in self._kept.values()) > self._most_bytes:
                self._kept.popitem(last=False)
        return found
