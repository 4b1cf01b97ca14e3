"""The zoo: one dictionary of the generators that are known by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regional_primitives.errors import InputError
from regional_primitives.generators.cut import cut
from regional_primitives.generators.generator import Generator, Latents
from regional_primitives.generators.random_state import seeded
from regional_primitives.generators.zoo import faces, photos, terrain, toy, vaes
from regional_primitives.generators.zoo.photographs import read_photograph
from regional_primitives.runtime.arguments import AnyPath, path_of, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.storage import typed

__all__ = ["ZOO", "Loaded", "ZooEntry", "load_generator", "load_recorded"]


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

    @property
    def resolution(self) -> int:
        """Pixels a side, unless another size is asked for."""
        return self.sizes[0]


def _load_planted(weights: Path | None, size: int) -> Loaded:
    if weights is not None:
        raise InputError("'planted' is analytic and takes no weights")
    return Loaded(toy.PlantedNetwork(), toy.sample_latents)


def _load_photos(weights: Path | None, size: int) -> Loaded:
    decoder, encoder = photos.load_photos(weights)

    def latents_of(path: Path) -> Tensor:
        return photos.encode_photograph(encoder, read_photograph(path, size))

    return Loaded(decoder, photos.latent_sampler(encoder, size), latents_of)


def _vae(name: str, vae: vaes.Vae) -> ZooEntry:
    return ZooEntry(
        name=name,
        family=vae.family,
        sizes=(64,),
        licence=vae.licence,
        layers=vaes.LAYERS,
        default_layer=vaes.DEFAULT_LAYER,
        image_range=(0.0, 1.0),
        load=lambda weights, _: Loaded(vaes.load_vae(name, weights), vaes.sample_latents),
        installed=lambda: vaes.find_weights(name) is not None,
        how_to_get=vae.how_to_get,
    )


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry(
            name="faces",
            family="DCGAN",
            sizes=(64,),
            licence="MIT",
            layers=("main.2", "main.5", "main.8", "main.11"),
            default_layer="main.5",
            image_range=(-1.0, 1.0),
            load=lambda weights, _: Loaded(faces.load_faces(weights), faces.sample_latents),
            installed=lambda: faces.find_weights() is not None,
            how_to_get=faces.HOW_TO_GET,
        ),
        ZooEntry(
            name="terrain",
            family="one-step consistency U-Net (ADM)",
            sizes=(128,),
            licence="MIT",
            layers=terrain.LAYERS,
            default_layer=terrain.DEFAULT_LAYER,
            image_range=terrain.IMAGE_RANGE,
            load=lambda weights, _: Loaded(terrain.load_terrain(weights), terrain.sample_latents),
            installed=lambda: terrain.find_weights() is not None,
            how_to_get=terrain.HOW_TO_GET,
            baseline_count=128,  # half a minute of its half of the network
        ),
        ZooEntry(
            name="photos",
            family="tiny autoencoder of FLUX.2 (TAEF2)",
            sizes=(64, 128, 256),
            licence="MIT",
            layers=photos.LAYERS,
            default_layer=photos.DEFAULT_LAYER,
            image_range=(0.0, 1.0),
            load=_load_photos,
            installed=lambda: photos.find_weights() is not None,
            how_to_get=photos.HOW_TO_GET,
            baseline_count=1024,
        ),
        *(_vae(name, vae) for name, vae in vaes.VAES.items()),
        ZooEntry(
            name="planted",
            family="analytic, components known",
            sizes=(toy.PICTURE_SIDE,),
            licence="MIT (part of this library)",
            layers=("express",),
            default_layer="express",
            image_range=(-1.0, 1.0),
            load=_load_planted,
            installed=lambda: True,
            how_to_get="nothing to get",
        ),
    )
}


@ordinary()
def load_generator(
    name: str,
    layer: str | None = None,
    *,
    weights: AnyPath | None = None,
    size: int | None = None,
    device: str = "cpu",
    hold: str | None = None,
) -> Generator:
    """Load a generator of the zoo, cut at `layer` or at its default cut point.

    Args:
        name: as `rp.ZOO` and `primitives models` list it.
        layer: as for `rp.cut`; several are joined by plus signs.
        weights: a weights file of your own; of `photos`, the folder of both files; of a VAE,
            its file or the folder that it is in.
        size: pixels a side, where the generator has a choice.
        device: a torch device.
        hold: as for `rp.cut`: "normalisation", or None for the network as it is.

    Raises:
        InputError: no such generator, device, size, or hold.
        GeneratorError: no such layer, nothing to hold behind it, or weights that are not installed
            (the message has the command that gets them).
        StorageError: weights that are not the published ones.
    """
    entry = ZOO.get(name) if isinstance(name, str) else None
    if entry is None:
        raise InputError(f"generator {name!r} is not in the zoo; there are: {', '.join(ZOO)}")
    size = None if size is None else whole("size", size)
    weights = None if weights is None else path_of(weights, "the weights")
    side = entry.resolution if size is None else size
    if side not in entry.sizes:
        sizes = ", ".join(map(str, entry.sizes))
        raise InputError(f"{name!r} has no size {size}; it has: {sizes}")
    with seeded(0):  # layers are made with random weights, which are then replaced
        loaded = entry.load(weights, side)
    try:
        network = loaded.network.to(torch.device(device))
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"device {device!r} cannot be used: {str(error).splitlines()[0]}"
        ) from error
    options: dict[str, Any] = {"size": size} if size is not None else {}
    if weights is not None:
        options["weights"] = str(weights)
    generator = cut(
        network,
        entry.default_layer if layer is None else layer,
        sample_latents=loaded.sample_latents,
        image_range=entry.image_range,
        baseline_count=entry.baseline_count,
        hold=hold,
        name=name,
    )
    options |= generator.options
    return replace(generator, latents_of=loaded.latents_of, options=options)


@dataclass(frozen=True)
class _Options:
    """What a run may have on record of how its generator was loaded."""

    weights: str | None = None
    size: int | None = None
    device: str | None = None
    hold: str | None = None


def load_recorded(name: str, layer: str, options: Mapping[str, Any]) -> Generator:
    """Load the generator that a run has on record; raises what `load_generator` raises.

    Raises:
        InputError: options that it does not take.
    """
    try:
        asked = vars(typed(dict(options), _Options))
    except ValueError as error:
        raise InputError(f"the run's options for generator {name!r} cannot be: {error}") from error
    given = {option: value for option, value in asked.items() if value is not None}
    return load_generator(name, layer, **given)
