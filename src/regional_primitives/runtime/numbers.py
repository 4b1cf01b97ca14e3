"""Numbers at the border: whatever counts as a whole or a real number becomes Python's own, once.

NumPy's and torch's scalars are numbers like any other, truth values and texts are none. All public
entry points and all settings pass here, so that what lies behind meets int and float alone.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, TypeAlias

from regional_primitives.errors import InputError

__all__ = ["Bound", "random_seed", "real", "whole", "wholes"]

Bound: TypeAlias = int | float | None
"""The least or most that a number may be, if there is one."""
_LARGEST = (2 - 2**-23) * 2.0**127
"""What single precision holds, in which all is computed."""


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number within bounds, as int.

    Raises:
        InputError: `value`, which messages call `name`, is none or out of bounds.
    """
    wanted = f"a whole number{_within(least, most)}"
    try:
        if _is_truth_value(value):
            raise TypeError
        number = operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} must be {wanted}, not {_told(value)}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise InputError(f"{name} must be {wanted}, not {number}")
    return number


def wholes(
    name: str, values: Any, least: int | None = None, most: int | None = None
) -> tuple[int, ...]:
    """Return several whole numbers, each as `whole` does; messages call each one `name`.

    Raises:
        InputError: no list of whole numbers, or one out of bounds.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be one of a list of whole numbers, not {_told(values)}")
    try:
        listed = list(values)
    except TypeError:  # an array without an axis says that it can be gone through
        listed = [values]
    return tuple(whole(name, value, least, most) for value in listed)


def random_seed(value: Any) -> int:
    """Return the seed of a random stream, as int.

    Raises:
        InputError: no whole number of at most 64 bits.
    """
    seed = whole("a seed", value)
    if not -(2**63) <= seed < 2**64:
        raise InputError(f"a seed is a whole number of at most 64 bits, not {seed}")
    return seed


def real(name: str, value: Any, least: Bound = None, most: Bound = None) -> float:
    """Return a number within bounds that single precision holds, as float.

    Raises:
        InputError: `value`, which messages call `name`, is none, not finite or out of bounds.
    """
    unbounded = least is None and most is None
    wanted = "a finite number" if unbounded else f"a number{_within(least, most)}"
    try:
        if _is_truth_value(value) or isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{name} must be {wanted}, not {_told(value)}") from None
    if (
        not abs(number) <= _LARGEST
        or (least is not None and number < least)
        or (most is not None and number > most)
    ):
        raise InputError(f"{name} must be {wanted}, not {number}")
    return number


def _within(least: Bound, most: Bound) -> str:
    if most is None:
        return "" if least is None else f" of at least {least}"
    return f" of at most {most}" if least is None else f" from {least} to {most}"


def _is_truth_value(value: Any) -> bool:
    # NumPy's and torch's truth values name their type so, also as arrays of one entry.
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def _told(value: Any) -> str:
    """Say a value in a message, shortly."""
    try:
        text = " ".join(repr(value).split())  # a message is one line
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}…"
