"""A generator cut in two: x = G(f), f = head(z), with G the tail behind the cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.latents import (
    Latents,
    arguments,
    batch_size,
    concatenate,
    describe,
    map_latents,
    parts,
)
from regional_primitives.runtime.streams import stream

__all__ = ["Generator", "Latents"]

_ROUNDING = 1e-5
"""The largest difference of two images, relative to the largest pixel, that passes as rounding."""


@dataclass(frozen=True, eq=False)
class Generator:
    """A network cut at a layer. Make one with `rp.cut` or `rp.load_generator`."""

    name: str
    layer: str
    network: nn.Module
    """The whole network, frozen: a twin that shares the user's weights."""
    head_module: nn.Module
    tail_module: nn.Module
    image_range: tuple[float, float]
    digest: str
    """SHA-256 over the weights."""
    sampler: Callable[[int, torch.Generator], Latents] | None = None
    baseline: Tensor | None = None
    """The user's own baseline feature [1, *feature_shape], if any."""
    baseline_latents: Latents | None = None

    def __repr__(self) -> str:
        return f"<Generator {self.name} cut at {self.layer}>"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        for tensor in (*self.network.parameters(), *self.network.buffers()):
            return tensor.device
        return torch.device("cpu")

    def sample_latents(self, count: int, seed: int = 0) -> Latents:
        """Draw latents; item i is what seed + i alone would give, whatever `count` is.

        So `sample_latents(40, seed=0)[8:9]` and `sample_latents(1, seed=8)` are the same picture.

        Raises:
            InputError: a count below 1.
            GeneratorError: the generator was cut without `sample_latents`, or that callable gives
                something else than one item.
        """
        if count < 1:
            raise InputError(f"at least one latent must be drawn, not {count}")
        return concatenate([self._draw(stream(seed + i)) for i in range(count)])

    def stream_latents(self, count: int, seed: int, name: str, batch: int) -> Iterator[Latents]:
        """Yield `count` latents in batches, from streams that never meet the pictures' own."""
        for start in range(0, count, batch):
            items = range(start, min(start + batch, count))
            yield concatenate([self._draw(stream(seed, name, i)) for i in items])

    def _draw(self, rng: torch.Generator) -> Latents:
        if self.sampler is None:
            raise GeneratorError(
                "this generator was cut without sample_latents=; pass it to rp.cut, or give latents"
            )
        latents = self.sampler(1, rng)
        if batch_size(latents) != 1:
            raise GeneratorError(
                f"sample_latents(1, rng) gave {batch_size(latents)} items: {describe(latents)}"
            )
        return map_latents(lambda part: part.to(self.device), latents)

    def head(self, latents: Latents) -> Float[Tensor, "batch *feature"]:
        """Run the network up to the cut.

        Raises:
            InputError: latents of another shape than the network takes.
        """
        positional, named = arguments(map_latents(lambda part: part.to(self.device), latents))
        with torch.no_grad():
            return self._run(self.head_module, latents, *positional, **named)

    def tail(
        self, feature: Float[Tensor, "batch *feature"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Run only what lies behind the cut; gradients flow to `feature` and nowhere else."""
        image: Tensor = self.tail_module(self._in_its_precision(feature))
        return image

    def _in_its_precision(self, feature: Tensor) -> Tensor:
        """Features are kept in float32, also those of a network in another precision."""
        for weight in self.tail_module.parameters():
            if weight.is_floating_point():
                return feature.to(weight.dtype)
        return feature

    @torch.no_grad()
    def accepts(self, feature: Tensor) -> bool:
        """Tell whether the tail turns `feature` into pictures."""
        try:
            image: object = self.tail_module(self._in_its_precision(feature.to(self.device)))
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False
        return isinstance(image, Tensor) and image.ndim == 4 and len(image) == len(feature)

    def image(self, latents: Latents) -> Float[Tensor, "batch channels height width"]:
        """Run the whole network, uncut.

        Raises:
            InputError: latents of another shape than the network takes.
        """
        positional, named = arguments(map_latents(lambda part: part.to(self.device), latents))
        with torch.no_grad():
            return self._run(self.network, latents, *positional, **named)

    def _run(self, module: nn.Module, latents: Latents, *args: Tensor, **named: Tensor) -> Any:
        parts(latents)
        self._refuse_other_shapes(latents)
        try:
            return module(*args, **named)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            first = str(error).strip().splitlines()[:1]
            raise InputError(
                f"the generator rejects latents {describe(latents)}: {first[0] if first else error}"
            ) from error

    def _refuse_other_shapes(self, latents: Latents) -> None:
        if self.sampler is None:
            return
        expected = parts(self._draw(stream(0)))
        given = parts(latents)
        same = expected.keys() == given.keys() and all(
            expected[name].shape[1:] == given[name].shape[1:] for name in expected
        )
        if not same:
            takes = ", ".join(str(["batch", *part.shape[1:]]) for part in expected.values())
            raise InputError(
                f"latents {describe(latents)} do not fit; this generator takes {takes}".replace(
                    "'batch'", "batch"
                )
            )

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of the feature without its batch axis."""
        shape = self._example_feature().shape[1:]
        return tuple(shape)

    def _example_feature(self) -> Tensor:
        if self.baseline is not None:
            return self.baseline
        if self.baseline_latents is not None:
            return self.head(map_latents(lambda part: part[:1], self.baseline_latents))
        return self.head(self._draw(stream(0)))

    @torch.no_grad()
    def render(
        self, units: Float[Tensor, "batch units"], feature_shape: tuple[int, ...], batch: int = 64
    ) -> Float[Tensor, "batch channels height width"]:
        """Generate pictures from flat features, on the CPU, in chunks that bound memory."""
        chunks = [
            self.tail(chunk.to(self.device).unflatten(1, feature_shape)).float().cpu()
            for chunk in units.split(batch)
        ]
        return torch.cat(chunks)

    def verify(self, latents: Latents) -> None:
        """Check on real latents that the network can be explained and is cut right.

        Raises:
            InputError: latents that do not fit.
            GeneratorError: two runs differ, the output is no image or not finite, or tail(head(z))
                is not what the whole network gives.
        """
        self.verify_network(latents)
        self.verify_cut(latents)

    @torch.no_grad()
    def verify_network(self, latents: Latents) -> None:
        """Check that the uncut network gives finite images, the same ones for the same latents.

        Raises:
            InputError: latents that do not fit.
            GeneratorError: two runs differ, or the output is no image or not finite.
        """
        image = self.image(latents)
        self._refuse_no_image(image, batch_size(latents))
        again = self.image(latents)
        difference = float((image - again).abs().max())
        # Some GPU kernels add in another order each time; that rounding is no randomness.
        if not difference <= _ROUNDING * float(image.abs().max()):
            raise GeneratorError(
                "this network gives a different image for the same latent (largest difference "
                f"{difference:.3g}): it draws random numbers of its own; make them an input, or "
                "fix them, before it is explained"
            )

    @torch.no_grad()
    def verify_cut(self, latents: Latents) -> None:
        """Check that tail(head(z)) is what the whole network gives.

        Raises:
            GeneratorError: the feature is not one tensor of real numbers, or the images differ.
        """
        image, feature = self.image(latents), self.head(latents)
        if not isinstance(feature, Tensor) or not feature.is_floating_point() or feature.ndim < 2:
            raise GeneratorError(f"layer {self.layer!r} does not give one tensor of real numbers")
        rebuilt = self.tail(feature)
        scale = float(image.abs().max()) or 1.0
        gap = float((rebuilt - image).abs().max()) / scale
        if not gap <= _ROUNDING:
            raise GeneratorError(
                f"cut at {self.layer!r}, the tail gives another image than the whole network "
                f"(relative difference {gap:.2g})"
            )

    def _refuse_no_image(self, image: object, count: int) -> None:
        if not isinstance(image, Tensor):
            raise GeneratorError(f"the network gives no image but a {type(image).__name__}")
        if image.ndim != 4 or not image.is_floating_point() or len(image) != count:
            raise GeneratorError(
                "the network gives no image: expected real numbers [batch, channels, height, "
                f"width], got {str(image.dtype).removeprefix('torch.')} {list(image.shape)}"
            )
        if not bool(image.isfinite().all()):
            raise GeneratorError("the network gives an image with NaN or infinite pixels")
