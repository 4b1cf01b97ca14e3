"""The zoo: one dictionary of the generators that are known by name, each described in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from regional_primitives.errors import InputError, first_line
from regional_primitives.generators.cut import cut
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.noise import seeded
from regional_primitives.generators.zoo import faces, photos, terrain, toy, vaes
from regional_primitives.generators.zoo.entry import ZooEntry
from regional_primitives.runtime.arguments import AnyPath, path_of, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.storage import typed

ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (faces.ENTRY, terrain.ENTRY, photos.ENTRY, *vaes.ENTRIES, toy.ENTRY)
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
        name: as `primitives models` lists it.
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
        raise InputError(f"device {device!r} cannot be used: {first_line(error)}") from error
    generator = cut(
        network,
        entry.default_layer if layer is None else layer,
        sample_latents=loaded.sample_latents,
        image_range=entry.image_range,
        baseline_count=entry.baseline_count,
        hold=hold,
        name=name,
    )
    asked = {"size": size, "weights": None if weights is None else str(weights)}
    options = {option: value for option, value in asked.items() if value is not None}
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
    """Load the generator that a run has on record; refuse options that it does not take."""
    try:
        asked = vars(typed(dict(options), _Options))
    except ValueError as error:
        raise InputError(f"the run's options for generator {name!r} cannot be: {error}") from error
    given = {option: value for option, value in asked.items() if value is not None}
    return load_generator(name, layer, **given)
