"""Two checkpoints of one network on the same picture: which part takes which share, and what moved.

Units of two checkpoints mean different things, so that none are compared; parts and action fields
mean the same in both. All numbers are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regional_primitives.compare.transfer import Transfer, transfer
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.together import FIELDS, check_together
from regional_primitives.errors import InputError
from regional_primitives.generators.latents import same_latents
from regional_primitives.scores.components import patch_shares
from regional_primitives.scores.measured import plain

CHANGED = 0.05
"""A part's share of the energy that moves by more than this has changed: by no more than 3 points
did any part's move between fits of one face with other random streams, at the least effort."""


@dataclass(frozen=True)
class PartChange:
    """One part under two checkpoints; pairs of values are first and second."""

    patch: int
    part: str
    shares: tuple[float, float]
    """Of the energy, a component's split evenly over its field."""
    picture_change: float
    """Root mean square by which the two pictures differ there, as a share of the image range."""

    @property
    def moved(self) -> float:
        """How much more of the energy the part takes under the second checkpoint."""
        return self.shares[1] - self.shares[0]

    @property
    def changed(self) -> bool:
        """Whether that is more than two fits of one network differ by."""
        return abs(self.moved) > CHANGED


@dataclass(frozen=True, eq=False)
class CheckpointComparison:
    """What two checkpoints of one network make of the same picture; make one with `checkpoints`."""

    decompositions: tuple[Decomposition, ...]
    names: tuple[str, str]
    parts: tuple[PartChange, ...]
    """Those whose share moved most first."""
    beside: Transfer
    """The strongest action fields of one among those of the other, beside random ones."""

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; the decompositions are left out."""
        one, two = self.decompositions
        return {
            "generator": one.provenance.generator,
            "layer": one.provenance.layer,
            "checkpoints": [
                {
                    "name": name,
                    "weights_digest": d.provenance.weights_digest,
                    "options": dict(d.provenance.options),
                    "components": len(counted),
                }
                for name, d, counted in zip(
                    self.names, (one, two), self.beside.counted, strict=True
                )
            ],
            "regions": one.regions.to_dict(),
            "parts": [
                {**plain(part), "moved": part.moved, "changed": part.changed} for part in self.parts
            ],
            "fields": self.beside.to_dict(),
        }


def are_checkpoints(decompositions: Sequence[Decomposition]) -> bool:
    """Tell whether these are two pictures of one latent under other weights."""
    if len(decompositions) != 2:
        return False
    one, two = decompositions
    return (
        one.provenance.generator == two.provenance.generator
        and one.provenance.weights_digest != two.provenance.weights_digest
        and same_latents(one.latents, two.latents)
    )


def checkpoints(
    decompositions: Sequence[Decomposition],
    names: Sequence[str],
    *,
    a: int = 20,
    b: int = 100,
    draws: int = 10,
    seed: int = 0,
) -> CheckpointComparison:
    """Compare the same picture's parts and action fields under two checkpoints.

    Args:
        decompositions: two, of one layer and the same patches.
        names: what the checkpoints are called.
        a: strongest fields of the one …
        b: … sought among so many of the other.
        draws: how often random fields of the same sizes are drawn.
        seed: their random stream.

    Raises:
        InputError: not two, other latents or equal weights, another layer, other patches or sizes.
    """
    several = check_together(
        decompositions, "generators", "layers", *FIELDS, "picture sizes", "purposes"
    )
    if not are_checkpoints(several):
        raise InputError(
            "two checkpoints are two runs of the same latents, made with different weights"
        )
    one, two = several
    low, high = one.provenance.image_range
    masks = one.regions.masks(*one.image.shape[-2:]).float()
    squares = (one.image - two.image).square().mean(0)
    each = (masks * squares).sum((1, 2)) / masks.sum((1, 2)).clamp_min(1)
    shares: list[Tensor] = [patch_shares(d) for d in several]
    parts = [
        PartChange(
            patch,
            one.regions.in_words([patch]),
            (float(shares[0][patch]), float(shares[1][patch])),
            float(each[patch].sqrt() / (high - low)),
        )
        for patch in range(one.regions.count)
    ]
    return CheckpointComparison(
        decompositions=several,
        names=(names[0], names[1]),
        parts=tuple(sorted(parts, key=lambda part: -abs(part.moved))),
        beside=transfer(several, a=a, b=b, draws=draws, seed=seed),
    )
