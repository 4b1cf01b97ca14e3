"""The tail of one picture: from a feature to images, all that flows past the cut held fixed.

By default it is recorded and runs only what lies behind the cut (`RecordedTail`). Where a network
cannot be recorded, the whole network runs with the layer's output replaced (`WholeRunTail`), which
is slower and gives the same images and gradients: it is what a tail means, and each recording is
checked on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.batch import BatchAxis, UnrecordableError
from regional_primitives.generators.feature import Feature, FeatureShape, tensors_of
from regional_primitives.generators.gradients import PastNoGrad, vector_jacobian
from regional_primitives.generators.holding import Holding
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

_MOST_ROUNDING = 1e-2
"""What no network's own rounding may excuse: gradients apart by more follow other rules."""


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
    follow_all: bool = False
    """Whether gradients are followed past the network's own `torch.no_grad`: all of it is under
    that, as samplers are, and has none otherwise."""
    hold: bool = False
    """Whether normalisations are held at the picture's statistics, those of a run before."""

    def __call__(self, feature: Feature) -> Float[Tensor, "batch channels height width"]:
        """Generate images; gradients flow to the feature and nowhere else."""
        batch = len(tensors_of(feature)[0])
        if self.mixes and batch > 1:
            return torch.cat([self(item) for item in items_of(feature)])
        latents = repeated(self.latents, batch)
        past = PastNoGrad() if self.follow_all else nullcontext()
        with past, self._holding(latents):
            return self.network.substituted(latents, self.layers, self.parts.by_layer(feature))

    def _holding(self, latents: Latents) -> AbstractContextManager[Any]:
        if not self.hold:
            return nullcontext()
        self.network.learn_draws(latents)  # a run of its own, whose statistics are not meant
        with torch.no_grad(), Holding() as holding:
            self.network.run(latents)
        return Holding(holding.noted)


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
def tail_of(
    network: Network, layers: tuple[Layer, ...], latents: Latents, *, hold: bool = False
) -> Tail:
    """Make the tail of one picture, recorded if that can be.

    With `hold`, normalisations behind the cut keep the statistics that they have for the picture.

    Raises:
        InputError: latents that the network rejects.
        GeneratorError: a layer that is not called, is called several times without saying which,
            gives no tensor with a batch axis, or that the picture does not depend on; no gradient,
            or one that is zero everywhere; with `hold`, nothing to hold, a part that cannot be
            recorded, or another picture than the network's.
    """
    two, three = (record(network, repeated(latents, count), layers, hold=hold) for count in (2, 3))
    parts = _settled(_parts(two.given, three.given, layers), network, layers, latents)
    whole = WholeRunTail(parts, network, layers, latents, 0, "", hold=hold)
    probes = _probes(parts.feature(two.given))
    expected, gradient, lost = _followed(whole, probes)
    if gradient is None:
        whole = replace(whole, follow_all=True)
        expected, gradient, lost = _followed(whole, probes)
    if torch.equal(expected, two.values[two.image]):
        raise GeneratorError(f"nothing of the picture depends on layer {joined(layers)!r}")
    try:
        recorded, gradient = _recorded(two, three, whole, probes, expected, gradient)
        _refuse_no_gradient(recorded, whole, gradient, lost, parts.feature(two.given))
        if hold:
            _refuse_wrongly_held(recorded, whole)
        return recorded
    except UnrecordableError as error:
        why, one_by_one = str(error), error.one_by_one
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        why, one_by_one = f"{type(error).__name__}: {error}", False
    if hold:
        raise GeneratorError(
            f"normalisations behind layer {joined(layers)!r} cannot be held, since what lies "
            f"behind it cannot be recorded: {why}; cut it without hold"
        )
    _refuse_no_gradient(whole, whole, gradient, lost, parts.feature(two.given))
    mixes = one_by_one or _mixes(whole, probes, expected)
    size = two.bytes_of(range(len(two.operations))) // 2
    return replace(whole, bytes_per_item=size, why=why, mixes=mixes)


def _followed(whole: WholeRunTail, probes: Feature) -> tuple[Tensor, Tensor | None, str]:
    """Return images and gradient of a whole run, and why there is no gradient."""
    why = "the network detaches its values or runs under torch.no_grad()"
    try:
        return *vector_jacobian(whole, probes), why
    except (RuntimeError, InputError) as error:
        why = str(error).splitlines()[0]
    with torch.no_grad():
        return whole(probes), None, why


def _refuse_no_gradient(
    tail: Tail, whole: WholeRunTail, gradient: Tensor | None, why: str, own: Feature
) -> None:
    """Refuse a tail through which no gradient flows, or one that is zero for every unit.

    Raises:
        GeneratorError: so it is.
    """
    layer = joined(whole.layers)
    if gradient is None:
        raise GeneratorError(f"no gradient flows from the picture back to {layer!r}: {why}")
    # One place may lie where all units are dead; elsewhere some are not.
    for scale in (0.0, 1.0, -1.0, 4.0):
        if bool(gradient.any()):
            return
        tensors = tuple(scale * tensor for tensor in tensors_of(own))
        _, found = vector_jacobian(tail, tensors[0] if isinstance(own, Tensor) else tensors)
        gradient = gradient if found is None else found
    if not bool(gradient.any()):
        raise GeneratorError(
            f"the gradient from the picture back to {layer!r} is zero everywhere: the network "
            "rounds, compares or takes signs behind it, so that no descent can begin; leave that "
            "out, or give it a gradient of its own (torch.autograd.Function)"
        )


def _refuse_wrongly_held(tail: RecordedTail, whole: WholeRunTail) -> None:
    """Refuse a tail in which nothing is held, or that makes another picture of its own feature.

    Raises:
        GeneratorError: so it is.
    """
    layer = joined(whole.layers)
    if not any(side.held for side in tail.program.sides):
        raise GeneratorError(
            f"there is no normalisation to hold behind layer {layer!r}: none that torch computes "
            "over groups, layers, instances or root mean squares; one with running "
            "statistics is fixed already, and one that is written by hand is not recognised; "
            "cut it without hold"
        )
    feature = tail.parts.feature(whole.network.head(whole.latents, whole.layers))
    with torch.no_grad():
        gap = relative_gap(tail(feature), whole.network.run(whole.latents))
    if gap > 10 * tolerance(tail.parts):  # means and variances are added up in another order
        raise GeneratorError(
            f"with normalisations held behind layer {layer!r} the network makes another picture "
            f"(relative difference {gap:.2g}); cut it without hold"
        )


def _recorded(
    two: Recording,
    three: Recording,
    whole: WholeRunTail,
    probes: Feature,
    expected: Tensor,
    gradient: Tensor | None,
) -> tuple[RecordedTail, Tensor | None]:
    """Make the tail of recordings, in whichever layout of side inputs gives the right images.

    Raises:
        UnrecordableError: neither does.
        GeneratorError: nothing lies behind a layer.
    """
    program = tail_program(two, three, follow_all=whole.follow_all)
    if program.operations == 0:
        raise GeneratorError(f"nothing is computed behind layer {joined(whole.layers)!r}")
    if program.unused_layers:
        name = str(whole.layers[program.unused_layers[0]])
        raise GeneratorError(f"nothing of the picture depends on layer {name!r}")
    several = any(side.axis is not None and side.axis.multiple > 1 for side in program.sides)
    try:
        return _checked(RecordedTail(whole.parts, program), whole, probes, expected, gradient)
    except UnrecordableError:
        if not several:
            raise
        program = tail_program(two, three, inner=True, follow_all=whole.follow_all)
        return _checked(RecordedTail(whole.parts, program), whole, probes, expected, gradient)


@torch.no_grad()
def _checked(
    recorded: RecordedTail,
    whole: WholeRunTail,
    probes: Feature,
    expected: Tensor,
    gradient: Tensor | None,
) -> tuple[RecordedTail, Tensor | None]:
    """Check a recording against whole runs with other features than it was made with.

    Where whole runs have no gradient, as under `torch.inference_mode`, the recording's own stands.

    Returns:
        The tail, and its gradient at the probes.

    Raises:
        UnrecordableError: it gives other images, or another gradient.
    """

    def gap(feature: Feature) -> float:
        # The same batch size in both: another may choose kernels that round otherwise.
        return relative_gap(recorded(feature), whole(feature))

    alone = items_of(probes)
    images, own = vector_jacobian(recorded, probes)
    gaps = [relative_gap(images, expected), gap(alone[0])]
    if recorded.program.extrapolates:
        gaps.append(gap(_joined([*alone, *alone, alone[0]])))
    if max(gaps) > tolerance(recorded.parts):
        raise UnrecordableError(
            f"the recorded part gives other images (relative difference {max(gaps):.2g})"
        )
    if gradient is not None:
        _refuse_other_gradient(own, gradient, whole, alone)
    if not _mixes(recorded, probes, expected):
        return recorded, own
    return replace(recorded, mixes=True), own


def _refuse_other_gradient(
    own: Tensor | None, expected: Tensor, whole: WholeRunTail, alone: list[Feature]
) -> None:
    """Refuse a recording whose gradient at the probes is not that of the whole network.

    Gradients add more terms than images do and round more; a network in low precision more still,
    which the gap between its own runs of one item and of two tells.

    Raises:
        UnrecordableError: so it is.
    """
    gap = float("inf") if own is None else relative_gap(own, expected)
    allowed = 10 * tolerance(whole.parts)
    if gap > allowed:
        rows = [row for item in alone if (row := vector_jacobian(whole, item)[1]) is not None]
        rounding = relative_gap(torch.cat(rows), expected)
        allowed = max(allowed, min(4 * rounding, _MOST_ROUNDING))
    if gap > allowed:
        raise UnrecordableError(
            f"the recorded part gives another gradient (relative difference {gap:.2g}): the "
            "network has rules of its own for it"
        )


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
        spreads = (tensor.std() if tensor.numel() > 1 else tensor.mean(), tensor.abs().mean())
        # Both items are one picture: a layer of one unit, or one that is silent, has no spread.
        spread = next((s for s in (one.nan_to_num() for one in spreads) if s > 0), 1.0)
        disturbed.append(tensor + 0.5 * spread * noise)
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
