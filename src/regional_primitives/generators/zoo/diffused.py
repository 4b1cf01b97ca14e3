"""`diffusion-faces`, not in the zoo yet: a small pixel diffusion model of 32 × 32 faces.

Network and scheduler are those of the library diffusers: a U-Net that predicts v (arXiv
2202.00512), and DDIM (arXiv 2010.02502). training/diffusion_faces.py trains it on pictures
of `faces`; no weights of it are good enough yet to be kept.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regional_primitives.errors import MissingExtraError
from regional_primitives.generators.diffusion import DiffusionSampler
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.weights import filled, trained_here

PICTURE_SIDE = 32
STEPS = 8
_WIDTHS = (16, 32, 64)
"""Channels at 32², 16² and 8²."""


def unet(widths: tuple[int, ...] = _WIDTHS) -> nn.Module:
    """Build the network, with random weights."""
    network: nn.Module = _diffusers().UNet2DModel(
        sample_size=PICTURE_SIDE,
        block_out_channels=widths,
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=widths[-1] // 2,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
    )
    return network


def scheduler() -> Any:
    """Build the scheduler, whose last training step is noise alone."""
    return _diffusers().DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtraError("the generator 'diffusion-faces'", "diffusers") from error
    return diffusers


def sample_latents(count: int, rng: torch.Generator) -> Tensor:
    """Draw the noise that the first step starts from."""
    return torch.randn(count, 3, PICTURE_SIDE, PICTURE_SIDE, generator=rng)


def load_diffusion(weights: Path | None = None) -> DiffusionSampler:
    """Build the sampler around the network with its trained weights."""
    network = filled(unet, weights or trained_here(ENTRY.name), ENTRY.how_to_get)
    return DiffusionSampler(network, scheduler(), STEPS).eval()


ENTRY = ZooEntry(
    name="diffusion-faces",
    family="pixel diffusion model (U-Net, DDIM)",
    sizes=(PICTURE_SIDE,),
    licence="MIT (part of this library)",
    layers=("unet.mid_block#1", "unet.up_blocks.0#1", "unet.up_blocks.1#1"),
    default_layer="unet.up_blocks.0#1",
    image_range=(-1.0, 1.0),
    load=lambda weights, _: Loaded(load_diffusion(weights), sample_latents),
    installed=lambda: importlib.util.find_spec("diffusers") is not None,
    how_to_get='pip install "regional_primitives[diffusers]"',
    baseline_count=256,
)
