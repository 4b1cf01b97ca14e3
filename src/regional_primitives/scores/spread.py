"""Means over pictures with their 95 % intervals, by Student's t for whole degrees of freedom.

The t distribution is that of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and
26.7.4: a finite sum, so that no statistics package is needed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from regional_primitives.errors import InputError


@dataclass(frozen=True)
class Spread:
    """One score over several pictures."""

    mean: float
    half_interval_95: float | None
    """Half the width of the mean's 95 % interval; None for a single picture, which has none."""
    least: float
    most: float
    pictures: int

    @staticmethod
    def over(values: Sequence[float]) -> Spread:
        """Summarise one value a picture.

        Raises:
            InputError: no values.
        """
        if not values:
            raise InputError("a mean needs at least one value")
        half = None
        if len(values) > 1:
            error = statistics.stdev(values) / math.sqrt(len(values))
            half = student_quantile(len(values) - 1) * error
        return Spread(statistics.fmean(values), half, min(values), max(values), len(values))


@lru_cache(maxsize=64)
def student_quantile(freedom: int) -> float:
    """Return the t that a Student-distributed number stays within, ± t, 95 times in 100."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # halvings: beyond the precision of a float
        middle = (low + high) / 2
        if _within(middle, freedom) < 0.95:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Return P(|t| ≤ √ν tan θ), A(t|ν) of the handbook."""
    cosine = math.cos(angle)
    odd = freedom % 2 == 1
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    power = 1 if odd else 0
    while power <= freedom - 2:
        total += term
        power += 2
        term *= cosine**2 * (power - 1) / power
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)


def spreads(numbers: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Summarise each name over the pictures that have it, in order of first appearance."""
    names = dict.fromkeys(name for row in numbers for name in row)
    return {name: Spread.over([row[name] for row in numbers if name in row]) for name in names}
