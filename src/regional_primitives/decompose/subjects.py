"""Several pictures of one generator side by side, each tensor with a first axis of pictures.

A picture alone is several of one. What flows past the cut may differ by picture: one batch through
the tail mixes them, each row with its own picture's (`MixedTail`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.subject import PatchErrors, Subject
from regional_primitives.generators.feature import Feature, FeatureShape, units_as
from regional_primitives.generators.recorded import MixedTail
from regional_primitives.regions import Regions


@dataclass(frozen=True, eq=False)
class Subjects:
    """Pictures of one generator, ready to be decomposed in lockstep."""

    several: Sequence[Subject]
    mixed: MixedTail | None = None
    """Runs what lies behind the cut for rows of different pictures; None for one picture alone."""

    @staticmethod
    def together(several: Sequence[Subject]) -> Subjects:
        """Put pictures side by side, once a batch through the tail is seen to mix them.

        Raises:
            UnrecordableError: the network cannot be run so; the message says why.
        """
        if len(several) == 1:
            return Subjects(several)
        tails = [subject.generator.behind for subject in several]
        # Halfway from f0 to f, where no recording was made.
        halfway = [
            units_as((subject.units + subject.baseline_units) / 2, subject.feature_shape)
            for subject in several
        ]
        return Subjects(several, MixedTail.of(tails, halfway, several[0].generator.chunk))

    def only(self, pictures: Sequence[int]) -> Subjects:
        """Go on with some of them."""
        mixed = None if self.mixed is None else self.mixed.only(pictures)
        return Subjects([self.several[picture] for picture in pictures], mixed)

    def __len__(self) -> int:
        return len(self.several)

    def tail(self, pictures: slice, rows: int) -> Callable[[Feature], Tensor]:
        """Return the tail for a batch of so many rows of each of these pictures, one by one."""
        if self.mixed is None:
            return self.several[0].generator.tail
        numbers = torch.arange(len(self), device=self.difference.device)[pictures]
        return self.mixed.for_rows(numbers.repeat_interleave(rows))

    @property
    def chunk(self) -> int:
        """How many items go through the tail at once, so that memory stays bounded."""
        return self.several[0].generator.chunk

    @property
    def feature_shape(self) -> FeatureShape:
        """The shape of a feature without its batch axis."""
        return self.several[0].feature_shape

    @property
    def regions(self) -> list[Regions]:
        """Each picture's patches."""
        return [subject.regions for subject in self.several]

    @cached_property
    def errors(self) -> PatchErrors:
        """Measures the images of all."""
        return PatchErrors.stacked([subject.errors for subject in self.several])

    @cached_property
    def units(self) -> Float[Tensor, "pictures 1 units"]:
        """f, flat."""
        return torch.stack([subject.units for subject in self.several])

    @cached_property
    def baseline_units(self) -> Float[Tensor, "pictures 1 units"]:
        """f0, flat."""
        return torch.stack([subject.baseline_units for subject in self.several])

    @cached_property
    def difference(self) -> Float[Tensor, "pictures units"]:
        """f − f0, one number a unit."""
        return torch.stack([subject.difference for subject in self.several])

    @cached_property
    def sizes(self) -> Float[Tensor, " pictures"]:
        """‖f − f0‖₁."""
        return torch.stack([subject.difference.abs().sum() for subject in self.several])

    @cached_property
    def lengths(self) -> Float[Tensor, " pictures"]:
        """‖f − f0‖."""
        return torch.stack([subject.difference.norm() for subject in self.several])
