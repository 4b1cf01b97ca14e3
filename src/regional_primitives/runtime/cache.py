"""A cache on disk addressed by content: what is costly and depends on nothing but its key."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.storage import read_tensors, write_tensors

__all__ = ["cache_folder", "cached_tensors"]

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
