"""The baseline feature f0: the mean of head(z) over many latents, streamed and cached."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.feature import (
    Feature,
    FeatureShape,
    feature_of,
    map_feature,
    tensor_shapes,
    tensors_of,
    unit_count,
)
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, batch_size, items, parts
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.cache import cached_tensors
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.storage import tensors_digest

_BATCH = 256
_BYTES = 64 * 2**20
"""A batch of features takes up no more than this."""


def baseline_feature(
    generator: Generator, count: int | None = None, seed: int = 0, progress: Progress = silent
) -> Feature:
    """Return f0, the least informative feature: the mean over `count` latents [paper, section 3].

    A `baseline=` or `baseline_latents=` given to `rp.cut` goes before drawing; without `count`, the
    generator's own `baseline_count` counts. Latents are drawn one stream an item and summed in
    float64, so that the result does not depend on the batch size beyond rounding. The result is
    kept on disk under what the head makes of the first latents, weights, count and seed.

    Raises:
        InputError: a count below 1, or a baseline of another shape than the feature.
        GeneratorError: the mean is not finite.
    """
    count = generator.baseline_count if count is None else count
    count = whole("the number of latents for the baseline", count, 1)
    shape = generator.feature_shape

    def here(feature: Feature) -> Feature:
        return map_feature(lambda tensor: tensor.float().to(generator.device), feature)

    if generator.baseline is not None:
        return here(fit_baseline(generator.baseline, shape))
    batch = min(max(1, min(_BATCH, _BYTES // (8 * max(1, unit_count(shape))))), generator.chunk)
    if generator.baseline_latents is not None:
        latents, size = generator.baseline_latents, batch_size(generator.baseline_latents)
        chunks = (items(latents, at, at + batch) for at in range(0, size, batch))
        return _mean(generator, chunks, size, progress)
    first = next(generator.stream_latents(min(count, 16), seed, "baseline", 16))
    made = enumerate(tensors_of(generator.head(first)))
    # Two heads that give the same features for 16 latents, bit by bit, are the same head.
    given, gives = (tensors_digest(x) for x in (parts(first), {str(i): part for i, part in made}))
    key = f"{generator.digest}/{given}/{gives}/{count}/{seed}"

    def compute() -> dict[str, Tensor]:
        drawn = generator.stream_latents(count, seed, "baseline", batch)
        mean = tensors_of(_mean(generator, drawn, count, progress))
        return {f"baseline.{i}": tensor.cpu() for i, tensor in enumerate(mean)}

    shapes = {f"baseline.{i}": (1, *one) for i, one in enumerate(tensor_shapes(shape))}
    found = cached_tensors("baseline", key, shapes, compute)
    return here(feature_of(found[name] for name in shapes))


def _mean(
    generator: Generator, chunks: Iterable[Latents], count: int, progress: Progress
) -> Feature:
    totals: list[Tensor] = []
    done = 0
    for latents in chunks:
        tensors = tensors_of(generator.head(latents))
        sums = [tensor.double().sum(0, keepdim=True) for tensor in tensors]
        totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums
        done += batch_size(latents)
        progress("baseline", done, count)
    means = [(total / count).float() for total in totals]
    if not all(bool(mean.isfinite().all()) for mean in means):
        raise GeneratorError("the baseline feature is not finite")
    return feature_of(means)


def fit_baseline(baseline: Feature | None, shape: FeatureShape) -> Feature:
    """Give a user's baseline its batch axis; raises InputError if it has another shape."""
    shapes = tensor_shapes(shape)
    tensors = () if baseline is None else tensors_of(baseline)
    fits = len(tensors) == len(shapes) and all(
        tuple(tensor.shape) in (one, (1, *one)) for tensor, one in zip(tensors, shapes, strict=True)
    )
    if not fits:
        found = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        expected = ", ".join(str([1, *one]) for one in shapes)
        raise InputError(f"baseline has shape {found}; expected {expected}")
    return feature_of(tensor.reshape(1, *one) for tensor, one in zip(tensors, shapes, strict=True))
