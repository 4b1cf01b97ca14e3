"""An edit as data: a scale for each component, and a JSON file from which it is made again.

Scales and the file are ours; arXiv 2410.04421 switches components on and off.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError, StorageError
from regional_primitives.runtime.eight_bit import picture_digest
from regional_primitives.runtime.storage import read_json, tensors_digest, write_json

__all__ = ["Edit", "EditedRun"]

SCHEMA_VERSION = 1
KIND = "edit"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EditedRun:
    """By what an edit knows the decomposition whose components it numbers."""

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


@dataclass(frozen=True)
class Edit:
    """What becomes of each component: the picture is G(f0 + Σ_k scale_k Δf_k).

    Raises:
        InputError: on construction, a component that is no whole number or a scale that is not
            finite.
    """

    scales: Mapping[int, float] = field(default_factory=dict)
    """The components named, and their scales: 0 removes, 1 leaves, more amplifies."""
    others: float = 1.0
    """The scale of every component not named."""
    run: EditedRun | None = None
    """The decomposition that the numbers belong to, where it is known; no other is edited then."""
    picture_digest: str | None = None
    """SHA-256 of the 8-bit pixels of the edited picture, where it is known."""

    def __post_init__(self) -> None:
        scales = {_component(k): _finite(scale, f"component {k}") for k, scale in self._items()}
        object.__setattr__(self, "scales", scales)
        object.__setattr__(self, "others", _finite(self.others, "the components not named"))

    def _items(self) -> Iterable[tuple[Any, Any]]:
        if not isinstance(self.scales, Mapping):
            raise InputError(
                f"scales name components, as {{3: 0.0}} does; got {type(self.scales).__name__}"
            )
        return self.scales.items()

    @staticmethod
    def remove(components: Iterable[int]) -> Edit:
        """Switch these components off and leave all others as they are."""
        return Edit(dict.fromkeys(components, 0.0))

    @staticmethod
    def keep_only(components: Iterable[int]) -> Edit:
        """Switch all components off but these: what they alone add to the baseline picture."""
        return Edit(dict.fromkeys(components, 1.0), others=0.0)

    def row(self, decomposition: Decomposition) -> Float[Tensor, "1 components"]:
        """Return the scale of each component.

        Raises:
            InputError: the decomposition lacks a component that is named, or is not the edit's own.
        """
        self.check_run(decomposition)
        named = decomposition.scales(self.scales)
        given = torch.zeros(1, decomposition.count, dtype=torch.bool)
        given[0, list(self.scales)] = True
        return torch.where(given, named, torch.tensor(self.others))

    def changed(self, decomposition: Decomposition) -> Bool[Tensor, " components"]:
        """Tell which components do not stay as they are; raises what `row` raises."""
        return self.row(decomposition)[0] != 1

    def check_run(self, decomposition: Decomposition) -> None:
        """Refuse a decomposition whose components are not those that the edit numbers.

        Raises:
            InputError: the edit belongs to a run, and this is another.
        """
        if self.run is None:
            return
        found = EditedRun.of(decomposition)
        for what, mine, given in (
            ("weights", self.run.weights_digest[:12], found.weights_digest[:12]),
            ("layer", self.run.layer, found.layer),
            ("components", self.run.components_digest[:12], found.components_digest[:12]),
        ):
            if mine != given:
                raise InputError(
                    f"this edit belongs to another run: {what} {mine} on record, but {given} here"
                )

    def recorded(
        self, decomposition: Decomposition, image: Float[Tensor, "1 channels height width"]
    ) -> Edit:
        """Return this edit with its run and the digest of the picture that it made.

        Args:
            decomposition: what was edited.
            image: what `rp.edit` returned.

        Raises:
            InputError: what `row` raises.
        """
        self.row(decomposition)
        digest = picture_digest(image[0], decomposition.provenance.image_range)
        return replace(self, run=EditedRun.of(decomposition), picture_digest=digest)

    def made(
        self, decomposition: Decomposition, image: Float[Tensor, "1 channels height width"]
    ) -> bool | None:
        """Tell whether this is the picture on record, to the last bit; None where none is."""
        if self.picture_digest is None:
            return None
        image_range = decomposition.provenance.image_range
        return picture_digest(image[0], image_range) == self.picture_digest

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "run": None if self.run is None else asdict(self.run),
            "scales": {str(k): scale for k, scale in sorted(self.scales.items())},
            "others": self.others,
            "picture_digest": self.picture_digest,
        }

    def write(self, path: str | Path) -> None:
        """Write the edit as JSON, whole or not at all.

        Raises:
            StorageError: the disk refuses.
        """
        write_json(Path(path), self.to_dict())

    @staticmethod
    def read(path: str | Path) -> Edit:
        """Read what `write` wrote.

        Raises:
            StorageError: no such file, no JSON, no edit, an unknown schema version, or values
                that cannot be.
        """
        return _restore(Path(path), read_json(Path(path)))


def _restore(path: Path, content: dict[str, Any]) -> Edit:
    if content.get("kind") != KIND:
        raise StorageError(f"{path} is no edit; --save-edit and Edit.write make such files")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise StorageError(
            f"{path} has schema version {version}; this release reads {SCHEMA_VERSION}"
        )
    try:
        run = content["run"]
        return Edit(
            scales={int(k): scale for k, scale in content["scales"].items()},
            others=content["others"],
            run=None if run is None else _run(run),
            picture_digest=_digest(content["picture_digest"]),
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise StorageError(f"{path} is corrupt: {missing}") from error


def _run(content: Mapping[str, Any]) -> EditedRun:
    run = EditedRun(**content)
    if not isinstance(run.layer, str):
        raise ValueError(f"the layer is a name, not {run.layer!r}")
    for digest in (run.weights_digest, run.components_digest):
        if not isinstance(digest, str):
            raise ValueError(f"a digest is a text, not {digest!r}")
    return run


def _digest(text: Any) -> str | None:
    if text is None or (isinstance(text, str) and _DIGEST.fullmatch(text)):
        return text
    raise ValueError(f"the picture's digest is 64 hexadecimal digits, not {text!r}")


def _component(k: Any) -> int:
    if not isinstance(k, bool):
        try:
            return operator.index(k)
        except TypeError:
            pass
    raise InputError(f"components are whole numbers, not {k!r}")


def _finite(scale: Any, what: str) -> float:
    refused = InputError(f"{what} cannot be scaled by {scale}")
    if isinstance(scale, (bool, str)):
        raise refused
    try:
        value = float(scale)
    except (TypeError, ValueError, OverflowError):
        raise refused from None
    if not math.isfinite(value):
        raise refused
    return value
