"""Checkpoints of long optimisations: what is finished is kept, a later run goes on from there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Int
from torch import Tensor

from regional_primitives.errors import StorageError
from regional_primitives.runtime.storage import read_json, read_tensors, write_json, write_tensors

__all__ = ["Checkpoint"]

_log = logging.getLogger(__name__)
_MANIFEST = "checkpoint.json"


@dataclass
class Checkpoint:
    """A folder with one file for each batch of rows that is done; without a folder, nothing."""

    folder: Path | None

    @staticmethod
    def of(folder: Path | None, key: str) -> Checkpoint:
        """Open or begin a checkpoint of the work that `key` names.

        A folder that cannot be written costs the checkpoint, not the work (a warning says so).

        Raises:
            StorageError: the folder keeps other work, or something else.
        """
        if folder is None:
            return Checkpoint(None)
        manifest = folder / _MANIFEST
        if manifest.is_file():
            if read_json(manifest).get("key") != key:
                raise StorageError(
                    f"{folder} is a checkpoint of another picture or of other settings; "
                    "choose another folder, or delete this one"
                )
            return Checkpoint(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StorageError(f"{folder} holds something that is no checkpoint; choose another")
        try:
            write_json(manifest, {"key": key})
        except StorageError as error:
            _log.warning("nothing is kept for a later run: %s", error)
            return Checkpoint(None)
        return Checkpoint(folder)

    def saved(self) -> Iterator[tuple[Int[Tensor, " rows"], dict[str, Tensor]]]:
        """Yield the rows of each finished batch, and its tensors; corrupt files are left out."""
        if self.folder is None:
            return
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                tensors = read_tensors(path)
                yield tensors.pop("rows"), tensors
            except (StorageError, KeyError) as error:
                _log.warning("%s is done again: %s", path.name, error)

    def save(self, rows: Int[Tensor, " rows"], **tensors: Tensor) -> None:
        """Keep a batch; a disk that refuses costs the checkpoint, not the work."""
        if self.folder is None:
            return
        try:
            write_tensors(
                self.folder / f"{int(rows[0]):06d}.safetensors", {"rows": rows, **tensors}
            )
        except StorageError as error:
            _log.warning("nothing more is kept for a later run: %s", error)
            self.folder = None
