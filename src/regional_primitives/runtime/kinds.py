"""Kinds at the border: what is not of the class that an argument asks for is refused in one way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from regional_primitives.errors import InputError

__all__ = ["all_of_kind", "of_kind"]

_Given = TypeVar("_Given")


def of_kind(value: _Given, kind: Any, wanted: str) -> _Given:
    """Return `value`, which is of that kind.

    Args:
        value: what the caller gave.
        kind: the class that it must be of, or several.
        wanted: that in words, such as "explain needs a generator from rp.cut".

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise InputError(f"{wanted}, not {found}")
    return value


def all_of_kind(values: Any, kind: type, wanted: str) -> tuple[Any, ...]:
    """Return several values of one kind.

    Raises:
        InputError: nothing that can be gone through, a text instead of a list, or one of them is
            something else.
    """
    if isinstance(values, (str, bytes)):
        raise InputError(f"{wanted}, not a single {type(values).__name__}")
    try:
        listed = tuple(of_kind(values, Iterable, wanted))
    except TypeError:  # an array without an axis says that it can be gone through
        listed = (values,)
    return tuple(of_kind(value, kind, wanted) for value in listed)
