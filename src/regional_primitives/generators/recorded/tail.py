"""The recorded tail of one picture: it runs what lies behind the cut and nothing else.

Each recording is checked, on features that it was not made with, against what a tail means: the
whole network with the layers' outputs replaced (`WholeRunTail`). Where a network cannot be
recorded, that is its tail: slower, with the same images and gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from regional_primitives.axes import Images, Units
from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.feature import Feature, feature_of, map_feature, tensors_of
from regional_primitives.generators.latents import Latents, copied, repeated
from regional_primitives.generators.layers import Layer, joined
from regional_primitives.generators.layout import Parts, UnrecordableError
from regional_primitives.generators.network import Network
from regional_primitives.generators.precision import full_precision, relative_gap, tolerance
from regional_primitives.generators.recorded.program import Program, tail_program
from regional_primitives.generators.recorded.recording import Recording, record
from regional_primitives.generators.tail import WholeRunTail, items_of, vector_jacobian
from regional_primitives.runtime.streams import stream

_MOST_ROUNDING = 1e-2
"""What no network's own rounding may excuse: gradients apart by more follow other rules."""


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

    def __call__(self, feature: Feature) -> Images:
        """Generate images; gradients flow to the feature and nowhere else."""
        batch = len(tensors_of(feature)[0])
        if self.mixes and batch > 1:
            return torch.cat([self(item) for item in items_of(feature)])
        tensors = self.parts.as_given(feature)
        if self.program.writes_into_feature:
            tensors = [tensor.clone() for tensor in tensors]
        sides = [side.over(batch) for side in self.program.sides]
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
) -> Tail:
    """Make the tail of one picture, recorded if that can be.

    With `hold`, normalisations behind the cut keep the statistics that they have for the picture.
    The tail of another picture that is `like` this one saves most runs where the network takes the
    same path for both.

    Raises:
        InputError: latents that the network rejects.
        GeneratorError: a layer that is not called, is called several times without saying which,
            gives no tensor with a batch axis, or that the picture does not depend on; no gradient,
            or one that is zero everywhere; a layer whose own values make another picture; with
            `hold`, nothing to hold, or a part that cannot be recorded.
    """
    tail = _tail_of(network, layers, latents, hold=hold, like=like)
    _refuse_another_picture(tail, network, layers, latents, hold=hold)
    return tail


def _tail_of(
    network: Network, layers: tuple[Layer, ...], latents: Latents, *, hold: bool, like: Tail | None
) -> Tail:
    def run(count: int, program: Program | None = None) -> Recording:
        wanted = () if program is None else program.wanted
        return record(network, repeated(latents, count), layers, hold=hold, wanted=wanted)

    if isinstance(like, RecordedTail):
        found = _like(like, run(1, like.program))
        if found is not None:
            return found
    two, three = run(2), run(3)
    parts = Parts.between(two.given, three.given, layers).settled(network, layers, latents)
    own = parts.feature(two.given)
    meant = _Meant.by(WholeRunTail(parts, network, layers, latents, 0, "", hold=hold), _probes(own))
    if torch.equal(meant.images, _image(two)):
        raise GeneratorError(f"nothing of the picture depends on layer {joined(layers)!r}")
    why, one_by_one = "", False
    for single in (False, True):
        # What a batch size decides is no matter where items go through one by one.
        runs = (one := run(1), one) if single else (two, three)
        try:
            recorded, gradient = _recorded(*runs, meant.one_by_one if single else meant, run)
            _refuse_no_gradient(recorded, meant, gradient, own)
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
    _refuse_no_gradient(meant.whole, meant, meant.gradient, own)
    mixes = one_by_one or meant.mixes(meant.whole)
    size = two.bytes_of(range(len(two.operations))) // 2
    return replace(meant.whole, bytes_per_item=size, why=why, mixes=mixes)


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
    """What whole runs make of two probes: the images and the gradient that a recording must give.

    The gradient is that of the first one alone, where both ways run alike: in a batch the network's
    own rounding may tell runs apart. It is None where whole runs have none, as under
    `torch.inference_mode`.
    """

    whole: WholeRunTail
    probes: Feature
    first: Tensor
    """The image of the first one alone."""
    gradient: Units | None
    lost: str = "the network detaches its values or runs under torch.no_grad()"
    """Why there is no gradient."""

    @staticmethod
    def by(whole: WholeRunTail, probes: Feature) -> _Meant:
        """Run the whole network, past its own `torch.no_grad` if there is no gradient otherwise."""
        first = items_of(probes)[0]
        for follow_all in (False, True):
            whole = replace(whole, follow_all=follow_all)
            try:
                meant = _Meant(whole, probes, *vector_jacobian(whole, first))
            except (RuntimeError, InputError) as error:
                with torch.no_grad():
                    meant = _Meant(whole, probes, whole(first), None, first_line(error))
            if meant.gradient is not None:
                break
        return meant

    @cached_property
    @torch.no_grad()
    def images(self) -> Tensor:
        """Those of both, run together if the network does not mix them."""
        return self.whole(self.probes)

    @cached_property
    def one_by_one(self) -> _Meant:
        """What whole runs make of each item alone."""
        return replace(self, whole=replace(self.whole, mixes=True))

    @torch.no_grad()
    def mixes(self, tail: Tail) -> bool:
        """Tell whether an item's image depends on the others of its batch."""
        alone = torch.cat([tail(item) for item in items_of(self.probes)])
        return not relative_gap(alone, self.images) <= 100 * tolerance(tail.parts.dtypes)

    def is_rounding(self, gap: float) -> bool:
        """Tell whether a gap between images of a batch is no larger than the network's own.

        That is what its runs of one item and of two differ by, as in low precision they do.
        """
        least = tolerance(self.whole.parts.dtypes)
        return gap <= least or gap <= min(4 * self._rounding, _MOST_ROUNDING)

    @cached_property
    @torch.no_grad()
    def _rounding(self) -> float:
        if self.whole.mixes:
            return 0.0
        alone = torch.cat([self.first, self.whole(items_of(self.probes)[1])])
        return relative_gap(alone, self.images)


def _probes(feature: Feature) -> Feature:
    """Disturb a feature of two items, so that a value wrongly held fixed shows in the images."""
    rng = stream(0, "probes")

    def disturbed(tensor: Tensor) -> Tensor:
        noise = torch.randn(tensor.shape, generator=rng).to(tensor.device)
        spreads = (tensor.std() if tensor.numel() > 1 else tensor.mean(), tensor.abs().mean())
        # Both items are one picture: a layer of one unit, or one that is silent, has no spread.
        spread = next((s for s in (one.nan_to_num() for one in spreads) if s > 0), 1.0)
        return tensor + 0.5 * spread * noise

    return map_feature(disturbed, feature)


def _recorded(
    two: Recording,
    three: Recording,
    meant: _Meant,
    run: Callable[[int, Program], Recording],
) -> tuple[RecordedTail, Units | None]:
    """Make the tail of recordings, in whichever layout of side inputs gives the right images."""
    whole = meant.whole
    program = tail_program(two, three, follow_all=whole.follow_all)
    if program.operations == 0:
        raise GeneratorError(f"nothing is computed behind layer {joined(whole.layers)!r}")
    if program.unused_layers:
        name = str(whole.layers[program.unused_layers[0]])
        raise GeneratorError(f"nothing of the picture depends on layer {name!r}")
    one = run(1, program)
    try:
        return _checked(RecordedTail(whole.parts, program.holding(one), program.single), meant)
    except UnrecordableError:
        axes = [reading.axis for reading in program.readings]
        if all(axis is None or axis.multiple == 1 for axis in axes):
            raise
        program = tail_program(two, three, inner=True, follow_all=whole.follow_all)
        return _checked(RecordedTail(whole.parts, program.holding(one)), meant)


@torch.no_grad()
def _checked(recorded: RecordedTail, meant: _Meant) -> tuple[RecordedTail, Units | None]:
    """Check a recording against whole runs; return it with its gradient at the probes."""

    def gap(feature: Feature) -> float:
        # The same batch size in both: another may choose kernels that round otherwise.
        return relative_gap(recorded(feature), meant.whole(feature))

    alone = items_of(meant.probes)
    image, gradient = vector_jacobian(recorded, alone[0])
    gaps = [relative_gap(recorded(meant.probes), meant.images)]
    if recorded.program.extrapolates and not recorded.mixes:
        columns = zip(*map(tensors_of, (*alone, *alone, alone[0])), strict=True)
        gaps.append(gap(feature_of(torch.cat(column) for column in columns)))
    own = relative_gap(image, meant.first)  # alone both run alike, and nothing excuses a gap
    if own > tolerance(recorded.parts.dtypes) or not meant.is_rounding(max(gaps)):
        raise UnrecordableError(
            f"the recorded part gives other images (relative difference {max(own, *gaps):.2g})"
        )
    if meant.gradient is not None:
        _refuse_other_gradient(gradient, meant)
    mixes = recorded.mixes or meant.mixes(recorded)
    return replace(recorded, mixes=mixes), gradient


def _refuse_other_gradient(gradient: Units | None, meant: _Meant) -> None:
    """Refuse a recording whose gradient at the probe is not that of the whole network.

    Gradients add more terms than images do and round more; a network in low precision more still,
    which the gap between its own runs of one item and of two tells.
    """
    assert meant.gradient is not None
    gap = float("inf") if gradient is None else relative_gap(gradient, meant.gradient)
    allowed = 10 * tolerance(meant.whole.parts.dtypes)
    if gap > allowed:
        both = vector_jacobian(meant.whole, meant.probes)[1]
        rounding = 0.0 if both is None else relative_gap(both[:1], meant.gradient)
        allowed = max(allowed, min(4 * rounding, _MOST_ROUNDING))
    if gap > allowed:
        raise UnrecordableError(
            f"the recorded part gives another gradient (relative difference {gap:.2g}): the "
            "network has rules of its own for it"
        )


def _refuse_no_gradient(tail: Tail, meant: _Meant, gradient: Units | None, own: Feature) -> None:
    """Refuse a tail through which no gradient flows, or one that is zero for every unit."""
    layer = joined(meant.whole.layers)
    if gradient is None:
        raise GeneratorError(f"no gradient flows from the picture back to {layer!r}: {meant.lost}")
    # One place may lie where all units are dead; elsewhere some are not.
    for scale in (0.0, 1.0, -1.0, 4.0):
        if bool(gradient.any()):
            return
        scaled = feature_of(scale * tensor for tensor in tensors_of(own))
        found = vector_jacobian(tail, scaled)[1]
        gradient = gradient if found is None else found
    if not bool(gradient.any()):
        raise GeneratorError(
            f"the gradient from the picture back to {layer!r} is zero everywhere: the network "
            "rounds, compares or takes signs behind it, so that no descent can begin; leave that "
            "out, or give it a gradient of its own (torch.autograd.Function)"
        )


def _refuse_nothing_held(tail: RecordedTail, layers: tuple[Layer, ...]) -> None:
    if not any(side.held for side in tail.program.sides):
        raise GeneratorError(
            f"there is no normalisation to hold behind layer {joined(layers)!r}: none that torch "
            "computes over groups, layers, instances or root mean squares; one with running "
            "statistics is fixed already, and one that is written by hand is not recognised; "
            "cut it without hold"
        )


@torch.no_grad()
def _refuse_another_picture(
    tail: Tail, network: Network, layers: tuple[Layer, ...], latents: Latents, *, hold: bool
) -> None:
    """Refuse a tail that makes another picture of the layer's own values than the network does."""
    feature = tail.parts.feature(network.head(copied(latents), layers))
    gap = relative_gap(tail(feature), network.run(copied(latents)))
    if gap <= 10 * tolerance(tail.parts.dtypes):  # held means are added in another order
        return
    difference = f"makes another picture (relative difference {gap:.2g})"
    if hold:
        raise GeneratorError(
            f"with normalisations held behind layer {joined(layers)!r} the network {difference}; "
            "cut it without hold"
        )
    raise GeneratorError(
        f"with a copy of its own values in the place of layer {joined(layers)!r} the network "
        f"{difference}: what lies behind writes into memory that the layer shares with what it was "
        "given; cut at another layer"
    )
