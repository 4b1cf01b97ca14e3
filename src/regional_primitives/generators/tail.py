"""The tail of one picture: from a feature to images, all that flows past the cut held fixed.

By default it is recorded and runs only what lies behind the cut (`RecordedTail`). Where a network
cannot be recorded, the whole network runs with the layer's output replaced (`WholeRunTail`), which
is slower and gives the same images: it is what a tail means, and each recording is checked on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.errors import GeneratorError
from regional_primitives.generators.batch import BatchAxis, UnrecordableError
from regional_primitives.generators.feature import Feature, FeatureShape, tensors_of
from regional_primitives.generators.latents import Latents, concatenate, map_latents
from regional_primitives.generators.layers import Layer, joined
from regional_primitives.generators.network import Network
from regional_primitives.generators.precision import full_precision
from regional_primitives.generators.program import Program, tail_program
from regional_primitives.generators.recording import Recording, record
from regional_primitives.runtime.streams import stream

__all__ = [
    "ROUNDING",
    "Parts",
    "RecordedTail",
    "Tail",
    "WholeRunTail",
    "parts_of",
    "relative_gap",
    "tail_of",
    "tolerance",
]

ROUNDING = 1e-5
"""The largest difference of two images, relative to the largest pixel, that passes as rounding."""


@dataclass(frozen=True)
class Parts:
    """How the tensors that layers give become a feature, batch first, and back."""

    axes: tuple[BatchAxis, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of each tensor of the feature, without the batch."""
    dtypes: tuple[torch.dtype, ...]
    layers: tuple[int, ...]
    """Which layer each comes from."""

    @property
    def shape(self) -> FeatureShape:
        """The feature's shape."""
        return self.shapes[0] if len(self.shapes) == 1 else self.shapes

    def feature(self, tensors: Sequence[Sequence[Tensor]]) -> Feature:
        """Turn what the layers give into a feature, in float32."""
        flat = [tensor for layer in tensors for tensor in layer]
        items = tuple(
            axis.items_first(tensor).float().contiguous()
            for axis, tensor in zip(self.axes, flat, strict=True)
        )
        return items[0] if len(items) == 1 else items

    def as_given(self, feature: Feature) -> list[Tensor]:
        """Turn a feature into tensors such as the layers give, in their precision."""
        return [
            axis.as_found(items.to(dtype))
            for axis, dtype, items in zip(self.axes, self.dtypes, tensors_of(feature), strict=True)
        ]

    def by_layer(self, feature: Feature) -> list[list[Tensor]]:
        """Turn a feature into each layer's tensors."""
        grouped: list[list[Tensor]] = [[] for _ in range(max(self.layers) + 1)]
        for layer, tensor in zip(self.layers, self.as_given(feature), strict=True):
            grouped[layer].append(tensor)
        return grouped


@dataclass(frozen=True, eq=False)
class RecordedTail:
    """Runs what lies behind the cut and nothing else."""

    parts: Parts
    program: Program
    mixes: bool = False
    """Whether the network mixes the items of a batch; then they go through one by one."""

    @property
    def bytes_per_item(self) -> int:
        """Memory between feature and image, an item."""
        return self.program.bytes_per_item

    def __call__(self, feature: Feature) -> Float[Tensor, "batch channels height width"]:
        """Generate images; gradients flow to the feature and nowhere else."""
        if self.mixes and len(tensors_of(feature)[0]) > 1:
            return torch.cat([self(item) for item in items_of(feature)])
        tensors = self.parts.as_given(feature)
        if self.program.writes_into_feature:
            tensors = [tensor.clone() for tensor in tensors]
        batch = len(tensors_of(feature)[0])
        sides = [side.over(batch) for side in self.program.sides]
        return self.program.run(batch, tensors, sides)


@dataclass(frozen=True, eq=False)
class WholeRunTail:
    """Runs the whole network with the layers' outputs replaced."""

    parts: Parts
    network: Network
    layers: tuple[Layer, ...]
    latents: Latents
    bytes_per_item: int
    why: str
    """Why nothing faster can be had."""
    mixes: bool = False
    """Whether the network mixes the items of a batch; then they go through one by one."""

    def __call__(self, feature: Feature) -> Float[Tensor, "batch channels height width"]:
        """Generate images; gradients flow to the feature and nowhere else."""
        batch = len(tensors_of(feature)[0])
        if self.mixes and batch > 1:
            return torch.cat([self(item) for item in items_of(feature)])
        latents = repeated(self.latents, batch)
        return self.network.substituted(latents, self.layers, self.parts.by_layer(feature))


Tail: TypeAlias = RecordedTail | WholeRunTail


def items_of(feature: Feature) -> list[Feature]:
    """Take a batch apart into batches of one."""
    if isinstance(feature, Tensor):
        return list(feature.split(1))
    return [tuple(items) for items in zip(*(t.split(1) for t in feature), strict=True)]


def repeated(latents: Latents, count: int) -> Latents:
    """Repeat one picture's latents."""
    return map_latents(lambda part: part.repeat(count, *[1] * (part.ndim - 1)), latents)


@full_precision()
def tail_of(network: Network, layers: tuple[Layer, ...], latents: Latents) -> Tail:
    """Make the tail of one picture, recorded if that can be.

    Raises:
        InputError: latents that the network rejects.
        GeneratorError: a layer that is not called, is called several times without saying which,
            gives no tensor with a batch axis, or that the picture does not depend on.
    """
    two, three = (record(network, repeated(latents, count), layers) for count in (2, 3))
    parts = _settled(_parts(two.given, three.given, layers), network, layers, latents)
    whole = WholeRunTail(parts, network, layers, latents, 0, "")
    probes = _probes(parts.feature(two.given))
    with torch.no_grad():
        expected = whole(probes)
    if torch.equal(expected, two.values[two.image]):
        raise GeneratorError(f"nothing of the picture depends on layer {joined(layers)!r}")
    try:
        return _recorded(two, three, whole, probes, expected)
    except UnrecordableError as error:
        why, one_by_one = str(error), error.one_by_one
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        why, one_by_one = f"{type(error).__name__}: {error}", False
    mixes = one_by_one or _mixes(whole, probes, expected)
    size = two.bytes_of(range(len(two.operations))) // 2
    return replace(whole, bytes_per_item=size, why=why, mixes=mixes)


def _recorded(
    two: Recording, three: Recording, whole: WholeRunTail, probes: Feature, expected: Tensor
) -> RecordedTail:
    """Make the tail of recordings, in whichever layout of side inputs gives the right images.

    Raises:
        UnrecordableError: neither does.
        GeneratorError: nothing lies behind a layer.
    """
    program = tail_program(two, three)
    if program.operations == 0:
        raise GeneratorError(f"nothing is computed behind layer {joined(whole.layers)!r}")
    if program.unused_layers:
        name = str(whole.layers[program.unused_layers[0]])
        raise GeneratorError(f"nothing of the picture depends on layer {name!r}")
    several = any(side.axis is not None and side.axis.multiple > 1 for side in program.sides)
    try:
        return _checked(RecordedTail(whole.parts, program), whole, probes, expected)
    except UnrecordableError:
        if not several:
            raise
        program = tail_program(two, three, inner=True)
        return _checked(RecordedTail(whole.parts, program), whole, probes, expected)


@torch.no_grad()
def _checked(
    recorded: RecordedTail, whole: WholeRunTail, probes: Feature, expected: Tensor
) -> RecordedTail:
    """Check a recording against whole runs with other features than it was made with.

    Raises:
        UnrecordableError: it gives other images.
    """

    def gap(feature: Feature) -> float:
        # The same batch size in both: another may choose kernels that round otherwise.
        return relative_gap(recorded(feature), whole(feature))

    alone = items_of(probes)
    gaps = [relative_gap(recorded(probes), expected), gap(alone[0])]
    if recorded.program.extrapolates:
        gaps.append(gap(_joined([*alone, *alone, alone[0]])))
    if max(gaps) > tolerance(recorded.parts):
        raise UnrecordableError(
            f"the recorded part gives other images (relative difference {max(gaps):.2g})"
        )
    if not _mixes(recorded, probes, expected):
        return recorded
    return replace(recorded, mixes=True)


def _joined(items: list[Feature]) -> Feature:
    """Join batches of one."""
    if isinstance(items[0], Tensor):
        return torch.cat([item for item in items if isinstance(item, Tensor)])
    return tuple(torch.cat(tensors) for tensors in zip(*map(tensors_of, items), strict=True))


@torch.no_grad()
def _mixes(tail: Tail, probes: Feature, together: Tensor) -> bool:
    """Tell whether an item's image depends on the others of its batch."""
    alone = torch.cat([tail(item) for item in items_of(probes)])
    return not relative_gap(alone, together) <= 100 * tolerance(tail.parts)


@full_precision()
def parts_of(network: Network, layers: tuple[Layer, ...], latents: Latents) -> Parts:
    """Find how a feature is laid out, from one picture repeated two and three times.

    Raises:
        GeneratorError: a layer's tensor has no batch axis.
    """
    two, three = (network.head(repeated(latents, count), layers) for count in (2, 3))
    return _settled(_parts(two, three, layers), network, layers, latents)


def _settled(parts: Parts, network: Network, layers: tuple[Layer, ...], latents: Latents) -> Parts:
    """Find out whether items with several entries each are outermost, on two unlike pictures.

    Raises:
        GeneratorError: an item is in neither layout what it is alone.
    """
    if all(axis.multiple == 1 for axis in parts.axes):
        return parts
    other = map_latents(lambda part: 0.5 * part if part.is_floating_point() else part, latents)
    pair = network.head(concatenate([latents, other]), layers)
    alone = network.head(latents, layers)
    axes = []
    for axis, mixed, one in zip(parts.axes, _flat(pair), _flat(alone), strict=True):
        layouts = [replace(axis, inner=inner) for inner in (False, True)]
        fitting = [
            layout
            for layout in layouts
            if relative_gap(layout.items_first(mixed)[:1], layout.items_first(one)) <= 1e-3
        ]
        if not fitting:
            raise GeneratorError("a layer's items cannot be told apart in a batch")
        axes.append(fitting[0])
    return replace(parts, axes=tuple(axes))


def _flat(tensors: list[list[Tensor]]) -> list[Tensor]:
    return [tensor for layer in tensors for tensor in layer]


def _parts(two: list[list[Tensor]], three: list[list[Tensor]], layers: tuple[Layer, ...]) -> Parts:
    axes: list[BatchAxis] = []
    shapes: list[tuple[int, ...]] = []
    dtypes: list[torch.dtype] = []
    owners: list[int] = []
    for i, (mine, others) in enumerate(zip(two, three, strict=True)):
        for a, b in zip(mine, others, strict=True):
            try:
                axis = BatchAxis.between(a.shape, b.shape)
            except UnrecordableError as error:
                raise GeneratorError(f"layer {str(layers[i])!r}: {error}") from error
            if axis is None:
                raise GeneratorError(
                    f"layer {str(layers[i])!r} gives {list(a.shape)} for any number of pictures: "
                    "it has no batch axis"
                )
            axes.append(axis)
            shapes.append(tuple(axis.items_first(a).shape[1:]))
            dtypes.append(a.dtype)
            owners.append(i)
    return Parts(tuple(axes), tuple(shapes), tuple(dtypes), tuple(owners))


def _probes(feature: Feature) -> Feature:
    """Disturb a feature of two items, so that a value wrongly held fixed shows in the images."""
    rng = stream(0, "probes")
    disturbed = []
    for tensor in tensors_of(feature):
        noise = torch.randn(tensor.shape, generator=rng).to(tensor.device)
        spread = tensor.std() if tensor.numel() > 1 else tensor.abs().mean()
        disturbed.append(tensor + 0.5 * spread.nan_to_num() * noise)
    return disturbed[0] if isinstance(feature, Tensor) else tuple(disturbed)


def relative_gap(image: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest pixel.

    Pixels that are finite in neither count as equal; in one of them, or other shapes, as infinite.
    """
    if image.shape != expected.shape:
        return float("inf")
    image, expected = image.float(), expected.float()
    known = expected.isfinite()
    if not torch.equal(known, image.isfinite()):
        return float("inf")
    if not bool(known.any()):
        return 0.0
    largest = float(expected[known].abs().max()) or 1.0
    return float((image[known] - expected[known]).abs().max()) / largest


def tolerance(parts: Parts) -> float:
    """Return what passes as rounding in the network's precision."""
    return max(ROUNDING, *(4 * torch.finfo(dtype).eps for dtype in parts.dtypes))
