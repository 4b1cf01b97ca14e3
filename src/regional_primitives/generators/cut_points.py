"""Where a network can be cut: every layer that gives a feature, and what lies behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.diffusion import adapt
from regional_primitives.generators.feature import FeatureShape
from regional_primitives.generators.generator import Generator, chunk_of
from regional_primitives.generators.latents import (
    Latents,
    batch_size,
    items,
    refuse_not_finite,
    repeated,
)
from regional_primitives.generators.layers import Layer
from regional_primitives.generators.layout import Parts
from regional_primitives.generators.network import ImageOf, Network, refuse_no_image
from regional_primitives.generators.recorded.dependence import Behind, Cut
from regional_primitives.generators.recorded.recording import Met, Recording, record
from regional_primitives.generators.twin import frozen_twin, untouched
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.streams import stream

_TIMED = 2
"""Runs of which each operation's shorter time counts."""


@dataclass(frozen=True)
class CutPoint:
    """A layer that `rp.cut` can cut at."""

    name: str
    """As `rp.cut` takes it; `#2` is the second of several calls in a forward pass."""
    feature_shape: FeatureShape
    parameters_behind: int
    """Parameters that the tail uses."""
    operations_behind: int
    """Torch functions that the tail calls."""
    time_share: float
    """Share of the whole network's run time that the tail takes."""
    seconds_per_item: float
    """Time of the tail, forward; of one item in a batch of two."""
    bytes_per_item: int
    """Memory between feature and image, an item."""
    chunk: int
    """How many items a fit takes through the tail at once, so that memory stays bounded."""
    flows_past: tuple[str, ...]
    """Submodules from which something of the picture flows past the cut; held for each picture."""


@ordinary()
def layers(
    network: Any,
    example: Latents | None = None,
    *,
    fixed: Mapping[str, Any] | None = None,
    image: ImageOf = None,
    call: str | None = None,
    count: str | None = None,
    steps: int | None = None,
    prompt: str | None = None,
    guidance: float | None = None,
) -> list[CutPoint]:
    """List the layers of a network in the order in which they run.

    Where several submodules return the very same value, as a container and its last layer do, the
    outermost is listed; `rp.cut` takes any of them.

    Args:
        network: a torch.nn.Module that gives images, a generator, or what else `rp.cut` takes.
        example: latents of one picture (of several, the first counts); a generator draws its own.
        fixed: as in `rp.cut`.
        image: as in `rp.cut`.
        call: as in `rp.cut`.
        count: as in `rp.cut`.
        steps: as in `rp.cut`, of a sampler.
        prompt: as in `rp.cut`, of a pipeline.
        guidance: as in `rp.cut`, of a pipeline or sampler.

    Raises:
        InputError: no example, one that is not finite, or one that the network rejects.
        GeneratorError: the network gives no image.
    """
    if isinstance(network, Generator):
        example = network.sample_latents(1) if example is None else example
        whole, own = network.network, nn.Module()
    else:
        known = adapt(
            network,
            steps,
            prompt=prompt,
            guidance=guidance,
            fixed=fixed,
            image=image,
            call=call,
            count=count,
        )
        if example is None and known.sample_latents is not None:
            example = known.sample_latents(1, stream(0))
        own = known.module
        whole = Network(
            frozen_twin(own), known.fixed, known.image_of, call=known.call, count=known.count
        )
    if example is None:
        raise InputError("pass example=, the latents of one picture")
    if batch_size(example) < 1:
        raise InputError("the example is empty")
    latents = items(example, 0, 1)
    refuse_not_finite(latents)
    with untouched(own):
        refuse_no_image(whole.run(latents).detach(), 1)
    runs = [record(whole, repeated(latents, 2)) for _ in range(_TIMED)]
    three = record(whole, repeated(latents, 3))
    return _cut_points(whole, runs, three)


def _cut_points(network: Network, runs: list[Recording], three: Recording) -> list[CutPoint]:
    """List the layers of several runs of two items, whose shorter times count, and one of three."""
    if len({len(run.operations) for run in runs}) > 1:
        raise GeneratorError("the network takes another path each time it runs")
    two, times = runs[0], zip(*(run.operations for run in runs), strict=True)
    operations = [replace(same[0], seconds=min(one.seconds for one in same)) for same in times]
    calls = {name: call for name, call, _, _ in two.returned}  # the last call counts them
    found: dict[tuple[Any, ...], tuple[str, FeatureShape]] = {}
    again = {(name, call): numbers for name, call, numbers, _ in three.returned}
    for name, call, numbers, done in two.returned:
        shape = _shape((two, numbers), (three, again.get((name, call), [])))
        if shape is not None:
            # A container comes after its last layer and takes its place.
            place = (done, *(i for i in numbers if _is_real(two.values[i])))
            found[place] = (name if calls[name] == 1 else f"{name}#{call}", shape)
    cuts = [Cut(tuple(values), start) for start, *values in found]
    behind = Behind(two, operations, cuts)
    kept = _bits(behind.kept, len(cuts))
    seconds = np.array([operation.seconds for operation in operations])
    behind_seconds = seconds @ kept
    weights = {id(weight): weight.numel() for weight in network.module.parameters()}
    reading: dict[int, int] = defaultdict(int)
    for operation, mask in zip(operations, behind.kept, strict=True):
        for key in {id(two.unmade.get(number)) for number in operation.inputs} & weights.keys():
            reading[key] |= mask
    parameters = np.array([weights[key] for key in reading]) @ _bits(reading.values(), len(cuts))
    past, device = behind.past(), network.device
    return [
        CutPoint(
            name=name,
            feature_shape=shape,
            parameters_behind=int(parameters[i]),
            operations_behind=int(kept[:, i].sum()),
            time_share=float(behind_seconds[i] / (seconds.sum() or 1.0)),
            seconds_per_item=float(behind_seconds[i] / two.count),
            bytes_per_item=(size := two.bytes_of(kept[:, i].nonzero()[0]) // two.count),
            chunk=chunk_of(size, device),
            flows_past=tuple(place for place, mask in past.items() if mask >> i & 1),
        )
        for i, (name, shape) in enumerate(found.values())
        if behind.reaching >> i & 1 and kept[:, i].any()
    ]


def _bits(masks: Iterable[int], count: int) -> Bool[np.ndarray, "masks bits"]:
    """Write out the bits of whole numbers, the lowest first."""
    size = -(-count // 8)
    rows = [np.frombuffer(mask.to_bytes(size, "little"), np.uint8) for mask in masks]
    stacked = np.stack(rows) if rows else np.zeros((0, size), np.uint8)
    return np.unpackbits(stacked, axis=1, count=count, bitorder="little").astype(bool)


def _is_real(value: Met) -> bool:
    return value.dtype.is_floating_point and bool(value.shape)


def _shape(*runs: tuple[Recording, list[int]]) -> FeatureShape | None:
    """Return the feature's shape, None where it has none: no real numbers, or no batch axis."""
    given, again = (
        [
            torch.empty(value.shape, dtype=value.dtype, device="meta")
            for value in map(run.values.__getitem__, numbers)
            if _is_real(value)
        ]
        for run, numbers in runs
    )
    try:
        return Parts.between([given], [again], [Layer("")], 2).shape if given else None
    except (GeneratorError, ValueError):  # other values for another batch size
        return None
