"""Features: what flows through a cut, one tensor or a bundle of several, and as flat units.

A feature has its batch axis first. All arithmetic on features is done on flat units [batch, D]; a
bundle's units stand one tensor after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor

from regional_primitives.axes import Units
from regional_primitives.errors import InputError

Feature: TypeAlias = Tensor | tuple[Tensor, ...]
"""One tensor [batch, *shape], or a bundle of several."""

FeatureShape: TypeAlias = tuple[int, ...] | tuple[tuple[int, ...], ...]
"""The shape without the batch axis; of a bundle, one shape a tensor."""


def tensors_of(feature: Feature) -> tuple[Tensor, ...]:
    """List the tensors of a feature; raises InputError for what is no tensor or tuple of them."""
    if isinstance(feature, Tensor):
        return (feature,)
    several = isinstance(feature, (tuple, list))
    if several and feature and all(isinstance(tensor, Tensor) for tensor in feature):
        return tuple(feature)
    empty = "an empty " if several and not feature else ""
    found = f"{empty}{type(feature).__name__}"
    raise InputError(f"a feature is a tensor or a tuple of tensors, not {found}")


def feature_of(tensors: Iterable[Tensor]) -> Feature:
    """Undo `tensors_of`: one tensor is a feature by itself, several are a bundle."""
    several = tuple(tensors)
    return several[0] if len(several) == 1 else several


def map_feature(change: Callable[[Tensor], Tensor], feature: Feature) -> Feature:
    """Change every tensor of a feature alike."""
    if isinstance(feature, Tensor):
        return change(feature)
    return tuple(change(tensor) for tensor in feature)


def joined_features(features: Sequence[Feature]) -> Feature:
    """Join features along the batch."""
    columns = zip(*map(tensors_of, features), strict=True)
    return feature_of(torch.cat(column) for column in columns)


def shape_of(feature: Feature) -> FeatureShape:
    """Return a feature's shape without its batch axis; raises what `tensors_of` raises."""
    shapes = tuple(tuple(tensor.shape[1:]) for tensor in tensors_of(feature))
    return shapes[0] if isinstance(feature, Tensor) else shapes


def tensor_shapes(shape: FeatureShape) -> tuple[tuple[int, ...], ...]:
    """List the shapes of a feature's tensors."""
    if shape and isinstance(shape[0], tuple):
        return shape
    return (shape,)  # type: ignore[return-value]


def unit_count(shape: FeatureShape) -> int:
    """Return D, how many units a feature of this shape has."""
    return sum(prod(one) for one in tensor_shapes(shape))


def as_units(feature: Feature) -> Units:
    """Flatten a feature, in float32."""
    rows = [
        tensor.reshape(len(tensor), prod(tensor.shape[1:])).float()
        for tensor in tensors_of(feature)
    ]
    return rows[0] if len(rows) == 1 else torch.cat(rows, 1)


def units_as(units: Units, shape: FeatureShape) -> Feature:
    """Undo `as_units`."""
    shapes = tensor_shapes(shape)
    if shapes == (shape,):
        return units.reshape(len(units), *shapes[0])
    parts = units.split([prod(one) for one in shapes], dim=1)
    return tuple(part.reshape(len(units), *one) for part, one in zip(parts, shapes, strict=True))


def describe_shape(shape: FeatureShape) -> str:
    """Say a shape as people write it: 256 × 8 × 8, or several joined by plus signs."""
    return " + ".join(" × ".join(map(str, one)) or "1" for one in tensor_shapes(shape))
