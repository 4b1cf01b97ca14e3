"""What of a recorded run is the batch: two recordings of one picture, repeated twice and thrice."""

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


def unified(two: Recording, three: Recording) -> list[Operation]:
    """Compare the runs and mark the numbers that depend on the batch, and what is unlike."""
    if len(two.operations) != len(three.operations) or two.image != three.image:
        raise UnrecordableError(OTHER_PATH, one_by_one=True)
    result = []
    for a, b in zip(two.operations, three.operations, strict=True):
        alike = _step(a) == _step(b)
        made = replace(
            a,
            arguments=_between(a.arguments, b.arguments) if alike else (Unlike(OTHER_PATH),),
            keywords=_between(a.keywords, b.keywords) if alike else {},
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


def _between(two: Any, three: Any) -> Any:
    """Unify two structures of arguments."""
    if isinstance(two, (tuple, list)) and type(two) is type(three) and len(two) == len(three):
        items = [_between(a, b) for a, b in zip(two, three, strict=True)]
        return type(two)(*items) if hasattr(two, "_fields") else type(two)(items)
    if isinstance(two, dict) and isinstance(three, dict) and two.keys() == three.keys():
        return {name: _between(two[name], three[name]) for name in two}
    if isinstance(two, slice) and isinstance(three, slice):
        return slice(*map(_between, _ends(two), _ends(three)))
    if _is_whole(two) and _is_whole(three) and two != three:
        return Scaled(three - two, two - 2 * (three - two))
    if two is three or _equal(two, three):
        return two
    lists = type(two) is list and type(three) is list and 3 * len(two) == 2 * len(three)
    if lists and all(_equal(two[0], other) for other in (*two, *three)):
        return Repeated(two[0], len(two) // 2)
    return Unlike(f"an argument depends on the batch size: {two!r}, {three!r}")


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
