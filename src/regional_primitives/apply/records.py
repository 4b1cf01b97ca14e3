"""How an edit knows the decompositions whose components it numbers, and the form of its file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError, StorageError
from regional_primitives.runtime.arguments import of_kind, real, whole
from regional_primitives.runtime.staging import check_file
from regional_primitives.runtime.storage import Count, Digest, read_json, tensors_digest, typed

__all__ = ["EditedRun", "check_edit_file", "read_record", "scales_of", "signature"]

_SCHEMA_VERSION = 1
_KIND = "edit"


@dataclass(frozen=True)
class EditedRun:
    """By what an edit knows a decomposition."""

    weights_digest: str
    """SHA-256 over the generator's weights."""
    layer: str
    """Where it was cut."""
    components_digest: str
    """SHA-256 over action fields, offsets, units and values of the components."""

    @staticmethod
    def of(decomposition: Decomposition) -> EditedRun:
        """Describe a decomposition."""
        names = ("action_fields", "offsets", "units", "values")
        tensors = {name: getattr(decomposition, name) for name in names}
        return EditedRun(
            weights_digest=decomposition.provenance.weights_digest,
            layer=decomposition.provenance.layer,
            components_digest=tensors_digest(tensors),
        )

    def check(self, decomposition: Decomposition, does: str) -> None:
        """Refuse a decomposition that is another one.

        Args:
            decomposition: what is at hand.
            does: what the edit does with it, for the message: belongs to, takes from.

        Raises:
            InputError: other weights, another layer or other components.
        """
        found = EditedRun.of(decomposition)
        for what, mine, given in (
            ("weights", self.weights_digest[:12], found.weights_digest[:12]),
            ("layer", repr(self.layer)[:60], repr(found.layer)[:60]),
            ("components", self.components_digest[:12], found.components_digest[:12]),
        ):
            if mine != given:
                raise InputError(
                    f"this edit {does} another run: {what} {mine} on record, but {given} here"
                )


def scales_of(scales: Any) -> dict[int, float]:
    """Return the scales of components that are named.

    Raises:
        InputError: no mapping, a component that is no whole number, a scale that is not finite.
    """
    of_kind(scales, Mapping, "scales name components, as {3: 0.0} does")
    return {
        whole("a component", k): real(f"the scale of component {k}", scale)
        for k, scale in scales.items()
    }


def signature() -> dict[str, Any]:
    """Return what every edit's file begins with."""
    return {"schema_version": _SCHEMA_VERSION, "kind": _KIND}


def check_edit_file(path: Path) -> Path:
    """Return where an edit is written; a file that is no edit is not written over.

    Raises:
        StorageError: such a file stands there, or nothing can be written.
    """
    place = check_file(path)
    if place.is_file() and place.stat().st_size and _kind_of(place) != _KIND:
        raise StorageError(f"{path} exists and is no edit; choose another name")
    return place


def _kind_of(path: Path) -> Any:
    with suppress(StorageError):
        return read_json(path).get("kind")
    return None


def read_record(path: Path) -> dict[str, Any]:
    """Read an edit's file as the arguments of an edit; keys of later ideas may be absent.

    Raises:
        StorageError: no such file, no JSON, no edit, an unknown schema version, or values that
            cannot be.
    """
    content = read_json(path)
    if content.get("kind") != _KIND:
        raise StorageError(f"{path} is no edit; --save-edit and rp.Edit.write make such files")
    version = content.get("schema_version")
    if version != _SCHEMA_VERSION:
        raise StorageError(
            f"{path} has schema version {repr(version)[:20]}; this release reads {_SCHEMA_VERSION}"
        )
    own = {field.name: content[field.name] for field in fields(_Record) if field.name in content}
    try:
        return vars(typed(own, _Record))
    except ValueError as error:
        raise StorageError(f"{path} is corrupt: {error}") from error


@dataclass(frozen=True)
class _Record:
    """What the file holds beside its signature; what came with later ideas has a default."""

    scales: dict[int, float]
    others: float
    run: EditedRun | None
    picture_digest: Digest | None
    taken: dict[int, float] = field(default_factory=dict)
    other_run: EditedRun | None = None
    patches: tuple[Count, ...] | None = None
