"""The tail as a program: of a recorded run, only what lies behind the cut and the picture needs.

Two recordings of the same picture, repeated two and three times, tell which numbers and axes are
the batch: what differs between them. What depends on the feature and leads to the image is kept;
what it reads from elsewhere (skips, class, styles, timestep, noise) are side inputs, taken from the
recording and held. The kept operations become one flat Python function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regional_primitives.generators.recording import Operation, Recording, Value, map_leaves

__all__ = ["BatchAxis", "Program", "SideInput", "UnrecordableError", "dependents", "tail_program"]


_OTHER_PATH = "the network takes another path for another batch size"


class UnrecordableError(Exception):
    """A run that cannot be replayed from another feature; the message says why."""

    def __init__(self, why: str, *, one_by_one: bool = False) -> None:
        super().__init__(why)
        self.one_by_one = one_by_one
        """Whether what one item of a batch does may depend on the others."""


@dataclass(frozen=True)
class BatchAxis:
    """Where a tensor has its batch: axis `dim` has `multiple` entries an item, items outermost."""

    dim: int
    multiple: int

    @staticmethod
    def between(two: Sequence[int], three: Sequence[int]) -> BatchAxis | None:
        """Compare the shapes of a value in a run of two items and in one of three."""
        if len(two) != len(three):
            raise UnrecordableError("a tensor has another number of axes for another batch size")
        differing = [i for i, (a, b) in enumerate(zip(two, three, strict=True)) if a != b]
        if not differing:
            return None
        dim = differing[0]
        if len(differing) > 1 or 3 * two[dim] != 2 * three[dim]:
            raise UnrecordableError("a tensor's shape mixes the items of a batch")
        return BatchAxis(dim, two[dim] // 2)

    def items_first(self, tensor: Tensor) -> Tensor:
        """Bring the tensor to [batch, …]."""
        moved = tensor.movedim(self.dim, 0)
        if self.multiple == 1:
            return moved
        return moved.unflatten(0, (-1, self.multiple))

    def as_found(self, items: Tensor) -> Tensor:
        """Undo `items_first`."""
        merged = items if self.multiple == 1 else items.flatten(0, 1)
        return merged.movedim(0, self.dim)

    def first_item(self, tensor: Tensor) -> Tensor:
        """Take the first of several items and keep the axis."""
        return tensor.narrow(self.dim, 0, self.multiple)

    def repeated(self, one: Tensor, batch: int) -> Tensor:
        """Repeat one item over a batch, without copying where that can be."""
        if batch == 1:
            return one
        if self.multiple == 1:
            size = [-1] * one.ndim
            size[self.dim] = batch
            return one.expand(size)
        return self.as_found(self.items_first(one).expand(batch, *[-1] * one.ndim))


@dataclass(frozen=True)
class SideInput:
    """What flows past the cut into the tail: its value for the picture at hand."""

    origin: str
    """The submodule that made it; empty for what the network's own forward makes."""
    value: Tensor
    axis: BatchAxis | None
    """Where it has its batch; None for what is the same for a batch of any size."""
    of_the_picture: bool
    """Whether it depends on the latents; else it is a constant."""

    def over(self, batch: int) -> Tensor:
        """Repeat the value over a batch."""
        return self.value if self.axis is None else self.axis.repeated(self.value, batch)


@dataclass(frozen=True, eq=False)
class Program:
    """The part of a network behind a cut, ready to run for one picture."""

    run: Callable[[int, Sequence[Tensor], Sequence[Tensor]], Tensor]
    """(batch, feature tensors as the layers give them, side values) → images."""
    source: str
    """Its text, for the curious."""
    operations: int
    sides: tuple[SideInput, ...]
    axes: tuple[BatchAxis, ...]
    """Where each tensor of the feature has its batch."""
    writes_into_feature: bool
    reads_latents: bool
    """Whether numbers of the latents went into Python, so that other pictures may run otherwise."""
    bytes_per_item: int
    """What the values between feature and image take up in memory, an item."""


@dataclass(frozen=True)
class _Scaled:
    """A whole number that depends on the batch: slope · batch + offset."""

    slope: int
    offset: int


def tail_program(two: Recording, three: Recording) -> Program:
    """Make a program of two recordings of one picture, repeated two and three times.

    Raises:
        UnrecordableError: the runs differ in more than the batch, or the tail's path depends on
            the feature's numbers.
    """
    operations = _unified(two, three)
    features = [number for layer in two.features for number in layer]
    behind, rewritten = dependents(two, operations, features)
    if two.image not in _made_by(operations, behind) and two.image not in features:
        raise UnrecordableError("nothing of the picture depends on the feature")
    kept = _needed(two, operations, behind, two.image)
    made = _made_by(operations, kept)
    known = {number: f"f{i}" for i, number in enumerate(features)}
    sides: dict[int, str] = {}
    lines: list[str] = []
    table: dict[str, Any] = {}
    _refuse_reads(two, behind, operations, features)
    for place in sorted(kept):
        operation = operations[place]
        for number in operation.inputs:
            if number in made or number in known or number in sides:
                continue
            if two.storage(number) in rewritten:
                raise UnrecordableError("the part behind the cut writes into what lies before it")
            if number in two.latents or _is_made(operations, number):
                sides[number] = f"s{len(sides)}"
            elif two.values[number].shape != three.values[number].shape:
                raise UnrecordableError("a value comes from an operation that cannot be seen")
            else:
                known[number] = f"c{len(table)}"
                table[known[number]] = two.values[number]
        names = {**known, **sides}
        lines.append(_statement(operation, names, table))
    lines = _with_releases(lines, kept, operations, two.image, set(known) | set(sides))
    image = {**known, **sides}.get(two.image, f"v{two.image}")
    source = _source(lines, len(features), len(sides), image)
    namespace: dict[str, Any] = dict(table)
    exec(compile(source, "<tail>", "exec"), namespace)
    varying = _of_the_picture(two, operations)
    axes = [
        BatchAxis.between(two.values[number].shape, three.values[number].shape)
        for number in features
    ]
    if any(axis is None for axis in axes):
        raise UnrecordableError("the layer's output has no batch axis")
    return Program(
        run=namespace["tail"],
        source=source,
        operations=len(kept),
        sides=tuple(_side(two, three, number, number in varying) for number in sides),
        axes=tuple(axis for axis in axes if axis is not None),
        writes_into_feature=any(two.storage(number) in rewritten for number in features),
        reads_latents=any(number in varying for number, _ in two.reads),
        bytes_per_item=_bytes(two, operations, kept) // 2,
    )


def _unified(two: Recording, three: Recording) -> list[Operation]:
    """Compare the runs and mark the numbers that depend on the batch."""
    if len(two.operations) != len(three.operations) or two.image != three.image:
        raise UnrecordableError(_OTHER_PATH, one_by_one=True)
    result = []
    for a, b in zip(two.operations, three.operations, strict=True):
        same = a.function == b.function and (a.inputs, a.outputs) == (b.inputs, b.outputs)
        if not same:
            raise UnrecordableError(_OTHER_PATH, one_by_one=True)
        result.append(
            Operation(
                a.function,
                _between(a.arguments, b.arguments),
                _between(a.keywords, b.keywords),
                a.result,
                a.inputs,
                a.outputs,
                tuple({*a.mutated, *b.mutated}),
                a.seconds,
            )
        )
    return result


def _between(two: Any, three: Any) -> Any:
    """Unify two structures of arguments."""
    if isinstance(two, (tuple, list)) and type(two) is type(three) and len(two) == len(three):
        items = [_between(a, b) for a, b in zip(two, three, strict=True)]
        return type(two)(*items) if hasattr(two, "_fields") else type(two)(items)
    if isinstance(two, dict) and isinstance(three, dict) and two.keys() == three.keys():
        return {name: _between(two[name], three[name]) for name in two}
    if isinstance(two, slice) and isinstance(three, slice):
        ends = ("start", "stop", "step")
        return slice(*(_between(getattr(two, end), getattr(three, end)) for end in ends))
    if _is_whole(two) and _is_whole(three) and two != three:
        return _Scaled(three - two, two - 2 * (three - two))
    if two is three or _equal(two, three):
        return two
    raise UnrecordableError(f"an argument depends on the batch size: {two!r}, {three!r}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Generator):
        return isinstance(other, torch.Generator)
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:
        return False


def dependents(
    recording: Recording, operations: Sequence[Operation], sources: Iterable[int], start: int = 0
) -> tuple[set[int], set[int]]:
    """Find the operations, from number `start`, that depend on `sources`.

    What is written into by one of them depends too, with all that shares its memory, and has to be
    made anew in every run: its makers are in the result, though they may not depend on `sources`.

    Returns:
        Places of operations, and the storages that are written into.
    """
    rewritten: set[int] = set()
    origin = set(sources)
    while True:
        before = len(rewritten)
        values = set(origin)
        places: set[int] = set()
        for place in range(start, len(operations)):
            operation = operations[place]
            depends = not values.isdisjoint(operation.inputs)
            if depends:
                rewritten.update(recording.storage(number) for number in operation.mutated)
            if depends or (
                rewritten
                and any(
                    recording.storage(number) in rewritten
                    for number in (*operation.outputs, *operation.mutated)
                )
            ):
                places.add(place)
                values.update(operation.outputs, operation.mutated)
        if len(rewritten) == before:
            return places, rewritten


def _needed(
    recording: Recording, operations: Sequence[Operation], behind: set[int], image: int
) -> set[int]:
    """Of the operations behind the cut, keep those that the image needs."""
    wanted = {image}
    memory = {recording.storage(image)}
    kept: set[int] = set()
    for place in sorted(behind, reverse=True):
        operation = operations[place]
        writes = any(recording.storage(number) in memory for number in operation.mutated)
        if writes or not wanted.isdisjoint(operation.outputs):
            kept.add(place)
            wanted.update(operation.inputs)
            memory.update(recording.storage(number) for number in operation.inputs)
    return kept


def _made_by(operations: Sequence[Operation], places: Iterable[int]) -> set[int]:
    return {number for place in places for number in _new(operations[place])}


def _new(operation: Operation) -> set[int]:
    """Return what an operation makes, without what it only passes on."""
    return set(operation.outputs) - set(operation.inputs)


def _is_made(operations: Sequence[Operation], number: int) -> bool:
    return any(number in _new(operation) for operation in operations)


def _of_the_picture(recording: Recording, operations: Sequence[Operation]) -> set[int]:
    """Return all values that depend on the latents by plain data flow."""
    values = set(recording.latents)
    for operation in operations:
        if not values.isdisjoint(operation.inputs):
            values.update(operation.outputs, operation.mutated)
    return values


def _refuse_reads(
    recording: Recording, behind: set[int], operations: Sequence[Operation], features: list[int]
) -> None:
    dependent = _made_by(operations, behind) | set(features)
    for number, function in recording.reads:
        if number in dependent:
            where = recording.origins[number]
            raise UnrecordableError(
                f"{f'in {where!r} ' if where else ''}Python reads numbers that depend on the "
                f"feature ({function})",
                one_by_one=True,
            )


def _side(two: Recording, three: Recording, number: int, of_the_picture: bool) -> SideInput:
    value = two.values[number]
    if two.first_use.get(number, 0) != (0 if value.is_inference() else value._version):
        raise UnrecordableError("a side input is written into after the tail has used it")
    axis = BatchAxis.between(value.shape, three.values[number].shape)
    one = value if axis is None else axis.first_item(value)
    return SideInput(two.origins[number], one.detach().clone(), axis, of_the_picture)


def _bytes(recording: Recording, operations: Sequence[Operation], kept: set[int]) -> int:
    storages: dict[int, int] = {}
    for number in _made_by(operations, kept):
        storages[recording.storage(number)] = recording.values[number].untyped_storage().nbytes()
    return sum(storages.values())


# The program's text


def _statement(operation: Operation, names: dict[int, str], table: dict[str, Any]) -> str:
    """Write one operation as a line of Python."""
    function, arguments = operation.function, operation.arguments
    attribute = getattr(getattr(function, "__self__", None), "__name__", None)
    if getattr(function, "__name__", "") == "__get__" and attribute:
        # A property such as x.T comes as its descriptor's __get__, made anew at each access.
        call = f"{_text(arguments[0], names, table)}.{attribute}"
    else:
        given = [_text(argument, names, table) for argument in arguments]
        given += [f"{key}={_text(v, names, table)}" for key, v in operation.keywords.items()]
        call = f"{_entry(function, table)}({', '.join(given)})"
    return f"{_targets(operation.result, names)} = {call}"


def _targets(result: Any, names: dict[int, str]) -> str:
    """Write where a result goes: a name, or nested names for several."""
    if isinstance(result, Value):
        return names.get(result.number, f"v{result.number}")
    if isinstance(result, (tuple, list)):
        inner = ", ".join(_targets(item, names) for item in result)
        return f"[{inner}]" if result else "_"
    if isinstance(result, dict):
        raise UnrecordableError("an operation returns a dictionary of tensors")
    return "_"


def _text(value: Any, names: dict[int, str], table: dict[str, Any]) -> str:
    """Write one argument."""
    if isinstance(value, Value):
        return names.get(value.number, f"v{value.number}")
    if isinstance(value, _Scaled):
        return f"({value.slope} * batch + {value.offset})"
    if value is None or value is Ellipsis or isinstance(value, (bool, str)):
        return repr(value)
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)
    if isinstance(value, slice):
        ends = (value.start, value.stop, value.step)
        return f"slice({', '.join(_text(end, names, table) for end in ends)})"
    if type(value) is list:
        return f"[{', '.join(_text(item, names, table) for item in value)}]"
    if type(value) is tuple:
        return f"({''.join(_text(item, names, table) + ', ' for item in value)})"
    if type(value) is dict:
        items = (f"{_text(k, names, table)}: {_text(v, names, table)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (tuple, list, dict)):
        held: list[Any] = []
        map_leaves(held.append, value)
        if any(isinstance(leaf, (Value, _Scaled)) for leaf in held):
            raise UnrecordableError(f"an argument is of the kind {type(value).__name__}")
    return _entry(value, table)


def _entry(value: Any, table: dict[str, Any]) -> str:
    """Name an object that has no text of its own."""
    for name, known in table.items():
        if known is value:
            return name
    name = f"c{len(table)}"
    table[name] = value
    return name


def _with_releases(
    lines: list[str],
    kept: set[int],
    operations: Sequence[Operation],
    image: int,
    held: set[int],
) -> list[str]:
    """Let go of every value after its last use, so that memory is free as in an ordinary run."""
    last: dict[int, int] = {}
    places = sorted(kept)
    for line, place in enumerate(places):
        for number in (*operations[place].inputs, *operations[place].outputs):
            last[number] = line
    released: dict[int, list[int]] = {}
    for number, line in last.items():
        if number != image and number not in held:
            released.setdefault(line, []).append(number)
    return [
        text
        + (f"; {' = '.join(f'v{n}' for n in sorted(released[i]))} = None" if i in released else "")
        for i, text in enumerate(lines)
    ]


def _source(lines: list[str], features: int, sides: int, image: str) -> str:
    unpack = [
        f"[{', '.join(f'{letter}{i}' for i in range(count))}] = {name}"
        for letter, count, name in (("f", features, "features"), ("s", sides, "sides"))
        if count
    ]
    body = [*unpack, *lines, f"return {image}"]
    return "def tail(batch, features, sides):\n" + "".join(f"    {line}\n" for line in body)
