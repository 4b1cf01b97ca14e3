"""Where a network can be cut: its torch.fx graph, split into head and tail at a layer's output."""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jaxtyping
import torch
from torch import Tensor, fx, nn

from regional_primitives.errors import GeneratorError
from regional_primitives.generators.latents import Latents, arguments

__all__ = ["Split", "Trace", "frozen_twin", "trace"]


def frozen_twin(module: nn.Module) -> nn.Module:
    """Copy a network's structure, not its weights: the twin shares their storage.

    The twin is in eval mode and its weights take no gradient, so that nothing done with it can
    leave a hook, a mode or a gradient flag behind on the user's network.

    Raises:
        GeneratorError: the network cannot be copied.
    """
    shared: dict[int, Any] = {}
    for part in module.modules():
        for value in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if isinstance(value, nn.Parameter):
                shared[id(value)] = nn.Parameter(value.detach(), requires_grad=False)
            elif isinstance(value, Tensor):
                shared[id(value)] = value.detach()
    try:
        twin = copy.deepcopy(module, shared)
    except Exception as error:
        raise GeneratorError(
            f"{type(module).__name__} cannot be copied: {_first_line(error)}"
        ) from error
    return twin.eval()


@dataclass(frozen=True)
class Split:
    """A network in two: `tail(head(*latents))` is what the whole gives."""

    head: nn.Module
    tail: nn.Module


class _RecordingTracer(fx.Tracer):
    """A tracer that also remembers which value each submodule returned, containers included."""

    def __init__(self) -> None:
        super().__init__()
        self.returned: dict[str, list[fx.Node | None]] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        value = super().call_module(m, forward, args, kwargs)
        node = value.node if isinstance(value, fx.Proxy) else None
        self.returned.setdefault(self.path_of_module(m), []).append(node)
        return value


@dataclass(frozen=True)
class Trace:
    """A traced network: its graph, and the value that each submodule returned at each call."""

    root: nn.Module
    graph: fx.Graph
    returned: dict[str, list[fx.Node | None]]

    def cut_points(self) -> list[str]:
        """List the submodules through whose output all flows, in order of execution."""
        place = {node: i for i, node in enumerate(self.graph.nodes)}
        found: list[tuple[int, str]] = []
        for name in self.returned:
            node = self._only_value(name)
            if node is not None and self._divides(node) and not self._bypasses(node):
                found.append((place[node], name))
        return [name for _, name in sorted(found)]

    def split(self, layer: str) -> Split:
        """Cut the network at the output of `layer`.

        Raises:
            GeneratorError: no such layer, not one tensor, called several times, or values other
                than its output flow on to the image.
        """
        if layer not in self.returned:
            known = dict(self.root.named_modules())
            problem = "is never called" if layer in known else "is not in this network"
            raise GeneratorError(f"layer {layer!r} {problem}; cut points: {self._listed()}")
        calls = len(self.returned[layer])
        if calls > 1:
            raise GeneratorError(
                f"layer {layer!r} is called {calls} times in a forward pass; "
                f"cut points: {self._listed()}"
            )
        node = self._only_value(layer)
        if node is None:
            raise GeneratorError(
                f"layer {layer!r} does not return one tensor; cut points: {self._listed()}"
            )
        if not self._divides(node):
            side = "before" if node.op == "placeholder" else "behind"
            raise GeneratorError(
                f"nothing is computed {side} layer {layer!r}; cut points: {self._listed()}"
            )
        bypassing = self._bypasses(node)
        if bypassing:
            raise GeneratorError(
                f"the picture does not come from layer {layer!r} alone: "
                f"{', '.join(bypassing[:3])} flows past it; cut points: {self._listed()}"
            )
        return Split(head=self._head(node), tail=self._tail(node))

    def _listed(self, most: int = 24) -> str:
        names = self.cut_points()
        return ", ".join(names[:most]) + (", …" if len(names) > most else "") if names else "none"

    def _only_value(self, name: str) -> fx.Node | None:
        values = self.returned[name]
        return values[0] if len(values) == 1 else None

    def _descendants(self, sources: set[fx.Node]) -> set[fx.Node]:
        """Collect the nodes that the picture needs and that depend on `sources`."""
        found: set[fx.Node] = set()
        for node in self.graph.nodes:
            if any(i in sources or i in found for i in node.all_input_nodes):
                found.add(node)
        return found & (_ancestors(self._output()) | {self._output()})

    def _divides(self, node: fx.Node) -> bool:
        """Tell whether something is computed on both sides of a value."""
        return node.op != "placeholder" and self._descendants({node}) != {self._output()}

    def _bypasses(self, node: fx.Node) -> list[str]:
        """Name what flows from the latents into the part behind `node` without passing it."""
        behind = self._descendants({node})
        if self._output() not in behind:
            return ["the picture itself"]
        inputs = {n for n in self.graph.nodes if n.op == "placeholder"}
        varying = inputs | self._descendants(inputs)
        read = {i for n in behind for i in n.all_input_nodes}
        past = {n for n in (read & varying) - behind - {node} if not _is_batch_size(n)}
        return sorted({str(n.target) for n in _named_origins(past)})

    def _output(self) -> fx.Node:
        return next(node for node in reversed(self.graph.nodes) if node.op == "output")

    def _head(self, node: fx.Node) -> nn.Module:
        needed = _ancestors(node) | {node}
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        for old in self.graph.nodes:
            # All inputs stay, used or not, so that the head takes what the network takes.
            if old in needed or old.op == "placeholder":
                copies[old] = graph.node_copy(old, copies.__getitem__)
        graph.output(copies[node])
        return fx.GraphModule(self.root, graph).eval()

    def _tail(self, node: fx.Node) -> nn.Module:
        behind = self._descendants({node})
        graph = fx.Graph()
        feature = graph.placeholder("feature")
        # An in-place layer right behind the cut must not write into the caller's feature.
        copies: dict[fx.Node, fx.Node] = {node: graph.call_function(torch.clone, (feature,))}
        # What the image needs of the graph: the part behind, and the constants that it reads.
        needed: set[fx.Node] = set()
        pending = list(self._output().all_input_nodes)
        while pending:
            old = pending.pop()
            if old in copies or old in needed:
                continue
            if old not in behind and _is_batch_size(old):
                copies[old] = graph.call_method("size", (feature, 0))
                continue
            needed.add(old)
            pending.extend(old.all_input_nodes)
        for old in self.graph.nodes:
            if old in needed:
                copies[old] = graph.node_copy(old, copies.__getitem__)
        graph.output(fx.node.map_arg(self._output().args[0], copies.__getitem__))
        return fx.GraphModule(self.root, graph).eval()


def _is_batch_size(node: fx.Node) -> bool:
    """Recognise x.size(0) and x.shape[0]: how many items there are, which the feature tells too."""
    if node.op == "call_method" and node.target == "size":
        return node.args[1:] == (0,)
    if node.target is not operator.getitem or node.args[1] != 0:
        return False
    whole = node.args[0]
    if not isinstance(whole, fx.Node):
        return False
    if whole.target is getattr:
        return whole.args[1] == "shape"
    return whole.op == "call_method" and whole.target == "size" and len(whole.args) == 1


def _named_origins(nodes: set[fx.Node]) -> set[fx.Node]:
    """Go back from function calls to the layers and inputs whose values they pass on."""
    found: set[fx.Node] = set()
    seen: set[fx.Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op in ("call_module", "placeholder"):
            found.add(node)
        else:
            pending.extend(node.all_input_nodes)
    return found


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    pending = list(node.all_input_nodes)
    while pending:
        other = pending.pop()
        if other not in found:
            found.add(other)
            pending.extend(other.all_input_nodes)
    return found


def trace(twin: nn.Module, latents: Latents | None = None) -> Trace:
    """Trace a network (see `frozen_twin`) into a graph; inputs that `latents` omit keep defaults.

    Raises:
        GeneratorError: Python control flow or another construct that torch.fx cannot follow.
    """
    tracer = _RecordingTracer()
    try:
        with _unchecked_annotations():
            graph = tracer.trace(twin, None if latents is None else _omitted(twin, latents))
    except Exception as error:
        raise GeneratorError(
            f"{type(twin).__name__} cannot be traced into a sequence of layers: "
            f"{_first_line(error)}"
        ) from error
    returned = {name: nodes for name, nodes in tracer.returned.items() if name}
    return Trace(twin, graph, returned)


def _omitted(twin: nn.Module, latents: Latents) -> dict[str, Any]:
    """Give the defaults of the optional inputs that the latents leave out, such as labels=None."""
    positional, named = arguments(latents)
    signature = inspect.signature(twin.forward)
    given = signature.bind(*positional, **named).arguments
    return {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if name not in given and parameter.default is not parameter.empty
    }


@contextmanager
def _unchecked_annotations() -> Iterator[None]:
    """Suspend jaxtyping's checks: a network so annotated would refuse the tracer's stand-ins."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
