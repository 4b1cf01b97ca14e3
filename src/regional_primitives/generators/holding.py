"""Held normalisations: fixed scales and shifts, with the statistics of the explained picture.

Layer normalisations are held so where language models are explained (arXiv 2202.07304). Known are
the functions of torch and torch.nn.functional, which its modules call; a normalisation that a
network computes from means and variances itself looks like any other arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regional_primitives.errors import GeneratorError

_GROUP = "input num_groups weight bias eps"
_LAYER = "input normalized_shape weight bias eps"
_RMS = "input normalized_shape weight eps"
_BATCH = "input weight bias running_mean running_var training momentum eps"
_ARGUMENTS: dict[Callable[..., Any], str] = {
    F.group_norm: _GROUP,
    torch.group_norm: _GROUP,
    torch.native_group_norm: "input weight bias N C HxW group eps",
    F.layer_norm: _LAYER,
    torch.layer_norm: _LAYER,
    torch.native_layer_norm: _LAYER,
    F.rms_norm: _RMS,
    torch.rms_norm: _RMS,
    F.instance_norm: "input running_mean running_var weight bias use_input_stats momentum eps",
    torch.instance_norm: "input weight bias running_mean running_var use_input_stats momentum eps",
    F.batch_norm: "input running_mean running_var weight bias training momentum eps",
    torch.batch_norm: _BATCH,
    torch.native_batch_norm: _BATCH,
}
"""Functions that normalise, and the names of their arguments in order."""


@dataclass(frozen=True, eq=False)
class Held:
    """One normalisation as what it is for one input."""

    scale: Tensor
    """Broadcasts over the input, and so does `shift`."""
    shift: Tensor
    shape: torch.Size
    dtype: torch.dtype
    """Of the result."""
    rest: tuple[Tensor, ...]
    """What the function returns besides, such as mean and reciprocal deviation."""

    def __call__(self, value: Tensor) -> Any:
        """Scale and shift another input; gradients flow through as through any product."""
        if value.shape != self.shape:
            raise GeneratorError(_OTHER_PATH)
        wide = value.to(self.scale.dtype)
        made = torch.addcmul(self.shift, wide, self.scale).to(self.dtype)
        return (made, *self.rest) if self.rest else made


_OTHER_PATH = (
    "the network takes another path for another feature, so that the statistics of its "
    "normalisations cannot be held; cut it without hold"
)


class Holding(TorchFunctionMode):
    """Within this context all normalisations of a network's run are held.

    Without `held` each is held at its own input, which leaves its result as it is, and is noted;
    the `noted` of one run are the `held` of others.
    """

    def __init__(self, held: Sequence[Held] | None = None) -> None:
        super().__init__()
        self.noted: list[Held] = []
        self.left = None if held is None else iter(held)

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Scale and shift in place of functions that normalise; leave all others alone."""
        kwargs = kwargs or {}
        given = _given(func, args, kwargs)
        if given is None:
            return func(*args, **kwargs)
        if self.left is None:
            # Out of sight of a mode that records: what is held comes from the picture.
            with torch._C.DisableTorchFunction(), torch.no_grad():
                self.noted.append(_held(given, func(*args, **kwargs)))
            return self.noted[-1](given["input"])
        held = next(self.left, None)
        if held is None:
            raise GeneratorError(_OTHER_PATH)
        return held(given["input"])


def _given(func: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Name the arguments of a function that divides by statistics of its input."""
    if func not in _ARGUMENTS:
        return None
    names = _ARGUMENTS[func].split()
    given = {**dict.fromkeys(names), **dict(zip(names, args)), **kwargs}  # noqa: B905
    running = not given.get("training", True) or given.get("use_input_stats") is False
    return None if running else given


def _held(given: dict[str, Any], made: Any) -> Held:
    """Tell scale and shift from the arguments of a function that normalises, and what it made."""
    value, weight, bias = (given.get(name) for name in ("input", "weight", "bias"))
    assert value is not None
    groups = given.get("num_groups") or given.get("group")
    x = value.to(torch.promote_types(value.dtype, torch.float32))
    if groups:
        x = x.unflatten(1, (groups, -1))  # [batch, groups, channels of a group, …]
    layerwise = "normalized_shape" in given
    if layerwise:
        axes = list(range(-len(given["normalized_shape"]), 0))
    else:
        axes = [0] * ("training" in given) + list(range(2, x.ndim))
    if "bias" in given:
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        least = 1e-5
    else:
        variance = x.square().mean(axes, keepdim=True)
        mean, least = torch.zeros_like(variance), torch.finfo(value.dtype).eps
    scale = (variance + (least if given["eps"] is None else given["eps"])).rsqrt()
    if groups:
        channels = (-1, -1, x.shape[2], *[1] * (x.ndim - 3))
        mean, scale = (part.expand(channels).flatten(1, 2) for part in (mean, scale))
    if not layerwise:
        weight, bias = (
            part if part is None else part.reshape(-1, *[1] * (value.ndim - 2))
            for part in (weight, bias)
        )
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    result, *rest = made if isinstance(made, tuple) else (made,)
    return Held(scale, shift, value.shape, result.dtype, tuple(rest))
