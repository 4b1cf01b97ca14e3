"""`style-faces`: a small style-based generator (StyleGAN2, arXiv 1912.04958) of 64 × 64 faces.

It was trained here, by training/style_faces.py, to give the pictures that `faces` gives of the same
latents; its weights are part of this library. It has no noise inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

from regional_primitives.axes import Images
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.faces import FACE_PARTS, LATENT_CHANNELS, sample_latents
from regional_primitives.generators.zoo.weights import filled, trained_here

_WIDTHS = (128, 96, 48, 24, 12)
"""Channels at 4², 8², 16², 32² and 64²."""
PICTURE_SIDE = 64
_STYLE = 128
_FIRST_SIDE = 4
_SLOPE = 0.2


class _Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style, and its outputs to variance 1."""

    def __init__(
        self, incoming: int, outgoing: int, side: int, *, demodulates: bool = True
    ) -> None:
        super().__init__()
        self.style = nn.Linear(_STYLE, incoming)
        nn.init.ones_(self.style.bias)
        self.weight = nn.Parameter(torch.randn(outgoing, incoming, side, side) / side)
        self.bias = nn.Parameter(torch.zeros(outgoing))
        self.gain = incoming**-0.5
        self.demodulates = demodulates

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, weight = self.style(w), self.gain * self.weight
        made = conv2d(x * scale[:, :, None, None], weight, padding="same")
        if self.demodulates:
            power = scale.square() @ weight.square().sum((2, 3)).T  # [B, outgoing]
            made = made * (power + 1e-8).rsqrt()[:, :, None, None]
        return made + self.bias[:, None, None]


class _Block(nn.Module):
    """One resolution: (x, image so far) becomes (x, image), each of twice the side but at first."""

    def __init__(self, incoming: int, outgoing: int, *, doubles: bool = True) -> None:
        super().__init__()
        widths = (incoming, outgoing, outgoing) if doubles else (incoming, outgoing)
        self.layers = nn.ModuleList(_Modulated(*pair, side=3) for pair in pairwise(widths))
        self.to_rgb = _Modulated(outgoing, 3, 1, demodulates=False)
        self.doubles = doubles

    def forward(self, x: Tensor, image: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        for step, layer in enumerate(self.layers):
            x = layer(x, w)
            if self.doubles and step == 0:
                x, image = _doubled(x), _doubled(image)
            x = leaky_relu(x, _SLOPE)
        return x, image + self.to_rgb(x, w)


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear")


class StyleNetwork(nn.Module):
    """A latent [B, 100, 1, 1] becomes a picture [B, 3, 64, 64], nearly in (−1, 1).

    `mapping` makes the style w [B, 128] of it, which modulates every convolution. `blocks.S` gives
    the pair of x [B, channels, S, S] and the image so far, [B, 3, S, S].
    """

    def __init__(self, widths: Sequence[int] = _WIDTHS) -> None:
        super().__init__()
        sizes = (LATENT_CHANNELS, 256, 256, _STYLE)
        self.mapping = nn.Sequential(nn.Flatten())
        for incoming, outgoing in pairwise(sizes):
            self.mapping.extend([nn.Linear(incoming, outgoing), nn.LeakyReLU(_SLOPE)])
        self.constant = nn.Parameter(torch.randn(widths[0], _FIRST_SIDE, _FIRST_SIDE))
        self.blocks = nn.ModuleDict(
            {
                str(_FIRST_SIDE << level): _Block(*pair, doubles=level > 0)
                for level, pair in enumerate(pairwise((widths[0], *widths)))
            }
        )

    def forward(self, latent: Float[Tensor, "batch 100 1 1"]) -> Images:
        """Generate pictures."""
        w = self.mapping(latent)
        x = self.constant.expand(len(latent), -1, -1, -1)
        image = x.new_zeros(len(latent), 3, _FIRST_SIDE, _FIRST_SIDE)
        for block in self.blocks.values():
            x, image = block(x, image, w)
        return image


def load_style(weights: Path | None = None) -> StyleNetwork:
    """Build the network with its trained weights."""
    return filled(StyleNetwork, weights or trained_here(ENTRY.name), ENTRY.how_to_get)


ENTRY = ZooEntry(
    name="style-faces",
    family="style-based generator (StyleGAN2)",
    sizes=(PICTURE_SIDE,),
    licence="MIT (part of this library)",
    layers=("blocks.4", "blocks.8", "blocks.16", "blocks.32"),
    default_layer="blocks.8",
    image_range=(-1.0, 1.0),
    load=lambda weights, _: Loaded(load_style(weights), sample_latents),
    installed=lambda: True,
    how_to_get="nothing to get",
    parts=FACE_PARTS,
)
