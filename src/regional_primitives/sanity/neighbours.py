"""The same network cut one layer earlier or later."""

from __future__ import annotations

from dataclasses import replace

from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.generators.layers import Layer
from regional_primitives.generators.recorded.recording import record


def neighbour(generator: Generator, latents: Latents, step: int) -> Generator:
    """Cut at the layer that comes `step` calls later (or earlier, below 0) of those of its kind.

    Of its kind are submodules of the same class, such as the other activations or blocks.

    Raises:
        InputError: there is none, or f0 belongs to the layer.
    """
    if len(generator.layers) > 1:
        raise InputError("it is cut at several layers")
    if generator.baseline is not None:
        raise InputError("f0 was given as a feature of this layer")
    layer, parts = generator.layers[0], dict(generator.network.module.named_modules())
    calls = [(name, call) for name, call, *_ in record(generator.network, latents).returned]
    alike = [key for key in calls if type(parts[key[0]]) is type(parts[layer.module])]
    place = alike.index((layer.module, layer.call or 1)) + step
    if not 0 <= place < len(alike):
        raise InputError(f"no layer of its kind lies {'before' if step < 0 else 'behind'} it")
    name, call = alike[place]
    several = sum(module == name for module, _ in alike) > 1
    there = Layer(name, call if several else None, layer.output)
    return replace(generator, layers=(there,), behind=None, picture=None, last={})
