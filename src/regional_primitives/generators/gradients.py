"""The gradient of a tail: one vector-Jacobian product, and whose rules it follows.

A picture alone does not tell whether a recording is right: a network may define its own backward
pass (straight-through rounding, gradient scaling, checkpoints) or compute part of itself under
`torch.no_grad`, so that the same numbers have another gradient.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regional_primitives.generators.feature import Feature, as_units, tensors_of
from regional_primitives.runtime.streams import stream

__all__ = ["PastNoGrad", "applied_by", "vector_jacobian"]


def vector_jacobian(
    tail: Callable[[Feature], Tensor], feature: Feature
) -> tuple[Tensor, Float[Tensor, "batch units"] | None]:
    """Return images of a feature, and the gradient of each one's product with one random vector.

    The gradient is None where none flows.
    """
    leaves = tuple(tensor.detach().requires_grad_(True) for tensor in tensors_of(feature))
    with torch.enable_grad():
        images = tail(leaves[0] if isinstance(feature, Tensor) else leaves)
    if not images.requires_grad:
        return images, None
    vector = torch.randn(images.shape[1:], generator=stream(0, "vector")).to(images)
    # Not torch.autograd.grad, which reentrant checkpoints refuse.
    with torch.enable_grad():
        product = (images * vector).sum()
    product.backward()
    found = [leaf.grad for leaf in leaves]
    if all(part is None for part in found):
        return images.detach(), None
    parts = tuple(
        torch.zeros_like(leaf) if part is None else part
        for leaf, part in zip(leaves, found, strict=True)
    )
    return images.detach(), as_units(parts)


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


_seers = threading.local()
_lock = threading.Lock()
_seen = 0
"""How many threads see Functions applied: `apply` is one for all of them."""
_APPLY = torch.autograd.Function.__dict__["apply"]


@contextmanager
def applied_by(
    see: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any],
) -> Iterator[None]:
    """Within this context, and in this thread, `see` calls what `Function.apply` stands for.

    torch's modes are told of the operations within a Function's forward pass, not of the Function,
    whose own backward pass would be lost.
    """
    global _seen

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        bound = _APPLY.__get__(None, cls)
        seer = getattr(_seers, "see", None)
        return bound(*args, **kwargs) if seer is None else seer(bound, args, kwargs)

    before = getattr(_seers, "see", None)
    with _lock:
        _seen += 1
        if _seen == 1:
            torch.autograd.Function.apply = classmethod(apply)  # type: ignore[method-assign,assignment]
    _seers.see = see
    try:
        yield
    finally:
        _seers.see = before
        with _lock:
            _seen -= 1
            if _seen == 0:
                torch.autograd.Function.apply = _APPLY  # type: ignore[method-assign]
