"""What several decompositions say of the same fields, side by side, to see how far they agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["numbered", "side_by_side"]


def numbered(
    fields: Sequence[Bool[Tensor, "_ patches"]],
) -> list[Int[Tensor, " _"]]:
    """Number action fields alike in all decompositions: equal fields get equal numbers."""
    numbers: dict[bytes, int] = {}
    return [
        torch.tensor([numbers.setdefault(row.numpy().tobytes(), len(numbers)) for row in own])
        for own in fields
    ]


def side_by_side(
    keys: Sequence[Int[Tensor, " _"]], values: Sequence[Float[Tensor, " _"]]
) -> Float[Tensor, "decompositions keys"]:
    """Line up what stands under the same key in each, with 0 where one has nothing."""
    found, column = torch.cat(list(keys)).unique(return_inverse=True)
    table = torch.zeros(len(keys), len(found))
    for row, columns, mine in zip(table, column.split([len(k) for k in keys]), values, strict=True):
        row.index_add_(0, columns, mine)
    return table
