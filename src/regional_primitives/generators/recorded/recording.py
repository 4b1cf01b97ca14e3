"""Recording: one real run of a network, written down operation by operation.

Every call of a torch function is seen through torch.overrides.TorchFunctionMode while the network
runs on real latents. So Python control flow, samplers' loops and side calculations need no
rewriting: what happened is what is written down. Values are numbered as they come, so that two
recordings of the same path have the same numbers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointFunction

from regional_primitives.generators.holding import Holding
from regional_primitives.generators.latents import Latents, map_latents, parts
from regional_primitives.generators.layers import Layer, leaves, refuse_unmet, tapped
from regional_primitives.generators.network import Network
from regional_primitives.runtime.modes import ProcessWide

_METADATA = {
    "size", "dim", "ndimension", "numel", "nelement", "stride", "is_floating_point", "is_complex",
    "is_contiguous", "element_size", "data_ptr", "storage_offset", "get_device", "__len__", "type",
    "is_same_size", "untyped_storage", "__hash__", "__repr__", "__format__", "__str__", "is_signed",
    "result_type", "can_cast", "has_names", "is_inference", "is_tensor", "is_conj", "is_neg",
    "is_pinned", "__deepcopy__", "is_shared", "dim_order", "__dir__", "is_storage",
}  # fmt: skip
"""Functions that tell of a tensor's kind, not of its numbers."""


@dataclass(frozen=True)
class Value:
    """Stands for value number `number` in an operation's arguments."""

    number: int


@dataclass(frozen=True)
class Operation:
    """One call of a torch function."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    """As called, with `Value` in place of tensors."""
    keywords: dict[str, Any]
    result: Any
    """As returned, with `Value` in place of tensors."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    mutated: tuple[int, ...]
    """Values that the call wrote into."""
    seconds: float
    follows: bool = True
    """Whether the network follows gradients here; not under its own `torch.no_grad`."""


@dataclass
class Recording:
    """A run, written down."""

    operations: list[Operation] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    """Every tensor met, by number; kept alive, so that no number or storage is used twice."""
    origins: list[str] = field(default_factory=list)
    """The submodule in which each value first was met."""
    latents: dict[int, str] = field(default_factory=dict)
    """Values that are latents, with their names."""
    held: set[int] = field(default_factory=set)
    """Values that are scales and shifts of held normalisations."""
    features: list[list[int]] = field(default_factory=list)
    """For each layer that was tapped, the values that stand for its tensors."""
    given: list[list[Tensor]] = field(default_factory=list)
    """For each layer that was tapped, its tensors as the layer gave them."""
    reads: list[tuple[int, str]] = field(default_factory=list)
    """Values whose numbers went into Python, and by which function."""
    first_use: dict[int, int] = field(default_factory=dict)
    """Each value's version when a value that depends on the feature was first made from it."""
    image: int = -1
    returned: list[tuple[str, int, list[int], int]] = field(default_factory=list)
    """Each submodule call: name, number of the call, its tensors, operations done by then."""

    def storage(self, number: int) -> int:
        """Name the memory that a value lives in."""
        try:
            return int(self.values[number].untyped_storage()._cdata)
        except (RuntimeError, NotImplementedError):  # sparse values and those of torch.func
            return -1 - number

    def bytes_of(self, places: Iterable[int]) -> int:
        """Return the memory that the results of operations take up."""
        sizes = {
            self.storage(number): self.values[number].numel() * self.values[number].element_size()
            for place in places
            for number in self.operations[place].outputs
            if self.values[number].layout == torch.strided
        }
        return sum(sizes.values())


def map_leaves(change: Callable[[Any], Any], structure: Any) -> Any:
    """Apply `change` to what is neither tuple, list, dictionary nor slice."""
    if isinstance(structure, tuple):
        items = [map_leaves(change, item) for item in structure]
        if hasattr(structure, "_fields"):  # a named tuple
            return type(structure)(*items)
        return tuple(items)
    if isinstance(structure, list):
        return [map_leaves(change, item) for item in structure]
    if isinstance(structure, dict):
        return {name: map_leaves(change, item) for name, item in structure.items()}
    if isinstance(structure, slice):
        ends = (structure.start, structure.stop, structure.step)
        return slice(*(map_leaves(change, end) for end in ends))
    return change(structure)


class _Recorder(TorchFunctionMode):
    """Writes down every torch function call of a context."""

    def __init__(self) -> None:
        super().__init__()
        self.recording = Recording()
        self.numbers: dict[int, int] = {}
        self.dependent: set[int] = set()
        """Values that depend on the feature, as far as seen from plain data flow."""
        self.place: list[str] = []
        """The submodules being run, outermost first."""
        self.inside = False
        """Whether a function is being called, which is one operation whatever it calls."""

    def number(self, tensor: Tensor) -> int:
        """Return a tensor's number; a new one where it has none."""
        if id(tensor) not in self.numbers:
            self.numbers[id(tensor)] = len(self.recording.values)
            self.recording.values.append(tensor)
            self.recording.origins.append(self.place[-1] if self.place else "")
        return self.numbers[id(tensor)]

    def _numbered(self, structure: Any) -> tuple[Any, tuple[int, ...]]:
        """Put numbers in place of tensors, and list them."""
        met: list[int] = []

        def numbered(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            met.append(self.number(leaf))
            return Value(met[-1])

        return map_leaves(numbered, structure), tuple(met)

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function and write it down."""
        return self._call(func, args, kwargs or {})

    def applied(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply an autograd Function and write it down."""
        if func.__self__ is CheckpointFunction and not self.inside:
            run, _, *given = args  # a way to save memory, whose gradient is ordinary
            return run(*given)
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function and write it down as one operation, whatever it calls itself."""
        name = getattr(func, "__name__", "")
        # `requires_grad_` is no calculation, and replayed it would break the gradient.
        if self.inside or name == "requires_grad_":
            return func(*args, **kwargs)
        (arguments, keywords), inputs = self._numbered((tuple(args), kwargs))
        before = self._versions(inputs)
        began = time.perf_counter()
        self.inside = True
        try:
            output = func(*args, **kwargs)
        finally:
            self.inside = False
        seconds = time.perf_counter() - began
        result, outputs = self._numbered(output)
        after = self._versions(inputs)
        mutated = tuple(i for i in before if after[i] != before[i])
        if not outputs and not mutated:
            if name != "__get__" and name not in _METADATA:
                self.recording.reads += [(i, name) for i in inputs]
            return output
        written = (arguments, keywords, result, inputs, outputs, mutated, seconds)
        self.recording.operations.append(Operation(func, *written, torch.is_grad_enabled()))
        if self.dependent.intersection(inputs):
            self.dependent.update(outputs, mutated)
            for i in before:
                self.recording.first_use.setdefault(i, before[i])
        return output

    def _versions(self, numbers: Iterable[int]) -> dict[int, int]:
        return {number: version_of(self.recording.values[number]) for number in numbers}


def version_of(tensor: Tensor) -> int:
    """Count how often a tensor has been written into, where torch counts."""
    return 0 if tensor.is_inference() else int(tensor._version)


@torch.enable_grad()  # of nothing, since no value asks for it; a network's own no_grad then shows
def record(
    network: Network, latents: Latents, layers: Sequence[Layer] = (), *, hold: bool = False
) -> Recording:
    """Run a network once and write the run down.

    The tensors of `layers` come as values of their own, from which the rest of the run goes on:
    the feature. Without layers, `returned` lists what every submodule returned. With `hold`,
    normalisations scale and shift by their statistics in this run, whatever the feature.
    """
    network.learn_draws(latents)
    recorder = _Recorder()
    recording = recorder.recording
    latents = map_latents(lambda part: part.to(network.device), latents)
    for name, part in parts(latents).items():
        recording.latents[recorder.number(part)] = name
    recording.features = [[] for _ in layers]
    recording.given = [[] for _ in layers]

    def replace(i: int, tensors: list[Tensor]) -> list[Tensor]:
        with torch._C.DisableTorchFunction():
            copies = [tensor.clone() for tensor in tensors]
            recording.given[i] = [tensor.clone() for tensor in tensors]
        recording.features[i] = [recorder.number(copy) for copy in copies]
        recorder.dependent.update(recording.features[i])
        return copies

    holding = Holding()
    with (
        network.turn,
        _followed(network.module, recorder),
        tapped(network.module, layers, replace) as taps,
    ):
        with recorder, _applied_by(recorder.applied), holding if hold else nullcontext():
            image = network.run(latents)
        refuse_unmet(taps)
    for held in holding.noted:
        recording.held.update(map(recorder.number, (held.scale, held.shift, *held.rest)))
    recording.image = recorder.number(image)
    recording.given = [[tensor.clone() for tensor in layer] for layer in recording.given]
    return recording


@contextmanager
def _followed(module: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Keep the recorder told which submodule runs and what each returned."""
    calls: dict[str, int] = {}

    def enter(name: str, part: nn.Module, inputs: Any) -> None:
        recorder.place.append(name)

    def leave(name: str, part: nn.Module, inputs: Any, output: Any) -> None:
        recorder.place.pop()
        calls[name] = calls.get(name, 0) + 1
        tensors = [leaf for leaf in leaves(output).values() if isinstance(leaf, Tensor)]
        met = [recorder.number(tensor) for tensor in tensors]
        done = len(recorder.recording.operations)
        recorder.recording.returned.append((name, calls[name], met, done))

    with ExitStack() as stack:
        for name, part in module.named_modules():
            if name and not isinstance(part, torch.jit.ScriptModule):
                before = part.register_forward_pre_hook(partial(enter, name))
                after = part.register_forward_hook(partial(leave, name))
                stack.callback(before.remove)
                stack.callback(after.remove)
        yield


# Functions: torch's modes are told of the operations within one's forward pass, not of the Function
# itself, whose own backward pass would be lost.

_APPLY = torch.autograd.Function.__dict__["apply"]
_seers = threading.local()


def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    bound = _APPLY.__get__(None, cls)
    see = getattr(_seers, "see", None)
    return bound(*args, **kwargs) if see is None else see(bound, args, kwargs)


_SEEN_APPLY = classmethod(_apply)


def _see_functions() -> list[Callable[[], None]]:
    """Put our `apply` in the place of torch's, which is one for all threads."""
    if torch.autograd.Function.__dict__["apply"] is _SEEN_APPLY:
        return []
    torch.autograd.Function.apply = _SEEN_APPLY  # type: ignore[method-assign,assignment]
    return [partial(setattr, torch.autograd.Function, "apply", _APPLY)]


_seen_functions = ProcessWide(_see_functions)


@contextmanager
def _applied_by(see: Callable[..., Any]) -> Iterator[None]:
    """Within this context, and in this thread, `see` calls what `Function.apply` stands for."""
    before = getattr(_seers, "see", None)
    _seers.see = see
    try:
        with _seen_functions:
            yield
    finally:
        _seers.see = before
