"""All experiments of the paper on several pictures, by both routes: what a reproduction found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regional_primitives.compare.across import AcrossPictures
from regional_primitives.compare.transfer import Transfer
from regional_primitives.scores.bounds import Additivity
from regional_primitives.scores.effort import ObviousCost
from regional_primitives.scores.redraw import Redraw

__all__ = ["EXACT", "STRUCTURED", "Reproduction"]

EXACT, STRUCTURED = "exact", "structured"
"""The two routes."""


@dataclass(frozen=True, eq=False)
class Reproduction:
    """The experiments' results."""

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
