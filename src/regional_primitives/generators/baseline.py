"""The baseline feature f0: the mean of head(z) over many latents, streamed and cached."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import batch_size, map_latents, parts
from regional_primitives.runtime.cache import cached_tensors
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.storage import tensors_digest

__all__ = ["baseline_feature"]

_BATCH = 256


def baseline_feature(
    generator: Generator, count: int = 4096, seed: int = 0, progress: Progress = silent
) -> Float[Tensor, "1 *feature"]:
    """Return f0, the least informative feature: the mean over `count` latents [paper, section 3].

    A `baseline=` or `baseline_latents=` given to `rp.cut` goes before drawing. Latents are drawn
    one stream an item and summed in float64, so that the result does not depend on the batch size
    beyond rounding. The result is kept on disk under the head's weights, code and settings, the
    first latents, count and seed.

    Raises:
        InputError: a count below 1.
        GeneratorError: the mean is not finite.
    """
    if count < 1:
        raise InputError(f"the baseline needs at least one latent, not {count}")
    if generator.baseline is not None:
        return generator.baseline.float().to(generator.device)
    if generator.baseline_latents is not None:
        latents = generator.baseline_latents
        total, size = torch.zeros(()), batch_size(latents)
        for start in range(0, size, _BATCH):
            part = map_latents(lambda tensor, at=start: tensor[at : at + _BATCH], latents)  # type: ignore[misc]
            total = total + generator.head(part).double().sum(0, keepdim=True)
        return _finite((total / size).float())

    def compute() -> dict[str, Tensor]:
        total, done = torch.zeros(()), 0
        for latents in generator.stream_latents(count, seed, "baseline", _BATCH):
            total = total + generator.head(latents).double().sum(0, keepdim=True)
            done += batch_size(latents)
            progress("baseline", done, count)
        return {"baseline": _finite((total / count).float()).cpu()}

    first = next(generator.stream_latents(min(count, 16), seed, "baseline", _BATCH))
    key = "/".join(
        (_identity(generator.head_module), tensors_digest(parts(first)), str(count), str(seed))
    )
    return cached_tensors("baseline", key, compute)["baseline"].to(generator.device)


def _identity(head: nn.Module) -> str:
    """Name all that the head computes with: tensors, code, and each layer's own settings.

    Two heads with the same weights may differ in a setting alone, such as LeakyReLU's slope.
    """
    tensors = {**dict(head.named_parameters()), **dict(head.named_buffers())}
    settings = [
        (name, type(layer).__name__, attribute, getattr(value, "__qualname__", repr(value)))
        for name, layer in head.named_modules()
        if layer is not head
        for attribute, value in sorted(vars(layer).items())
        if callable(value) or isinstance(value, (bool, int, float, str, tuple))
    ]
    return "/".join((tensors_digest(tensors), str(getattr(head, "code", "")), repr(settings)))


def _finite(feature: Tensor) -> Tensor:
    if not bool(feature.isfinite().all()):
        raise GeneratorError("the baseline feature is not finite")
    return feature
