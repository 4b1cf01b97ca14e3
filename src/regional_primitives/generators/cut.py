"""Cutting a network at a layer: validated once, here, so that all later stages can rely on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, batch_size, map_latents, parts
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
    image_range = _black_and_white(image_range)
    if sample_latents is None and baseline is None and baseline_latents is None:
        raise InputError("pass sample_latents=, baseline_latents= or baseline=: f0 is needed")
    _refuse_non_finite(module)
    weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    twin = frozen_twin(module)
    uncut = Generator(
        name=name or type(module).__name__,
        layer=layer,
        network=twin,
        head_module=twin,
        tail_module=nn.Identity(),
        image_range=image_range,
        digest=tensors_digest(weights),
        sampler=sample_latents,
        baseline_latents=baseline_latents,
    )
    examples: list[Latents] = []
    if sample_latents is not None:
        examples.append(uncut.sample_latents(2))
        if not _same(examples[0], uncut.sample_latents(2)):
            raise InputError("sample_latents(count, rng) must draw from rng and nothing else")
    if baseline_latents is not None:
        if batch_size(baseline_latents) < 1:
            raise InputError("baseline_latents is empty")
        examples.append(map_latents(lambda part: part[:2], baseline_latents))
    for latents in examples:
        uncut.verify_network(latents)
    split = trace(twin, examples[0] if examples else None).split(layer)
    generator = replace(uncut, head_module=split.head, tail_module=split.tail)
    for latents in examples:
        generator.verify_cut(latents)
    if baseline is None:
        return generator
    return replace(
        generator, baseline=_as_feature(baseline, generator, examples[0] if examples else None)
    )


def _same(latents: Latents, others: Latents) -> bool:
    pairs = zip(parts(latents).values(), parts(others).values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def _as_feature(baseline: Tensor, generator: Generator, latents: Latents | None) -> Tensor:
    """Give the user's baseline its batch axis, once it is known to fit the tail."""
    if not isinstance(baseline, Tensor) or not baseline.is_floating_point():
        raise InputError(f"baseline is a tensor of real numbers, not {_kind(baseline)}")
    if not bool(baseline.isfinite().all()):
        raise InputError("baseline holds NaN or infinite values")
    baseline = baseline.detach().float()
    if latents is not None:
        shape = list(generator.head(latents).shape[1:])
        if list(baseline.shape) not in (shape, [1, *shape]):
            raise InputError(f"baseline has shape {list(baseline.shape)}; expected {[1, *shape]}")
        return baseline.reshape(1, *shape)
    for candidate in (baseline, baseline[None]):
        if candidate.ndim > 1 and len(candidate) == 1 and generator.accepts(candidate):
            return candidate
    raise InputError(
        f"baseline has shape {list(baseline.shape)}; behind {generator.layer!r} it gives no image "
        "[1, channels, height, width]"
    )


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__


def _one_layer(layer: str | Sequence[str]) -> str:
    names = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    if len(names) != 1 or not isinstance(names[0], str) or not names[0]:
        raise InputError(f"give the name of one layer, such as 'main.5', not {layer!r}")
    return names[0]


def _black_and_white(image_range: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in image_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"image_range is (black, white) with black < white, not {image_range!r}")
    return low, high


def _refuse_non_finite(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point():
            # A buffer may hold −∞ on purpose, as attention masks do; NaN is never meant.
            wrong = ~tensor.isfinite() if isinstance(tensor, nn.Parameter) else tensor.isnan()
            broken = int(wrong.sum())
            if broken:
                raise GeneratorError(
                    f"weight {name!r} holds NaN or infinite values "
                    f"({broken:,} of {tensor.numel():,})"
                )
