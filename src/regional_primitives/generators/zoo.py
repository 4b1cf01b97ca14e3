"""The zoo: one dictionary of the generators that are known by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from regional_primitives.errors import InputError
from regional_primitives.generators import faces, toy
from regional_primitives.generators.cut import cut
from regional_primitives.generators.generator import Generator, Latents

__all__ = ["ZOO", "ZooEntry", "load_generator"]


@dataclass(frozen=True)
class ZooEntry:
    """What the zoo knows of a generator, and how it is loaded."""

    name: str
    family: str
    resolution: int
    """Pixels a side."""
    licence: str
    layers: tuple[str, ...]
    """Cut points worth using, from the latent to the picture."""
    default_layer: str
    image_range: tuple[float, float]
    sample_latents: Callable[[int, torch.Generator], Latents]
    load: Callable[[Path | None], nn.Module]
    installed: Callable[[], bool]
    how_to_get: str


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry(
            name="faces",
            family="DCGAN",
            resolution=64,
            licence="MIT",
            layers=("main.2", "main.5", "main.8", "main.11"),
            default_layer="main.5",
            image_range=(-1.0, 1.0),
            sample_latents=faces.sample_latents,
            load=faces.load_faces,
            installed=lambda: faces.find_weights() is not None,
            how_to_get=faces.HOW_TO_GET,
        ),
        ZooEntry(
            name="planted",
            family="analytic, components known",
            resolution=toy.PICTURE_SIDE,
            licence="MIT (part of this library)",
            layers=("express",),
            default_layer="express",
            image_range=(-1.0, 1.0),
            sample_latents=toy.sample_latents,
            load=lambda _: toy.PlantedNetwork(),
            installed=lambda: True,
            how_to_get="nothing to get",
        ),
    )
}


def load_generator(
    name: str, layer: str | None = None, *, weights: str | Path | None = None, device: str = "cpu"
) -> Generator:
    """Load a generator of the zoo, cut at `layer` or at its default cut point.

    Raises:
        InputError: no such generator, or no such device.
        GeneratorError: no such layer, or weights that are not installed (the message has the
            command that gets them).
        StorageError: weights that are not the published ones.
    """
    entry = ZOO.get(name)
    if entry is None:
        raise InputError(f"generator {name!r} is not in the zoo; there are: {', '.join(ZOO)}")
    network = entry.load(Path(weights) if weights is not None else None)
    try:
        network = network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} cannot be used: {str(error).splitlines()[0]}"
        ) from error
    return cut(
        network,
        entry.default_layer if layer is None else layer,
        sample_latents=entry.sample_latents,
        image_range=entry.image_range,
        name=name,
    )
