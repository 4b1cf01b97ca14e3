"""Latents: whatever a network takes, batch first: a tensor, or a tuple or dictionary of tensors.

A list is taken for a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from regional_primitives.errors import InputError

Latents: TypeAlias = Tensor | tuple[Tensor, ...] | list[Tensor] | dict[str, Tensor]


def parts(latents: Latents) -> dict[str, Tensor]:
    """Name each tensor of the latents; raises InputError for what is none, or not dense."""
    named: dict[Any, Any] = {}
    if isinstance(latents, Tensor):
        named = {"latents": latents}
    elif isinstance(latents, (tuple, list)):
        named = {str(i): part for i, part in enumerate(latents)}
    elif isinstance(latents, dict):
        named = latents
    if not named or not all(isinstance(part, Tensor) for part in named.values()):
        raise InputError(
            "latents are a tensor, or a tuple or dictionary of tensors, "
            f"not {type(latents).__name__}"
        )
    for part in named.values():
        if part.layout != torch.strided:
            raise InputError(f"latents are ordinary dense tensors, not {part.layout}")
    return named


def refuse_not_finite(latents: Latents) -> None:
    """Refuse NaN and infinite values, which a network may turn into a picture as any other.

    A mask of zeros and −∞, such as attention takes, is none of these.
    """
    for name, part in parts(latents).items():
        if part.isfinite().all() or ((part == 0) | (part == -torch.inf)).all():
            continue
        where = "latents hold" if isinstance(latents, Tensor) else f"latents {name!r} hold"
        raise InputError(f"{where} NaN or infinite values")


def kind_of(latents: Latents) -> str:
    """Name what latents are, whatever their own class: `Tensor`, `tuple` or `dict`."""
    if isinstance(latents, list):
        return "tuple"
    return next(kind.__name__ for kind in (Tensor, tuple, dict) if isinstance(latents, kind))


def with_parts(kind: str, named: dict[str, Tensor]) -> Latents:
    """Undo `parts` and `kind_of`; raises KeyError for parts that such latents do not have.

    Of a class of its own, as earlier releases named it, the names of the parts tell the kind.
    """
    numbers = [str(i) for i in range(len(named))]
    known = kind in ("Tensor", "tuple", "dict")
    if kind == "Tensor" or (not known and set(named) == {"latents"}):
        return named["latents"]
    if kind == "tuple" or (not known and set(named) == set(numbers)):
        return tuple(named[number] for number in numbers)
    return named


def map_latents(change: Callable[[Tensor], Tensor], latents: Latents) -> Latents:
    """Apply `change` to each tensor of the latents; raises what `parts` raises."""
    changed = {name: change(part) for name, part in parts(latents).items()}
    return with_parts(kind_of(latents), changed)


def copied(latents: Latents) -> Latents:
    """Return latents of one's own on the same device, cut off from the caller's gradients."""
    return map_latents(lambda part: part.detach().clone(), latents)


def items(latents: Latents, start: int, stop: int) -> Latents:
    """Take some items of a batch."""
    return map_latents(lambda part: part[start:stop], latents)


def repeated(latents: Latents, count: int) -> Latents:
    """Repeat one picture's latents."""
    return map_latents(lambda part: part.repeat(count, *[1] * (part.ndim - 1)), latents)


def concatenate(several: Sequence[Latents]) -> Latents:
    """Join latents along the batch."""
    rows = [parts(latents) for latents in several]
    joined = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    return with_parts(kind_of(several[0]), joined)


def batch_size(latents: Latents) -> int:
    """Return how many items there are; raises InputError where parts disagree or have no batch."""
    sizes = {part.shape[0] if part.ndim else -1 for part in parts(latents).values()}
    if len(sizes) != 1 or -1 in sizes:
        raise InputError(f"latents need one common batch axis first; got {describe(latents)}")
    return sizes.pop()


def same_latents(latents: Latents, others: Latents) -> bool:
    """Tell whether two latents are equal, wherever they lie."""
    one, two = parts(latents), parts(others)
    return one.keys() == two.keys() and all(
        one[name].shape == two[name].shape and torch.equal(one[name].cpu(), two[name].cpu())
        for name in one
    )


def arguments(latents: Latents) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Turn latents into the positional and keyword arguments of a network."""
    if isinstance(latents, dict):
        return (), latents
    return tuple(latents) if isinstance(latents, (tuple, list)) else (latents,), {}


def describe(latents: Latents) -> str:
    """Say the shapes, for messages."""
    named = parts(latents)
    if isinstance(latents, Tensor):
        return str(list(latents.shape))
    return ", ".join(f"{name} {list(part.shape)}" for name, part in named.items())
