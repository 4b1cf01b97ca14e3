"""Experiments over several pictures: every number with its mean and 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from regional_primitives.compare.transfer import Transfer
from regional_primitives.errors import InputError
from regional_primitives.scores.bounds import Additivity
from regional_primitives.scores.effort import ObviousCost
from regional_primitives.scores.measured import Measured
from regional_primitives.scores.redraw import Redraw
from regional_primitives.scores.spread import Spread, spreads

EXACT, STRUCTURED = "exact", "structured"
"""The paper's route to components, and ours."""


ResultT = TypeVar("ResultT", bound=Measured)


@dataclass(frozen=True, eq=False)
class AcrossPictures(Generic[ResultT]):
    """The same experiment on several pictures."""

    results: tuple[ResultT, ...]
    """One a picture."""

    @staticmethod
    def of(results: Sequence[ResultT]) -> AcrossPictures[ResultT]:
        """Collect results.

        Raises:
            InputError: no results.
        """
        if not results:
            raise InputError("a mean over pictures needs the result of at least one")
        return AcrossPictures(tuple(results))

    @cached_property
    def summary(self) -> dict[str, Spread]:
        """Mean, interval and range of each number, over the pictures for which it was measured."""
        return spreads([result.numbers() for result in self.results])

    def to_dict(self) -> dict[str, Any]:
        """Return the summary and every picture's numbers, ready for JSON."""
        return {
            "summary": {name: asdict(spread) for name, spread in self.summary.items()},
            "pictures": [result.to_dict() for result in self.results],
        }


@dataclass(frozen=True, eq=False)
class Reproduction:
    """All experiments of the paper on several pictures, by both routes."""

    about: dict[str, Any]
    """Generator, layer, protocol, settings, versions, date."""
    per_form: dict[str, dict[str, AcrossPictures[Any]]]
    """For each route, each experiment over the pictures."""
    additivity: AcrossPictures[Additivity]
    transfer: Transfer | None
    """Of the structured form, whose patches are the same in all pictures; needs two pictures."""
    redraw: AcrossPictures[Redraw] | None
    cost: AcrossPictures[ObviousCost]

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return {
            **self.about,
            "forms": {
                form: {name: result.to_dict() for name, result in found.items()}
                for form, found in self.per_form.items()
            },
            "additivity": self.additivity.to_dict(),
            "transfer": self.transfer and self.transfer.to_dict(),
            "redraw": self.redraw and self.redraw.to_dict(),
            "cost": self.cost.to_dict(),
        }
