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

from regional_primitives.generators.layout import BatchAxis, UnrecordableError
from regional_primitives.generators.recorded.batch import Scaled, unified
from regional_primitives.generators.recorded.dependence import (
    dependents,
    made_by,
    needed,
    of_the_picture,
    origin,
)
from regional_primitives.generators.recorded.recording import (
    Operation,
    Recording,
    Value,
    map_leaves,
    version_of,
)


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
    """
    operations = unified(two, three)
    features = [number for layer in two.features for number in layer]
    behind, rewritten = dependents(two, operations, features)
    dependent = made_by(operations, behind) | set(features)
    if two.image not in dependent:
        raise UnrecordableError("nothing of the picture depends on the feature")
    _refuse_reads(two, dependent)
    kept = needed(two, operations, behind, two.image)
    made = made_by(operations, kept)
    computed = made_by(operations, range(len(operations)))
    text = _Text({number: f"f{i}" for i, number in enumerate(features)})
    sides: list[int] = []
    for place in sorted(kept):
        operation = operations[place]
        for number in operation.inputs:
            if number in made or number in text.names:
                continue
            if two.storage(number) in rewritten:
                raise UnrecordableError("the part behind the cut writes into what lies before it")
            if number in two.latents or number in two.held or number in computed:
                text.names[number] = f"s{len(sides)}"
                sides.append(number)
            elif two.values[number].shape != three.values[number].shape:
                raise UnrecordableError("a value comes from an operation that cannot be seen")
            else:
                text.names[number] = text.entry(two.values[number])
        text.add(operation, followed=operation.follows or follow_all)
    source = text.source(len(features), len(sides), two.image)
    namespace: dict[str, Any] = dict(text.table)
    exec(compile(source, "<tail>", "exec"), namespace)
    for number in features:
        if BatchAxis.between(two.values[number].shape, three.values[number].shape) is None:
            raise UnrecordableError("the layer's output has no batch axis")
    varying = of_the_picture(two, operations)
    read = {number for place in kept for number in operations[place].inputs} | {two.image}
    return Program(
        run=namespace["tail"],
        source=source,
        operations=len(kept),
        sides=tuple(_side(two, three, n, of_the_picture=n in varying, inner=inner) for n in sides),
        writes_into_feature=any(two.storage(number) in rewritten for number in features),
        reads_latents=any(number in varying for number, _ in two.reads),
        unused_layers=tuple(i for i, own in enumerate(two.features) if read.isdisjoint(own)),
        extrapolates=text.extrapolates,
        bytes_per_item=two.bytes_of(kept) // 2,
    )


def _refuse_reads(recording: Recording, dependent: set[int]) -> None:
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
    if two.first_use.get(number, 0) != version_of(value):
        raise UnrecordableError("a side input is written into after the tail has used it")
    axis = BatchAxis.between(value.shape, three.values[number].shape)
    if axis is not None and axis.multiple > 1:
        axis = replace(axis, inner=inner)
    one = value if axis is None else axis.first_item(value)
    held = number in two.held
    return SideInput(origin(two, number), one.detach().clone(), axis, of_the_picture, held)


def _leaves(structure: Any) -> list[Any]:
    found: list[Any] = []
    map_leaves(found.append, structure)
    return found


class _Text:
    """The program's text: a line an operation."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        """Values that are given: features f…, side inputs s…, constants c…; all others are v…"""
        self.table: dict[str, Any] = {}
        """Objects that have no text of their own, by name."""
        self.lines: list[str] = []
        self.last: dict[int, int] = {}
        """In which line each value is met last."""
        self.extrapolates = False

    def add(self, operation: Operation, *, followed: bool) -> None:
        """Write one operation as a line of Python."""
        for number in (*operation.inputs, *operation.outputs):
            self.last[number] = len(self.lines)
        line = f"{self._target(operation.result)} = {self._call(operation)}"
        self.lines.append(line if followed else f"with {self.entry(torch.no_grad)}(): {line}")

    def source(self, features: int, sides: int, image: int) -> str:
        """Write the function, which lets go of every value after its last use.

        So memory is free as in an ordinary run.
        """
        released: dict[int, list[str]] = {}
        for number, line in sorted(self.last.items()):
            if number != image and number not in self.names:
                released.setdefault(line, []).append(f"v{number}")
        body = [
            f"[{', '.join(f'{letter}{i}' for i in range(count))}] = {name}"
            for letter, count, name in (("f", features, "features"), ("s", sides, "sides"))
            if count
        ]
        for i, text in enumerate(self.lines):
            body.append(f"{text}; {' = '.join(released[i])} = None" if i in released else text)
        body.append(f"return {self._name(image)}")
        return "def tail(batch, features, sides):\n" + "".join(f"    {line}\n" for line in body)

    def entry(self, value: Any) -> str:
        """Name an object that has no text of its own."""
        for name, known in self.table.items():
            if known is value:
                return name
        name = f"c{len(self.table)}"
        self.table[name] = value
        return name

    def _name(self, number: int) -> str:
        return self.names.get(number, f"v{number}")

    def _call(self, operation: Operation) -> str:
        function, arguments = operation.function, operation.arguments
        attribute = getattr(getattr(function, "__self__", None), "__name__", None)
        if getattr(function, "__name__", "") == "__get__" and attribute:
            # A property such as x.T comes as its descriptor's __get__, made anew at each access.
            return f"{self._of(arguments[0])}.{attribute}"
        given = [self._of(argument) for argument in arguments]
        given += [f"{key}={self._of(value)}" for key, value in operation.keywords.items()]
        return f"{self.entry(function)}({', '.join(given)})"

    def _target(self, result: Any) -> str:
        """Write where a result goes: a name, or nested names for several."""
        if isinstance(result, Value):
            return self._name(result.number)
        if isinstance(result, dict):
            raise UnrecordableError("an operation returns a dictionary of tensors")
        if isinstance(result, (tuple, list)) and result:
            return f"[{', '.join(map(self._target, result))}]"
        return "_"

    def _of(self, value: Any) -> str:
        """Write one argument."""
        if isinstance(value, Value):
            return self._name(value.number)
        if isinstance(value, Scaled):
            self.extrapolates |= value.offset != 0
            return f"({value.slope} * batch + {value.offset})"
        if value is None or value is Ellipsis or isinstance(value, (bool, str)):
            return repr(value)
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            return repr(value)
        if isinstance(value, slice):
            return f"slice({', '.join(map(self._of, (value.start, value.stop, value.step)))})"
        if type(value) is list:
            return f"[{', '.join(map(self._of, value))}]"
        if type(value) is tuple:
            return f"({''.join(f'{self._of(item)}, ' for item in value)})"
        if type(value) is dict:
            items = (f"{self._of(key)}: {self._of(item)}" for key, item in value.items())
            return "{" + ", ".join(items) + "}"
        if isinstance(value, (tuple, list, dict)) and any(
            isinstance(leaf, (Value, Scaled)) for leaf in _leaves(value)
        ):
            raise UnrecordableError(f"an argument is of the kind {type(value).__name__}")
        return self.entry(value)
