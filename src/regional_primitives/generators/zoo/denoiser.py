"""`diffusion-faces`: a small pixel diffusion model (DDIM, arXiv 2010.02502) of 32 × 32 faces.

It was trained here, by training/diffusion_faces.py, on pictures of `faces`; its weights are part of
this library. Network and scheduler are those of the library diffusers: a U-Net that predicts
v = α·ε − σ·x (arXiv 2202.00512). It sees 2 × 2 neighbouring pixels of three channels as one of
twelve, as in arXiv 2301.11093, which saves most of the time.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from regional_primitives.axes import Images
from regional_primitives.errors import MissingExtraError
from regional_primitives.generators.diffusion import DiffusionSampler
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.weights import filled, trained_here

PICTURE_SIDE = 32
STEPS = 8
_SQUARE = 2
_CHANNELS = 3 * _SQUARE**2
_WIDTHS = (48, 96)
"""Channels at 16² and 8²."""
_FIRST_HALF = "+".join(f"unet#{step}" for step in range(1, STEPS // 2 + 1))
"""What the first half of the steps predicts; a single step changes little of a picture whose noise
goes on past it."""


def unet(widths: tuple[int, ...] = _WIDTHS) -> Any:
    """Build the network, a UNet2DModel with random weights."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=PICTURE_SIDE // _SQUARE,
        in_channels=_CHANNELS,
        out_channels=_CHANNELS,
        block_out_channels=widths,
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=widths[-1] // 2,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
    )


def scheduler() -> Any:
    """Build the scheduler, whose last training step is noise alone."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def squares_of(pictures: Tensor) -> Tensor:
    """Turn pictures [B, 3, 32, 32] into what the network sees, [B, 12, 16, 16]."""
    return pixel_unshuffle(pictures, _SQUARE)


def pixels_of(squares: Tensor) -> Tensor:
    """Undo `squares_of`."""
    return pixel_shuffle(squares, _SQUARE)


class Sampler(DiffusionSampler):
    """Noise [B, 12, 16, 16] becomes a picture [B, 3, 32, 32] in [−1, 1]; `unet` makes each step."""

    def forward(
        self, noise: Tensor, class_labels: Tensor | None = None, **conditions: Any
    ) -> Images:
        """Generate pictures."""
        return pixels_of(super().forward(noise, class_labels, **conditions))


def sample_latents(count: int, rng: torch.Generator) -> Tensor:
    """Draw the noise that the first step starts from."""
    side = PICTURE_SIDE // _SQUARE
    return torch.randn(count, _CHANNELS, side, side, generator=rng)


def load_sampler(weights: Path | None = None) -> Sampler:
    """Build the sampler with the network's trained weights.

    Raises:
        MissingExtraError: diffusers is not installed.
    """
    if not _installed():
        raise MissingExtraError(f"the generator {ENTRY.name!r}", "diffusers")
    network = filled(unet, weights or trained_here(ENTRY.name), ENTRY.how_to_get)
    return Sampler(network, scheduler(), STEPS)


def _installed() -> bool:
    return importlib.util.find_spec("diffusers") is not None


ENTRY = ZooEntry(
    name="diffusion-faces",
    family="pixel diffusion model (DDIM, 8 steps)",
    sizes=(PICTURE_SIDE,),
    licence="MIT (part of this library)",
    layers=(_FIRST_HALF, "unet#1", "unet.conv_in#4", "unet.up_blocks.1#4"),
    default_layer=_FIRST_HALF,
    image_range=(-1.0, 1.0),
    load=lambda weights, _: Loaded(load_sampler(weights), sample_latents),
    installed=_installed,
    how_to_get='pip install "regional_primitives[diffusers]"',
)
