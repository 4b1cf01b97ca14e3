"""`latent-photos`: a small autoencoder of photographs, of the residual blocks of `photos`.

It was trained here, by training/latent_photos.py, on photographs of Debian's packages; its weights
are part of this library. The decoder is the generator, and the encoder gives any photograph its
latent.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.photos import Block, Clamp, convolution, of_photographs
from regional_primitives.generators.zoo.weights import filled, trained_here

PICTURE_SIDE = 64
LATENT_CHANNELS = 12
_WIDTH = 40


class Autoencoder(nn.Module):
    """A picture [B, 3, H, W] in [0, 1] becomes a latent [B, 12, H/4, W/4], and a picture again.

    Nothing in it divides by statistics of the whole picture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), convolution(12, _WIDTH), nn.ReLU(),  # H/2
            Block(_WIDTH), Block(_WIDTH),
            convolution(_WIDTH, _WIDTH, stride=2), nn.ReLU(),  # H/4
            Block(_WIDTH), Block(_WIDTH),
            convolution(_WIDTH, LATENT_CHANNELS),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            Clamp(), convolution(LATENT_CHANNELS, _WIDTH), nn.ReLU(),  # H/4
            Block(_WIDTH), Block(_WIDTH),
            convolution(_WIDTH, 4 * _WIDTH), nn.PixelShuffle(2), nn.ReLU(),  # H/2
            Block(_WIDTH), Block(_WIDTH),
            convolution(_WIDTH, 12), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, picture: Tensor) -> Tensor:
        """Encode pictures, and decode what comes of it; it may overshoot [0, 1]."""
        return self.decoder(self.encoder(picture))


def load_autoencoder(weights: Path | None = None) -> Autoencoder:
    """Build both halves with their trained weights."""
    return filled(Autoencoder, weights or trained_here(ENTRY.name), ENTRY.how_to_get)


def _load(weights: Path | None, size: int) -> Loaded:
    network = load_autoencoder(weights)
    return of_photographs(network.decoder, network.encoder, size)


ENTRY = ZooEntry(
    name="latent-photos",
    family="small autoencoder of photographs",
    sizes=(PICTURE_SIDE, 128),
    licence="MIT (part of this library)",
    # 40 channels: before and behind the blocks at 1/4 of the picture's side, before and between
    # those at 1/2. Behind the last block one convolution is left, and components of a linear
    # network add up whatever they are.
    layers=("2", "4", "7", "8"),
    default_layer="4",
    image_range=(0.0, 1.0),
    load=_load,
    installed=lambda: True,
    how_to_get="nothing to get",
    baseline_count=256,
)
