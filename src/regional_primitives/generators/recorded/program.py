"""The tail as a program: of a recorded run, only what lies behind the cut and the picture needs.

What depends on the feature and leads to the image is kept; what it reads from elsewhere (skips,
class, styles, timestep, noise) are side inputs, captured in a further run and held. The kept
operations become one flat Python function.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from regional_primitives.generators.layout import BatchAxis, UnrecordableError
from regional_primitives.generators.recorded.batch import agrees, unified
from regional_primitives.generators.recorded.dependence import Behind, Cut, of_the_picture, origin
from regional_primitives.generators.recorded.inplace import out_of_place
from regional_primitives.generators.recorded.recording import Operation, Recording
from regional_primitives.generators.recorded.segments import Memory, Segment, split
from regional_primitives.generators.recorded.text import Text


@dataclass(frozen=True)
class Reading:
    """Where the tail reads what flows past the cut into it."""

    number: int
    """Of the value in every recording of the network."""
    version: int
    """How often its memory has been written into by then."""
    shape: tuple[int, ...]
    """For a single item."""
    origin: str
    axis: BatchAxis | None
    of_the_picture: bool
    held: bool


@dataclass(frozen=True)
class SideInput:
    """What flows past the cut into the tail: its value for the picture at hand."""

    origin: str
    """The submodule that made it, or the input that it is."""
    value: Tensor
    axis: BatchAxis | None
    """Where it has its batch; None for what is the same for a batch of any size."""
    of_the_picture: bool
    """Whether it depends on the latents; else it is a constant."""
    held: bool = False
    """Whether it is a scale or shift of a held normalisation."""

    def over(self, batch: int) -> Tensor:
        """Repeat the value over a batch."""
        return self.value if self.axis is None else self.axis.repeated(self.value, batch)


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """The part of a network behind a cut; it runs for one picture once it holds its side inputs."""

    run: Callable[[int, Sequence[Tensor], Sequence[Tensor]], Tensor]
    """(batch, feature tensors as the layers give them, side values) → images."""
    source: str
    """Its text, for the curious."""
    kept: tuple[tuple[int, Operation], ...]
    """Its operations and their places in a run."""
    readings: tuple[Reading, ...]
    constants: dict[int, Tensor]
    """Weights, and what else a run finds rather than makes; the same for every picture."""
    writes_into_feature: bool
    reads_latents: bool
    """Whether numbers of the latents went into Python, so that other pictures may run otherwise."""
    unused_layers: tuple[int, ...]
    """Layers that the image does not depend on, since others of the bundle come between."""
    counts: bool
    """Whether it has numbers that depend on the batch, known for the two sizes that were run."""
    single: bool
    """Whether it is known for a single item alone."""
    bytes_per_item: int
    """What the values between feature and image take up in memory, an item."""
    segments: tuple[Segment, ...]
    """Run in a row they do what `run` does, for a gradient in less memory; empty where it would
    take no less."""
    bytes_in_segments: int
    """What a gradient takes up then, an item."""
    sides: tuple[SideInput, ...] = ()

    @property
    def operations(self) -> int:
        """How many operations there are."""
        return len(self.kept)

    @property
    def wanted(self) -> set[tuple[int, int]]:
        """What a recording has to capture, so that `holding` finds it."""
        return {(reading.number, reading.version) for reading in self.readings}

    def holding(self, one: Recording) -> Program:
        """Return the program with the side inputs of a picture, from a recording of it alone.

        Raises:
            UnrecordableError: the network takes another path for this picture.
        """
        there = len(one.operations)
        alike = all(place < there and agrees(op, one.operations[place]) for place, op in self.kept)
        if not alike or any(not self._is_constant(number, one) for number in self.constants):
            raise UnrecordableError(_FOR_THIS_PICTURE)
        # What is held for one picture may depend on the feature for another.
        features = tuple(number for layer in one.features for number in layer)
        behind = Behind(one, one.operations, [Cut(features)])
        if behind.places() != [place for place, _ in self.kept]:
            raise UnrecordableError(_FOR_THIS_PICTURE)
        _refuse_reads(one, behind)
        sides = []
        for reading in self.readings:
            value = one.captured.get((reading.number, reading.version))
            if value is None or tuple(value.shape) != reading.shape:
                raise UnrecordableError("a side input has another shape for this picture")
            about = (reading.of_the_picture, reading.held)
            sides.append(SideInput(reading.origin, value, reading.axis, *about))
        return replace(self, sides=tuple(sides))

    def _is_constant(self, number: int, one: Recording) -> bool:
        known, found = self.constants[number], one.unmade.get(number)
        return found is known or (
            found is not None and found.dtype == known.dtype and torch.equal(found, known)
        )


_FOR_THIS_PICTURE = "the network takes another path for this picture"


def tail_program(
    fewer: Recording, more: Recording, *, inner: bool = False, follow_all: bool = False
) -> Program:
    """Make a program of fewer recordings of one picture, the second with one more of it.

    With `inner`, side inputs with several entries an item have their items innermost. With
    `follow_all`, gradients are followed also where the network does not. Of one recording of a
    single item, given twice, the program is known for one item.

    Raises:
        UnrecordableError: what lies behind the cut cannot be replayed from another feature.
    """
    operations = unified(fewer, more)
    features = [number for layer in fewer.features for number in layer]
    behind = Behind(fewer, operations, [Cut(tuple(features))])
    if not behind.reaching:
        raise UnrecordableError(_lost(fewer, more))
    _refuse_reads(fewer, behind)
    kept = behind.places()
    computed = {n for one in operations for n in set(one.outputs) - set(one.inputs)}
    writes, versions = _writes(fewer, operations), _writes(fewer, fewer.operations)
    alone = _alone_in_memory(fewer, operations, kept)
    varying = of_the_picture(fewer, operations)
    text = Text({number: f"f{i}" for i, number in enumerate(features)})
    readings: list[Reading] = []
    sides: dict[tuple[int, int], str] = {}
    constants: dict[int, Tensor] = {}
    lines: list[Operation] = []
    memory, written = set(map(fewer.storage, features)), False
    for place in kept:
        operation = operations[place]
        for number in operation.inputs:
            if behind.made[number] or number in features:
                continue
            storage = fewer.storage(number)
            if storage in behind.rewritten:
                raise UnrecordableError("the part behind the cut writes into what lies before it")
            given = number in fewer.latents or number in fewer.held or number in computed
            if not given and fewer.values[number].shape != more.values[number].shape:
                raise UnrecordableError(_unseen(fewer, number))
            if not given and storage not in writes:
                if number not in constants:
                    constants[number] = _constant(fewer.unmade[number])
                    text.names[number] = text.entry(constants[number])
                continue
            version = sum(when < place for when in versions.get(storage, ()))
            if (number, version) not in sides:
                sides[number, version] = f"s{len(sides)}"
                about = (origin(fewer, number), _axis(fewer, more, number, inner=inner))
                shape = _of_one(fewer.values[number].shape, about[1])
                past = (number in varying, number in fewer.held)
                readings.append(Reading(number, version, shape, *about, *past))
            text.names[number] = sides[number, version]
        functional = None
        if operation.mutated and all(number in alone for number in operation.mutated):
            functional = out_of_place(operation, fewer.values)
        if functional is None:
            written |= not memory.isdisjoint(map(fewer.storage, operation.mutated))
        lines.append(functional or operation)
        text.add(lines[-1], follow=follow_all)
    counts = len(features), len(readings), fewer.image
    source = text.source(*counts)
    stops, least = split(len(kept), [] if written else _memories(fewer, text, lines))
    for number in features:
        if fewer is not more and _axis(fewer, more, number) is None:
            raise UnrecordableError("the layer's output has no batch axis")
    read = {number for place in kept for number in operations[place].inputs} | {fewer.image}
    return Program(
        run=_compiled(source, text.table),
        segments=tuple(_compiled(one, text.table) for one in text.segments(*counts, stops)),
        source=source,
        kept=tuple((place, operations[place]) for place in kept),
        readings=tuple(readings),
        constants=constants,
        writes_into_feature=written,
        reads_latents=any(one.number in varying for one in fewer.reads),
        unused_layers=tuple(i for i, own in enumerate(fewer.features) if read.isdisjoint(own)),
        counts=text.counts,
        single=fewer is more,
        bytes_per_item=fewer.bytes_of(kept) // fewer.count,
        bytes_in_segments=least // fewer.count,
    )


def _compiled(source: str, table: dict[str, Any]) -> Callable[..., Any]:
    namespace: dict[str, Any] = dict(table)
    exec(compile(source, "<tail>", "exec"), namespace)
    function: Callable[..., Any] = namespace["tail"]
    return function


def _memories(recording: Recording, text: Text, lines: Sequence[Operation]) -> list[Memory]:
    """List the memory that the lines of a program make."""
    own = [number for number in text.first if number not in text.names]
    found: dict[int, Memory] = {}
    for number in own:
        value, first = recording.values[number], text.first[number]
        last = len(lines) if number == recording.image else text.last[number]
        known = found.get(value.storage, Memory(first, last, first, value.size))
        found[value.storage] = Memory(
            min(known.first, first), max(known.last, last), first, max(known.size, value.size)
        )
    for place, line in enumerate(lines):
        for storage in map(recording.storage, line.mutated):
            if storage in found:
                found[storage] = replace(found[storage], written=place)
    return list(found.values())


def _constant(value: Tensor) -> Tensor:
    """Return a weight as it is, and a copy of what a later run may write into."""
    return value if isinstance(value, nn.Parameter) else value.detach().clone()


def _refuse_reads(recording: Recording, behind: Behind) -> None:
    for read in recording.reads:
        if behind.values[read.number]:
            where = recording.values[read.number].origin
            place = f"in {where!r} " * bool(where) + f"at {read.line} " * bool(read.line)
            raise UnrecordableError(
                f"{place}Python reads numbers that depend on the feature "
                f"({read.function}); keep such decisions in tensors, as torch.where does",
                one_by_one=True,
            )


def _lost(fewer: Recording, more: Recording) -> str:
    """Say why nothing of the picture is seen to depend on the feature."""
    unseen = [
        number
        for number in fewer.unmade.keys() & more.unmade.keys() - fewer.latents.keys()
        if fewer.values[number].shape != more.values[number].shape
    ]
    none = "nothing of the picture depends on the feature"
    return f"{none}: {_unseen(fewer, max(unseen))}" if unseen else none


def _unseen(recording: Recording, number: int) -> str:
    where = recording.values[number].origin
    within = f" in {where!r}" if where else ""
    return f"a value{within} comes from an operation that cannot be seen (C++ or NumPy)"


def _writes(recording: Recording, operations: Sequence[Operation]) -> dict[int, list[int]]:
    """List for each memory that is written into the operations that do so."""
    found: dict[int, list[int]] = defaultdict(list)
    for place, operation in enumerate(operations):
        for storage in {recording.storage(number) for number in operation.mutated}:
            found[storage].append(place)
    return found


def _alone_in_memory(
    recording: Recording, operations: Sequence[Operation], kept: Iterable[int]
) -> set[int]:
    """Return the values of kept operations that share their memory with no other one."""
    numbers = {
        number
        for place in kept
        for number in (*operations[place].inputs, *operations[place].outputs)
    }
    sharing = Counter(map(recording.storage, numbers))
    return {number for number in numbers if sharing[recording.storage(number)] == 1}


def _axis(
    fewer: Recording, more: Recording, number: int, *, inner: bool = False
) -> BatchAxis | None:
    shapes = fewer.values[number].shape, more.values[number].shape
    axis = BatchAxis.between(*shapes, fewer.count)
    return axis if axis is None or axis.multiple == 1 else replace(axis, inner=inner)


def _of_one(shape: Sequence[int], axis: BatchAxis | None) -> tuple[int, ...]:
    if axis is None:
        return tuple(shape)
    return (*shape[: axis.dim], axis.multiple, *shape[axis.dim + 1 :])
