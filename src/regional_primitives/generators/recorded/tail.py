"""The recorded tail of one picture: it runs what lies behind the cut and nothing else.

Each recording is checked, on features that it was not made with, against what a tail means: the
whole network with the layers' outputs replaced (`WholeRunTail`). Where a network cannot be
recorded, that is its tail: slower, with the same images and gradients.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from regional_primitives.axes import Images, Units
from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.feature import (
    Feature,
    feature_of,
    joined_features,
    map_feature,
    tensors_of,
)
from regional_primitives.generators.latents import Latents, copied, repeated
from regional_primitives.generators.layers import Layer, joined
from regional_primitives.generators.layout import Parts, UnrecordableError
from regional_primitives.generators.network import Network
from regional_primitives.generators.precision import (
    ROUNDING,
    full_precision,
    relative_gap,
    tolerance,
)
from regional_primitives.generators.recorded.program import Program, tail_program
from regional_primitives.generators.recorded.recording import Recording, record
from regional_primitives.generators.recorded.segments import run as run_in_segments
from regional_primitives.generators.tail import WholeRunTail, items_of, vector_jacobian
from regional_primitives.runtime.streams import stream

_AT_ONCE = 2 * 2**30
"""Bytes of values between feature and image, an item, above which a gradient runs in segments."""
_CHECKED_AT_ONCE = 128 * 2**20
"""The same while a cut is checked, which is done once."""
_MOST_ROUNDING = 1e-2
"""What no network's own rounding may excuse: gradients apart by more follow other rules."""


@dataclass(frozen=True, eq=False)
class RecordedTail:
    """Runs what lies behind the cut and nothing else."""

    parts: Parts
    program: Program
    mixes: bool = False
    """Whether the network mixes the items of a batch; then they go through one by one."""
    at_once: int = _AT_ONCE
    """Bytes of an item's values above which a gradient runs in segments, for less memory."""

    @property
    def in_segments(self) -> bool:
        """Whether a gradient does."""
        return bool(self.program.segments) and self.program.bytes_per_item > self.at_once

    @property
    def bytes_per_item(self) -> int:
        """Memory between feature and image that a gradient needs, an item."""
        program = self.program
        return program.bytes_in_segments if self.in_segments else program.bytes_per_item

    def __call__(self, feature: Feature) -> Images:
        """Generate images; gradients flow to the feature and nowhere else."""
        batch = len(tensors_of(feature)[0])
        if self.mixes and batch > 1:
            return torch.cat([self(item) for item in items_of(feature)])
        return self.run(feature, [side.over(batch) for side in self.program.sides])

    def run(self, feature: Feature, sides: Sequence[Tensor]) -> Images:
        """Generate images, given each side input for the whole batch."""
        batch = len(tensors_of(feature)[0])
        tensors = self.parts.as_given(feature)
        if self.program.writes_into_feature:
            tensors = [tensor.clone() for tensor in tensors]
        follows = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        # What torch.func differentiates cannot run again.
        if follows and self.in_segments and not torch._C._are_functorch_transforms_active():
            return run_in_segments(self.program.segments, batch, tensors, sides)
        return self.program.run(batch, tensors, sides)


Tail: TypeAlias = RecordedTail | WholeRunTail


@full_precision()
def tail_of(
    network: Network,
    layers: tuple[Layer, ...],
    latents: Latents,
    *,
    hold: bool = False,
    like: Tail | None = None,
    picture: Images | None = None,
) -> Tail:
    """Make the tail of one picture, recorded if that can be.

    With `hold`, normalisations behind the cut keep the statistics that they have for the picture.
    The tail of another picture that is `like` this one saves most runs where the network takes the
    same path for both. The network's own `picture` is made where it is not given.

    Raises:
        InputError: latents that the network rejects.
        GeneratorError: a network that makes another picture in another run; a layer that is not
            called, is called several times without saying which, gives no tensor with a batch axis,
            or that the picture does not depend on; no gradient, or one that is zero everywhere; a
            layer whose own values make another picture; with `hold`, nothing to hold, or a part
            that cannot be recorded.
    """
    if picture is None:
        with torch.no_grad():
            picture = network.run(copied(latents))
    network.learn(repeated(latents, 2))  # or a run of one item might be made otherwise than of two
    runs = _Runs(network, layers, latents, hold)
    known = like if isinstance(like, RecordedTail) else None
    one = runs.made[1] = runs.record(1, None if known is None else known.program.wanted)
    _refuse_another_picture(runs, one, picture)
    found = None if known is None else _like(known, one)
    if found is not None:
        return found
    with network.turn, network.states_kept("checks"):  # what a recording draws is not the run's
        return _tail_of(runs)


@dataclass(frozen=True)
class _Runs:
    """Recorded runs of one picture."""

    network: Network
    layers: tuple[Layer, ...]
    latents: Latents
    hold: bool
    made: dict[int, Recording] = field(default_factory=dict)
    """By the number of items."""

    def record(self, count: int, wanted: Collection[tuple[int, int]] | None = ()) -> Recording:
        latents = repeated(self.latents, count)
        return record(self.network, latents, self.layers, hold=self.hold, wanted=wanted)

    def of(self, count: int) -> Recording:
        """Record a run of the picture, so often repeated, unless that was done."""
        if count not in self.made:
            self.made[count] = self.record(count)
        return self.made[count]

    def capturing(self, program: Program) -> Recording:
        """Return a run of the picture alone that captured what a program reads."""
        if not program.wanted <= self.made[1].captured.keys():
            self.made[1] = self.record(1, program.wanted)
        return self.made[1]

    def parts(self) -> tuple[Parts, Feature]:
        """Tell how the feature is laid out, and return the picture's own."""
        try:
            count, parts = 1, Parts.between(self.of(1).given, self.of(2).given, self.layers, 1)
        except GeneratorError:  # a network may drop an axis of one entry
            count, parts = 2, Parts.between(self.of(2).given, self.of(3).given, self.layers, 2)
        parts = parts.settled(self.network, self.layers, self.latents)
        return parts, items_of(parts.feature(self.of(count).given))[0]


def _tail_of(runs: _Runs) -> Tail:
    layers, hold = runs.layers, runs.hold
    parts, own = runs.parts()
    one = runs.of(1)
    size = one.bytes_of(range(len(one.operations)))
    whole = WholeRunTail(parts, runs.network, layers, runs.latents, size, "", hold=hold)
    meant = _Meant.by(whole, own, _image(one))
    if torch.equal(meant.image, meant.picture):
        raise GeneratorError(f"nothing of the picture depends on layer {joined(layers)!r}")
    why, one_by_one = "", False
    for fewer, more in ((1, 2), (2, 3), (1, 1)):
        if one_by_one and (fewer, more) == (2, 3):
            continue  # what a batch size decides is no matter where items go through one by one
        try:
            recorded, gradient = _recorded(runs, fewer, more, meant)
            _refuse_no_gradient(recorded, meant, gradient)
            if hold:
                _refuse_nothing_held(recorded, layers)
            return recorded
        except UnrecordableError as error:
            why, one_by_one = str(error), error.one_by_one
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            why, one_by_one = f"{type(error).__name__}: {first_line(error)}", False
    if hold:
        raise GeneratorError(
            f"normalisations behind layer {joined(layers)!r} cannot be held, since what lies "
            f"behind it cannot be recorded: {why}; cut it without hold"
        )
    _refuse_no_gradient(meant.whole, meant, meant.gradient)
    mixes = one_by_one or meant.mixes
    return replace(meant.whole, why=why, mixes=mixes)


@torch.no_grad()
def _like(known: RecordedTail, one: Recording) -> RecordedTail | None:
    """Let a program run for another picture; None where the network takes another path for it."""
    parts = known.parts
    tensors = [tensor for layer in one.given for tensor in layer]
    shapes = tuple(
        tuple(axis.items_first(tensor).shape[1:])
        for axis, tensor in zip(parts.axes, tensors, strict=True)
    )
    if shapes != parts.shapes or tuple(tensor.dtype for tensor in tensors) != parts.dtypes:
        return None
    try:
        found = replace(known, program=known.program.holding(one))
    except UnrecordableError:
        return None
    gap = relative_gap(found(parts.feature(one.given)), _image(one))
    return found if gap <= tolerance(parts.dtypes) else None


def _image(recording: Recording) -> Tensor:
    assert recording.pictures is not None
    return recording.pictures


@dataclass(frozen=True, eq=False)
class _Meant:
    """What whole runs make of the picture's own feature and of a probe, each alone.

    That is what a tail means: in a batch the network's own rounding may tell runs apart.
    """

    whole: WholeRunTail
    own: Feature
    picture: Images
    probe: Feature
    image: Images
    gradient: Units | None
    """At the probe; None where whole runs have none."""
    lost: str = "the network detaches its values or runs under torch.no_grad()"
    """Why there is no gradient."""

    @staticmethod
    def by(whole: WholeRunTail, own: Feature, picture: Images) -> _Meant:
        """Run the whole network, past its own `torch.no_grad` if there is no gradient otherwise."""
        probe = _probe(own)
        for follow_all in (False, True):
            whole = replace(whole, follow_all=follow_all)
            known = (whole, own, picture, probe)
            try:
                meant = _Meant(*known, *_jacobian(whole, probe))
            except (RuntimeError, InputError) as error:
                with torch.no_grad():
                    meant = _Meant(*known, whole(probe), None, first_line(error))
            if meant.gradient is not None:
                break
        return meant

    def batch(self, count: int) -> Feature:
        """Return the own feature and then probes."""
        return joined_features([self.own, *[self.probe] * (count - 1)])

    def images(self, count: int) -> Images:
        """Return the images of these, each made alone."""
        return torch.cat([self.picture, *[self.image] * (count - 1)])

    @property
    @torch.no_grad()
    def mixes(self) -> bool:
        """Whether what whole runs make of an item depends on the others of its batch."""
        return self.is_mixing(relative_gap(self.whole(self.batch(2)), self.images(2)))

    def is_mixing(self, gap: float) -> bool:
        """Tell whether images of a batch are further from those made alone than by rounding."""
        return not gap <= 100 * tolerance(self.whole.parts.dtypes)


def _jacobian(whole: WholeRunTail, probe: Feature) -> tuple[Tensor, Units | None]:
    """Return image and gradient at the probe, in less memory where much is needed."""
    draws, much = whole.network.draws.get(1), whole.bytes_per_item > _CHECKED_AT_ONCE
    if much and not draws and not whole.hold:
        with suppress(RuntimeError, TypeError, ValueError):  # other rules than a checkpoint takes
            return vector_jacobian(replace(whole, again=True), probe)
    return vector_jacobian(whole, probe)


def _probe(feature: Feature) -> Feature:
    """Disturb a feature, so that a value wrongly held fixed shows in the image."""
    rng = stream(0, "probes")

    def disturbed(tensor: Tensor) -> Tensor:
        noise = torch.randn(tensor.shape, generator=rng).to(tensor.device)
        spreads = (tensor.std() if tensor.numel() > 1 else tensor.mean(), tensor.abs().mean())
        # A layer of one unit, or one that is silent, has no spread.
        spread = next((s for s in (one.nan_to_num() for one in spreads) if s > 0), 1.0)
        return tensor + 0.5 * spread * noise

    return map_feature(disturbed, feature)


def _recorded(
    runs: _Runs, fewer: int, more: int, meant: _Meant
) -> tuple[RecordedTail, Units | None]:
    """Make the tail of recordings, in whichever layout of side inputs gives the right images."""
    whole = meant.whole
    pair = runs.of(fewer), runs.of(more)
    program = tail_program(*pair, follow_all=whole.follow_all)
    if program.operations == 0:
        raise GeneratorError(f"nothing is computed behind layer {joined(whole.layers)!r}")
    if program.unused_layers:
        name = str(whole.layers[program.unused_layers[0]])
        raise GeneratorError(f"nothing of the picture depends on layer {name!r}")
    one = runs.capturing(program)
    # What is known of one and two items, or of two and three, may be otherwise for one more.
    count = more + 1 if program.counts else 2
    try:
        recorded = RecordedTail(whole.parts, program.holding(one), program.single)
        return _checked(recorded, meant, count)
    except UnrecordableError:
        axes = [reading.axis for reading in program.readings]
        if all(axis is None or axis.multiple == 1 for axis in axes):
            raise
        program = tail_program(*pair, inner=True, follow_all=whole.follow_all)
        return _checked(RecordedTail(whole.parts, program.holding(one)), meant, count)


def _checked(
    recorded: RecordedTail, meant: _Meant, count: int
) -> tuple[RecordedTail, Units | None]:
    """Check a recording against whole runs, alone and in a batch of so many items.

    Returns it with its gradient at the probe.
    """
    image, gradient = vector_jacobian(replace(recorded, at_once=_CHECKED_AT_ONCE), meant.probe)
    gap = relative_gap(image, meant.image)
    if gap > tolerance(recorded.parts.dtypes):  # alone both run alike, and nothing excuses a gap
        raise _other_images(gap)
    if meant.gradient is not None:
        _refuse_other_gradient(gradient, meant)
    gap = _gap_in_a_batch(recorded, meant, count)
    return replace(recorded, mixes=recorded.mixes or meant.is_mixing(gap)), gradient


@torch.no_grad()
def _gap_in_a_batch(recorded: RecordedTail, meant: _Meant, count: int) -> float:
    """Tell how far a batch's images are from those of its items alone.

    Raises:
        UnrecordableError: further than those of the network itself, by more than its rounding.
    """
    batch, alone = meant.batch(count), meant.images(count)
    images = recorded(batch)
    gap, least = relative_gap(images, alone), tolerance(recorded.parts.dtypes)
    if gap > least and recorded.mixes:
        raise _other_images(gap)
    if gap > least:
        whole = meant.whole(batch)
        apart, rounding = relative_gap(images, whole), relative_gap(whole, alone)
        if apart > max(least, min(4 * rounding, _MOST_ROUNDING)):
            raise _other_images(apart)
    return gap


def _other_images(gap: float) -> UnrecordableError:
    return UnrecordableError(
        f"the recorded part gives other images (relative difference {gap:.2g})"
    )


def _refuse_other_gradient(gradient: Units | None, meant: _Meant) -> None:
    """Refuse a recording whose gradient at the probe is not that of the whole network.

    Gradients add more terms than images do and round more; a network in low precision more still,
    which the gap between its own runs of one item and of two tells.
    """
    assert meant.gradient is not None
    gap = float("inf") if gradient is None else relative_gap(gradient, meant.gradient)
    allowed = 10 * tolerance(meant.whole.parts.dtypes)
    if gap > allowed and gradient is not None:  # unless it was taken by running parts again
        plain = vector_jacobian(meant.whole, meant.probe)[1]
        gap = gap if plain is None else relative_gap(gradient, plain)
    if gap > allowed:
        both = vector_jacobian(meant.whole, meant.batch(2))[1]
        rounding = 0.0 if both is None else relative_gap(both[1:], meant.gradient)
        allowed = max(allowed, min(4 * rounding, _MOST_ROUNDING))
    if gap > allowed:
        raise UnrecordableError(
            f"the recorded part gives another gradient (relative difference {gap:.2g}): the "
            "network has rules of its own for it"
        )


def _refuse_no_gradient(tail: Tail, meant: _Meant, gradient: Units | None) -> None:
    """Refuse a tail through which no gradient flows, or one that is zero for every unit."""
    layer = joined(meant.whole.layers)
    if gradient is None:
        raise GeneratorError(f"no gradient flows from the picture back to {layer!r}: {meant.lost}")
    # One place may lie where all units are dead; elsewhere some are not.
    for scale in (0.0, 1.0, -1.0, 4.0):
        if bool(gradient.any()):
            return
        scaled = feature_of(scale * tensor for tensor in tensors_of(meant.own))
        found = vector_jacobian(tail, scaled)[1]
        gradient = gradient if found is None else found
    if not bool(gradient.any()):
        raise GeneratorError(
            f"the gradient from the picture back to {layer!r} is zero everywhere: the network "
            "rounds, compares or takes signs behind it, or its picture is saturated everywhere, so "
            "that no descent can begin; leave that out, or give it a gradient of its own "
            "(torch.autograd.Function)"
        )


def _refuse_nothing_held(tail: RecordedTail, layers: tuple[Layer, ...]) -> None:
    if not any(side.held for side in tail.program.sides):
        raise GeneratorError(
            f"there is no normalisation to hold behind layer {joined(layers)!r}: none that torch "
            "computes over groups, layers, instances or root mean squares; one with running "
            "statistics is fixed already, and one that is written by hand is not recognised; "
            "cut it without hold"
        )


def _refuse_another_picture(runs: _Runs, one: Recording, picture: Images) -> None:
    """Refuse a layer whose values, copied, make another picture than they do in the network."""
    gap = relative_gap(_image(one), picture)
    if gap > ROUNDING:
        runs.network.refuse_random(runs.latents, picture)
    # Means that are held are added in another order.
    if gap <= 10 * tolerance(tuple(tensor.dtype for layer in one.given for tensor in layer)):
        return
    difference = f"makes another picture (relative difference {gap:.2g})"
    if runs.hold:
        raise GeneratorError(
            f"with normalisations held behind layer {joined(runs.layers)!r} the network "
            f"{difference}; cut it without hold"
        )
    raise GeneratorError(
        f"with a copy of its own values in the place of layer {joined(runs.layers)!r} the network "
        f"{difference}: what lies behind writes into memory that the layer shares with what it was "
        "given; cut at another layer"
    )
