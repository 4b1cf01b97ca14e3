"""A decomposition as files: run.json beside tensors.safetensors, checked when read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regional_primitives.decompose.provenance import Provenance
from regional_primitives.errors import StorageError
from regional_primitives.generators.feature import Feature, shape_of
from regional_primitives.generators.latents import Latents, parts
from regional_primitives.regions import Regions
from regional_primitives.runtime.staging import MANIFEST
from regional_primitives.runtime.storage import read_json, read_tensors, write_json, write_tensors

if TYPE_CHECKING:
    from regional_primitives.decompose.decomposition import Decomposition

__all__ = ["SCHEMA_VERSION", "TENSORS", "read", "write"]

SCHEMA_VERSION = 2
"""2 knows bundles: features of several tensors, stored as `feature.0`, `feature.1`, …"""
_READABLE = (1, 2)
TENSORS = "tensors.safetensors"
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


def write(decomposition: Decomposition, folder: Path) -> None:
    """Write the two files into an existing folder."""
    tensors = {name: getattr(decomposition, name) for name in _STORED}
    tensors |= _by_name("feature", decomposition.feature)
    tensors |= _by_name("baseline", decomposition.baseline)
    tensors |= {f"latents.{name}": part for name, part in parts(decomposition.latents).items()}
    if decomposition.noise is not None:
        tensors["noise"] = decomposition.noise
    if decomposition.regions.labels is not None:
        tensors["regions.labels"] = decomposition.regions.labels
    digest = write_tensors(folder / TENSORS, tensors)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        **asdict(decomposition.provenance),
        "regions": decomposition.regions.to_dict(),
        "feature_shape": decomposition.feature_shape,
        "components": decomposition.count,
        "latents": type(decomposition.latents).__name__,
        "tensors_digest": digest,
    }
    write_json(folder / MANIFEST, manifest)


def read(folder: Path, kind: type[Decomposition]) -> Decomposition:
    """Read a run folder as a decomposition; raises what `Decomposition.load` raises."""
    if not (folder / MANIFEST).is_file():
        raise StorageError(f"{folder} is not a run folder: it has no {MANIFEST}")
    manifest = read_json(folder / MANIFEST)
    version = manifest.get("schema_version")
    if version not in _READABLE:
        raise StorageError(
            f"{folder} has schema version {version}; this release reads "
            f"{' and '.join(map(str, _READABLE))}"
        )
    try:
        tensors = read_tensors(folder / TENSORS, digest=manifest["tensors_digest"])
        result = _restore(manifest, tensors, kind)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StorageError(f"{folder} is corrupt: {error}") from error
    object.__setattr__(result, "folder", folder)
    return result


def _by_name(name: str, feature: Feature) -> dict[str, Tensor]:
    if isinstance(feature, Tensor):
        return {name: feature}
    return {f"{name}.{i}": tensor for i, tensor in enumerate(feature)}


def _named(name: str, tensors: dict[str, Tensor]) -> Feature:
    if name in tensors:
        return tensors[name]
    count = sum(key.startswith(f"{name}.") for key in tensors)
    return tuple(tensors[f"{name}.{i}"] for i in range(max(count, 1)))


def _restore(
    manifest: dict[str, Any], tensors: dict[str, Tensor], kind: type[Decomposition]
) -> Decomposition:
    regions = manifest["regions"]
    known = Provenance.__dataclass_fields__
    provenance = {name: manifest[name] for name in known if name in manifest}
    for name in ("image_range", "flows_past"):
        provenance[name] = tuple(provenance.get(name, ()))
    found = {
        name.removeprefix("latents."): part
        for name, part in tensors.items()
        if name.startswith("latents.")
    }
    latents: Latents
    if manifest["latents"] == "Tensor":
        latents = found["latents"]
    elif manifest["latents"] == "tuple":
        latents = tuple(found[str(i)] for i in range(len(found)))
    else:
        latents = found
    result = kind(
        **{name: tensors[name] for name in _STORED},
        feature=_named("feature", tensors),
        baseline=_named("baseline", tensors),
        regions=Regions.grid(regions["rows"], regions["columns"])
        if regions["kind"] == "grid"
        else Regions.from_labels(tensors["regions.labels"]),
        latents=latents,
        provenance=Provenance(**provenance),
        noise=tensors.get("noise"),
    )
    _check_consistent(result)
    return result


def _check_consistent(result: Decomposition) -> None:
    count, entries = len(result.strengths), len(result.values)
    sound = (
        result.feature_shape == shape_of(result.baseline)
        and len(result.feature_units) == len(result.baseline_units) == 1
        and result.action_fields.shape == (count, result.regions.count)
        and result.action_fields.dtype == torch.bool
        and result.offsets.shape == (count + 1,)
        and int(result.offsets[0]) == 0
        and int(result.offsets[-1]) == entries == len(result.units)
        and bool((result.offsets.diff() >= 0).all())
        and (entries == 0 or int(result.units.min()) >= 0)
        and (entries == 0 or int(result.units.max()) < result.unit_count)
        and result.image.shape == result.baseline_image.shape
        and (result.noise is None or result.noise.shape == (count,))
    )
    if not sound:
        raise ValueError("its tensors do not belong together")
