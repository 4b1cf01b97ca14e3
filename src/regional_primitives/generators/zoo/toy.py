"""`planted`: an analytic network whose components and action fields are known in advance.

Its feature has a few units a component; each component's units paint a pattern of their own on one
rectangle of a 4 × 4 grid and touch no other pixel. So the three axioms of arXiv 2410.04421
(completeness, boundedness, consistency) hold exactly, and a decomposition must find these fields
and no others.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regional_primitives.axes import Fields
from regional_primitives.errors import InputError
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.regions import Regions
from regional_primitives.runtime.streams import stream

PICTURE_SIDE = 32
GRID_SIDE = 4
UNITS_PER_COMPONENT = 6
# (top, left, bottom, right) in cells, ends excluded: alone, nested, overlapping, across the whole.
_FIELDS = (
    (0, 0, 1, 1),
    (0, 0, 2, 2),
    (0, 2, 1, 4),
    (0, 3, 3, 4),
    (1, 1, 3, 3),
    (2, 2, 3, 3),
    (2, 0, 4, 2),
    (3, 0, 4, 4),
    (3, 3, 4, 4),
    (0, 0, 4, 4),
)
LATENT_SIZE = len(_FIELDS) * UNITS_PER_COMPONENT


class PlantedNetwork(nn.Module):
    """A latent [B, 60] becomes a picture [B, 3, 32, 32] in (−1, 1); cut it at `express`."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(LATENT_SIZE, LATENT_SIZE)
        self.express = nn.Tanh()
        self.paint = nn.Linear(LATENT_SIZE, 3 * PICTURE_SIDE**2)
        self.shape = nn.Unflatten(1, (3, PICTURE_SIDE, PICTURE_SIDE))
        rng = stream(0, "planted network")
        with torch.no_grad():
            drawn = torch.randn(LATENT_SIZE, LATENT_SIZE, generator=rng)
            # In double precision: float32 drops the bits that depend on how many threads run.
            mix = torch.linalg.qr(drawn.double())[0]
            self.embed.weight.copy_(mix)
            self.embed.bias.copy_(0.1 * torch.randn(LATENT_SIZE, generator=rng))
            self.paint.weight.copy_(_patterns(rng).flatten(1).T)
            self.paint.bias.zero_()

    def forward(self, latent: Tensor) -> Tensor:
        """Generate pictures."""
        image: Tensor = self.shape(self.paint(self.express(self.embed(latent))))
        return image


def _patterns(rng: torch.Generator) -> Float[Tensor, "units channels height width"]:
    """Draw one pattern a unit, zero outside its component's field."""
    fields = planted_fields()
    masks = Regions.grid(GRID_SIDE, GRID_SIDE).masks(PICTURE_SIDE, PICTURE_SIDE)
    pixels = (fields.float() @ masks.flatten(1).float()).view(-1, 1, PICTURE_SIDE, PICTURE_SIDE)
    coarse = torch.randn(LATENT_SIZE, 3, PICTURE_SIDE // 4, PICTURE_SIDE // 4, generator=rng)
    smooth = nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    # A pixel sums up to 3 fields of 6 units; this keeps the picture within (−1, 1).
    return 0.05 * smooth * pixels.repeat_interleave(UNITS_PER_COMPONENT, 0)


def planted_fields() -> Fields:
    """Return the planted action fields."""
    fields = torch.zeros(len(_FIELDS), GRID_SIDE, GRID_SIDE, dtype=torch.bool)
    for field, (top, left, bottom, right) in zip(fields, _FIELDS, strict=True):
        field[top:bottom, left:right] = True
    return fields.flatten(1)


def sample_latents(count: int, rng: torch.Generator) -> Tensor:
    """Draw latents from a standard normal distribution."""
    return torch.randn(count, LATENT_SIZE, generator=rng)


def _load(weights: Path | None, size: int) -> Loaded:
    if weights is not None:
        raise InputError("'planted' is analytic and takes no weights")
    return Loaded(PlantedNetwork(), sample_latents)


ENTRY = ZooEntry(
    name="planted",
    family="analytic, components known",
    sizes=(PICTURE_SIDE,),
    licence="MIT (part of this library)",
    layers=("express",),
    default_layer="express",
    image_range=(-1.0, 1.0),
    load=_load,
    installed=lambda: True,
    how_to_get="nothing to get",
)
