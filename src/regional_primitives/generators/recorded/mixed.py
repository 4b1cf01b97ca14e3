"""One batch through the tail whose rows belong to different pictures.

What flows past the cut is each picture's own, and so a row gets that of the picture it belongs to.
Where that cannot be told apart (a network that takes another path for another picture, that mixes
the items of a batch, or whose side inputs do not follow the batch) nothing is mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from regional_primitives.generators.feature import Feature, joined_features, tensors_of
from regional_primitives.generators.layout import UnrecordableError
from regional_primitives.generators.precision import full_precision, relative_gap, tolerance
from regional_primitives.generators.recorded.program import SideInput
from regional_primitives.generators.recorded.tail import RecordedTail, Tail
from regional_primitives.generators.tail import vector_jacobian

_MORE_IN_GRADIENTS = 10
"""Gradients add more terms than images do, and round more."""


@dataclass(frozen=True, eq=False)
class MixedTail:
    """Runs what lies behind the cut for rows of several pictures."""

    one: RecordedTail
    """The tail of one of them, which runs the same program as the others'."""
    sides: tuple[Shaped[Tensor, "pictures ..."] | None, ...]
    """Each side input of all pictures, items first; None for what is the same for all."""

    @staticmethod
    @full_precision()
    def of(tails: Sequence[Tail | None], probes: Sequence[Feature], chunk: int) -> MixedTail:
        """Mix the tails of several pictures, checked on a feature of each, `chunk` at a time.

        Raises:
            UnrecordableError: the network cannot be run so, or gives other images or gradients than
                each picture's own tail; the message says why.
        """
        recorded = [tail for tail in tails if isinstance(tail, RecordedTail)]
        if len(recorded) < len(tails):
            raise UnrecordableError("the whole network runs behind the cut")
        first = recorded[0]
        if any(tail.mixes for tail in recorded):
            raise UnrecordableError("what the network makes of an item depends on its batch")
        if any(tail.program.run is not first.program.run for tail in recorded):
            raise UnrecordableError("the network takes another path for another picture")
        sides = zip(*(tail.program.sides for tail in recorded), strict=True)
        mixed = MixedTail(first, tuple(map(_side_by_side, sides)))
        if any(side is not None for side in mixed.sides):
            for start in range(0, len(tails), chunk):
                numbers = range(start, min(start + chunk, len(tails)))
                mixed._check(recorded, probes, numbers)
        return mixed

    def only(self, pictures: Sequence[int]) -> MixedTail:
        """Go on with some of the pictures."""
        rows = list(pictures)
        return replace(
            self, sides=tuple(None if side is None else side[rows] for side in self.sides)
        )

    def for_rows(self, pictures: Int[Tensor, " batch"]) -> Callable[[Feature], Tensor]:
        """Return the tail of a batch whose rows belong to these pictures."""

        def tail(feature: Feature) -> Tensor:
            sides = [
                one.over(len(pictures))
                if side is None or one.axis is None
                else one.axis.as_found(side.index_select(0, pictures))
                for one, side in zip(self.one.program.sides, self.sides, strict=True)
            ]
            return self.one.run(feature, sides)

        return tail

    def _check(
        self, tails: Sequence[RecordedTail], probes: Sequence[Feature], numbers: range
    ) -> None:
        device = tensors_of(probes[0])[0].device
        tail = self.for_rows(torch.tensor(list(numbers), device=device))
        batch = joined_features([probes[number] for number in numbers])
        images, gradient = vector_jacobian(tail, batch)
        allowed = tolerance(self.one.parts.dtypes)
        for row, number in enumerate(numbers):
            image, own = vector_jacobian(tails[number], probes[number])
            if relative_gap(images[row : row + 1], image) > allowed:
                raise UnrecordableError("rows of several pictures give other images than alone")
            assert gradient is not None  # or the cut would have been refused
            assert own is not None
            if relative_gap(gradient[row : row + 1], own) > _MORE_IN_GRADIENTS * allowed:
                raise UnrecordableError("rows of several pictures give other gradients than alone")


def _side_by_side(sides: tuple[SideInput, ...]) -> Tensor | None:
    """Put one side input of several pictures side by side, unless it is the same for all."""
    first = sides[0]
    if all(torch.equal(side.value, first.value) for side in sides[1:]):
        return None
    if first.axis is None:
        raise UnrecordableError(f"what flows past the cut from {first.origin} has no batch axis")
    return torch.cat([first.axis.items_first(side.value) for side in sides])
