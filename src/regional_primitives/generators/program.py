"""The tail as a program: of a recorded run, only what lies behind the cut and the picture needs.

What depends on the feature and leads to the image is kept; what it reads from elsewhere (skips,
class, styles, timestep, noise) are side inputs, taken from the recording and held. The kept
operations become one flat Python function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regional_primitives.generators.batch import BatchAxis, Scaled, UnrecordableError, unified
from regional_primitives.generators.dependence import (
    dependents,
    made_by,
    needed,
    of_the_picture,
    origin,
)
from regional_primitives.generators.recording import Operation, Recording, Value, map_leaves

__all__ = ["Program", "SideInput", "tail_program"]


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
    unused_layers: tuple[int, ...]
    """Layers that the image does not depend on, since others of the bundle come between."""
    extrapolates: bool
    """Whether it has numbers that are no plain multiple of the batch, known for two and three."""
    bytes_per_item: int
    """What the values between feature and image take up in memory, an item."""


def tail_program(
    two: Recording, three: Recording, *, inner: bool = False, follow_all: bool = False
) -> Program:
    """Make a program of two recordings of one picture, repeated two and three times.

    With `inner`, side inputs with several entries an item have their items innermost. With
    `follow_all`, gradients are followed also where the network does not.

    Raises:
        UnrecordableError: the runs differ in more than the batch, or the tail's path depends on
            the feature's numbers.
    """
    operations = unified(two, three)
    features = [number for layer in two.features for number in layer]
    behind, rewritten = dependents(two, operations, features)
    if two.image not in made_by(operations, behind) and two.image not in features:
        raise UnrecordableError("nothing of the picture depends on the feature")
    kept = needed(two, operations, behind, two.image)
    made = made_by(operations, kept)
    known = {number: f"f{i}" for i, number in enumerate(features)}
    sides: dict[int, str] = {}
    lines: list[str] = []
    table: dict[str, Any] = {}
    _refuse_reads(two, behind, operations, features)
    computed = made_by(operations, range(len(operations)))
    for place in sorted(kept):
        operation = operations[place]
        for number in operation.inputs:
            if number in made or number in known or number in sides:
                continue
            if two.storage(number) in rewritten:
                raise UnrecordableError("the part behind the cut writes into what lies before it")
            if number in two.latents or number in two.held or number in computed:
                sides[number] = f"s{len(sides)}"
            elif two.values[number].shape != three.values[number].shape:
                raise UnrecordableError("a value comes from an operation that cannot be seen")
            else:
                known[number] = f"c{len(table)}"
                table[known[number]] = two.values[number]
        names = {**known, **sides}
        statement = _statement(operation, names, table)
        if not (operation.follows or follow_all):
            statement = f"with {_entry(torch.no_grad, table)}(): {statement}"
        lines.append(statement)
    extrapolates = any(_has_offset((operations[i].arguments, operations[i].keywords)) for i in kept)
    lines = _with_releases(lines, kept, operations, two.image, set(known) | set(sides))
    image = {**known, **sides}.get(two.image, f"v{two.image}")
    source = _source(lines, len(features), len(sides), image)
    namespace: dict[str, Any] = dict(table)
    exec(compile(source, "<tail>", "exec"), namespace)
    varying = of_the_picture(two, operations)
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
        sides=tuple(_side(two, three, n, of_the_picture=n in varying, inner=inner) for n in sides),
        axes=tuple(axis for axis in axes if axis is not None),
        writes_into_feature=any(two.storage(number) in rewritten for number in features),
        reads_latents=any(number in varying for number, _ in two.reads),
        unused_layers=tuple(
            i
            for i, layer in enumerate(two.features)
            if not any(n == two.image or n in operations[k].inputs for n in layer for k in kept)
        ),
        extrapolates=extrapolates,
        bytes_per_item=two.bytes_of(kept) // 2,
    )


def _refuse_reads(
    recording: Recording, behind: set[int], operations: Sequence[Operation], features: list[int]
) -> None:
    dependent = made_by(operations, behind) | set(features)
    for number, function in recording.reads:
        if number in dependent:
            where = recording.origins[number]
            raise UnrecordableError(
                f"{f'in {where!r} ' if where else ''}Python reads numbers that depend on the "
                f"feature ({function})",
                one_by_one=True,
            )


def _side(
    two: Recording, three: Recording, number: int, *, of_the_picture: bool, inner: bool
) -> SideInput:
    value = two.values[number]
    if two.first_use.get(number, 0) != (0 if value.is_inference() else value._version):
        raise UnrecordableError("a side input is written into after the tail has used it")
    axis = BatchAxis.between(value.shape, three.values[number].shape)
    if axis is not None and axis.multiple > 1:
        axis = replace(axis, inner=inner)
    one = value if axis is None else axis.first_item(value)
    held = number in two.held
    return SideInput(origin(two, number), one.detach().clone(), axis, of_the_picture, held)


def _has_offset(structure: Any) -> bool:
    leaves: list[Any] = []
    map_leaves(leaves.append, structure)
    return any(isinstance(leaf, Scaled) and leaf.offset != 0 for leaf in leaves)


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
    if isinstance(value, Scaled):
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
        if any(isinstance(leaf, (Value, Scaled)) for leaf in held):
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
