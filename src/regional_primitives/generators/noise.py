"""Frozen noise: a network's own random draws become the same draws in every run and for every item.

Dropout that stays on, StyleGAN's per-pixel noise, a sampler's fresh noise: each is a side input of
the picture and is held, like all others. Draw number k of a run comes from a stream of its own,
for one item, and is repeated over the batch, so that a batch size cannot change it. What draws
otherwise (NumPy, Python, C++) does so from global states that are seeded alike for every run. These
are left as the caller has them.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regional_primitives.generators.calls import seen
from regional_primitives.runtime.modes import Turn
from regional_primitives.runtime.streams import stream

_SIZED = {torch.randn, torch.rand, torch.randint}
"""Draw a tensor of a given size."""


def _anew(func: Callable[..., Tensor], one: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Draw into a copy, since many write into what they are given, which the next item is too."""
    return func(one.clone(), *args, **kwargs)


def _filled_like(
    fill: Any, one: Tensor, *ends: int, generator: torch.Generator, **kwargs: Any
) -> Tensor:
    if fill is Tensor.random_:
        low = kwargs.pop("low", ends[0] if len(ends) + ("high" in kwargs) > 1 else 0)
        ends = (low, kwargs.pop("high", ends[-1] if ends else None))
    return fill(torch.empty_like(one, **kwargs), *ends, generator=generator)


_LIKE = {
    torch.randn_like: partial(_filled_like, Tensor.normal_),
    torch.rand_like: partial(_filled_like, Tensor.uniform_),
    torch.randint_like: partial(_filled_like, Tensor.random_),
}
"""Draw a tensor of another one's size; and likewise from a stream, which not every torch can."""
_DROPOUT = {F.dropout: None, torch.dropout: None, F.dropout1d: 3, F.dropout2d: 4, F.dropout3d: 5}
"""Multiply by a random mask, which is held: one number an entry, or a channel of so many axes."""
_IN_PLACE = {
    Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_, Tensor.cauchy_,
    Tensor.log_normal_, Tensor.geometric_, Tensor.random_,
}  # fmt: skip
"""Overwrite a tensor with draws."""
_DEPENDING = {
    torch.bernoulli, Tensor.bernoulli, torch.multinomial, Tensor.multinomial, torch.poisson,
    torch.binomial, torch.randperm, torch._standard_gamma, torch._sample_dirichlet,
}  # fmt: skip
"""Draw from a distribution that their arguments decide."""
_RRELU = {torch.rrelu, torch.rrelu_, F.rrelu}
_ALPHA_DROPOUT = {
    F.alpha_dropout: False, torch.alpha_dropout: False,
    F.feature_alpha_dropout: True, torch.feature_alpha_dropout: True,
}  # fmt: skip
"""Drop entries, or whole channels, to the least value of a SELU."""
_ALPHA = 1.7580993408473766
"""Minus the least value of a SELU, in torch's own digits."""
_WITH_STREAMS = ("cpu", "cuda", "mps", "xpu")
"""Kinds of devices that torch has random generators for."""


@dataclass(frozen=True)
class _Items:
    """How a draw is made of those for single items."""

    single: tuple[int, ...]
    """The size for one."""
    axis: int
    """Where they stand."""
    seeds: Tensor | None
    """For each item the seed of its own; None where all have the same draw."""


class FrozenNoise(TorchFunctionMode):
    """Within this context every random draw of a network that runs on `batch` items is frozen.

    Which axis of a draw is the batch is told by `single` and `pair`, the sizes of the same draws in
    a run of a single item and of two, as such runs leave them in `sizes`; without, by the first
    axis' length.

    With `seeds`, a number for each item, items have draws of their own: those that are larger for a
    pair; the others are for all items alike. Without a `pair`, all draws of a single item are its
    own.
    """

    def __init__(
        self,
        batch: int,
        seed: int = 0,
        single: Sequence[tuple[int, ...]] | None = None,
        pair: Sequence[tuple[int, ...]] | None = None,
        seeds: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.batch = batch
        self.seed = seed
        self.single = single
        self.pair = pair
        self.seeds = seeds
        self.sizes: list[tuple[int, ...]] = []
        self.draws = 0

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Freeze random functions; leave all others alone."""
        kwargs = dict(kwargs or {})
        if func in _SIZED or (func is torch.normal and not _first_tensor(args, kwargs)):
            return self._sized(func, args, kwargs)
        if func in _LIKE:
            value = args[0] if args else kwargs.pop("input")
            return self._like(_LIKE[func], value, args[1:], kwargs)
        if func is Tensor.bernoulli_ and _first_tensor(args[1:], kwargs):
            chances = next(a for a in (*args[1:], *kwargs.values()) if isinstance(a, Tensor))
            drawn = self._depending(torch.bernoulli, (chances.expand_as(args[0]),), {})
            return args[0].copy_(drawn)
        if func in _IN_PLACE:
            return args[0].copy_(self._like(func, args[0], args[1:], kwargs))
        if func in _DROPOUT:
            return self._dropout(func, args, kwargs)
        if func in _ALPHA_DROPOUT:
            return self._alpha_dropout(func, args, kwargs)
        if func in _RRELU:
            return self._rrelu(func, args, kwargs)
        if func is F.gumbel_softmax:
            return self._gumbel_softmax(*args, **kwargs)
        if func is torch.normal:
            return self._normal(*args, **kwargs)
        if func in _DEPENDING:
            return self._depending(func, args, kwargs)
        return func(*args, **kwargs)

    def _sized(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Draw for one item, of the size that is asked for, and repeat it."""
        leading: tuple[Any, ...] = ()
        if func is torch.randint or func is torch.normal:
            names = ("low", "high") if func is torch.randint else ("mean", "std")
            bounds = [kwargs.pop(name) for name in names if name in kwargs]
            sized = [i for i, value in enumerate(args) if isinstance(value, (tuple, list))]
            split = sized[0] if sized else len(args)
            leading, args = (*args[:split], *bounds), args[split:]
        size = kwargs.pop("size", args)
        if len(size) == 1 and isinstance(size[0], (tuple, list)):
            size = size[0]
        size = tuple(int(side) for side in size)
        device = kwargs["device"] = _device(kwargs, torch.get_default_device())
        items = self._items(size)
        return self._frozen(func, device, (*leading, items.single), kwargs, items, size)

    def _like(
        self, func: Callable[..., Any], value: Tensor, rest: Any, kwargs: dict[str, Any]
    ) -> Tensor:
        """Draw for one item what `func` draws for a tensor, and repeat it."""
        size = tuple(value.shape)
        items = self._items(size)
        single = items.single
        with torch._C.DisableTorchFunction():
            one = torch.ones(single, dtype=value.dtype, device=value.device)
            others = [_fitted(given, size, single) for given in rest]
            named = {name: _fitted(given, size, single) for name, given in kwargs.items()}
        fill = partial(_anew, func)
        return self._frozen(fill, value.device, (one, *others), named, items, size)

    def _dropout(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        value, probability, training, in_place = _dropout_arguments(*args, **kwargs)
        if not training:
            return func(*args, **kwargs)
        mask = self._like(partial(_mask, func), value, (probability,), {})
        return value.mul_(mask) if in_place else value * mask

    def _alpha_dropout(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        value, probability, training, in_place = _dropout_arguments(*args, **kwargs)
        if not training or not 0 < probability < 1:
            return func(*args, **kwargs)  # nothing is drawn
        fill = partial(_kept_entries, _ALPHA_DROPOUT[func])
        kept = self._like(fill, value, (probability,), {})
        gain = ((_ALPHA**2 * probability + 1) * (1 - probability)) ** -0.5
        shift = kept.add(-1).mul_(_ALPHA * gain).add_(_ALPHA * gain * probability)
        scale = kept.mul(gain)
        return value.mul_(scale).add_(shift) if in_place else value * scale + shift

    def _rrelu(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        value, bounds, training, in_place = _rrelu_arguments(*args, **kwargs)
        if not training:
            return func(*args, **kwargs)
        slopes = self._like(Tensor.uniform_, value, bounds, {})
        slopes = torch.where(value <= 0, slopes, 1.0)
        return value.mul_(slopes) if in_place or func is torch.rrelu_ else value * slopes

    def _gumbel_softmax(
        self, logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
    ) -> Tensor:
        gumbels = -self._like(Tensor.exponential_, logits, (), {}).log()
        soft = ((logits + gumbels) / tau).softmax(dim)
        if not hard:
            return soft
        chosen = soft.max(dim, keepdim=True)[1]
        return torch.zeros_like(logits).scatter_(dim, chosen, 1.0) - soft.detach() + soft

    def _normal(
        self,
        mean: Any = 0.0,
        std: Any = 1.0,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Scale and shift what is drawn, which has a gradient where torch's own draw has none."""
        tensors = [part for part in (mean, std) if isinstance(part, Tensor)]
        with torch._C.DisableTorchFunction(), torch.no_grad():
            size = torch.broadcast_shapes(*(part.shape for part in tensors))
            like = tensors[0].expand(size)
        drawn = self._like(Tensor.normal_, like, (), {}) * std + mean
        return drawn if out is None else out.copy_(drawn)

    def _depending(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Let each item draw from the same stream, from the distribution that is its own."""
        out = kwargs.pop("out", None)
        tensors = (a for a in (*args, *kwargs.values()) if isinstance(a, Tensor))
        size = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
        items = self._items(tuple(size))
        entries = items.single[items.axis] if items.single else 0
        draw = _Drawn(func, self._seed(), items.axis, entries)
        drawn = seen(draw, (items.seeds, *args), kwargs)
        return drawn if out is None else out.copy_(drawn)

    def _items(self, size: tuple[int, ...]) -> _Items:
        """Tell how the next draw is made of those for single items."""
        place = len(self.sizes)
        self.sizes.append(size)
        single = self._single(place, size)
        pair = self.pair or ()
        known = place < len(pair)
        other = pair[place] if known else size
        axes = [axis for axis, (a, b) in enumerate(zip(single, other, strict=False)) if a != b]
        own = self.batch == 1 if self.pair is None else known and bool(axes)
        return _Items(single, axes[0] if axes else 0, self.seeds if own else None)

    def _single(self, place: int, size: tuple[int, ...]) -> tuple[int, ...]:
        if self.batch == 1:
            return size
        if self.single is None or place >= len(self.single):
            return (1, *size[1:]) if size and size[0] == self.batch else size
        known = self.single[place]
        whole = len(known) == len(size) and all(b % max(a, 1) == 0 for a, b in zip(known, size))  # noqa: B905
        return known if whole else size

    def _seed(self) -> int:
        """Return the seed of the next draw, which no other has."""
        self.draws += 1
        return stream(self.seed, "noise", self.draws).initial_seed()

    def _frozen(
        self,
        func: Callable[..., Any],
        device: torch.device,
        args: Any,
        kwargs: dict[str, Any],
        items: _Items,
        size: tuple[int, ...],
    ) -> Tensor:
        """Draw for single items with `func`."""
        draw = _Draw(self._seed(), partial(func, *args, **kwargs), device, items.axis)
        if items.seeds is None:
            return _tiled(draw.once(draw.seed), size)
        return seen(draw, (items.seeds,), {})


@dataclass(frozen=True)
class _Draw:
    """A draw from distributions that do not depend on a feature."""

    seed: int
    make: Callable[..., Tensor] = field(compare=False)
    device: torch.device = field(compare=False)
    axis: int = field(compare=False)

    def once(self, seed: int) -> Tensor:
        """Draw for one item.

        Other modes, such as one that records, see the draw as a value that comes from nowhere.
        """
        with torch._C.DisableTorchFunction(), torch.no_grad():
            return self.make(generator=_stream_on(self.device, seed))

    def __call__(self, seeds: Tensor) -> Tensor:
        """Draw for each item from a stream of its own."""
        return _joined([self.once(seed) for seed in _for_items(self.seed, seeds)], self.axis)


def _for_items(seed: int, seeds: Tensor) -> list[int]:
    return [stream(seed, item).initial_seed() for item in seeds.tolist()]


def _joined(rows: list[Tensor], axis: int) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(rows, axis)


@dataclass(frozen=True)
class _Drawn:
    """A draw from distributions that the arguments decide."""

    function: Callable[..., Any]
    seed: int
    axis: int
    """Where items stand, each with so many entries."""
    entries: int

    def __call__(self, seeds: Tensor | None, *args: Any, **kwargs: Any) -> Tensor:
        """Draw for each item from a stream of the same seed, or of its own."""
        given = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        device = given[0].device if given else _device(kwargs, torch.get_default_device())
        size = torch.broadcast_shapes(*(tensor.shape for tensor in given))
        count = size[self.axis] // self.entries if size and self.entries else 1

        def of(item: int, argument: Any) -> Any:
            if count == 1 or not isinstance(argument, Tensor):
                return argument
            return argument.expand(size).narrow(self.axis, item * self.entries, self.entries)

        def drawn(item: int, seed: int) -> Tensor:
            named = {name: of(item, one) for name, one in kwargs.items()}
            named["generator"] = _stream_on(device, seed)
            return self.function(*(of(item, one) for one in args), **named)

        each = [self.seed] * count if seeds is None else _for_items(self.seed, seeds)
        return _joined([drawn(i, seed) for i, seed in enumerate(each)], self.axis)


def _stream_on(device: torch.device, seed: int) -> torch.Generator:
    # What is on the CPU only in truth, or has no streams of its own, draws from the CPU's.
    there = device if device.type in _WITH_STREAMS else torch.device("cpu")
    return torch.Generator(there).manual_seed(seed)


def _device(kwargs: dict[str, Any], otherwise: torch.device) -> torch.device:
    asked = kwargs.get("device")
    return otherwise if asked is None else torch.device(asked)


def _first_tensor(args: Any, kwargs: dict[str, Any]) -> bool:
    values = (*args, *kwargs.values())
    return any(isinstance(value, Tensor) and value.ndim > 0 for value in values)


def _fitted(value: Any, size: tuple[int, ...], single: tuple[int, ...]) -> Any:
    """Take one item's part of an argument that is shaped like the draw."""
    if not isinstance(value, Tensor) or tuple(value.shape) != size:
        return value
    for axis, side in enumerate(single):
        value = value.narrow(axis, 0, side)
    return value


def _tiled(one: Tensor, size: tuple[int, ...]) -> Tensor:
    """Repeat one item's draw over the batch, items outermost; the same call for every batch."""
    return one.repeat([b // max(a, 1) for a, b in zip(one.shape, size, strict=True)])


def _dropout_arguments(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    train: bool | None = None,
) -> tuple[Tensor, float, bool, bool]:
    """Find value, probability, mode and whether in place, however they were passed."""
    return input, p, training if train is None else train, inplace


def _rrelu_arguments(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, tuple[float, float], bool, bool]:
    """Find value, bounds of slopes, mode and whether in place, however they were passed."""
    return input, (lower, upper), training, inplace is True


def _mask(
    func: Callable[..., Any], one: Tensor, probability: float, *, generator: torch.Generator
) -> Tensor:
    """Return what dropout makes of ones; on the CPU from a stream, as torch makes it of its own."""
    whole_channels = _DROPOUT[func]
    known = one.device.type == "cpu" and whole_channels in (None, one.ndim)
    if not 0 < probability < 1 or not known:
        with seeded(generator.initial_seed()):
            return func(one, probability, True)
    channels = whole_channels is not None
    return _kept_entries(channels, one, probability, generator=generator).div_(1 - probability)


def _kept_entries(
    channels: bool, one: Tensor, probability: float, *, generator: torch.Generator
) -> Tensor:
    """Draw which entries, or whole channels, of ones are not dropped."""
    size = [*one.shape[:2], *[1] * (one.ndim - 2)] if channels else list(one.shape)
    return one * one.new_empty(size).bernoulli_(1 - probability, generator=generator)


# Global random states

_turn = Turn()
"""The states are one for all threads: whoever seeds them draws from them alone."""


def _torch_states() -> list[Tensor]:
    """Return the states of the CPU and of all GPUs in use."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(i) for i in gpus)]


def _set_torch(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for i, state in enumerate(states[1:]):
        torch.cuda.set_rng_state(state, i)


def _seed_torch(seed: int) -> None:
    """Seed the CPU and all GPUs in use; `torch.manual_seed` would do so of others when they are."""
    gpus = torch.cuda.default_generators if torch.cuda.is_initialized() else ()
    for generator in (torch.default_generator, *gpus):
        generator.manual_seed(seed)


def _seed_numpy(seed: int) -> None:
    try:
        np.random.seed(seed % 2**32)
    except TypeError:  # who set another bit generator than NumPy's first
        kind = getattr(np.random, np.random.get_state(legacy=False)["bit_generator"])
        np.random.set_state({**kind(seed).state, "has_gauss": 0, "gauss": 0.0})


_KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], None], Callable[[int], None]]] = {
    "torch": (_torch_states, _set_torch, _seed_torch),
    "NumPy": (partial(np.random.get_state, legacy=False), np.random.set_state, _seed_numpy),
    "Python": (random.getstate, random.setstate, random.seed),
}
"""Of each global state: get it, set it, seed it."""


class RandomState:
    """Lets a network draw from global random states as a seed decides, and sets them back.

    Few networks move them: what is left behind frozen draws is a network that seeds, or draws from
    NumPy, from Python, or where torch's modes do not see it. To set a state back after any other
    would take back what other threads have drawn meanwhile.
    """

    def __init__(self) -> None:
        self.moved: dict[str, bool | None] = dict.fromkeys(_KINDS)
        """Whether the network moves each state; None until a run tells."""
        self.left: dict[str, Any] = {}
        """Those that the last run to come to its end has moved, as it left them."""

    @contextmanager
    def kept(self, seed: int, *, learn: bool) -> Iterator[None]:
        """Seed within this context what the network may move, and set it back.

        Whoever runs it once within the context, and nothing else, may `learn` what it moves.
        """
        alone = threading.active_count() == 1
        kinds = [kind for kind in _KINDS if alone or self.moved[kind] is not False]
        with _kept(kinds) if kinds else nullcontext():
            with torch._C.DisableTorchFunction():  # none of the network's own calculations
                for kind in kinds:
                    _KINDS[kind][2](seed)
                began = _states(kinds)
            yield
            with torch._C.DisableTorchFunction():
                ended = _states(kinds)
        if not learn:
            return
        # Here are only runs that came to their end. Others' draws look like the network's, but
        # whoever leaves a state alone once does not move it.
        self.left = {kind: ended[kind] for kind in kinds if not _same(began[kind], ended[kind])}
        for kind in kinds:
            if kind not in self.left:
                self.moved[kind] = self.moved[kind] or False
            elif alone:
                self.moved[kind] = True

    def left_as(self, others: dict[str, Any]) -> bool:
        """Tell whether the last run moved the states as one did that left `others`."""
        return _same(self.left, others)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global state as it is after `torch.manual_seed(seed)`, and set it back."""
    with _kept(["torch"]):
        torch.manual_seed(seed)
        yield


@contextmanager
def _kept(kinds: Iterable[str]) -> Iterator[None]:
    """Let no other run here draw from these states, and set them back."""
    with _turn:
        before = _states(kinds)
        try:
            yield
        finally:
            with torch._C.DisableTorchFunction():
                for kind, state in before.items():
                    _KINDS[kind][1](state)


def _states(kinds: Iterable[str]) -> dict[str, Any]:
    return {kind: _KINDS[kind][0]() for kind in kinds}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return all(map(torch.equal, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
