"""A GPU for machines that have none: tensors that say `meta`, live on the CPU, and refuse company.

What mixes devices on a real GPU raises here, too; nothing else of a GPU is pretended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
"""The one device that every build of torch has besides the CPU."""
_aten = torch.ops.aten
_MAY_INDEX = {
    _aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default,
    _aten._index_put_impl_.default, _aten._unsafe_index.Tensor,
}  # fmt: skip
"""Tensors of a GPU may be indexed by tensors of the CPU."""
_MAY_COPY = {_aten.copy_.default, _aten._to_copy.default}


class Pretended(Tensor):
    """A tensor that says it is on the GPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device="meta", dispatch_device=True,
        )  # fmt: skip
        made.held = held
        return made

    def __repr__(self) -> str:
        return f"Pretended({self.held!r})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return run(func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl


class PretendedGpu(TorchDispatchMode):
    """Makes what is asked for on the GPU."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return run(func, args, kwargs or {})


class Numbers(TorchFunctionMode):
    """Plain numbers come and go out of sight of dispatch: on `meta` they would be lost."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and device is not None:
            return func(*args, **{**kwargs, "device": torch.device("cpu")}).to(device)
        if func is Tensor.tolist and isinstance(args[0], Pretended):
            return args[0].held.tolist()
        return func(*args, **kwargs)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on what the tensors hold, on one device or not at all."""
    if func is torch.ops.prim.device.default:
        return DEVICE
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    ours = any(isinstance(one, Pretended) for one in tensors)
    strangers = [one for one in tensors if not isinstance(one, Pretended) and one.ndim]
    if ours and strangers and func not in (_MAY_COPY | _MAY_INDEX):
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, the GPU and cpu"
        )
    if func in _MAY_INDEX and not isinstance(args[0], Pretended) and ours:
        raise RuntimeError(f"{func}: a tensor of the CPU is indexed by, or given, one of the GPU")
    asked = kwargs.get("device")
    there = ours if asked is None else torch.device(asked) == DEVICE
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    if func is _aten.copy_.default:
        there = isinstance(args[0], Pretended)
    first = args[0] if args else None
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if _in_place(func) and isinstance(first, Tensor):
        return first
    if func is _aten._local_scalar_dense.default or not there:
        return result
    return tree_map(lambda one: Pretended(one) if isinstance(one, Tensor) else one, result)


def _held(one: Any) -> Any:
    return one.held if isinstance(one, Pretended) else one


def _in_place(func: Any) -> bool:
    return func._schema.is_mutable and func._schema.name.split("::")[1].endswith("_")


@contextmanager
def pretended_gpu() -> Iterator[str]:
    """Let `meta` stand for a GPU that is not there."""
    with Numbers(), PretendedGpu():
        yield DEVICE.type
