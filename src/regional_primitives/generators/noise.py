"""Frozen noise: a network's own random draws become the same draws in every run and for every item.

Dropout that stays on, StyleGAN's per-pixel noise, a sampler's fresh noise: each is a side input of
the picture and is held, like all others. Draw number k of a run comes from a stream of its own,
for one item, and is repeated over the batch, so that a batch size cannot change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regional_primitives.runtime.streams import stream

__all__ = ["FrozenNoise"]

_SIZED = {torch.randn, torch.rand, torch.randint}
"""Draw a tensor of a given size."""
_LIKE = {torch.randn_like, torch.rand_like, torch.randint_like}
"""Draw a tensor of another one's size."""
_DROPOUT = {
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    torch.dropout,
}
"""Multiply by a random mask, which is held."""
_IN_PLACE = {
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.bernoulli_,
    Tensor.exponential_,
    Tensor.cauchy_,
    Tensor.log_normal_,
    Tensor.geometric_,
    Tensor.random_,
}
"""Overwrite a tensor with draws."""
_OTHER = {
    torch.normal,
    torch.bernoulli,
    Tensor.bernoulli,
    torch.multinomial,
    Tensor.multinomial,
    torch.poisson,
    torch.randperm,
    torch.rrelu,
    F.rrelu,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    F.gumbel_softmax,
}
"""Draw in ways that mix with their arguments; run as they are, from a seeded state."""


class FrozenNoise(TorchFunctionMode):
    """Within this context every random draw of a network that runs on `batch` items is frozen."""

    def __init__(self, batch: int, seed: int = 0) -> None:
        super().__init__()
        self.batch = batch
        self.seed = seed
        self.draws = 0

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Freeze random functions; leave all others alone."""
        kwargs = kwargs or {}
        if func in _SIZED:
            return self._sized(func, args, kwargs)
        if func in _LIKE:
            kwargs = dict(kwargs)
            value = args[0] if args else kwargs.pop("input")
            one = self._draw(func, (value, *args[1:]), kwargs, of_one_item=True)
            return self._repeated(one, tuple(value.shape))
        if func in _IN_PLACE:
            one = self._draw(func, args, kwargs, of_one_item=True)
            return args[0].copy_(one)
        if func in _DROPOUT:
            return self._dropout(func, args, kwargs)
        if func in _OTHER:
            return self._seeded(func, args, kwargs)
        return func(*args, **kwargs)

    def _draw(
        self, func: Callable[..., Any], args: Any, kwargs: Any, *, of_one_item: bool = False
    ) -> Any:
        """Call `func` on a random state of its own; the caller's state stays as it was.

        Other modes, such as one that records, see the draw as a value that comes from nowhere.
        """
        self.draws += 1
        kwargs = {name: value for name, value in kwargs.items() if name != "generator"}
        seed = stream(self.seed, "noise", self.draws).initial_seed()
        with (
            torch._C.DisableTorchFunction(),
            torch.random.fork_rng(devices=_cuda_devices()),
            torch.no_grad(),
        ):
            if of_one_item:
                rest = (_first(a, self.batch) if isinstance(a, Tensor) else a for a in args[1:])
                args = (torch.ones_like(_first(args[0], self.batch)), *rest)
            torch.manual_seed(seed)
            return func(*args, **kwargs)

    def _seeded(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call `func`, which mixes draws with its arguments, from a state that depends on nothing.

        Its gradient is followed, and modes see it, but cannot run it again alike.
        """
        self.draws += 1
        kwargs = {name: value for name, value in kwargs.items() if name != "generator"}
        with torch.random.fork_rng(devices=_cuda_devices()):
            torch.manual_seed(stream(self.seed, "noise", self.draws).initial_seed())
            return func(*args, **kwargs)

    def _sized(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        leading: tuple[Any, ...] = ()
        if func is torch.randint:
            bounds = [kwargs.pop(name) for name in ("low", "high") if name in kwargs]
            sized = [i for i, value in enumerate(args) if isinstance(value, (tuple, list))]
            split = sized[0] if sized else len(args)
            leading, args = (*args[:split], *bounds), args[split:]
        size = kwargs.pop("size", args)
        if len(size) == 1 and isinstance(size[0], (tuple, list)):
            size = size[0]
        size = tuple(int(side) for side in size)
        axis = _batch_axis(size, self.batch)
        single = size if axis is None else (*size[:axis], 1, *size[axis + 1 :])
        one = self._draw(func, (*leading, single), kwargs)
        return self._repeated(one, size)

    def _dropout(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        value, probability, training = _dropout_arguments(*args, **kwargs)
        if not training:
            return func(*args, **kwargs)
        mask = self._draw(func, (value, probability, True), {}, of_one_item=True)
        return value * mask

    def _repeated(self, one: Tensor, size: tuple[int, ...]) -> Tensor:
        return one.expand(size).contiguous() if tuple(one.shape) != size else one


def _dropout_arguments(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    train: bool | None = None,
) -> tuple[Tensor, float, bool]:
    """Find value, probability and mode, however they were passed."""
    return input, p, training if train is None else train


def _first(value: Tensor, batch: int) -> Tensor:
    """Return the first item of a batch; all of what has no batch axis."""
    axis = _batch_axis(tuple(value.shape), batch)
    return value if axis is None else value.narrow(axis, 0, 1)


def _batch_axis(size: tuple[int, ...], batch: int) -> int | None:
    """Find the first axis that is as long as the batch."""
    return size.index(batch) if batch in size else None


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
