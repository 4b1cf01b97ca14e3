"""Checkpoints of long optimisations: what is finished is kept, a later run goes on from there."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.cache import expected
from regional_primitives.runtime.staging import recover, visible
from regional_primitives.runtime.storage import read_json, read_sealed, write_json, write_sealed

_log = logging.getLogger(__name__)
_MANIFEST = "checkpoint.json"
_BATCH = re.compile(r"\d{6,}\.safetensors")


@dataclass
class Checkpoint:
    """A folder with one file for each batch of rows that is done; without a folder, nothing."""

    folder: Path | None
    key: str = ""
    """Names the work; every file is sealed with it."""

    @staticmethod
    def of(folder: Path | None, key: str) -> Checkpoint:
        """Open or begin a checkpoint of the work that `key` names.

        A folder that cannot be written costs the checkpoint, not the work (a warning says so).

        Raises:
            StorageError: the folder keeps other work, or something else.
        """
        if folder is None:
            return Checkpoint(None)
        manifest, found = folder / _MANIFEST, None
        recover(folder)
        with suppress(StorageError):  # without a readable manifest nobody knows which work it was
            found = read_json(manifest).get("key")
        if found == key:
            return Checkpoint(folder, key)
        if found is not None:
            raise StorageError(
                f"{folder} is a checkpoint of another picture or of other settings; "
                "choose another folder, or delete this one"
            )
        kept = visible(folder)
        if not all(path == manifest or _BATCH.fullmatch(path.name) for path in kept):
            raise StorageError(f"{folder} holds something that is no checkpoint; choose another")
        try:
            for path in kept:
                path.unlink()
            write_json(manifest, {"key": key})
        except (OSError, StorageError) as error:
            _log.warning("nothing is kept for a later run: %s", error)
            return Checkpoint(None)
        return Checkpoint(folder, key)

    def saved(
        self, count: int, shapes: Mapping[str, tuple[int, ...]]
    ) -> Iterator[tuple[Int[Tensor, " rows"], dict[str, Tensor]]]:
        """Yield the rows of each finished batch, and its tensors; other files are left out.

        There are `count` rows in all; `shapes` are those of one row of each tensor.
        """
        if self.folder is None:
            return
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                tensors = read_sealed(path, self.key)
                rows = tensors.pop("rows", torch.empty(0))
                if not _fits(rows, tensors, count, shapes):
                    raise StorageError("it holds no batch of this work")
                yield rows, tensors
            except StorageError as error:
                _log.warning("%s is done again: %s", path.name, error)

    def save(self, rows: Int[Tensor, " rows"], **tensors: Tensor) -> None:
        """Keep a batch; a disk that refuses costs the checkpoint, not the work."""
        if self.folder is None:
            return
        try:
            path = self.folder / f"{int(rows[0]):06d}.safetensors"
            write_sealed(path, self.key, {"rows": rows, **tensors})
        except StorageError as error:
            _log.warning("nothing more is kept for a later run: %s", error)
            self.folder = None


def _fits(
    rows: Tensor, tensors: Mapping[str, Tensor], count: int, shapes: Mapping[str, tuple[int, ...]]
) -> bool:
    return (
        rows.dtype == torch.int64
        and rows.ndim == 1
        and bool(((rows >= 0) & (rows < count)).all())
        and len(rows.unique()) == len(rows) > 0
        and expected(tensors, {name: (len(rows), *shape) for name, shape in shapes.items()})
    )
