"""What of a recorded run is the batch: two recordings of one picture, repeated once more in one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from regional_primitives.generators.layout import UnrecordableError
from regional_primitives.generators.recorded.recording import Operation, Recording

OTHER_PATH = "the network takes another path for another batch size"


@dataclass(frozen=True)
class Scaled:
    """A whole number that depends on the batch: slope · batch + offset."""

    slope: int
    offset: int


@dataclass(frozen=True)
class Repeated:
    """A list of the same value, so many times an item."""

    value: Any
    times: int


@dataclass(frozen=True)
class Unlike:
    """What differs between the runs in a way that no batch size tells; the message says how."""

    why: str


def unified(fewer: Recording, more: Recording) -> list[Operation]:
    """Compare the runs and mark the numbers that depend on the batch, and what is unlike."""
    if len(fewer.operations) != len(more.operations) or fewer.image != more.image:
        raise UnrecordableError(OTHER_PATH, one_by_one=True)
    result = []
    for a, b in zip(fewer.operations, more.operations, strict=True):
        alike = _step(a) == _step(b)
        made = replace(
            a,
            arguments=_between(a.arguments, b.arguments, fewer.count)
            if alike
            else (Unlike(OTHER_PATH),),
            keywords=_between(a.keywords, b.keywords, fewer.count) if alike else {},
            mutated=tuple({*a.mutated, *b.mutated}),
        )
        result.append(made)
    return result


def agrees(planned: Operation, found: Operation) -> bool:
    """Tell whether an operation of a run of a single item is what two others tell of it."""
    given = (found.arguments, found.keywords)
    return _step(planned) == _step(found) and _at_one((planned.arguments, planned.keywords), given)


def _step(operation: Operation) -> tuple[Any, ...]:
    return operation.function, operation.inputs, operation.outputs, operation.context


def _between(fewer: Any, more: Any, count: int) -> Any:
    """Unify two structures of arguments."""
    if isinstance(fewer, (tuple, list)) and type(fewer) is type(more) and len(fewer) == len(more):
        items = [_between(a, b, count) for a, b in zip(fewer, more, strict=True)]
        return type(fewer)(*items) if hasattr(fewer, "_fields") else type(fewer)(items)
    if isinstance(fewer, dict) and isinstance(more, dict) and fewer.keys() == more.keys():
        return {name: _between(fewer[name], more[name], count) for name in fewer}
    if isinstance(fewer, slice) and isinstance(more, slice):
        return slice(*_between(_ends(fewer), _ends(more), count))
    if _is_whole(fewer) and _is_whole(more) and fewer != more:
        return Scaled(more - fewer, fewer - count * (more - fewer))
    if fewer is more or _equal(fewer, more):
        return fewer
    if type(fewer) is list and type(more) is list:
        grows = (count + 1) * len(fewer) == count * len(more)
        if grows and all(_equal(fewer[0], other) for other in (*fewer, *more)):
            return Repeated(fewer[0], len(fewer) // count)
    return Unlike(f"an argument depends on the batch size: {fewer!r}, {more!r}")


def _at_one(planned: Any, found: Any) -> bool:
    """Compare a unified structure of arguments with that of a run of a single item."""
    if isinstance(planned, Scaled):
        return bool(found == planned.slope + planned.offset)
    if isinstance(planned, Repeated):
        return _at_one([planned.value] * planned.times, found)
    if isinstance(planned, (tuple, list)):
        alike = type(planned) is type(found) and len(planned) == len(found)
        return alike and all(map(_at_one, planned, found))
    if isinstance(planned, Mapping):
        alike = isinstance(found, Mapping) and planned.keys() == found.keys()
        return alike and all(_at_one(planned[name], found[name]) for name in planned)
    if isinstance(planned, slice):
        return isinstance(found, slice) and all(map(_at_one, _ends(planned), _ends(found)))
    return planned is found or _equal(planned, found)


def _ends(piece: slice) -> tuple[Any, Any, Any]:
    return piece.start, piece.stop, piece.step


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
