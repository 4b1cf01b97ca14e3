"""What another method answers about a picture: components of its feature, with fields or without.

An answer is stored as the method gave it. Only beside a picture does it become components Δf_k, one
row of units each, and bool fields where the method has a notion of place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.generators.feature import describe_shape, tensor_shapes, unit_count
from regional_primitives.runtime.arguments import refuse_too_large
from regional_primitives.runtime.storage import measurable

_SAME = 1e-3
"""Two features of one picture differ by less than this share of f − f0, on whatever device."""


@dataclass(frozen=True, eq=False)
class Answer(ABC):
    """A method's answer; each form that answers come in is a class of its own."""

    made_of: Any = field(default=None, kw_only=True)
    """The feature [1, *feature] that the method was given, so that components of another picture
    are refused; None leaves that untold."""

    @property
    def kind(self) -> str:
        """The form, in a word."""
        return type(self).__name__.lower()

    @abstractmethod
    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return Δf_k of each component, flat, on the CPU.

        Raises:
            InputError: the answer does not fit the picture's feature.
        """

    def fields(self, subject: Subject) -> Dictionary | None:
        """Return A_k of each component; None where the method has none, see `fields`.

        Raises:
            InputError: fields that are none of the picture's patches.
        """
        return None

    def labels(self) -> tuple[str, ...]:
        """Return what the method calls its components; empty where it has no names."""
        return ()


def numbers(value: Any, what: str) -> Tensor:
    """Return finite numbers, a tensor or what NumPy makes an array of, in single precision.

    Raises:
        InputError: anything else; messages call it `what`, such as "directions".
    """
    try:
        found = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} are a tensor, not {type(value).__name__}") from error
    found = found.detach().cpu()
    if found.is_complex() or found.is_sparse or found.is_quantized:
        raise InputError(f"{what} are real numbers, not {found.dtype}")
    found = found.float()
    if not measurable(found):
        raise InputError(f"{what} hold NaN, infinity or numbers without a measure")
    return found


def rows_of(value: Any, subject: Subject, what: str) -> Float[Tensor, "rows units"]:
    """Return features [K, *feature], flat; of a bundle, a tuple of one such tensor a tensor.

    Raises:
        InputError: another shape; messages call it `what`.
    """
    shapes = tensor_shapes(subject.feature_shape)
    several = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    found = [numbers(tensor, what) for tensor in several]
    rows = len(found[0]) if found and found[0].ndim else 0
    if len(found) == 1 and tuple(found[0].shape) == (rows, unit_count(subject.feature_shape)):
        flat = found[0]
    elif [tuple(one.shape) for one in found] == [(rows, *shape) for shape in shapes]:
        parts = [one.flatten(1) if one.ndim > 1 else one[:, None] for one in found]
        flat = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    else:
        told = " + ".join(str(list(one.shape)) for one in found) or "nothing"
        raise InputError(
            f"{what} are [K, {describe_shape(subject.feature_shape)}], the feature's shape behind "
            f"the number of components; not {told}"
        )
    if rows == 0:
        raise InputError(f"{what} are none; there is nothing to score")
    return flat


def check_made_of(feature: Any, subject: Subject) -> None:
    """Refuse components that were made of another picture's feature; None tells nothing.

    Raises:
        InputError: so it is.
    """
    if feature is None:
        return
    found = rows_of(feature, subject, "the features that components were made of")
    if len(found) != 1:
        raise InputError(f"components are made of one feature, not of {len(found)}")
    away = float((found[0] - subject.units[0].cpu()).norm() / subject.difference.norm())
    if away > _SAME:
        raise InputError(
            "these components are another picture's: the feature that they were made of is "
            f"{away:.0%} of f − f0 away from this picture's"
        )


def fields_of(value: Any, subject: Subject, count: int, what: str = "fields") -> Dictionary:
    """Return action fields, bool [K, n].

    Raises:
        InputError: another type or shape, or more than one component of no patch.
    """
    try:
        found = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} are a bool tensor, not {type(value).__name__}") from error
    expected = (count, subject.regions.count)
    if found.dtype != torch.bool or tuple(found.shape) != expected:
        raise InputError(
            f"{what} are bool {list(expected)}, a row a component and a column a patch; not "
            f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
        )
    found = found.detach().cpu()
    empty = (~found.any(1)).nonzero().flatten().tolist()
    if len(empty) > 1:
        raise InputError(
            f"components {empty[0]} and {empty[1]} act on no patch; one may, the remainder"
        )
    return found


def one_layout(subject: Subject, what: str) -> Layout:
    """Return how the feature's units are arranged, where it is one tensor.

    Raises:
        InputError: it is a bundle of several; messages call what needs one `what`.
    """
    layouts = Layout.of(subject.feature_shape)
    if len(layouts) > 1:
        raise InputError(
            f"{what} are of one tensor; this cut has {len(layouts)}, so give whole components"
        )
    return layouts[0]


def afford(terms: int, subject: Subject, what: str) -> None:
    """Refuse more components than memory holds, before they are made.

    Raises:
        InputError: so it is.
    """
    size = 12 * terms * unit_count(subject.feature_shape)
    refuse_too_large(f"{terms:,} {what}", size, "give the strongest alone")
