"""Components each by itself: all of them, or a sample of very many, in memory that K leaves flat.

Scores of single components are means weighted by the energy ‖Δf_k‖². In a sample where each is as
likely as its share of the energy, the plain mean estimates that mean without bias, as that of the
strongest alone would not: systematic sampling with probability proportional to size (Madow, Annals
of Mathematical Statistics 20, 1949); those that are drawn for certain weigh what they are. The sum
of all patterns has no such estimate: its error would be larger than the picture itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regional_primitives.axes import Fields, Image, Images, PerComponent, PerDemand
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.picture import Picture
from regional_primitives.runtime.progress import Progress
from regional_primitives.runtime.streams import stream

BLOCK = 256
"""Patterns that are held at once. torch adds rows in blocks of as many, so that the sum of the
blocks' sums is that of all rows to the last digit, up to 4,095 of them."""


@dataclass(frozen=True, eq=False)
class Alone:
    """What components do to the baseline picture, each added to it by itself."""

    components: Int[Tensor, " measured"]
    """Their numbers, ascending."""
    energy: Float[Tensor, " measured"]
    """The weight of each in means: its own ‖Δf_k‖², or that of all it was drawn for."""
    boundedness: Float[Tensor, " measured"]
    """Share of ‖Δx_k‖² that lies in A_k."""
    total: Image | None
    """Σ_k Δx_k over all components; None of a sample."""


def measured_alone(picture: Picture, most: int, seed: int, progress: Progress) -> Alone:
    """Generate up to `most` components, each alone: a forward evaluation each.

    Which of more are taken depends on the seed and their energies alone.
    """
    d = picture.decomposition
    chosen, energy = drawn_by_energy(d.strengths.square(), most, stream(seed, "patterns"))
    total, bounded, done = torch.zeros_like(picture.image), [], 0
    for rows in chosen.split(BLOCK):
        patterns = picture.patterns(rows.tolist())
        bounded.append(bounded_share(patterns, field_masks(d, d.action_fields[rows])))
        total += patterns.sum(0)
        done += len(rows)
        progress("scores", done, len(chosen), "patterns")
    whole = len(chosen) == d.count
    return Alone(chosen, energy, torch.cat(bounded), total if whole else None)


def drawn_by_energy(
    energy: PerComponent, most: int, rng: torch.Generator
) -> tuple[Int[Tensor, " drawn"], Float[Tensor, " drawn"]]:
    """Draw up to `most` components, of energies that descend; all, where there are no more.

    Returns:
        Their numbers, ascending, and the energy that each stands for; the latter sum up to the
        energy of all.
    """
    count = len(energy)
    if count <= most:
        return torch.arange(count), energy
    exact = energy.double()
    onwards = exact.flip(0).cumsum(0).flip(0)
    # With n places left for the components from k on, the likeliest has n times its share of them.
    sure = exact[:most] * torch.arange(most, 0, -1) >= onwards[:most]
    certain = int(sure.cumprod(0).sum())
    places = most - certain
    step = float(onwards[certain]) / max(places, 1)
    points = (torch.rand(1, generator=rng, dtype=torch.float64) + torch.arange(places)) * step
    found = torch.searchsorted(exact[certain:].cumsum(0), points, right=True)
    drawn = torch.cat([torch.arange(certain), certain + found.clamp_max(count - certain - 1)])
    return drawn, torch.cat([energy[:certain], energy.new_full((places,), step)])


def bounded_share(changes: Images, masks: Float[Tensor, "batch height width"]) -> PerDemand:
    """Return which share of each change's energy lies inside its mask."""
    energy = changes.square().sum(1)
    return (energy * masks).sum((1, 2)) / energy.sum((1, 2)).clamp_min(1e-20)


def field_masks(
    decomposition: Decomposition, fields: Fields | None = None
) -> Float[Tensor, "components height width"]:
    """Mark the pixels of these action fields; of every component's, unless they are given."""
    fields = decomposition.action_fields if fields is None else fields
    pixels = decomposition.regions.masks(*decomposition.image.shape[-2:]).float()
    return torch.einsum("kn,nhw->khw", fields.float(), pixels)
