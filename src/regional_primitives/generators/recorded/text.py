"""The program's text: a line of Python an operation, as one function or as several in a row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import torch

from regional_primitives.generators.layout import UnrecordableError
from regional_primitives.generators.recorded.batch import Repeated, Scaled, Unlike
from regional_primitives.generators.recorded.recording import (
    Context,
    Operation,
    Value,
    map_leaves,
)


def _leaves(structure: Any) -> list[Any]:
    found: list[Any] = []
    map_leaves(found.append, structure)
    return found


class Text:
    """The program's text: a line an operation."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        """Values that are given: features f…, side inputs s…, constants c…; all others are v…"""
        self.table: dict[str, Any] = {}
        """Objects that have no text of their own, by name."""
        self.lines: list[tuple[str, str]] = []
        """The modes in which each line runs, and what it calls."""
        self.last: dict[int, int] = {}
        """In which line each value is met last."""
        self.first: dict[int, int] = {}
        """In which line it is met first."""
        self.counts = False

    def add(self, operation: Operation, *, follow: bool) -> None:
        """Write one operation as a line of Python."""
        for number in (*operation.inputs, *operation.outputs):
            self.last[number] = len(self.lines)
            self.first.setdefault(number, len(self.lines))
        line = f"{self._target(operation.result)} = {self._call(operation)}"
        self.lines.append((self._modes(operation.context, follow=follow), line))

    def _modes(self, context: Context, *, follow: bool) -> str:
        modes: list[Any] = [] if context.follows or follow else [torch.no_grad]
        # Made anew each time: one that is entered notes what it has to set back.
        modes += [partial(torch.autocast, kind, dtype=lower) for kind, lower in context.autocast]
        return ", ".join(f"{self.entry(mode)}()" for mode in modes)

    def source(self, features: int, sides: int, image: int) -> str:
        """Write all of it as the function `tail(batch, features, sides)` → image."""
        return self._function("tail", (0, len(self.lines)), (features, sides), (), [image])

    def segments(
        self, features: int, sides: int, image: int, stops: Sequence[int]
    ) -> Iterator[str]:
        """Write it as functions `tail(batch, features, sides, live)`, each as far as a stop.

        What one returns is what the next takes as `live`: the values that are still needed. There
        are none without a stop.
        """
        if not stops:
            return
        first = {number: line for number, line in self.first.items() if number not in self.names}
        edges = [0, *(stop + 1 for stop in stops), len(self.lines)]
        live: list[int] = []
        for start, stop in pairwise(edges):
            given, live = (
                live,
                [
                    number
                    for number, line in first.items()
                    if line < stop and (self.last[number] >= stop or number == image)
                ],
            )
            yield self._function(
                "tail", (start, stop), (features, sides), given, live, going_on=True
            )

    def _function(
        self,
        name: str,
        lines: tuple[int, int],
        counts: tuple[int, int],
        live: Sequence[int],
        result: Sequence[int],
        *,
        going_on: bool = False,
    ) -> str:
        """Write some lines, which let go of every value after its last use.

        So memory is free as in an ordinary run.
        """
        released: dict[int, list[str]] = {}
        for number, line in sorted(self.last.items()):
            if number not in result and number not in self.names:
                released.setdefault(line, []).append(f"v{number}")
        lists = [
            (", ".join(f"{letter}{i}" for i in range(count)), given)
            for letter, count, given in zip("fs", counts, ("features", "sides"), strict=True)
        ]
        lists.append((", ".join(map(self._name, live)), "live"))
        body = [f"[{names}] = {given}" for names, given in lists if names]
        numbered = list(enumerate(self.lines))[slice(*lines)]
        for modes, some in groupby(numbered, lambda line: line[1][0]):
            if modes:
                body.append(f"with {modes}:")
            for i, (_, text) in some:
                free = f"; {' = '.join(released[i])} = None" if i in released else ""
                body.append(f"{'    ' * bool(modes)}{text}{free}")
        returned = ", ".join(map(self._name, result))
        body.append(f"return [{returned}]" if going_on else f"return {returned}")
        arguments = "batch, features, sides" + ", live" * going_on
        return f"def {name}({arguments}):\n" + "".join(f"    {line}\n" for line in body)

    def entry(self, value: Any) -> str:
        """Name an object that has no text of its own."""
        for name, known in self.table.items():
            if known is value or (isinstance(value, partial) and _same_call(known, value)):
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
        if isinstance(value, Unlike):
            raise UnrecordableError(value.why, one_by_one=True)
        if isinstance(value, Value):
            return self._name(value.number)
        if isinstance(value, Scaled):
            self.counts = True
            return f"({value.slope} * batch + {value.offset})"
        if isinstance(value, Repeated):
            self.counts = True
            return f"[{self._of(value.value)}] * ({value.times} * batch)"
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
            isinstance(leaf, (Value, Scaled, Repeated, Unlike)) for leaf in _leaves(value)
        ):
            raise UnrecordableError(f"an argument is of the kind {type(value).__name__}")
        return self.entry(value)


def _same_call(one: Any, other: partial[Any]) -> bool:
    alike = type(one) is partial and (one.func, one.args) == (other.func, other.args)
    return alike and bool(one.keywords == other.keywords)
