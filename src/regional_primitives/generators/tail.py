"""What a tail means: the whole network with the layers' outputs replaced, and its gradient.

All that flows past the cut is held as it is for one picture. This runs on every network; whatever
runs faster is checked against it (recorded/), its images and its gradient, since the same numbers
may have another one: a network may define its own backward pass (straight-through rounding,
gradient scaling, checkpoints) or compute part of itself under `torch.no_grad`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regional_primitives.axes import Images, Units
from regional_primitives.generators.feature import Feature, as_units, feature_of, tensors_of
from regional_primitives.generators.holding import Holding
from regional_primitives.generators.latents import Latents, repeated
from regional_primitives.generators.layers import Layer
from regional_primitives.generators.layout import Parts
from regional_primitives.generators.network import Network
from regional_primitives.runtime.streams import stream


@dataclass(frozen=True, eq=False)
class WholeRunTail:
    """Runs the whole network with the layers' outputs replaced."""

    parts: Parts
    network: Network
    layers: tuple[Layer, ...]
    latents: Latents
    bytes_per_item: int
    why: str
    """Why nothing faster can be had."""
    mixes: bool = False
    """Whether the network mixes the items of a batch; then they go through one by one."""
    follow_all: bool = False
    """Whether gradients are followed past the network's own `torch.no_grad`: all of it is under
    that, as samplers are, and has none otherwise."""
    again: bool = False
    """Whether submodules run again for a gradient, as `Network.substituted` tells."""
    hold: bool = False
    """Whether normalisations are held at the picture's statistics, those of a run before."""

    def __call__(self, feature: Feature) -> Images:
        """Generate images; gradients flow to the feature and nowhere else."""
        batch = len(tensors_of(feature)[0])
        if self.mixes and batch > 1:
            return torch.cat([self(item) for item in items_of(feature)])
        latents = repeated(self.latents, batch)
        past = PastNoGrad() if self.follow_all else nullcontext()
        with past, self._holding(latents):
            return self.network.substituted(
                latents, self.layers, self.parts.by_layer(feature), again=self.again
            )

    def _holding(self, latents: Latents) -> AbstractContextManager[Any]:
        if not self.hold:
            return nullcontext()
        self.network.learn(latents)  # a run of its own, whose statistics are not meant
        with torch.no_grad(), Holding() as holding:
            self.network.run(latents)
        return Holding(holding.noted)


def items_of(feature: Feature) -> list[Feature]:
    """Take a batch apart into batches of one."""
    rows = zip(*(tensor.split(1) for tensor in tensors_of(feature)), strict=True)
    return [feature_of(row) for row in rows]


def vector_jacobian(
    tail: Callable[[Feature], Tensor], feature: Feature
) -> tuple[Tensor, Units | None]:
    """Return images of a feature, and the gradient of each one's product with one random vector.

    The gradient is None where none flows.
    """
    leaves = [tensor.detach().requires_grad_(True) for tensor in tensors_of(feature)]
    with torch.enable_grad():
        images = tail(feature_of(leaves))
    if not images.requires_grad:
        return images, None
    vector = torch.randn(images.shape[1:], generator=stream(0, "vector")).to(images)
    # Not torch.autograd.grad, which reentrant checkpoints refuse.
    with torch.enable_grad():
        product = (images * vector).sum()
    product.backward()
    if all(leaf.grad is None for leaf in leaves):
        return images.detach(), None
    gradient = (torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves)
    return images.detach(), as_units(feature_of(gradient))


class PastNoGrad(TorchFunctionMode):
    """Within this context a network's own `torch.no_grad` does nothing."""

    def __enter__(self) -> Any:
        """Note whether gradients are followed."""
        self.before = torch.is_grad_enabled()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        """Set back what a network that switched them on would have set back itself."""
        super().__exit__(*error)
        torch._C._set_grad_enabled(self.before)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, unless it would switch gradients off."""
        if getattr(func, "__name__", "") == "_set_grad_enabled" and not args[0]:
            return None
        return func(*args, **(kwargs or {}))
