"""Caches addressed by content, on disk and in memory, for what depends on nothing but its key."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import platformdirs
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.storage import read_tensors, write_tensors

__all__ = ["Recent", "cache_folder", "cached_tensors"]

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return $REGIONAL_PRIMITIVES_CACHE, or the platform's cache folder for this library."""
    chosen = os.environ.get("REGIONAL_PRIMITIVES_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("regional_primitives"))


def cached_tensors(
    kind: str, key: str, compute: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return what `compute` gives, from disk if it was computed for the same key before.

    `key` must name everything that the result depends on. A corrupt entry is computed anew; a
    folder that cannot be written costs the cache, not the result (a warning says so).
    """
    path = cache_folder() / kind / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
    if path.is_file():
        try:
            return read_tensors(path)
        except StorageError as error:
            _log.warning("the cache entry is computed anew: %s", error)
    tensors = compute()
    try:
        write_tensors(path, tensors)
    except StorageError as error:
        _log.warning("the result is not cached: %s", error)
    return tensors


class Recent:
    """Keeps in memory what was computed lately, up to a number of bytes and nothing larger.

    Tensors are handed out as they are: whoever gets one must not change it.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return what `compute` gives, from memory if it was computed for the same key lately."""
        found = self._kept.pop(key, None)
        if found is None:
            found = compute()
        self._kept[key] = found
        while sum(tensor.nbytes for tensor in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)
        return found
