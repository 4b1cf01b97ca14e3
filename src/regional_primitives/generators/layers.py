"""Layers by name: which submodule, which of its calls, which of its outputs; and taps on them.

`main.5` is a submodule's output; `unet.mid_block#3` that of its third call in a forward pass, such
as the third step of a sampler; `synthesis.b8[0]` the first of several tensors that it returns.
"""

from __future__ import annotations

import copy
import difflib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from regional_primitives.errors import GeneratorError, InputError

JOIN = "+"
"""Joins the names of several layers in one text, as on the command line."""

_COMPILED = re.compile(r"(?<![^.+])_orig_mod\.|\._orig_mod(?![^.#+\[])")
"""What `torch.compile` puts into names; layers are named without."""
_SUFFIX = re.compile(r"^(?P<module>.+?)(?:#(?P<call>\d+))?(?:\[(?P<output>\d+)\])?$")


@dataclass(frozen=True)
class Layer:
    """One layer to cut at."""

    module: str
    """The submodule's dotted name."""
    call: int | None = None
    """Which of its calls in a forward pass, from 1; None where there is only one."""
    output: int | None = None
    """Which of the tensors that it returns, from 0; None takes all."""

    def __str__(self) -> str:
        call = "" if self.call is None else f"#{self.call}"
        output = "" if self.output is None else f"[{self.output}]"
        return f"{self.module}{call}{output}"


def joined(layers: Sequence[Layer]) -> str:
    """Write several layers as one text."""
    return JOIN.join(map(str, layers))


# Names


def parse_layers(names: str | Sequence[str], network: nn.Module) -> tuple[Layer, ...]:
    """Find the layers that `names` means: one name, several, or several joined by plus signs."""
    given: list[Any] = list(names) if isinstance(names, (list, tuple)) else [names]
    if not given or not all(isinstance(name, str) and name for name in given):
        raise InputError(f"give a layer's name, such as 'main.5', or several, not {names!r}")
    known = dict(network.named_modules(remove_duplicate=False))
    plain = (_COMPILED.sub("", name) for name in given)
    layers = tuple(layer for name in plain for layer in _split(name, known))
    for i, layer in enumerate(layers):
        for other in layers[:i]:
            same_call = known[layer.module] is known[other.module] and (
                (layer.call or 1) == (other.call or 1)
            )
            if same_call and (None in (layer.output, other.output) or layer.output == other.output):
                raise InputError(f"layer {str(layer)!r} is named twice")
    return layers


def _split(text: str, known: dict[str, nn.Module]) -> list[Layer]:
    """Take joined names apart; a name may hold plus signs of its own, and the longest counts."""
    parts = text.split(JOIN)
    for count in range(len(parts), 0, -1):
        head = JOIN.join(parts[:count])
        layer = _found(head, known) or _found(head.strip(), known)
        if layer is not None:
            return [layer, *(_split(JOIN.join(parts[count:]), known) if parts[count:] else [])]
    match = _SUFFIX.match(parts[0].strip())
    name = match["module"] if match else parts[0].strip()
    raise GeneratorError(
        f"layer {name!r} is not in this network; cut points: {_listing(name, known)}"
    )


def _found(text: str, known: dict[str, nn.Module]) -> Layer | None:
    match = _SUFFIX.match(text)
    if match is None or text in known:
        return Layer(text) if match else None
    call, output = (int(match[part]) if match[part] else None for part in ("call", "output"))
    if match["module"] not in known:
        return None
    if call == 0:
        raise InputError(f"layer {text!r}: calls are counted from 1")
    return Layer(match["module"], call, output)


def _listing(name: str, known: dict[str, nn.Module], most: int = 24) -> str:
    """List the layers, the most similar names first where there are many."""
    names = [module for module in known if module]
    if len(names) > most:
        near = difflib.get_close_matches(name, names, most, cutoff=0.3)
        names = list(dict.fromkeys([*near, *names]))
    return ", ".join(names[:most]) + (", …" if len(names) > most else "") if names else "none"


# Taps

Visit: TypeAlias = Callable[[int, list[Tensor]], list[Tensor] | None]
"""Sees the tensors of layer number i, and returns as many, or None to leave them."""


@dataclass
class Tap:
    """One layer's outputs as a run meets them."""

    layer: Layer
    inside: dict[str, None] = field(default_factory=dict)
    """Which parts of the submodule have been called, the outermost ones, in that order."""
    tensors: list[Tensor] | None = None
    """What the call that is meant gave; the last one of several where none is."""
    calls: int = 0
    """How often the submodule has been called."""


@contextmanager
def tapped(network: nn.Module, layers: Sequence[Layer], visit: Visit) -> Iterator[list[Tap]]:
    """Within this context `visit` sees each layer's tensors when they come, and may replace them.

    No hook is left behind, also after an exception, and none minds another thread's calls, such as
    those of a backward pass that computes anew.
    """
    taps = [Tap(layer) for layer in layers]
    modules: dict[int, tuple[nn.Module, list[int]]] = {}
    handles = []
    for i, tap in enumerate(taps):
        module = network.get_submodule(tap.layer.module)
        modules.setdefault(id(module), (module, []))[1].append(i)
        for name, part in module.named_modules(prefix=tap.layer.module):
            if part is not module and not isinstance(part, torch.jit.ScriptModule):
                handles.append(part.register_forward_pre_hook(partial(_note, tap, name)))
    handles += [
        module.register_forward_hook(_hook(taps, mine, visit)) for module, mine in modules.values()
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def refuse_unmet(taps: Sequence[Tap]) -> None:
    """Refuse a layer that the run did not meet, or met more than once without saying which."""
    for tap in taps:
        name = tap.layer.module
        if tap.calls == 0:
            instead = f"; called within it: {', '.join(list(tap.inside)[:3])}"
            raise GeneratorError(f"layer {name!r} is never called{instead if tap.inside else ''}")
        if tap.layer.call is None and tap.calls > 1:
            raise GeneratorError(
                f"layer {name!r} is called {tap.calls} times in a forward pass; say which: "
                f"{name}#1 … {name}#{tap.calls}"
            )
        if tap.tensors is None:
            raise GeneratorError(
                f"layer {name!r} is called {tap.calls} times in a forward pass; "
                f"there is no call {tap.layer.call}"
            )


def _note(tap: Tap, name: str, module: nn.Module, inputs: Any) -> None:
    if not tap.calls and not any(name.startswith(f"{outer}.") for outer in tap.inside):
        tap.inside[name] = None


def _hook(taps: list[Tap], mine: list[int], visit: Visit) -> Callable[..., Any]:
    mine_alone = threading.get_ident()

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        if threading.get_ident() != mine_alone:
            return None
        given = list(leaves(output).values())
        changed = False
        for i in mine:
            tap = taps[i]
            tap.calls += 1
            if tap.layer.call not in (None, tap.calls):
                continue
            places = _chosen(tap.layer, given)
            replaced = visit(i, [given[place] for place in places])
            for place, tensor in zip(places, replaced or [], strict=replaced is not None):
                given[place] = tensor
                changed = True
            tap.tensors = [given[place] for place in places]
        return with_leaves(output, given) if changed else None

    return hook


def _chosen(layer: Layer, given: list[Any]) -> list[int]:
    """Find the places of the tensors that a layer's name means among all that it returns."""
    tensors = [i for i, leaf in enumerate(given) if isinstance(leaf, Tensor)]
    if layer.output is not None:
        if layer.output >= len(tensors):
            raise GeneratorError(
                f"layer {str(layer)!r}: it returns {len(tensors)} tensors, numbered from 0"
            )
        tensors = [tensors[layer.output]]
    # A single number beside them, such as a loss, belongs to no item of a batch.
    several = [i for i in tensors if given[i].ndim] if layer.output is None else tensors
    real = [i for i in several if given[i].is_floating_point()]
    if not real or (layer.output is not None and len(real) != len(tensors)):
        raise GeneratorError(f"layer {str(layer)!r} does not give a tensor of real numbers")
    return real


# What layers and networks return: tensors in containers of any kind. One walk serves all who look,
# so that what `rp.layers` lists can be cut at, and an image is found in the same places.


def leaves(structure: Any) -> dict[str, Any]:
    """List what is no container, each under the path that leads to it, such as `[0].sample`.

    Containers are tuples, lists, mappings, dataclass objects and simple namespaces.
    """
    parts = _parts(structure)
    if parts is None:
        return {"": structure}
    return {path + rest: leaf for path, _, part in parts for rest, leaf in leaves(part).items()}


def with_leaves(structure: Any, replaced: Sequence[Any]) -> Any:
    """Return a copy of a structure, of the same kinds, with other leaves in `leaves`' order."""
    return _rebuilt(structure, iter(replaced))


def _rebuilt(structure: Any, replaced: Iterator[Any]) -> Any:
    parts = _parts(structure)
    if parts is None:
        return next(replaced)
    made = {key: _rebuilt(part, replaced) for _, key, part in parts}
    if isinstance(structure, (tuple, list)):
        values = list(made.values())
        if hasattr(structure, "_fields"):
            return type(structure)(*values)
        try:
            return type(structure)(values)  # also what torch's own functions return
        except TypeError:
            return tuple(values) if isinstance(structure, tuple) else values
    if type(structure) is dict:
        return made
    whole = copy.copy(structure)
    for key, value in made.items():
        if isinstance(structure, Mapping):
            whole[key] = value
        else:
            object.__setattr__(whole, key, value)  # a frozen dataclass takes it too
    return whole


def _parts(structure: Any) -> list[tuple[str, Any, Any]] | None:
    """List a container's parts as (path, key, part); None of what is none."""
    if isinstance(structure, (tuple, list)):
        return [(f"[{i}]", i, part) for i, part in enumerate(structure)]
    if isinstance(structure, Mapping):
        return [(f"[{key!r}]", key, part) for key, part in structure.items()]
    if is_dataclass(structure) and not isinstance(structure, type):
        names = [field.name for field in fields(structure) if hasattr(structure, field.name)]
    elif isinstance(structure, SimpleNamespace):
        names = list(vars(structure))
    else:
        return None
    return [(f".{name}", name, getattr(structure, name)) for name in names]
