"""Pairs of a latent and the picture that `faces` makes of it: as many as one asks for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from regional_primitives.generators.zoo.faces import load_faces, sample_latents
from regional_primitives.runtime.streams import stream


@torch.no_grad()
def faces(count: int, side: int, seed: int, *names: str) -> tuple[Tensor, Tensor]:
    """Draw latents [count, 100, 1, 1] and pictures [count, 3, side, side] in [−1, 1].

    Seed and names together choose them; `side` is 64 divided by a whole number.
    """
    network = load_faces().to(memory_format=torch.channels_last)
    latents = sample_latents(count, stream(seed, "faces", *names))
    pictures = [avg_pool2d(network(some), 64 // side) for some in latents.split(64)]
    return latents, torch.cat(pictures)
