"""Operations that write into their input, replayed as ones that make a new value.

A value that is written into is lost to the backward pass of whatever made or read it before, so
that networks that do so give pictures but no gradient. Where nothing else looks into the same
memory, a new value in its place is the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regional_primitives.generators.recorded.recording import Met, Operation, Value

_ELEMENTWISE = {
    "abs", "add", "addcdiv", "addcmul", "clamp", "clamp_max", "clamp_min", "clip", "cos", "div",
    "exp", "hardtanh", "leaky_relu", "lerp", "masked_fill", "mul", "neg", "pow", "relu", "rsqrt",
    "sigmoid", "sin", "sqrt", "square", "sub", "tanh",
}  # fmt: skip
"""Functions that give each entry a new value, of which torch has one that writes: `add_`."""
_ASSIGNING = {
    Tensor.__iadd__: Tensor.__add__, Tensor.__isub__: Tensor.__sub__,
    Tensor.__imul__: Tensor.__mul__, Tensor.__itruediv__: Tensor.__truediv__,
    Tensor.__ipow__: Tensor.__pow__,
}  # fmt: skip


def out_of_place(operation: Operation, values: Sequence[Met]) -> Operation | None:
    """Return an operation that makes what this one writes; None where none is known."""
    if operation.result != Value(operation.inputs[0]):
        return None
    if len({values[number].dtype for number in operation.inputs}) > 1:
        return None  # what writes keeps its precision, what makes may not
    function, name = operation.function, getattr(operation.function, "__name__", "")
    if function in _ASSIGNING:
        return replace(operation, function=_ASSIGNING[function])
    if name.endswith("_") and name[:-1] in _ELEMENTWISE:
        place = Tensor if getattr(Tensor, name, None) is function else torch
        made = getattr(place, name[:-1], None)
        return None if made is None else replace(operation, function=made)
    return _not_in_place(operation)


def _not_in_place(operation: Operation) -> Operation | None:
    """Ask a function of torch.nn.functional, such as `relu(x, inplace=True)`, for a new value."""
    try:
        bound = inspect.signature(operation.function).bind(
            *operation.arguments, **operation.keywords
        )
    except (TypeError, ValueError):  # built in
        return None
    given: dict[str, Any] = bound.arguments
    if given.get("inplace") is not True:
        return None
    given["inplace"] = False
    return replace(operation, arguments=bound.args, keywords=bound.kwargs)
