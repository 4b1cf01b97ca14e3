"""The zoo: one dictionary of the generators that are known by name, each described in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import torch

from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.cut import cut
from regional_primitives.generators.factory import made_by, names_a_factory, registered
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.noise import seeded
from regional_primitives.generators.zoo import (
    denoiser,
    faces,
    latent,
    photos,
    residual,
    style,
    terrain,
    toy,
    vaes,
)
from regional_primitives.generators.zoo.entry import ZooEntry
from regional_primitives.runtime.arguments import AnyPath, path_of, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.storage import typed

ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        faces.ENTRY,
        terrain.ENTRY,
        photos.ENTRY,
        latent.ENTRY,
        *vaes.ENTRIES,
        style.ENTRY,
        residual.ENTRY,
        denoiser.ENTRY,
        toy.ENTRY,
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
    **options: Any,
) -> Generator:
    """Load a generator by name, cut at `layer` or at its default cut point.

    Args:
        name: as `primitives models` lists it; or a function of your own that returns what `rp.cut`
            returns, as `package.module:function` or `path/file.py:function`, which is imported
            and called with those of the further arguments that are not None.
        layer: as for `rp.cut`; several are joined by plus signs.
        weights: a weights file of your own; of `photos`, the folder of both files; of a VAE,
            its file or the folder that it is in.
        size: pixels a side, where the generator has a choice.
        device: a torch device.
        hold: as for `rp.cut`: "normalisation", or None for the network as it is.
        options: further keyword arguments of a function of your own.

    Raises:
        InputError: no such generator, device, size, hold or option.
        GeneratorError: no such layer, nothing to hold behind it, or weights that are not installed
            (the message has the command that gets them).
        StorageError: weights that are not the published ones.
    """
    entry = ZOO.get(name) if isinstance(name, str) else None
    if entry is None:
        if not isinstance(name, str) or not names_a_factory(name):
            raise InputError(_unknown(name))
        asked = {"weights": weights, "size": size, "device": device, "hold": hold, **options}
        default = {"weights": None, "size": None, "device": "cpu", "hold": None}
        given = {key: value for key, value in asked.items() if value != default.get(key)}
        return made_by(name, layer, given)
    if options:
        raise InputError(f"{name!r} takes no option {next(iter(options))!r}")
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
    chosen = {"size": size, "weights": None if weights is None else str(weights)}
    options = {option: value for option, value in chosen.items() if value is not None}
    options |= generator.options
    return replace(
        generator,
        latents_of=loaded.latents_of,
        parts=entry.parts and entry.parts(),
        options=options,
    )


def _unknown(name: Any) -> str:
    known = [*ZOO, *registered()]
    close = get_close_matches(name, known, 1) if isinstance(name, str) else []
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"generator {name!r} is not in the zoo; {hint}there are: {', '.join(known)}; one of your "
        "own is package.module:function or path/file.py:function"
    )


@dataclass(frozen=True)
class _Options:
    """What a run may have on record of how its generator was loaded."""

    weights: str | None = None
    size: int | None = None
    device: str | None = None
    hold: str | None = None


def load_recorded(
    name: str, layer: str, options: Mapping[str, Any], model: str | None = None, **given: Any
) -> Generator:
    """Load the generator that a run has on record; refuse options that it does not take.

    Args:
        name: of the generator, as run.json has it.
        layer: likewise.
        options: likewise.
        model: the function that makes it, where a person has named it here and now; what run.json
            says of it is not imported.
        given: further options of that function, in place of those on record.

    Raises:
        InputError: options that cannot be.
        GeneratorError: neither a generator of the zoo nor one that was named, or it cannot be made.
    """
    own = options.get("factory")
    if model is not None:
        recorded = own.get("options") if isinstance(own, dict) else None
        return load_generator(
            model, **{**(recorded if isinstance(recorded, dict) else {}), **given}
        )
    if own is not None or name not in ZOO:
        made = own.get("model") if isinstance(own, dict) else None
        raise GeneratorError(
            f"this run was made with {made or name!r}, which is not in the zoo, and whose code is "
            "only run when you name it: on the command line with --model "
            f"{made or 'file.py:function'}; in Python, load the network and pass it to "
            "rp.evaluate, rp.edit or rp.sanity"
        )
    try:
        asked = vars(typed(dict(options), _Options))
    except ValueError as error:
        raise InputError(f"the run's options for generator {name!r} cannot be: {error}") from error
    chosen = {option: value for option, value in asked.items() if value is not None}
    return load_generator(name, layer, **chosen)
