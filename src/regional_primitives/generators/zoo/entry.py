"""What the zoo knows of a generator, and what it loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from regional_primitives.generators.latents import Latents
from regional_primitives.regions import Regions


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, and where its pictures come from."""

    network: nn.Module
    sample_latents: Callable[[int, torch.Generator], Latents]
    latents_of: Callable[[Path], Latents] | None = None
    """Finds the latents of a picture file, for generators that can."""


@dataclass(frozen=True)
class ZooEntry:
    """What the zoo knows of a generator, and how it is loaded."""

    name: str
    family: str
    sizes: tuple[int, ...]
    """Pixels a side that it can generate, its own choice first."""
    licence: str
    layers: tuple[str, ...]
    """Cut points worth using, from the latent to the picture."""
    default_layer: str
    image_range: tuple[float, float]
    load: Callable[[Path | None, int], Loaded]
    """Builds it from a weights file or folder (None: where it is installed), for a size."""
    installed: Callable[[], bool]
    how_to_get: str
    baseline_count: int = 4096
    parts: Callable[[], Regions] | None = None
    """The parts of what it shows, drawn by us for its aligned pictures."""

    @property
    def resolution(self) -> int:
        """Pixels a side, unless another size is asked for."""
        return self.sizes[0]
