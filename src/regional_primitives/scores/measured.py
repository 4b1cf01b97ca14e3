"""What every experiment on one picture gives: numbers to be averaged, and what JSON holds of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from torch import Tensor


class Measured:
    """The result of an experiment on one picture."""

    told: ClassVar[tuple[str, ...]] = ()
    """The fields that `to_dict` holds besides the numbers; pictures are left out."""

    def numbers(self) -> dict[str, float]:
        """Return what can be averaged over pictures, by name; what was not measured is absent."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; pictures are left out."""
        return {**self.numbers(), **{name: plain(getattr(self, name)) for name in self.told}}


def plain(result: Any) -> Any:
    """Return a result as JSON holds it."""
    return msgspec.to_builtins(result, enc_hook=listed)


def listed(values: Tensor | Iterable[Any]) -> list[Any]:
    """Return numbers as JSON holds them: what is not a number is null."""
    found = values.tolist() if isinstance(values, Tensor) else values
    return [
        listed(value) if isinstance(value, list)
        else None if isinstance(value, float) and not math.isfinite(value)
        else value
        for value in found
    ]  # fmt: skip
