"""Latents: whatever a network takes, batch first: a tensor, or a tuple or dictionary of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from regional_primitives.errors import InputError

__all__ = [
    "Latents",
    "arguments",
    "batch_size",
    "concatenate",
    "copied",
    "describe",
    "kind_of",
    "map_latents",
    "parts",
    "same_latents",
    "with_parts",
]

Latents: TypeAlias = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


def parts(latents: Latents) -> dict[str, Tensor]:
    """Name each tensor of the latents.

    Raises:
        InputError: not tensors, or nothing at all.
    """
    named: dict[Any, Any]
    if isinstance(latents, Tensor):
        named = {"latents": latents}
    elif isinstance(latents, tuple):
        named = {str(i): part for i, part in enumerate(latents)}
    elif isinstance(latents, dict):
        named = latents
    else:
        named = {}
    if not named or not all(isinstance(part, Tensor) for part in named.values()):
        raise InputError(
            "latents are a tensor, or a tuple or dictionary of tensors, "
            f"not {type(latents).__name__}"
        )
    for part in named.values():
        if part.layout != torch.strided:
            raise InputError(f"latents are ordinary dense tensors, not {part.layout}")
    return named


def kind_of(latents: Latents) -> str:
    """Name what latents are, whatever their own class: `Tensor`, `tuple` or `dict`."""
    return next(kind.__name__ for kind in (Tensor, tuple, dict) if isinstance(latents, kind))


def with_parts(kind: str, named: dict[str, Tensor]) -> Latents:
    """Undo `parts` and `kind_of`.

    Of a class of its own, as earlier releases named it, the names of the parts tell the kind.

    Raises:
        KeyError: parts that such latents do not have.
    """
    numbers = [str(i) for i in range(len(named))]
    known = kind in ("Tensor", "tuple", "dict")
    if kind == "Tensor" or (not known and set(named) == {"latents"}):
        return named["latents"]
    if kind == "tuple" or (not known and set(named) == set(numbers)):
        return tuple(named[number] for number in numbers)
    return named


def map_latents(change: Callable[[Tensor], Tensor], latents: Latents) -> Latents:
    """Apply `change` to each tensor of the latents.

    Raises:
        InputError: not tensors, or nothing at all.
    """
    parts(latents)
    if isinstance(latents, Tensor):
        return change(latents)
    if isinstance(latents, tuple):
        return tuple(change(part) for part in latents)
    return {name: change(part) for name, part in latents.items()}


def copied(latents: Latents) -> Latents:
    """Return latents of one's own, cut off from the caller's gradients; raises what `parts` raises.

    They stay on their device.
    """
    return map_latents(lambda part: part.detach().clone(), latents)


def concatenate(items: list[Latents]) -> Latents:
    """Join latents along the batch."""
    first = items[0]
    if isinstance(first, Tensor):
        return torch.cat(cast(list[Tensor], items))
    if isinstance(first, tuple):
        columns = zip(*cast(list[tuple[Tensor, ...]], items), strict=True)
        return tuple(torch.cat(column) for column in columns)
    rows = cast(list[dict[str, Tensor]], items)
    return {name: torch.cat([row[name] for row in rows]) for name in first}


def batch_size(latents: Latents) -> int:
    """Return how many items there are.

    Raises:
        InputError: parts disagree, or have no batch axis.
    """
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
    if isinstance(latents, Tensor):
        return (latents,), {}
    if isinstance(latents, tuple):
        return latents, {}
    return (), latents


def describe(latents: Latents) -> str:
    """Say the shapes, for messages."""
    named = parts(latents)
    if isinstance(latents, Tensor):
        return str(list(latents.shape))
    return ", ".join(f"{name} {list(part.shape)}" for name, part in named.items())
