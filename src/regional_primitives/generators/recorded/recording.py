"""Recording: one real run of a network, written down operation by operation.

Every call of a torch function is seen through torch.overrides.TorchFunctionMode while the network
runs on real latents. So Python control flow, samplers' loops and side calculations need no
rewriting: what happened is what is written down. Values are numbered as they come, so that two
recordings of the same path have the same numbers. No value is kept alive but those that are
captured: a recording takes up what a run does, and what flows past the cut.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from regional_primitives.generators.calls import calls_seen_by
from regional_primitives.generators.holding import Holding
from regional_primitives.generators.latents import Latents, batch_size, map_latents, parts
from regional_primitives.generators.layers import Layer, leaves, refuse_unmet, tapped
from regional_primitives.generators.network import Network
from regional_primitives.runtime.modes import AUTOCASTING

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
class Met:
    """What a value was when the run first met it."""

    shape: torch.Size
    dtype: torch.dtype
    size: int
    """Bytes; 0 of what is not laid out in strides."""
    storage: int
    """Names the memory that it lives in."""
    origin: str
    """The submodule in which it was met; empty for the network itself."""


@dataclass(frozen=True)
class Context:
    """Modes of torch in which an operation ran."""

    follows: bool = True
    """Whether the network follows gradients here; not under its own `torch.no_grad`."""
    autocast: tuple[tuple[str, torch.dtype], ...] = ()
    """Kinds of devices on which torch chooses precisions, and the lower one."""


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
    context: Context = Context()


@dataclass(frozen=True)
class Read:
    """Numbers of a value that went into Python."""

    number: int
    function: str
    line: str
    """Where: the file and line of the network's code."""


@dataclass
class Recording:
    """A run, written down."""

    count: int
    """How many items ran."""
    operations: list[Operation] = field(default_factory=list)
    values: list[Met] = field(default_factory=list)
    """Every tensor met, by number."""
    unmade: dict[int, Tensor] = field(default_factory=dict)
    """Those that come from no operation that was seen: weights, latents, constants."""
    latents: dict[int, str] = field(default_factory=dict)
    """Values that are latents, with their names."""
    held: set[int] = field(default_factory=set)
    """Values that are scales and shifts of held normalisations."""
    features: list[list[int]] = field(default_factory=list)
    """For each layer that was tapped, the values that stand for its tensors."""
    given: list[list[Tensor]] = field(default_factory=list)
    """For each layer that was tapped, its tensors as the layer gave them."""
    reads: list[Read] = field(default_factory=list)
    """Values whose numbers went into Python."""
    captured: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    """By number, and how often its memory had been written into, values that the run read."""
    image: int = -1
    pictures: Tensor | None = None
    """The image itself."""
    returned: list[tuple[str, int, list[int], int]] = field(default_factory=list)
    """Each submodule call: name, number of the call, its tensors, operations done by then."""

    def storage(self, number: int) -> int:
        """Name the memory that a value lives in."""
        return self.values[number].storage

    def bytes_of(self, places: Iterable[int]) -> int:
        """Return the memory that the results of operations take up."""
        sizes = {
            self.values[number].storage: self.values[number].size
            for place in places
            for number in self.operations[place].outputs
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


@dataclass(eq=False)
class _Storage:
    """The memory of tensors that are alive."""

    name: int
    reference: StorageWeakRef | None
    """As long as it is kept, no other memory has this one's address."""
    tensors: int = 0


class _Recorder(TorchFunctionMode):
    """Writes down every torch function call of a context."""

    def __init__(self, count: int, wanted: Collection[tuple[int, int]] | None) -> None:
        super().__init__()
        self.recording = Recording(count)
        self.numbers: dict[int, tuple[int, Any, _Storage]] = {}
        """By the ids of tensors that are alive."""
        self.storages: dict[int, _Storage] = {}
        """Those of tensors that are alive, by their address."""
        self.met = 0
        """How many memories have been met."""
        self.wanted = wanted
        """What to capture; None for whatever flows past the layers."""
        self.writes: Counter[int] = Counter()
        """How many operations wrote into each memory."""
        self.behind: set[int] = set()
        """Values that depend on what the layers gave."""
        self.memory: set[int] = set()
        """Where these lie."""
        self.place: list[str] = []
        """The submodules being run, outermost first."""
        self.inside = False
        """Whether a function is being called, which is one operation whatever it calls."""

    def number(self, tensor: Tensor, *, made: bool = False, anew: bool = False) -> int:
        """Return a tensor's number; a new one where it has none, or is to get one."""
        key = id(tensor)
        known = self.numbers.get(key)
        if known is not None and not anew:
            return known[0]
        number = len(self.recording.values)
        with torch._C.DisableTorchFunction():
            size = tensor.numel() * tensor.element_size() if tensor.layout == torch.strided else 0
            storage = self._storage(tensor)
            origin = self.place[-1] if self.place else ""
            met = Met(tensor.shape, tensor.dtype, size, storage.name, origin)
        # A tensor made later may have the id of one that is gone.
        gone = weakref.ref(tensor, lambda _: self._forget(key, storage))
        self.numbers[key] = (number, gone, storage)
        if known is not None:
            self._let_go(known[2])
        self.recording.values.append(met)
        if not made:
            self.recording.unmade[number] = tensor
        return number

    def _storage(self, tensor: Tensor) -> _Storage:
        """Name the memory of one more tensor."""
        try:
            reference = StorageWeakRef(tensor.untyped_storage())
        except (RuntimeError, NotImplementedError):  # sparse values and those of torch.func
            reference = None
        known = None if reference is None else self.storages.get(reference.cdata)
        if known is None:
            known = _Storage(self.met, reference)
            self.met += 1
            if reference is not None:
                self.storages[reference.cdata] = known
        known.tensors += 1
        return known

    def _forget(self, key: int, storage: _Storage) -> None:
        """Let go of a tensor that is no more."""
        self.numbers.pop(key, None)
        self._let_go(storage)

    def _let_go(self, storage: _Storage) -> None:
        """Let go of a tensor's memory, if no other tensor has it.

        What is left of many memories would lie between those in use, which then take up more.
        """
        storage.tensors -= 1
        if storage.tensors == 0 and storage.reference is not None:
            self.storages.pop(storage.reference.cdata, None)
            storage.reference = None

    def _numbered(
        self, structure: Any, *, made: bool = False, given: Collection[int] = ()
    ) -> tuple[Any, list[Tensor]]:
        """Put numbers in place of tensors, and list these.

        One that was `given` and is handed on gets a number of its own, as a copy would: of a batch
        of one, `contiguous` gives back what it was given, of two it does not.
        """
        met: list[Tensor] = []

        def numbered(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            met.append(leaf)
            number = self.number(leaf, made=made)
            if number in given and number not in self.recording.unmade:
                number = self.number(leaf, made=made, anew=True)
            return Value(number)

        return map_leaves(numbered, structure), met

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function and write it down."""
        return self._call(func, args, kwargs or {})

    def called(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply an autograd Function, or run scripted code, and write it down."""
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function and write it down as one operation, whatever it calls itself."""
        name = getattr(func, "__name__", "")
        # `requires_grad_` is no calculation, and replayed it would break the gradient.
        if self.inside or name == "requires_grad_":
            return func(*args, **kwargs)
        if func is Tensor.new and isinstance(args[-1], torch.Size):
            func = Tensor.new_empty  # as a tuple, a size would be the numbers of a new tensor
        (arguments, keywords), tensors = self._numbered((tuple(args), kwargs))
        inputs = tuple(map(self.number, tensors))
        self._capture(inputs, tensors)
        before = list(map(version_of, tensors))
        context = _context()
        began = time.perf_counter()
        self.inside = True
        try:
            output = func(*args, **kwargs)
        finally:
            self.inside = False
        seconds = time.perf_counter() - began
        after = list(map(version_of, tensors))
        pairs = zip(inputs, before, after, strict=True)
        mutated = tuple(dict.fromkeys(number for number, old, new in pairs if new != old))
        result, results = self._numbered(output, made=True, given=set(inputs) - set(mutated))
        outputs = tuple(map(self.number, results))
        self._follow(inputs, (*outputs, *mutated), mutated)
        if not outputs and not mutated:
            if name != "__get__" and name not in _METADATA:
                line = _line()
                self.recording.reads += [Read(number, name, line) for number in inputs]
            return output
        written = (arguments, keywords, result, inputs, outputs, mutated, seconds)
        self.recording.operations.append(Operation(func, *written, context))
        return output

    def feature(self, tensors: Iterable[Tensor]) -> list[int]:
        """Number what a layer gave, from which on values depend on it."""
        numbers = [self.number(tensor, made=True) for tensor in tensors]
        self.behind.update(numbers)
        self.memory.update(map(self.recording.storage, numbers))
        return numbers

    def _is_behind(self, numbers: Iterable[int]) -> bool:
        return any(n in self.behind or self.recording.storage(n) in self.memory for n in numbers)

    def _capture(self, inputs: Sequence[int], tensors: Sequence[Tensor]) -> None:
        """Keep of what the next operation reads what is asked for, as it is now."""
        if self.wanted is None and not self._is_behind(inputs):
            return
        for number, tensor in zip(inputs, tensors, strict=True):
            key = number, self.writes[self.recording.storage(number)]
            if self.wanted is None:
                weight = isinstance(tensor, nn.Parameter) and key[1] == 0
                asked = number not in self.behind and not weight
            else:
                asked = key in self.wanted
            if asked and key not in self.recording.captured:
                with torch._C.DisableTorchFunction():  # none of the network's own calculations
                    self.recording.captured[key] = tensor.detach().clone()

    def _follow(self, inputs: Sequence[int], made: Sequence[int], mutated: Sequence[int]) -> None:
        """Note what was written into, and what of that made depends on the layers."""
        if self._is_behind(inputs):
            self.behind.update(made)
            self.memory.update(map(self.recording.storage, made))
        self.writes.update(set(map(self.recording.storage, mutated)))


def _context() -> Context:
    """Tell the modes of torch that an operation run now runs in."""
    chosen = tuple(
        (device, torch.get_autocast_dtype(device))
        for device in AUTOCASTING
        if torch.is_autocast_enabled(device)
    )
    return Context(torch.is_grad_enabled(), chosen)


def _line() -> str:
    """Tell which line of the network's code is being run: the innermost that is not torch's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != _CALLER:
        if not frame.f_globals.get("__name__", "").startswith(_NOT_THE_NETWORK):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


_GENERATORS = __name__.partition(".recorded")[0]
_CALLER = f"{_GENERATORS}.network"
_NOT_THE_NETWORK = (
    "torch.", "contextlib", "jaxtyping", "beartype",
    *(f"{_GENERATORS}.{name}" for name in ("recorded", "layers", "noise", "holding", "tail")),
)  # fmt: skip


def version_of(tensor: Tensor) -> int:
    """Count how often a tensor has been written into, where torch counts."""
    return 0 if tensor.is_inference() else int(tensor._version)


@torch.enable_grad()  # of nothing, since no value asks for it; a network's own no_grad then shows
def record(
    network: Network,
    latents: Latents,
    layers: Sequence[Layer] = (),
    *,
    hold: bool = False,
    wanted: Collection[tuple[int, int]] | None = (),
) -> Recording:
    """Run a network once and write the run down.

    The tensors of `layers` come as values of their own, from which the rest of the run goes on:
    the feature. Without layers, `returned` lists what every submodule returned. With `hold`,
    normalisations scale and shift by their statistics in this run, whatever the feature. Values
    that are `wanted` are captured; with None, those that flow past the layers, as far as a run can
    tell before it ends.
    """
    network.learn(latents)
    recorder = _Recorder(batch_size(latents), wanted)
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
        recording.features[i] = recorder.feature(copies)
        return copies

    holding = Holding()
    with (
        network.turn,
        _followed(network.module, recorder),
        tapped(network.module, layers, replace) as taps,
    ):
        with recorder, calls_seen_by(recorder.called), holding if hold else nullcontext():
            image = network.run(latents)
        refuse_unmet(taps)
    for held in holding.noted:
        recording.held.update(map(recorder.number, (held.scale, held.shift, *held.rest)))
    recording.image, recording.pictures = recorder.number(image), image
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
