"""A decomposition as files: run.json beside tensors.safetensors, checked when read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import torch
from torch import Tensor

from regional_primitives.decompose.exact import Exact
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.structured import Structured
from regional_primitives.errors import InputError, StorageError
from regional_primitives.generators.feature import Feature, shape_of, tensors_of
from regional_primitives.generators.latents import kind_of, parts, with_parts
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind
from regional_primitives.runtime.eight_bit import black_and_white
from regional_primitives.runtime.run_files import MANIFEST, TENSORS
from regional_primitives.runtime.storage import (
    AtLeastZero,
    Count,
    Digest,
    measurable,
    read_json,
    read_tensors,
    typed,
    write_json,
    write_tensors,
)

if TYPE_CHECKING:
    from regional_primitives.decompose.decomposition import Decomposition

__all__ = [
    "SCHEMA_VERSION",
    "Grid",
    "LabelMap",
    "Manifest",
    "Side",
    "read",
    "read_manifest",
    "write",
]

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
_FORMS: dict[str, type[Structured | Exact]] = {"structured": Structured, "exact": Exact}
_STRENGTH_GAP = 1e-3
"""Strengths were rounded once, and in early releases added up in single precision."""

Side = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class Grid(msgspec.Struct, frozen=True, tag_field="kind", tag="grid"):
    """A grid as run.json and sweep.json have it."""

    rows: Side
    columns: Side


class LabelMap(msgspec.Struct, frozen=True, tag_field="kind", tag="labels"):
    """A label map as run.json has it; its pixels are among the tensors."""

    count: Side


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
        "latents": kind_of(decomposition.latents),
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
    version = content.get("schema_version")
    if version not in _READABLE or isinstance(version, bool):
        raise StorageError(
            f"{folder} has schema version {repr(version)[:20]}; this release reads "
            f"{' and '.join(map(str, _READABLE))}"
        )
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
    if origin.method not in _FORMS:
        raise InputError(f"method is {' or '.join(_FORMS)}, not {origin.method[:40]!r}")
    form = _FORMS[origin.method]
    if origin.hold is not None:
        of_kind(origin.hold, str, "hold is a text")
    known = {field.name for field in fields(form)} & origin.settings.keys()
    settings = form(**{name: origin.settings[name] for name in known})
    return replace(
        origin,
        image_range=black_and_white(origin.image_range),
        settings=origin.settings | {name: getattr(settings, name) for name in known},
    )


def read(folder: Path, kind: type[Decomposition]) -> Decomposition:
    """Read a run folder as a decomposition; raises what `Decomposition.load` raises."""
    manifest = read_manifest(folder)
    tensors = read_tensors(folder / TENSORS, manifest.tensors_digest)
    try:
        result = _restore(manifest, tensors, kind)
        fault = next(_faults(result), None) or next(_faults_told(manifest, result), None)
    except KeyError as error:
        fault = f"tensor {error} is missing"
    except InputError as error:
        fault = str(error)
    if fault:
        raise StorageError(f"{folder} is corrupt: {fault}")
    object.__setattr__(result, "folder", folder)
    return result


def _by_name(name: str, feature: Feature) -> dict[str, Tensor]:
    if isinstance(feature, Tensor):
        return {name: feature}
    return {f"{name}.{i}": tensor for i, tensor in enumerate(feature)}


def _restore(
    manifest: Manifest, tensors: dict[str, Tensor], kind: type[Decomposition]
) -> Decomposition:
    """Give every tensor its place.

    Raises:
        KeyError: one is missing.
        InputError: one too many, or patches that cannot be.
    """
    left = dict(tensors)

    def named(name: str) -> Feature:
        if name in left:
            return left.pop(name)
        count = sum(key.startswith(f"{name}.") for key in left)
        return tuple(left.pop(f"{name}.{i}") for i in range(max(count, 1)))

    stored = {name: left.pop(name) for name in _STORED}
    image = stored["image"]
    if image.ndim != 3 or not image.numel():
        raise InputError(f"its picture has the shape {list(image.shape)}")
    side = manifest.regions
    if isinstance(side, Grid):
        regions = Regions.grid(side.rows, side.columns)
    else:
        labels = left.pop("regions.labels")
        if labels.dtype != torch.int64 or labels.shape != image.shape[1:]:
            raise InputError("its label map is none of its picture")
        regions = Regions.from_labels(labels)
    regions.label_map(*image.shape[1:])  # refuses a picture of another size
    latents = {key: left.pop(key) for key in tensors if key.startswith("latents.")}
    result = kind(
        **stored,
        feature=named("feature"),
        baseline=named("baseline"),
        regions=regions,
        latents=with_parts(
            manifest.latents, {key.removeprefix("latents."): part for key, part in latents.items()}
        ),
        provenance=manifest.provenance,
        noise=left.pop("noise", None),
    )
    if left:
        raise InputError(f"its tensor {min(left)[:80]!r} is not known")
    return result


def _faults(d: Decomposition) -> Iterator[str]:
    """Say in what ways a decomposition is none that a fit could have made.

    Latents may hold infinities, as masks of attention do, but nothing that is no number.
    """
    count, entries = len(d.strengths), len(d.values)
    expected = {
        "image": (torch.float32, d.image.shape),
        "baseline_image": (torch.float32, d.image.shape),
        "action_fields": (torch.bool, (count, d.regions.count)),
        "strengths": (torch.float32, (count,)),
        "offsets": (torch.int64, (count + 1,)),
        "units": (torch.int32, (entries,)),
        "values": (torch.float32, (entries,)),
        "history": (torch.float32, (len(d.history), 3)),
        **({} if d.noise is None else {"noise": (torch.float32, (count,))}),
    }
    for name, (dtype, shape) in expected.items():
        tensor = getattr(d, name)
        if tensor.dtype != dtype or tensor.shape != shape:
            yield (
                f"{name} is {tensor.dtype} {list(tensor.shape)}, not {dtype} {list(shape)}, "
                "so its tensors do not belong together"
            )
        if not measurable(tensor):
            yield f"{name} holds NaN, infinity or numbers without a measure"
    features = (*tensors_of(d.feature), *tensors_of(d.baseline))
    if not all(len(tensor) == 1 for tensor in features) or d.feature_shape != shape_of(d.baseline):
        yield "feature and baseline do not belong together"
    if not all(tensor.is_floating_point() and measurable(tensor) for tensor in features):
        yield "feature or baseline holds NaN, infinity or numbers without a measure"
    latents = parts(d.latents).values()
    if any(part.ndim == 0 or len(part) != 1 or bool(part.isnan().any()) for part in latents):
        yield "its latents are not those of one picture"
    yield from _faults_of_components(d)


def _faults_told(manifest: Manifest, d: Decomposition) -> Iterator[str]:
    """Say what run.json tells readers of it alone, and what is otherwise."""
    if manifest.components not in (None, d.count):
        yield f"it has {d.count} components where {MANIFEST} tells {manifest.components}"
    if manifest.feature_shape not in (None, json.loads(json.dumps(d.feature_shape))):
        yield f"its feature has another shape than {MANIFEST} tells"


def _faults_of_components(d: Decomposition) -> Iterator[str]:
    ends = [int(end) for end in (d.offsets[0], d.offsets.amin(), d.offsets[-1], d.offsets.amax())]
    if not d.count or ends != [0, 0, len(d.values), len(d.values)]:
        yield "its components and their entries do not belong together"
    counts = d.offsets.diff()
    if not bool((counts > 0).all()):
        yield "a component changes no unit"
    component = torch.repeat_interleave(torch.arange(d.count), counts)
    if int(d.units.min()) < 0 or int(d.units.max()) >= d.unit_count:
        yield "a component changes a unit that the feature does not have"
    place = component * d.unit_count + d.units
    if not bool((place.diff() > 0).all()):
        yield "a component changes a unit twice"
    energy = torch.zeros(d.count, dtype=torch.float64)
    energy.index_add_(0, component, d.values.double().square())
    if not torch.allclose(d.strengths.double(), energy.sqrt(), rtol=_STRENGTH_GAP, atol=0):
        yield "its strengths are not those of its components"
    if not bool((d.strengths > 0).all()) or not bool((d.strengths.diff() <= 0).all()):
        yield "its strengths do not descend to above 0"
    others = d.regions.demand(d.patches).logical_not()  # the remainder's, where there is one
    empty = ~d.action_fields.any(1)
    if bool(empty.any()) and (int(empty.sum()) > 1 or bool(others.any()) or d.remainder is None):
        yield "a component acts on no patch"
    if d.noise is not None and not bool((d.noise >= 0).all()):
        yield "a noise floor is below 0"
