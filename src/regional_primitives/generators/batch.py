"""What of a recorded run is the batch.

Two runs of one picture, repeated two and three times, differ in the batch and in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regional_primitives.generators.recording import Operation, Recording

__all__ = ["BatchAxis", "Scaled", "UnrecordableError", "unified"]

_OTHER_PATH = "the network takes another path for another batch size"


class UnrecordableError(Exception):
    """A run that cannot be replayed from another feature; the message says why."""

    def __init__(self, why: str, *, one_by_one: bool = False) -> None:
        super().__init__(why)
        self.one_by_one = one_by_one
        """Whether what one item of a batch does may depend on the others."""


@dataclass(frozen=True)
class BatchAxis:
    """Where a tensor has its batch: axis `dim` has `multiple` entries an item."""

    dim: int
    multiple: int
    inner: bool = False
    """Whether items are innermost, as in a batch that is doubled by cat([u, c])."""

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
        if self.inner:
            return moved.unflatten(0, (self.multiple, -1)).transpose(0, 1)
        return moved.unflatten(0, (-1, self.multiple))

    def as_found(self, items: Tensor) -> Tensor:
        """Undo `items_first`."""
        if self.multiple == 1:
            return items.movedim(0, self.dim)
        merged = (items.transpose(0, 1) if self.inner else items).flatten(0, 1)
        return merged.movedim(0, self.dim)

    def first_item(self, tensor: Tensor) -> Tensor:
        """Take the first of several items and keep the axis."""
        return self.as_found(self.items_first(tensor)[:1])

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
                a.follows and b.follows,
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
