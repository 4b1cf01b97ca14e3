"""A decomposition as files: run.json beside tensors.safetensors, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor

from regional_primitives.decompose.exact.settings import Exact
from regional_primitives.decompose.given import Given
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.errors import InputError, StorageError
from regional_primitives.generators.feature import Feature, FeatureShape
from regional_primitives.generators.latents import kind_of, parts, with_parts
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind
from regional_primitives.runtime.eight_bit import black_and_white
from regional_primitives.runtime.run_files import MANIFEST, TENSORS
from regional_primitives.runtime.storage import (
    AtLeastZero,
    Count,
    Digest,
    check_version,
    read_json,
    read_tensors,
    typed,
    write_json,
    write_tensors,
)

SCHEMA_VERSION = 2
"""2 knows bundles: features of several tensors, stored as `feature.0`, `feature.1`, …"""
_READABLE = (1, 2)
_STORED = (
    "image",
    "baseline_image",
    "action_fields",
    "strengths",
    "offsets",
    "units",
    "values",
    "history",
)
FORMS: dict[str, type[Structured | Exact | Given]] = {
    "structured": Structured,
    "exact": Exact,
    "given": Given,
}
"""By what name a run knows the way that its components came about, which its settings tell."""

Side = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class Grid(msgspec.Struct, frozen=True, tag_field="kind", tag="grid", omit_defaults=True):
    """A grid as run.json and sweep.json have it."""

    rows: Side
    columns: Side
    names: list[str] | None = None


class LabelMap(msgspec.Struct, frozen=True, tag_field="kind", tag="labels", omit_defaults=True):
    """A label map as run.json has it; its pixels are among the tensors."""

    count: Side
    digest: str | None = None
    """SHA-256 of the labels; older runs have none."""
    names: list[str] | None = None


@dataclass(frozen=True)
class Manifest:
    """What run.json tells: all of a decomposition that is no tensor, and how it was measured."""

    provenance: Provenance
    regions: Grid | LabelMap
    latents: str
    """Of which kind they are, as `kind_of` names it."""
    tensors_digest: Digest
    evaluation: dict[str, Any] | None = None
    """The settings of its scores."""
    evaluation_seconds: AtLeastZero | None = None
    components: Count | None = None
    feature_shape: list[Side | list[Side]] | None = None


def write(folder: Path, made: Mapping[str, Any], components: int, shape: FeatureShape) -> None:
    """Write the attributes of a decomposition into an existing folder, as its two files."""
    tensors = {name: made[name] for name in _STORED}
    tensors |= _by_name("feature", made["feature"]) | _by_name("baseline", made["baseline"])
    tensors |= {f"latents.{name}": part for name, part in parts(made["latents"]).items()}
    others = {"noise": made["noise"], "regions.labels": made["regions"].labels}
    tensors |= {name: tensor for name, tensor in others.items() if tensor is not None}
    digest = write_tensors(folder / TENSORS, tensors)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        **asdict(made["provenance"]),
        "regions": made["regions"].to_dict(),
        "feature_shape": shape,
        "components": components,
        "latents": kind_of(made["latents"]),
        "tensors_digest": digest,
    }
    write_json(folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read run.json.

    Raises:
        StorageError: no run folder, an unknown schema version, or values that cannot be.
    """
    if not (folder / MANIFEST).is_file():
        raise StorageError(f"{folder} is not a run folder: it has no {MANIFEST}")
    content = read_json(folder / MANIFEST)
    check_version(folder, content, *_READABLE)
    own = {field.name for field in fields(Manifest)}
    try:
        # The file is flat; what tells where the run comes from lies beside all else.
        manifest = typed(
            {"provenance": content} | {name: content[name] for name in own & content.keys()},
            Manifest,
        )
        return replace(manifest, provenance=_checked(manifest.provenance))
    except ValueError as error:
        raise StorageError(f"{folder / MANIFEST} is corrupt: {error}") from error


def _checked(origin: Provenance) -> Provenance:
    """Check what the types of a provenance do not tell, and give settings their own types.

    Raises:
        InputError: values that no fit could have had. Settings that this release does not know,
            as earlier ones had, are left as they are.
    """
    if origin.method not in FORMS:
        raise InputError(f"method is {' or '.join(FORMS)}, not {origin.method[:40]!r}")
    form = FORMS[origin.method]
    if origin.hold is not None:
        of_kind(origin.hold, str, "hold is a text")
    known = {field.name for field in fields(form)} & origin.settings.keys()
    settings = form(**{name: origin.settings[name] for name in known})
    return replace(
        origin,
        image_range=black_and_white(origin.image_range),
        settings=origin.settings | {name: getattr(settings, name) for name in known},
    )


def read(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Return the attributes of the decomposition that a run folder holds, unchecked.

    Raises:
        StorageError: tensors are missing, or of another file.
        InputError: one too few, one too many, or patches that cannot be.
    """
    left = read_tensors(folder / TENSORS, manifest.tensors_digest)
    try:
        made: dict[str, Any] = {name: left.pop(name) for name in _STORED}
        made |= {name: _named(name, left) for name in ("feature", "baseline")}
        made["regions"] = _regions(manifest.regions, made["image"], left)
    except KeyError as error:
        raise InputError(f"tensor {error} is missing") from error
    latents = {name: left.pop(name) for name in list(left) if name.startswith("latents.")}
    latents = {name.removeprefix("latents."): part for name, part in latents.items()}
    made |= {
        "latents": with_parts(manifest.latents, latents),
        "provenance": manifest.provenance,
        "noise": left.pop("noise", None),
    }
    if left:
        raise InputError(f"its tensor {min(left)[:80]!r} is not known")
    return made


def _by_name(name: str, feature: Feature) -> dict[str, Tensor]:
    if isinstance(feature, Tensor):
        return {name: feature}
    return {f"{name}.{i}": tensor for i, tensor in enumerate(feature)}


def _named(name: str, left: dict[str, Tensor]) -> Feature:
    """Take what `_by_name` named out of the tensors."""
    if name in left:
        return left.pop(name)
    count = sum(key.startswith(f"{name}.") for key in left)
    return tuple(left.pop(f"{name}.{i}") for i in range(max(count, 1)))


def _regions(told: Grid | LabelMap, image: Tensor, left: dict[str, Tensor]) -> Regions:
    if image.ndim != 3 or not image.numel():
        raise InputError(f"its picture has the shape {list(image.shape)}")
    if isinstance(told, Grid):
        regions = Regions(told.rows, told.columns, given_names=told.names)
    else:
        labels = left.pop("regions.labels")
        if labels.dtype != torch.int64 or labels.shape != image.shape[1:]:
            raise InputError("its label map is none of its picture")
        regions = Regions.from_labels(labels, told.names)
    regions.label_map(*image.shape[1:])  # refuses a picture of another size
    return regions
