"""`photos`: TAEF2, the tiny autoencoder of FLUX.2's latents, from public madebyollin/taesd (MIT).

Written from the published key names and shapes; users fetch the weights. The decoder is the
generator: all of a picture flows through each of its layers, and the encoder gives any photograph
its latent.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regional_primitives.errors import InputError, RegionalPrimitivesError, StorageError
from regional_primitives.generators.photographs import draw_crop, read_photograph
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.weights import filled, first_file, folders, not_found
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.eight_bit import refuse_outside

LATENT_CHANNELS = 32
SMALLEST_SIZE = 32
LARGEST_SIZE = 512
PIXELS_PER_CELL = 8
"""Pixels, a side, for one cell of the latent."""
# The commit is named, so that the files cannot change behind the link.
_HOW_TO_GET = (
    'curl -fL --create-dirs -o "taef2/#1" "https://raw.githubusercontent.com/madebyollin/taesd/'
    '5cccb12dc72074a4be35680c3b108548a7c69978/{taef2_decoder.pth,taef2_encoder.pth}"'
)

_WIDTH = 64
_BLOCKS = 3
"""Residual blocks a resolution; the picture's own has one."""
_COLLECTION = "taef2"


class Clamp(nn.Module):
    """Keep latents within (−3, 3), smoothly."""

    def forward(self, z: Tensor) -> Tensor:
        """Clamp a latent."""
        return 3 * torch.tanh(z / 3)


class Block(nn.Module):
    """A residual block of three convolutions; `pools` adds what normalisation over all tells."""

    def __init__(self, width: int = _WIDTH, *, pools: bool = False) -> None:
        super().__init__()
        self.pool: nn.Module | None = None
        if pools:
            self.pool = nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(4, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )
        first, second, third = (convolution(width, width) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add to channels what convolutions make of them."""
        if self.pool is not None:
            x = x + self.pool(x)
        return self.fuse(x + self.conv(x))


def convolution(incoming: int, outgoing: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Make a convolution of 3 × 3 taps; its side stays but for the stride."""
    return nn.Conv2d(incoming, outgoing, 3, stride, padding=1, bias=bias)


class PhotoDecoder(nn.Sequential):
    """A latent [B, 32, H/8, W/8] becomes a picture [B, 3, H, W], layer after layer.

    Black is 0 and white 1; as published, the last layer is a convolution, which may overshoot.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = [Clamp(), convolution(LATENT_CHANNELS, _WIDTH), nn.ReLU()]
        for pools in (True, False, False):
            layers += [Block(pools=pools) for _ in range(_BLOCKS)]
            layers += [nn.Upsample(scale_factor=2), convolution(_WIDTH, _WIDTH, bias=False)]
        super().__init__(*layers, Block(), convolution(_WIDTH, 3))


class PhotoEncoder(nn.Sequential):
    """A picture [B, 3, H, W] in [0, 1] becomes a latent [B, 32, H/8, W/8]."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [convolution(3, _WIDTH), Block()]
        for pools in (False, False, True):
            layers += [convolution(_WIDTH, _WIDTH, stride=2, bias=False)]
            layers += [Block(pools=pools) for _ in range(_BLOCKS)]
        super().__init__(*layers, convolution(_WIDTH, LATENT_CHANNELS))


def require_size(size: int) -> None:
    """Refuse pixels a side that the autoencoder cannot take."""
    whole("size", size, SMALLEST_SIZE)
    if size % PIXELS_PER_CELL or size > LARGEST_SIZE:
        raise InputError(
            f"size must be a multiple of {PIXELS_PER_CELL} from {SMALLEST_SIZE} to {LARGEST_SIZE} "
            f"pixels, not {size}"
        )


@torch.no_grad()
def encode_photograph(
    encoder: nn.Module, picture: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch channels rows columns"]:
    """Turn pictures in [0, 1] into latents, one by one, so that none depends on its company."""
    if picture.ndim != 4 or picture.shape[1] != 3 or not picture.numel():
        raise InputError(f"pictures are [batch, 3, height, width], not {list(picture.shape)}")
    if picture.shape[2] % PIXELS_PER_CELL or picture.shape[3] % PIXELS_PER_CELL:
        raise InputError(
            f"the sides of a picture must be multiples of {PIXELS_PER_CELL} pixels, "
            f"not {list(picture.shape[2:])}"
        )
    refuse_outside(picture, (0.0, 1.0), "a picture")
    weight = next(encoder.parameters())
    return torch.cat([encoder(item.to(weight)) for item in picture.split(1)])


def latent_sampler(encoder: nn.Module, size: int) -> Callable[[int, torch.Generator], Tensor]:
    """Make what draws latents: those of random crops, `size` pixels a side, of real photographs."""
    require_size(size)

    def sample_latents(count: int, rng: torch.Generator) -> Tensor:
        return torch.cat([encode_photograph(encoder, draw_crop(rng, size)) for _ in range(count)])

    return sample_latents


def find_weights(given: Path | None = None) -> Path | None:
    """Locate a folder with both files: `given` and nothing else, or where weights are kept.

    `zoo/weights.py` tells where that is; in each place, they lie directly or under `taef2`.
    """
    return next((one for one in folders(given, _COLLECTION) if all(_halves(one).values())), None)


def load_photos(weights: Path | None = None) -> tuple[PhotoDecoder, PhotoEncoder]:
    """Build decoder and encoder with their trained weights, in float32."""
    folder = find_weights(weights)
    decoder, encoder = _halves(folder).values() if folder else (None, None)
    if decoder is None or encoder is None:
        raise _why_not(weights)
    return filled(PhotoDecoder, decoder, _HOW_TO_GET), filled(PhotoEncoder, encoder, _HOW_TO_GET)


def _halves(folder: Path) -> dict[str, Path | None]:
    """Locate the file of each half."""
    return {
        half: first_file(folder / f"taef2_{half}{suffix}" for suffix in (".safetensors", ".pth"))
        for half in ("decoder", "encoder")
    }


def _why_not(given: Path | None) -> RegionalPrimitivesError:
    """Say why there are no weights: half of them, none, or no folder."""
    if given is not None and given.expanduser().is_file():
        return InputError(f"weights is the folder that holds both files, not the file {given}")
    for folder in folders(given, _COLLECTION):
        halves = _halves(folder)
        present = [path.name for path in halves.values() if path is not None]
        if present:
            missing = next(half for half, path in halves.items() if path is None)
            return StorageError(
                f"{folder} holds {present[0]}, but taef2_{missing}.pth (or .safetensors) is "
                f"missing; get both: {_HOW_TO_GET}"
            )
    return not_found("photos", given, _COLLECTION, _HOW_TO_GET)


def of_photographs(decoder: nn.Module, encoder: nn.Module, size: int) -> Loaded:
    """Return a decoder as the generator of those photographs that its encoder is given."""

    def latents_of(path: Path) -> Tensor:
        return encode_photograph(encoder, read_photograph(path, size))

    return Loaded(decoder, latent_sampler(encoder, size), latents_of)


ENTRY = ZooEntry(
    name="photos",
    family="tiny autoencoder of FLUX.2 (TAEF2)",
    sizes=(64, 128, 256),
    licence="MIT",
    # 64 channels at 1/8, 1/4, 1/2 and all of the picture's side: the last block of each resolution.
    # At the picture's own it is what goes into its one block; behind that, one convolution is left,
    # and components of a linear network add up whatever they are.
    layers=("5", "10", "15", "17"),
    default_layer="10",
    image_range=(0.0, 1.0),
    load=lambda weights, size: of_photographs(*load_photos(weights), size),
    installed=lambda: find_weights() is not None,
    how_to_get=_HOW_TO_GET,
    baseline_count=1024,
)
