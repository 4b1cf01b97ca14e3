"""A GPU for machines that have none: tensors that say `meta`, live on the CPU, and refuse company.

What mixes devices on a real GPU raises here, too; nothing else of a GPU is pretended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from regional_primitives.decompose.structured import replay

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


class PretendedGraph:
    """Stands for a CUDA graph: what is captured is undone, and done again by each replay.

    Numbers of Python, and tensors that the captured code makes or reads, stay what they were, as in
    a real one; and a capture in which something is read on the CPU, or copied from there, raises.
    """

    capturing: PretendedGraph | None = None

    def __init__(self) -> None:
        self.lines: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.replays = 0

    def note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        self.lines.append((func, args, kwargs, result))

    def about_to_write(self, tensors: list[Tensor]) -> None:
        for one in tensors:
            self.before.setdefault(id(one), (one, one.clone()))

    def undo(self) -> None:
        for tensor, value in reversed(self.before.values()):  # what was saved first is oldest
            tensor.copy_(value)

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, result in self.lines:
            again = tree_flatten(func(*args, **kwargs))[0]
            if not func._schema.is_mutable:
                for there, value in zip(tree_flatten(result)[0], again, strict=True):
                    if isinstance(there, Tensor):
                        there.copy_(value)


@contextmanager
def capturing(graph: PretendedGraph) -> Iterator[None]:
    """Stand for `torch.cuda.graph`."""
    PretendedGraph.capturing = graph
    try:
        yield
    finally:
        PretendedGraph.capturing = None
        graph.undo()


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
    args, kwargs = tree_map(_held, args), tree_map(_held, kwargs)
    graph = PretendedGraph.capturing if ours or there else None
    if graph is not None:
        if strangers or not there or func is _aten._local_scalar_dense.default:
            raise RuntimeError(f"{func}: operation not permitted when stream is capturing")
        if func._schema.is_mutable:
            graph.about_to_write([x for x in tree_flatten(args)[0] if isinstance(x, Tensor)])
    result = func(*args, **kwargs)
    if graph is not None:
        graph.note(func, args, kwargs, result)
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


@contextmanager
def pretended_graphs() -> Iterator[list[PretendedGraph]]:
    """Let the pretended GPU have CUDA graphs; yields those that are made."""
    made: list[PretendedGraph] = []

    def new() -> PretendedGraph:
        made.append(PretendedGraph())
        return made[-1]

    stream = mock.Mock()
    with (
        mock.patch.object(replay, "can_capture", lambda device: device == DEVICE),
        mock.patch.multiple(
            torch.cuda,
            CUDAGraph=new,
            graph=capturing,
            Stream=stream,
            current_stream=stream,
            stream=lambda _: nullcontext(),
        ),
    ):
        yield made
