"""Networks whose trained weights are shuffled, in whole or from the picture downwards.

Each weight tensor keeps its numbers and loses their order, as in the model randomisation tests of
Adebayo et al. 2018 (arXiv 1810.03292), where weights are drawn anew; shuffled, they keep their
scale in any network, so that the picture does not go blank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn

from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.generators.noise import RandomState
from regional_primitives.generators.recorded.recording import record
from regional_primitives.generators.twin import frozen_twin
from regional_primitives.runtime.modes import Turn
from regional_primitives.runtime.streams import stream


def parts_in_order(generator: Generator, latents: Latents) -> tuple[list[str], list[str]]:
    """List submodules with weights of their own before the cut and behind it, as they are called.

    A submodule that is called on both sides, as by a sampler's steps, counts as behind.
    """
    network = generator.network
    own = {
        name
        for name, part in network.module.named_modules()
        if any(value is not None for value in part._parameters.values())
    }
    returned = record(network, latents).returned
    cut, calls = 0, [(name, call) for name, call, *_ in returned]
    for layer in generator.layers:
        cut = max(cut, calls.index((layer.module, layer.call or 1)))
    last = {name: place for place, (name, _) in enumerate(calls) if name in own}
    inside = tuple(f"{layer.module}." for layer in generator.layers)
    before: list[str] = []
    behind: list[str] = []
    for name in sorted(last, key=lambda name: last[name]):
        at_cut = name.startswith(inside) or any(name == layer.module for layer in generator.layers)
        (before if at_cut or last[name] <= cut else behind).append(name)
    return before, behind


def shuffled(generator: Generator, parts: Collection[str] | None, seed: int) -> Generator:
    """Shuffle the weights of some submodules, all of them for None, entry by entry.

    Raises:
        InputError: none of them has weights.
    """
    known = generator.network
    twin = frozen_twin(known.module)
    count = 0
    for name, part in twin.named_modules():
        if parts is not None and name not in parts:
            continue
        for kind in (part._parameters, part._buffers):
            for key, value in kind.items():
                if value is None or not value.is_floating_point() or value.numel() < 2:
                    continue
                mixed = _mixed(value.detach(), stream(seed, "shuffled", name, key))
                frozen = isinstance(value, nn.Parameter)
                kind[key] = nn.Parameter(mixed, requires_grad=False) if frozen else mixed
                count += 1
    if count == 0:
        raise InputError("there are no weights to shuffle")
    network = replace(
        known, module=twin, draws={}, repeats={}, turn=Turn(), random_state=RandomState()
    )
    chosen = "all" if parts is None else ",".join(sorted(parts))
    told = f"{generator.network_digest}/shuffled {chosen} {seed}"
    return replace(
        generator,
        network=network,
        network_digest=hashlib.sha256(told.encode()).hexdigest(),
        behind=None,
        picture=None,
        last={},
    )


def _mixed(value: Tensor, rng: torch.Generator) -> Tensor:
    order = torch.randperm(value.numel(), generator=rng).to(value.device)
    return value.flatten()[order].view_as(value)
