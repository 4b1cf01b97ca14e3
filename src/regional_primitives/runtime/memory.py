"""Memory at the border: what would be asked for is forecast, and refused where it cannot be had."""

from __future__ import annotations

import os

from regional_primitives.errors import InputError

__all__ = ["most_bytes", "refuse_too_large"]

_SHARE = 0.5
"""Of the machine's memory, how much one thing may take."""
_UNKNOWN = 8 * 2**30
"""Bytes, where the system does not say how much memory there is."""


def most_bytes() -> int:
    """Return the most that one thing may take: half of the machine's memory, 4 GiB if unknown."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        there = _UNKNOWN
    return int(_SHARE * (there if there > 0 else _UNKNOWN))


def refuse_too_large(what: str, size: int, remedy: str) -> None:
    """Refuse what would take more memory than there can be, before it is allocated.

    Args:
        what: the thing, as messages call it, such as "128 demands on a grid of 64 × 64".
        size: in bytes.
        remedy: what to change, such as "lower Evaluation.demands".

    Raises:
        InputError: it would take more than `most_bytes`.
    """
    if size > most_bytes():
        raise InputError(
            f"{what} would take {_told(size)} of memory, more than half of this machine's; {remedy}"
        )


def _told(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size < 2**50 else f"{size / 2**30:.0e} GiB"
