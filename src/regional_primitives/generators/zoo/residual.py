"""`class-fashion`: a small class-conditional residual generator (BigGAN, arXiv 1809.11096).

It was trained here, by training/class_fashion.py, on the ten kinds of clothes of Fashion-MNIST
(arXiv 1708.07747, MIT); its weights are part of this library.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from regional_primitives.axes import Images
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.weights import filled, trained_here

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip
"""By label."""
LATENT_SIZE = 64
PICTURE_SIDE = 32
_EMBEDDING = 32
_CONDITION = LATENT_SIZE + _EMBEDDING
_WIDTHS = (128, 64, 32, 16)
"""Channels at 4², 8², 16² and 32²."""
_FIRST_SIDE = 4


class _ConditionalNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in latent and class."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Linear(_CONDITION, channels, bias=False)
        self.shift = nn.Linear(_CONDITION, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = (part(condition)[:, :, None, None] for part in (self.scale, self.shift))
        return self.norm(x) * (1 + scale) + shift


class _Block(nn.Module):
    """x + f(x, condition) of twice the side; a 1 × 1 convolution fits the channels of x."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.norm1 = _ConditionalNorm(incoming)
        self.conv1 = nn.Conv2d(incoming, outgoing, 3, padding=1)
        self.norm2 = _ConditionalNorm(outgoing)
        self.conv2 = nn.Conv2d(outgoing, outgoing, 3, padding=1)
        self.skip = nn.Conv2d(incoming, outgoing, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(_doubled(relu(self.norm1(x, condition))))
        h = self.conv2(relu(self.norm2(h, condition)))
        return h + _doubled(self.skip(x))


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2)


class ResidualNetwork(nn.Module):
    """A latent [B, 64] and a class [B] become a grey picture [B, 1, 32, 32] in (−1, 1).

    The condition of all normalisations is the latent beside an embedding of the class, which they
    share.
    """

    def __init__(self, widths: Sequence[int] = _WIDTHS) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(CLASSES), _EMBEDDING)
        self.first = nn.Linear(_CONDITION, widths[0] * _FIRST_SIDE**2)
        self.view = nn.Unflatten(1, (widths[0], _FIRST_SIDE, _FIRST_SIDE))
        self.blocks = nn.ModuleList(_Block(*pair) for pair in pairwise(widths))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, latent: Float[Tensor, "batch 64"], label: Int[Tensor, " batch"]) -> Images:
        """Generate pictures."""
        condition = torch.cat([latent, self.embedding(label)], 1)
        x = self.view(self.first(condition))
        for block in self.blocks:
            x = block(x, condition)
        return self.last(relu(self.norm(x))).tanh()


def sample_latents(count: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Draw latents from a standard normal distribution, and classes, each as likely."""
    return {
        "latent": torch.randn(count, LATENT_SIZE, generator=rng),
        "label": torch.randint(len(CLASSES), (count,), generator=rng),
    }


def load_fashion(weights: Path | None = None) -> ResidualNetwork:
    """Build the network with its trained weights."""
    return filled(ResidualNetwork, weights or trained_here(ENTRY.name), ENTRY.how_to_get)


ENTRY = ZooEntry(
    name="class-fashion",
    family="class-conditional residual generator (BigGAN)",
    sizes=(PICTURE_SIDE,),
    licence="MIT (part of this library)",
    layers=("view", "blocks.0", "blocks.1", "blocks.2"),
    default_layer="blocks.0",
    image_range=(-1.0, 1.0),
    load=lambda weights, _: Loaded(load_fashion(weights), sample_latents),
    installed=lambda: True,
    how_to_get="nothing to get",
)
