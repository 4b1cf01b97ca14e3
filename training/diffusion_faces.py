"""Train `diffusion-faces`: a pixel diffusion model of the pictures of `faces`, at 32 × 32.

    python -m training.diffusion_faces --out runs/diffusion-faces

It is trained in mixed precision (bfloat16), which is slow on processors without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from training import loop
from training.pairs import faces

from regional_primitives.generators.zoo.denoiser import (
    PICTURE_SIDE,
    STEPS,
    Sampler,
    sample_latents,
    scheduler,
    squares_of,
    unet,
)
from regional_primitives.runtime.streams import stream


class DiffusionFaces:
    """A denoiser of pictures that are drawn once, `pool` of them."""

    shown = 48
    columns = 8

    def __init__(self, steps: int, batch: int, seed: int, pool: int = 16_384) -> None:
        self.batch, self.seed = batch, seed
        self.pictures = squares_of(faces(pool, PICTURE_SIDE, seed, "pool")[1]).contiguous(
            memory_format=torch.channels_last
        )
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
        return Sampler(self.network(), self.scheduler, STEPS)(noise)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Compare errors of v on held-out pictures: the network's, a linear map's, the mean's."""
        held_out = squares_of(faces(1024, PICTURE_SIDE, self.seed, "held out")[1])
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
