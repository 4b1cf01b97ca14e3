"""Train `diffusion-faces`: a pixel diffusion model of the pictures of `faces`, at 32 × 32.

    python -m training.diffusion_faces --out runs/diffusion-faces

Network and scheduler are those of the library diffusers: a U-Net that predicts v = α·ε − σ·x (arXiv
2202.00512) at a time drawn for each picture, and DDIM (arXiv 2010.02502). The U-Net sees 2 × 2
neighbouring pixels of three channels as one of twelve, as in arXiv 2301.11093, which saves most of
the time. It is trained in mixed precision (bfloat16), which is slow on processors without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DModel
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from training import loop
from training.pairs import faces

from regional_primitives.generators.diffusion import DiffusionSampler
from regional_primitives.runtime.streams import stream

PICTURE_SIDE = 32
STEPS = 8
_SQUARE = 2
"""Side of the squares of pixels that the network sees as one."""
_CHANNELS = 3 * _SQUARE**2
_WIDTHS = (48, 96)
"""Channels at 16² and 8²."""


def unet(widths: tuple[int, ...] = _WIDTHS) -> nn.Module:
    """Build the network, with random weights."""
    network: nn.Module = UNet2DModel(
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
    return network


def scheduler() -> Any:
    """Build the scheduler, whose last training step is noise alone."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def sample_latents(count: int, rng: torch.Generator) -> Tensor:
    """Draw the noise that the first step starts from."""
    side = PICTURE_SIDE // _SQUARE
    return torch.randn(count, _CHANNELS, side, side, generator=rng)


class DiffusionFaces:
    """A denoiser of pictures that are drawn once, `pool` of them."""

    shown = 48
    columns = 8

    def __init__(self, steps: int, batch: int, seed: int, pool: int = 16_384) -> None:
        self.batch, self.seed = batch, seed
        self.pictures = _squares(faces(pool, PICTURE_SIDE, seed, "pool")[1])
        torch.manual_seed(seed)
        self.unet = unet().to(memory_format=torch.channels_last)
        self.scheduler = scheduler()
        self.average = loop.averaged(self.unet, 0.999)
        self.optimiser = torch.optim.AdamW(self.unet.parameters(), 1e-3, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, 1.5e-3, total_steps=steps, pct_start=0.05, cycle_momentum=False
        )
        self.states = {
            "unet": self.unet, "average": self.average,
            "optimiser": self.optimiser, "schedule": self.schedule,
        }  # fmt: skip

    def step(self, number: int) -> float:
        """Take one step on pictures, noise and times of its own."""
        rng = stream(self.seed, "diffusion-faces", number)
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=rng)
        noisy, times, v = noised(self.scheduler, self.pictures[chosen], rng)
        with torch.autocast("cpu", torch.bfloat16):
            told = self.unet(noisy, times).sample
        loss = (told.float() - v).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.unet)
        return loss.item()

    def network(self) -> nn.Module:
        """Return the U-Net with averaged weights."""
        return self.average.module.eval()

    @torch.no_grad()
    def samples(self) -> Tensor:
        """Return pictures that the sampler makes."""
        noise = sample_latents(self.shown, stream(self.seed, "diffusion-faces", "sheet"))
        sampled = DiffusionSampler(self.network(), self.scheduler, STEPS)(noise)
        return pixel_shuffle(sampled, _SQUARE)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Compare errors of v on held-out pictures: the network's, a linear map's, the mean's."""
        held_out = _squares(faces(1024, PICTURE_SIDE, self.seed, "held out")[1])
        noisy, times, v = noised(
            self.scheduler, held_out, stream(self.seed, "diffusion-faces", "held out")
        )
        told = [
            self.network()(*some).sample
            for some in zip(noisy.split(64), times.split(64), strict=True)
        ]
        guesses = {"network": torch.cat(told)}
        alpha, sigma = scales(self.scheduler, times)
        for name, guess in (
            ("linear", linear_denoiser(self.pictures)),
            ("mean_picture", lambda *_: self.pictures.mean(0)),
        ):
            x = guess(noisy, alpha, sigma)
            guesses[name] = (alpha * noisy - x) / sigma
        return {
            f"v_error_{name}": float((v - one).square().mean()) for name, one in guesses.items()
        }


def _squares(pictures: Tensor) -> Tensor:
    return pixel_unshuffle(pictures, _SQUARE).contiguous(memory_format=torch.channels_last)


def noised(
    scheduler: nn.Module, pictures: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a time for each picture; return what it is with that much noise, the time, and v."""
    times = torch.randint(scheduler.config.num_train_timesteps, (len(pictures),), generator=rng)
    noise = torch.randn(pictures.shape, generator=rng)
    alpha, sigma = scales(scheduler, times)
    return alpha * pictures + sigma * noise, times, alpha * noise - sigma * pictures


def scales(scheduler: nn.Module, times: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much there is of picture and noise at each time, [B, 1, 1, 1]."""
    power = scheduler.alphas_cumprod[times][:, None, None, None]
    return power.sqrt(), (1 - power).sqrt()


def linear_denoiser(pictures: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the best linear map from (noisy, alpha, sigma) to pictures: that of a normal law."""
    mean, flat = pictures.mean(0), pictures.flatten(1)
    variances, axes = torch.linalg.eigh(flat.T.cov())

    def denoised(noisy: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        alpha, sigma = alpha.flatten(1), sigma.flatten(1)
        seen = (noisy.flatten(1) - alpha * mean.flatten()) @ axes
        gain = alpha * variances / (alpha.square() * variances + sigma.square())
        return mean + ((gain * seen) @ axes.T).view_as(noisy)

    return denoised


def main(words: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    asked = loop.options(__doc__, steps=18_000, batch=32).parse_args(words)
    loop.run(DiffusionFaces(asked.steps, asked.batch, asked.seed), asked)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
