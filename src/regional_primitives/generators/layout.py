"""How the tensors that layers give become a feature: where each has its batch.

Two runs of one picture, repeated once more in the second, differ in the batch and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regional_primitives.errors import GeneratorError
from regional_primitives.generators.feature import Feature, FeatureShape, feature_of, tensors_of
from regional_primitives.generators.latents import Latents, concatenate, repeated
from regional_primitives.generators.layers import Layer
from regional_primitives.generators.network import Network
from regional_primitives.generators.precision import full_precision, relative_gap


class UnrecordableError(Exception):
    """A run that cannot be replayed from another feature; the message says why."""

    def __init__(self, why: str, *, one_by_one: bool = False) -> None:
        super().__init__(why)
        self.one_by_one = one_by_one
        """Whether what one item of a batch does may depend on the others."""


@dataclass(frozen=True)
class BatchAxis:
    """Where a tensor has its batch: axis `dim` has `multiple` entries an item."""

    dim: int
    multiple: int
    inner: bool = False
    """Whether items are innermost, as in a batch that is doubled by cat([u, c])."""

    @staticmethod
    def between(fewer: Sequence[int], more: Sequence[int], count: int) -> BatchAxis | None:
        """Compare the shapes of a value in a run of `count` items and in one of one more."""
        if len(fewer) != len(more):
            raise UnrecordableError("a tensor has another number of axes for another batch size")
        differing = [i for i, (a, b) in enumerate(zip(fewer, more, strict=True)) if a != b]
        if not differing:
            return None
        dim = differing[0]
        if len(differing) > 1 or (count + 1) * fewer[dim] != count * more[dim]:
            raise UnrecordableError("a tensor's shape mixes the items of a batch")
        return BatchAxis(dim, fewer[dim] // count)

    def items_first(self, tensor: Tensor) -> Tensor:
        """Bring the tensor to [batch, …]."""
        moved = tensor.movedim(self.dim, 0)
        if self.multiple == 1:
            return moved
        if self.inner:
            return moved.unflatten(0, (self.multiple, -1)).transpose(0, 1)
        return moved.unflatten(0, (-1, self.multiple))

    def as_found(self, items: Tensor) -> Tensor:
        """Undo `items_first`."""
        if self.multiple == 1:
            return items.movedim(0, self.dim)
        merged = (items.transpose(0, 1) if self.inner else items).flatten(0, 1)
        return merged.movedim(0, self.dim)

    def first_item(self, tensor: Tensor) -> Tensor:
        """Take the first of several items and keep the axis."""
        return self.as_found(self.items_first(tensor)[:1])

    def repeated(self, one: Tensor, batch: int) -> Tensor:
        """Repeat one item over a batch, without copying where that can be."""
        if batch == 1:
            return one
        if self.multiple == 1:
            size = [-1] * one.ndim
            size[self.dim] = batch
            return one.expand(size)
        return self.as_found(self.items_first(one).expand(batch, *[-1] * one.ndim))


@dataclass(frozen=True)
class Parts:
    """How the tensors that layers give become a feature, batch first, and back."""

    axes: tuple[BatchAxis, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of each tensor of the feature, without the batch."""
    dtypes: tuple[torch.dtype, ...]
    layers: tuple[int, ...]
    """Which layer each comes from."""

    @staticmethod
    def between(
        fewer: list[list[Tensor]], more: list[list[Tensor]], layers: Sequence[Layer], count: int
    ) -> Parts:
        """Compare what the layers give in a run of `count` items and in one of one more."""
        rows = []
        for i, (mine, others) in enumerate(zip(fewer, more, strict=True)):
            for a, b in zip(mine, others, strict=True):
                try:
                    axis = BatchAxis.between(a.shape, b.shape, count)
                except UnrecordableError as error:
                    raise GeneratorError(f"layer {str(layers[i])!r}: {error}") from error
                if axis is None:
                    raise GeneratorError(
                        f"layer {str(layers[i])!r} gives {list(a.shape)} for any number of "
                        "pictures: it has no batch axis"
                    )
                rows.append((axis, tuple(axis.items_first(a).shape[1:]), a.dtype, i))
        return Parts(*zip(*rows, strict=True))

    @property
    def shape(self) -> FeatureShape:
        """The feature's shape."""
        return self.shapes[0] if len(self.shapes) == 1 else self.shapes

    def feature(self, tensors: Sequence[Sequence[Tensor]]) -> Feature:
        """Turn what the layers give into a feature, in float32."""
        return feature_of(
            axis.items_first(tensor).float().contiguous()
            for axis, tensor in zip(self.axes, _flat(tensors), strict=True)
        )

    def as_given(self, feature: Feature) -> list[Tensor]:
        """Turn a feature into tensors such as the layers give, in their precision."""
        return [
            axis.as_found(items.to(dtype))
            for axis, dtype, items in zip(self.axes, self.dtypes, tensors_of(feature), strict=True)
        ]

    def by_layer(self, feature: Feature) -> list[list[Tensor]]:
        """Turn a feature into each layer's tensors."""
        grouped: list[list[Tensor]] = [[] for _ in range(max(self.layers) + 1)]
        for layer, tensor in zip(self.layers, self.as_given(feature), strict=True):
            grouped[layer].append(tensor)
        return grouped

    def settled(self, network: Network, layers: Sequence[Layer], latents: Latents) -> Parts:
        """Tell on two unlike pictures whether items with several entries each are outermost."""
        if all(axis.multiple == 1 for axis in self.axes):
            return self
        pair = _flat(network.head(concatenate([latents, network.unlike(latents)]), layers))
        alone = _flat(network.head(latents, layers))
        axes = []
        for axis, mixed, one in zip(self.axes, pair, alone, strict=True):
            fitting = [
                layout
                for layout in (replace(axis, inner=False), replace(axis, inner=True))
                if relative_gap(layout.items_first(mixed)[:1], layout.items_first(one)) <= 1e-3
            ]
            if not fitting:
                raise GeneratorError("a layer's items cannot be told apart in a batch")
            axes.append(fitting[0])
        return replace(self, axes=tuple(axes))


@full_precision()
def parts_of(network: Network, layers: Sequence[Layer], latents: Latents) -> Parts:
    """Find how a feature is laid out, from one picture repeated two and three times."""
    two, three = (network.head(repeated(latents, count), layers) for count in (2, 3))
    return Parts.between(two, three, layers, 2).settled(network, layers, latents)


def _flat(tensors: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [tensor for layer in tensors for tensor in layer]
