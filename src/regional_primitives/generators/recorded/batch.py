"""What of a recorded run is the batch: two recordings of one picture, repeated twice and thrice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from regional_primitives.generators.layout import UnrecordableError
from regional_primitives.generators.recorded.recording import Operation, Recording

_OTHER_PATH = "the network takes another path for another batch size"


@dataclass(frozen=True)
class Scaled:
    """A whole number that depends on the batch: slope · batch + offset."""

    slope: int
    offset: int


def unified(two: Recording, three: Recording) -> list[Operation]:
    """Compare the runs and mark the numbers that depend on the batch."""
    if len(two.operations) != len(three.operations) or two.image != three.image:
        raise UnrecordableError(_OTHER_PATH, one_by_one=True)
    result = []
    for a, b in zip(two.operations, three.operations, strict=True):
        if (a.function, a.inputs, a.outputs) != (b.function, b.inputs, b.outputs):
            raise UnrecordableError(_OTHER_PATH, one_by_one=True)
        made = replace(
            a,
            arguments=_between(a.arguments, b.arguments),
            keywords=_between(a.keywords, b.keywords),
            mutated=tuple({*a.mutated, *b.mutated}),
            follows=a.follows and b.follows,
        )
        result.append(made)
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
        return Scaled(three - two, two - 2 * (three - two))
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
