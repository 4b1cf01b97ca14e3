"""Cutting a network at a layer: validated once, here, so that all later stages can rely on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, batch_size, map_latents
from regional_primitives.generators.trace import frozen_twin, trace
from regional_primitives.runtime.storage import tensors_digest

__all__ = ["cut"]


def cut(
    module: nn.Module,
    layer: str | Sequence[str],
    *,
    sample_latents: Callable[[int, torch.Generator], Latents] | None = None,
    image_range: tuple[float, float] = (-1.0, 1.0),
    baseline: Tensor | None = None,
    baseline_latents: Latents | None = None,
    name: str | None = None,
) -> Generator:
    """Cut `module` at the output of the submodule `layer`, as `module.named_modules()` names it.

    The module is left as found: what runs is a frozen twin that shares its weights' storage.

    Args:
        module: any network whose image flows through that one output.
        layer: the submodule's dotted name, such as `main.5`.
        sample_latents: draws `count` latents, batch first, from a torch.Generator.
        image_range: the values of black and white.
        baseline: the baseline feature f0, [1, *feature_shape] or [*feature_shape], if it is not to
            be the mean feature of many latents.
        baseline_latents: the latents whose mean feature is f0, if they are not to be drawn.
        name: what reports call the generator; the class name unless given.

    Raises:
        InputError: a malformed argument.
        GeneratorError: wrong layer, weights that are not finite, a network that cannot be traced,
            draws random numbers or gives no image.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"cut needs a torch.nn.Module, not {type(module).__name__}")
    layer = _one_layer(layer)
    low, high = image_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"image_range is (black, white) with black < white, not {image_range}")
    if sample_latents is None and baseline is None and baseline_latents is None:
        raise InputError("pass sample_latents=, baseline_latents= or baseline=: f0 is needed")
    weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    _refuse_non_finite(weights)
    twin = frozen_twin(module)
    split = trace(twin).split(layer)
    generator = Generator(
        name=name or type(module).__name__,
        layer=layer,
        network=twin,
        head_module=split.head,
        tail_module=split.tail,
        image_range=(float(low), float(high)),
        digest=tensors_digest(weights),
        sampler=sample_latents,
        baseline=None if baseline is None else baseline.detach(),
        baseline_latents=baseline_latents,
    )
    if sample_latents is not None:
        generator.verify(generator.sample_latents(2))
    elif baseline_latents is not None:
        if batch_size(baseline_latents) < 1:
            raise InputError("baseline_latents is empty")
        generator.verify(map_latents(lambda part: part[:2], baseline_latents))
    return generator


def _one_layer(layer: str | Sequence[str]) -> str:
    names = [layer] if isinstance(layer, str) else list(layer)
    if len(names) != 1 or not isinstance(names[0], str) or not names[0]:
        raise InputError(f"give the name of one layer, such as 'main.5', not {layer!r}")
    return names[0]


def _refuse_non_finite(weights: dict[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            broken = tensor.numel() - int(tensor.isfinite().sum())
            if broken:
                raise GeneratorError(
                    f"weight {name!r} holds NaN or infinite values "
                    f"({broken:,} of {tensor.numel():,})"
                )
