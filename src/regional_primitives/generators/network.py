"""The whole network as a function from latents to the image, run frozen: weights, modes, noise.

What runs is a twin that shares the user's weights (twin.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from regional_primitives.axes import Images
from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.calls import calls_seen
from regional_primitives.generators.latents import (
    Latents,
    arguments,
    batch_size,
    concatenate,
    copied,
    describe,
    items,
    map_latents,
    parts,
)
from regional_primitives.generators.layers import Layer, leaves, refuse_unmet, tapped, with_leaves
from regional_primitives.generators.noise import FrozenNoise, RandomState
from regional_primitives.generators.precision import ROUNDING, relative_gap
from regional_primitives.generators.rerun import running_again
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.modes import Turn
from regional_primitives.runtime.streams import stream

ImageOf: TypeAlias = Callable[[Any], Tensor] | int | str | None
"""How the image is found in what a network returns: by itself, by index, by name, by a function."""

_REJECTIONS = (
    RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError,
)  # fmt: skip
"""What a network may raise where latents do not fit."""


class _Reached(BaseException):
    """All layers that are asked for have been met; the rest of the run is not needed."""


_APART = 1e-2
"""Relative difference of pictures that no rounding makes."""


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen network and how it is called."""

    module: nn.Module
    """The frozen twin."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments that are the same for every picture."""
    image_of: ImageOf = None
    noise_seed: int = 0
    """Seed of the network's own random draws, which are frozen."""
    call: str = "forward"
    """The method that generates."""
    count: str | None = None
    """Its argument for how many, where it draws all by itself; latents are then seeds."""
    draws: dict[int, list[tuple[int, ...]]] = field(default_factory=dict, repr=False)
    """The sizes of the random draws of one item and of two, once they are known."""
    repeats: dict[str, bool] = field(default_factory=dict, repr=False)
    """Under `one`, whether fixed arguments for one item are repeated for several; under `apart`,
    whether items run one by one, since several draw more often than one does."""
    turn: Turn = field(default_factory=Turn, repr=False)
    """Held by the thread that runs the twin: hooks, buffers and what a forward pass notes down on
    its modules are one for all threads."""
    random_state: RandomState = field(default_factory=RandomState, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weights = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in weights), torch.device("cpu"))

    def run(self, latents: Latents) -> Images:
        """Run the whole network; gradients are followed if the caller's context does."""
        latents = map_latents(lambda part: part.to(self.device), latents)
        count = batch_size(latents)
        self.learn(latents)
        positional, named = arguments(latents) if self.count is None else ((), {self.count: count})
        # Not getattr for a forward pass: hooks on the network itself belong to it.
        run = self.module if self.call == "forward" else getattr(self.module, self.call)
        fixed = self._fixed(count)
        noise, states = self._noise(latents)
        with self.turn, states, noise, calls_seen():
            with _refusals(latents, self.fixed):
                output = run(*positional, **named, **fixed)
            if count <= 2:
                self.draws[count] = noise.sizes
            return find_image(output, count, self.image_of)

    def _noise(self, latents: Latents) -> tuple[FrozenNoise, AbstractContextManager[Any]]:
        """Freeze what a run draws: its torch functions, and global states."""
        count, apart = batch_size(latents), self.repeats.get("apart", False)
        seeds = None if self.count is None else _seeds(latents)
        own = seeds.tolist() if seeds is not None and apart and count == 1 else ()
        pair = None if apart else self.draws.get(2)
        noise = FrozenNoise(count, self.noise_seed, self.draws.get(1), pair, seeds)
        return noise, self.states_kept("run", *own, learn=True)

    def _fixed(self, count: int) -> dict[str, Any]:
        """Copy the fixed arguments, since the network may write into what it is given."""
        with torch._C.DisableTorchFunction():  # a recording takes them as constants
            fixed = held(self.fixed)
        if self.repeats.get("one", False):
            fixed = repeated_to(count, fixed)
        return dict(fixed)

    def images(self, latents: Latents) -> Images:
        """Run the whole network, each item as it is alone."""
        return torch.cat([self.run(batch) for batch in self.batches(latents)])

    def batches(self, latents: Latents) -> list[Latents]:
        """Take latents apart where items have to run one by one."""
        self.learn(latents)
        count = batch_size(latents)
        if count == 1 or not self.repeats["apart"]:
            return [latents]
        return [items(latents, i, i + 1) for i in range(count)]

    def learn(self, latents: Latents) -> None:
        """Run a single item if several come and it is not known yet what one draws.

        Of fixed arguments for one item, such as the embedding of a text, it also learns whether
        several items need them repeated; of what is drawn, whether several draw more often.
        """
        if "apart" in self.repeats or (batch_size(latents) == 1 and self.count is None):
            return
        with self.turn, torch.no_grad():
            if self.repeats:  # learnt meanwhile by another thread, or being learnt by this one
                return
            self.repeats["one"] = apart = False
            try:
                apart = self._learnt(map_latents(torch.clone, items(latents, 0, 1)))
            except BaseException:
                self.repeats.clear()
                raise
            self.repeats["apart"] = apart

    def _learnt(self, single: Latents) -> bool:
        """Run one item and two; return whether two draw more often."""
        self.run(single)
        left = self.random_state.left
        of_one = any(map(_is_of_one, leaves(self.fixed).values()))
        if not (left or self.draws[1] or of_one):
            return False
        pair = map_latents(lambda part: torch.cat([part, part]), single)
        for self.repeats["one"] in (False, True):
            with suppress(InputError):
                self.run(pair)
                as_often = len(self.draws[2]) == len(self.draws[1])
                return not (
                    as_often and self.random_state.left_as(left) and self._tells_seeds(single)
                )
        self.repeats["one"] = False
        return False

    def _tells_seeds(self, single: Latents) -> bool:
        """Whether draws of several seeds, in one run, make the pictures that each makes alone."""
        if self.count is None:
            return True
        both = [single, self.unlike(single)]
        together = self.run(concatenate(both))
        return relative_gap(together, torch.cat([self.run(one) for one in both])) <= _APART

    def states_kept(self, *purpose: str | int, learn: bool = False) -> AbstractContextManager[Any]:
        """Let random numbers of global states be the same whenever this context is entered."""
        seed = stream(self.noise_seed, "states", *purpose).initial_seed()
        return self.random_state.kept(seed, learn=learn)

    def unlike(self, latents: Latents) -> Latents:
        """Return latents of other pictures, as far as any that are taken can be told."""
        if self.count is not None:
            return map_latents(lambda seeds: seeds + 1, latents)
        return map_latents(lambda part: 0.5 * part if part.is_floating_point() else part, latents)

    @torch.no_grad()
    def refuse_random(self, latents: Latents, image: Images) -> None:
        """Refuse a network that makes another image of the same latents, run once more.

        Raises:
            GeneratorError: it does.
        """
        again = self.images(copied(latents))
        # Some GPU kernels add in another order each time; that rounding is no randomness.
        if not relative_gap(again, image) <= ROUNDING:
            difference = float((image - again).abs().max())
            raise GeneratorError(
                "this network gives a different image for the same latent (largest difference "
                f"{difference:.3g}): it draws random numbers that cannot be frozen, such as those "
                "of a NumPy generator (np.random.default_rng()); seed it anew in each run, draw "
                "with torch or np.random, or make what it draws an argument: an input, or fixed="
            )

    @torch.no_grad()
    def head(self, latents: Latents, layers: Sequence[Layer]) -> list[list[Tensor]]:
        """Run up to the layers and return each one's tensors, as the layer gives them."""
        self.learn(latents)
        missing = set(range(len(layers)))
        taken: list[list[Tensor]] = [[] for _ in layers]

        def take(i: int, tensors: list[Tensor]) -> None:
            # A clone: an in-place layer behind this one would write into it.
            if i in missing:
                taken[i] = [tensor.detach().clone() for tensor in tensors]
                missing.discard(i)
            if not missing:
                raise _Reached

        with self.turn, tapped(self.module, layers, take) as taps:
            try:
                self.run(latents)
            except _Reached:
                pass
            else:
                refuse_unmet(taps)
        # Gradients cannot flow to what a network makes in torch.inference_mode.
        return [[t.clone() if t.is_inference() else t for t in layer] for layer in taken]

    def substituted(
        self,
        latents: Latents,
        layers: Sequence[Layer],
        tensors: Sequence[Sequence[Tensor]],
        *,
        again: bool = False,
    ) -> Images:
        """Run the whole network with each layer's tensors replaced: the definition of a tail.

        With `again`, submodules behind the layers run again for a gradient, which then takes less
        memory; it is wrong where they draw random numbers.
        """

        def replace(i: int, found: list[Tensor]) -> list[Tensor]:
            # Clones: an in-place layer right behind the cut must not write into the caller's.
            return [
                given.to(old.dtype).clone() for given, old in zip(tensors[i], found, strict=True)
            ]

        self.learn(latents)
        with self.turn, tapped(self.module, layers, replace) as taps:
            rerun = running_again(self.module, lambda: all(tap.tensors is not None for tap in taps))
            with rerun if again else nullcontext():
                image = self.run(latents)
        refuse_unmet(taps)
        return image


def _seeds(latents: Latents) -> Tensor:
    """Refuse latents that are no seeds, one an item."""
    if isinstance(latents, Tensor) and latents.dtype == torch.int64 and latents.ndim == 1:
        return latents
    kinds = ", ".join(str(part.dtype).removeprefix("torch.") for part in parts(latents).values())
    raise InputError(
        "latents of a method that takes a count are seeds, int64 [batch], one an item; "
        f"not {kinds} {describe(latents)}"
    )


@contextmanager
def _refusals(latents: Latents, fixed: Mapping[str, Any]) -> Iterator[None]:
    """Say of whatever a network raises that it rejects the latents, with what is fixed."""
    try:
        yield
    except InputError:
        raise
    except _REJECTIONS as error:
        given = ", ".join(f"{name}={_told(value)}" for name, value in fixed.items())
        beside = f" with fixed {given}" if given else ""
        raise InputError(
            f"the generator rejects latents {describe(latents)}{beside}: {first_line(error)}"
        ) from error


def _told(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)[:40]


def repeated_to(count: int, conditions: Any) -> Any:
    """Repeat over a batch all tensors at any depth that have one item."""

    def repeated(leaf: Any) -> Any:
        return leaf.repeat(count, *[1] * (leaf.ndim - 1)) if _is_of_one(leaf) else leaf

    return with_leaves(conditions, [repeated(leaf) for leaf in leaves(conditions).values()])


def _is_of_one(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.shape[:1] == (1,)


def held(value: Any) -> Any:
    """Copy every tensor at any depth, and all containers that lead to it; nothing else."""
    return with_leaves(value, [_own(leaf) for leaf in leaves(value).values()])


def _own(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.clone()
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


# The image in what a network returns

_MOST = 2**31
"""Further than any output's index."""
_FEWEST_ROWS = 8
"""An output with so many rows and columns and 1, 3 or 4 of what comes last is a picture whose
channels come last; no picture has so many channels and so few columns."""


def of_image(image: Any) -> ImageOf:
    """Check a caller's `image=`: an index, a name or a function."""
    if image is None or isinstance(image, str) or callable(image):
        return image
    return whole("image=, where it is no name and no function,", image, -_MOST, _MOST)


def find_image(output: Any, count: int, image_of: ImageOf = None) -> Tensor:
    """Find the image in what a network returns: itself, or the only output shaped like one."""
    if callable(image_of):
        image = image_of(output)
    elif image_of is not None:
        named = isinstance(image_of, str) and not isinstance(output, Mapping)
        try:
            image = getattr(output, str(image_of)) if named else output[image_of]
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise GeneratorError(
                f"image={image_of!r} is not in what the network returns: {_listed(output)}"
            ) from error
    elif isinstance(output, Tensor):
        image = output
    else:
        found = [leaf for leaf in leaves(output).values() if _is_image_shaped(leaf, count)]
        if len(found) > 1:
            raise GeneratorError(
                f"several outputs of the network could be the image: {_listed(output)}; "
                "say which, as image=0, image='name' or image=function"
            )
        image = found[0] if found else output
    if not isinstance(image, Tensor):
        raise GeneratorError(f"the network gives no image but a {type(image).__name__}")
    return image


def refuse_no_image(image: Tensor, count: int) -> None:
    """Refuse what is not a batch of finite images."""
    if not _is_image_shaped(image, count):
        raise GeneratorError(
            "the network gives no image: expected real numbers [batch, channels, height, "
            f"width], got {str(image.dtype).removeprefix('torch.')} {list(image.shape)}"
        )
    rows, columns, last = image.shape[1:]
    if last in (1, 3, 4) and min(rows, columns) >= _FEWEST_ROWS:
        raise GeneratorError(
            f"the network gives {list(image.shape)}, which looks like [batch, height, width, "
            "channels]; channels come before height here: pass "
            "image=lambda out: out.permute(0, 3, 1, 2)"
        )
    if not bool(image.isfinite().all()):
        raise GeneratorError("the network gives an image with NaN or infinite pixels")


def _is_image_shaped(leaf: Any, count: int) -> bool:
    real = isinstance(leaf, Tensor) and leaf.is_floating_point()
    return real and leaf.ndim == 4 and len(leaf) == count


def _listed(output: Any) -> str:
    return ", ".join(
        f"{path} {list(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__}"
        for path, leaf in leaves(output).items()
    )
