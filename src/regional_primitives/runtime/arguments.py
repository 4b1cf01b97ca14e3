"""Arguments at the border: kinds, numbers, paths and sizes are checked once, each in one way.

Whatever counts as a whole or a real number becomes Python's own. NumPy's and torch's scalars are
numbers like any other, truth values and texts are none. All public entry points and all settings
pass here, so that what lies behind meets int, float and Path alone.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from regional_primitives.errors import InputError

AnyPath: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
"""What names a file or folder."""
Bound: TypeAlias = int | float | None
"""The least or most that a number may be, if there is one."""
_Given = TypeVar("_Given")
_LARGEST = (2 - 2**-23) * 2.0**127
"""What single precision holds, in which all is computed."""
_SHARE = 0.5
"""Of the machine's memory, how much one thing may take."""
_UNKNOWN = 8 * 2**30
"""Bytes, where the system does not say how much memory there is."""


# Kinds


def of_kind(value: _Given, kind: Any, wanted: str) -> _Given:
    """Return `value`, which is of that class (or one of several); else say what is `wanted`."""
    if not isinstance(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise InputError(f"{wanted}, not {found}")
    return value


def all_of_kind(values: Any, kind: type, wanted: str) -> tuple[Any, ...]:
    """Return several values of one kind; a text is not taken for a list."""
    if isinstance(values, (str, bytes)):
        raise InputError(f"{wanted}, not a single {type(values).__name__}")
    return tuple(
        of_kind(value, kind, wanted) for value in listed(of_kind(values, Iterable, wanted))
    )


def listed(values: Any) -> list[Any]:
    """Return what can be gone through as a list, and anything else as a list of one."""
    try:
        return list(values)
    except TypeError:  # an array without an axis says that it can be gone through
        return [values]


# Numbers


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number within bounds, as int; messages call it `name`."""
    wanted = f"a whole number{_within(least, most)}"
    try:
        if _is_truth_value(value):
            raise TypeError
        number = operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} must be {wanted}, not {_told(value)}") from None
    if _outside(number, least, most):
        raise InputError(f"{name} must be {wanted}, not {number}")
    return number


def wholes(
    name: str, values: Any, least: int | None = None, most: int | None = None
) -> tuple[int, ...]:
    """Return several whole numbers, each as `whole` does; messages call each one `name`."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be one of a list of whole numbers, not {_told(values)}")
    return tuple(whole(name, value, least, most) for value in listed(values))


def random_seed(value: Any) -> int:
    """Return the seed of a random stream, a whole number of at most 64 bits, as int."""
    seed = whole("a seed", value)
    if not -(2**63) <= seed < 2**64:
        raise InputError(f"a seed is a whole number of at most 64 bits, not {seed}")
    return seed


def real(name: str, value: Any, least: Bound = None, most: Bound = None) -> float:
    """Return a number within bounds that single precision holds, as float."""
    wanted = (
        f"a number{_within(least, most)}" if (least, most) != (None, None) else "a finite number"
    )
    try:
        if _is_truth_value(value) or isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{name} must be {wanted}, not {_told(value)}") from None
    if not abs(number) <= _LARGEST or _outside(number, least, most):
        raise InputError(f"{name} must be {wanted}, not {number}")
    return number


def _outside(number: int | float, least: Bound, most: Bound) -> bool:
    return (least is not None and number < least) or (most is not None and number > most)


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


# Paths


def path_of(name: Any, what: str = "a path") -> Path:
    """Return the path that a text or a path-like object names, with `~` replaced by the home.

    What is no path, empty, one that no file system takes, or in the home of a user who does not
    exist is refused; messages call it `what`, such as "the run folder".
    """
    try:
        text = os.fspath(name)
    except TypeError:
        raise InputError(f"{what} is a text or a path, not {type(name).__name__}") from None
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not text or "\0" in text:
        raise InputError(f"{what} is no path: {text!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} {text!r} names the home of a user who is not known") from error


# Sizes


def most_bytes() -> int:
    """Return the most that one thing may take: half of the machine's memory, 4 GiB if unknown."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        there = _UNKNOWN
    return int(_SHARE * (there if there > 0 else _UNKNOWN))


def refuse_too_large(what: str, size: int, remedy: str) -> None:
    """Refuse what would take more bytes than `most_bytes`, before it is allocated.

    Messages call it `what`, such as "128 demands on a grid of 64 × 64", and end with the `remedy`,
    such as "lower Evaluation.demands".
    """
    if size > most_bytes():
        told = f"{size / 2**30:,.1f} GiB" if size < 2**50 else f"{size / 2**30:.0e} GiB"
        raise InputError(
            f"{what} would take {told} of memory, more than half of this machine's; {remedy}"
        )
