"""Numbers as a reader meets them: shares as percentages, and no more digits than say something."""

from __future__ import annotations

import json
import math
from typing import Any

from regional_primitives.scores.spread import Spread

_NO_BREAK = "\u00a0"
"""No line break between a number and its unit."""


def percent(share: float) -> str:
    """Write a share of 1 with two digits, more between 90 % and 100 %."""
    value = 100 * share
    size = abs(value)
    if not math.isfinite(value):
        return "not finite"
    if 0 < size < 0.001:
        return f"{'<' if value > 0 else '>'}{_NO_BREAK}{'' if value > 0 else '−'}0.001{_NO_BREAK}%"
    if 0 < size < 0.995:
        text = f"{value:.{1 - math.floor(math.log10(size))}f}"
    elif size == 0:
        text = "0"
    elif size < 9.95 or 90 <= size < 99.95:
        text = f"{value:.1f}"
    else:
        text = f"{value:,.0f}"
    return f"{text.replace('-', '−')}{_NO_BREAK}%"


def count(number: int) -> str:
    """Write a whole number with thousands set apart."""
    return f"{number:,}"


def decimal(number: float) -> str:
    """Write a plain number with three digits."""
    if not math.isfinite(number):
        return "not finite"
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:#.3g}".removesuffix(".")
    return text.replace("-", "−")


def times(ratio: float) -> str:
    """Write a ratio."""
    return f"{decimal(ratio)}{_NO_BREAK}×"


def seconds(duration: float) -> str:
    """Write a duration in seconds, or in minutes from two of them on."""
    if duration >= 120:
        return f"{duration / 60:.1f}{_NO_BREAK}min"
    return f"{duration:.2g}{_NO_BREAK}s" if duration < 10 else f"{duration:.0f}{_NO_BREAK}s"


def patches(number: int) -> str:
    """Write a number of patches."""
    return "1 patch" if number == 1 else f"{count(number)} patches"


def plain(value: Any) -> str:
    """Write a setting's value, as a command takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def with_interval(spread: Spread | None, form: str) -> str:
    """Write a mean with half its 95 % interval as terminals and Markdown have it."""
    if spread is None:
        return ""
    half = spread.half_interval_95
    return form.format(spread.mean) + ("" if half is None else f" ± {form.format(half)}")


def unbroken(text: str) -> str:
    """Keep numbers and the signs behind them on one line."""
    return text.replace(" %", f"{_NO_BREAK}%").replace(" ×", f"{_NO_BREAK}×")


def ordinal(rank: int) -> str:
    """Write 1st, 2nd, 3rd, 4th …"""
    teens = 10 <= rank % 100 <= 20
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"
