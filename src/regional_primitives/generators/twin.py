"""The frozen twin of a user's network: a copy that shares its weights and nothing else.

Whatever is run is the twin, so that nothing done here can leave a hook, a mode, a gradient flag or
a changed buffer behind. A function that a module keeps, such as a replaced `forward`, a hook or a
layer in a list, holds on to the user's own modules; the twin gets one that holds the twin's.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from regional_primitives.errors import GeneratorError, first_line


def uncompiled(module: Any) -> Any:
    """Return what `torch.compile` was given; what it makes has no layers to cut at."""
    return getattr(module, "_orig_mod", module) if isinstance(module, nn.Module) else module


def frozen_twin(module: nn.Module) -> nn.Module:
    """Copy a network's structure and buffers, not its weights: the twin shares their storage.

    The twin is in eval mode and its weights take no gradient.

    Raises:
        GeneratorError: the network cannot be copied, or its weights are not finite numbers.
    """
    _refuse_broken(module)
    shared: dict[int, Any] = {}
    for part in module.modules():
        for value in part._parameters.values():
            if value is not None:
                plain = value.detach()
                # Nothing that was made in inference mode can take part in a backward pass.
                plain = plain.clone() if plain.is_inference() else plain
                shared[id(value)] = nn.Parameter(plain, requires_grad=False)
        # Buffers and other tensors a forward pass may write into; the user's must stay.
        for value in (*part._buffers.values(), *vars(part).values()):
            if isinstance(value, Tensor) and id(value) not in shared:
                shared[id(value)] = value.detach().clone()
    try:
        twin = copy.deepcopy(module, shared)
        _rebind(twin, shared)
    except GeneratorError:
        raise
    except Exception as error:
        raise GeneratorError(
            f"{type(module).__name__} cannot be copied: {first_line(error)}"
        ) from error
    for part in twin.modules():
        # Not eval(), which a network may have overridden to do something else.
        part.training = False
        for name, child in part._modules.items():
            part._modules[name] = uncompiled(child)
    return twin


def _refuse_broken(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise GeneratorError(
                f"weight {name!r} has no shape yet; run the network once before it is cut"
            )
        if tensor.is_floating_point():
            # A buffer may hold −∞ on purpose, as attention masks do; NaN is never meant.
            plain = tensor.detach()
            wrong = ~plain.isfinite() if isinstance(tensor, nn.Parameter) else plain.isnan()
            try:
                broken = int(wrong.sum())
            except (RuntimeError, NotImplementedError) as error:
                raise GeneratorError(
                    f"weight {name!r} is on the device {tensor.device.type!r} and holds no "
                    "numbers; load the weights before the network is cut"
                ) from error
            if broken:
                raise GeneratorError(
                    f"weight {name!r} holds NaN or infinite values "
                    f"({broken:,} of {tensor.numel():,})"
                )


# Functions that a module keeps


def _rebind(twin: nn.Module, copies: dict[int, Any]) -> None:
    """Let functions that the twin's modules keep hold the twin's modules instead of the user's."""
    known: dict[int, Any] = {}
    # What is the twin's already stays.
    for part in twin.modules():
        own = (part, *part._parameters.values(), *part._buffers.values(), *vars(part).values())
        copies.update({id(one): one for one in own if isinstance(one, (nn.Module, Tensor))})
    for part in list(twin.modules()):
        for name, value in list(vars(part).items()):
            bound = _bound(value, copies, known)
            if bound is not value:
                vars(part)[name] = bound


def _bound(value: Any, copies: dict[int, Any], known: dict[int, Any]) -> Any:
    """Return a value as the twin keeps it: itself where it holds nothing of the user's."""
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, (nn.Module, Tensor)):
        return copies.get(id(value), value)
    if isinstance(value, (FunctionType, MethodType, partial)):
        known[id(value)] = value  # a function may hold itself
        known[id(value)] = made = _callable(value, copies, known)
        return made
    if isinstance(value, dict):
        for key, item in list(value.items()):
            bound = _bound(item, copies, known)
            if bound is not item:
                value[key] = bound
    elif isinstance(value, list):
        value[:] = [_bound(item, copies, known) for item in value]
    elif type(value) is tuple:
        items = tuple(_bound(item, copies, known) for item in value)
        if any(a is not b for a, b in zip(items, value, strict=True)):
            return items
    return value


def _callable(value: Any, copies: dict[int, Any], known: dict[int, Any]) -> Any:
    if isinstance(value, FunctionType):
        return _function(value, copies, known)
    if isinstance(value, MethodType):
        owner = _held(value.__self__, copies, known)
        return value if owner is value.__self__ else MethodType(value.__func__, owner)
    held: tuple[Any, ...] = (value.func, *value.args, *value.keywords.values())
    inner: list[Any] = [_held(one, copies, known) for one in held]
    if all(a is b for a, b in zip(inner, held, strict=True)):
        return value
    count = 1 + len(value.args)
    return partial(
        inner[0], *inner[1:count], **dict(zip(value.keywords, inner[count:], strict=True))
    )


def _held(value: Any, copies: dict[int, Any], known: dict[int, Any]) -> Any:
    """Return what a function holds, as its copy holds it: modules and tensors are the twin's."""
    if isinstance(value, nn.Module):
        return copy.deepcopy(value, copies)  # the twin's own, where it has one
    if isinstance(value, Tensor):
        return copies.get(id(value), value)
    if isinstance(value, (FunctionType, MethodType, partial)):
        return _bound(value, copies, known)
    if isinstance(value, (dict, list, tuple)) or (
        hasattr(value, "__dict__") and not callable(value)
    ):
        return copy.deepcopy(value, copies) if _holds_a_module(value) else value
    return value


def _holds_a_module(value: Any, depth: int = 4) -> bool:
    if isinstance(value, nn.Module):
        return True
    if depth == 0 or isinstance(value, type):
        return False
    if isinstance(value, dict):
        inner: Any = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value
    else:
        inner = vars(value).values() if hasattr(value, "__dict__") else ()
    return any(_holds_a_module(one, depth - 1) for one in list(inner))


def _function(
    function: FunctionType, copies: dict[int, Any], known: dict[int, Any]
) -> FunctionType:
    cells, names = [], {}
    changed = False
    for cell in function.__closure__ or ():
        held = bound = None
        with suppress(ValueError):  # an empty cell
            held = cell.cell_contents
            bound = _held(held, copies, known)
        cells.append(cell if bound is held else CellType(bound))
        changed |= bound is not held
    for name in _global_names(function.__code__):
        held = function.__globals__.get(name)
        bound = _held(held, copies, known) if _of_the_user(held, copies) else held
        if bound is not held:
            names[name] = bound
    defaults = tuple(_held(one, copies, known) for one in function.__defaults__ or ())
    changed |= any(a is not b for a, b in zip(defaults, function.__defaults__ or (), strict=True))
    keywords = function.__kwdefaults__ or {}
    named = {name: _held(one, copies, known) for name, one in keywords.items()}
    changed |= any(named[name] is not keywords[name] for name in named)
    if not (changed or names):
        return function
    made = FunctionType(
        function.__code__,
        {**function.__globals__, **names} if names else function.__globals__,
        function.__name__,
        defaults or None,
        tuple(cells) or None,
    )
    made.__kwdefaults__ = named or None
    made.__dict__.update(function.__dict__)
    return made


def _of_the_user(value: Any, copies: dict[int, Any]) -> bool:
    """Tell whether a global is a part of the network, or bound to one."""
    if isinstance(value, MethodType):
        value = value.__self__
    if isinstance(value, FunctionType):
        return any(
            _of_the_user(cell.cell_contents, copies)
            for cell in value.__closure__ or ()
            if cell != CellType()
        ) or any(
            isinstance(found := value.__globals__.get(name), nn.Module) and id(found) in copies
            for name in _global_names(value.__code__)
        )
    return isinstance(value, (nn.Module, Tensor)) and id(value) in copies


def _global_names(code: CodeType) -> set[str]:
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*(_global_names(part) for part in inner))


# What a function reaches in other ways


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Refuse a network whose twin runs one of the user's own modules within this context.

    It is stopped before that module runs where it is called as modules are; what it has written
    into the user's buffers is set back.

    Raises:
        GeneratorError: so it is; the message names the module.
    """
    names = {id(part): name or type(part).__name__ for name, part in module.named_modules()}
    before = [(name, value, value.detach().clone()) for name, value in module.named_buffers()]
    here = threading.get_ident()

    def refuse(part: nn.Module, inputs: Any) -> None:
        if id(part) in names and threading.get_ident() == here:
            raise _OwnModuleError(names[id(part)])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        yield
    except _OwnModuleError as error:
        raise _refusal(str(error)) from None
    finally:
        hook.remove()
        # Not by their versions, which batch normalisation leaves as they are.
        changed = [entry for entry in before if not torch.equal(entry[1], entry[2])]
        with torch.no_grad():
            for _, value, kept in changed:
                value.copy_(kept)
    if changed:
        raise _refusal(changed[0][0])


class _OwnModuleError(BaseException):
    """Not an Exception: no network may take it for its own."""


def _refusal(name: str) -> GeneratorError:
    return GeneratorError(
        f"a copy of this network would run {name!r} of the network itself and change it: code that "
        "a layer or a hook calls refers to it in a way that cannot be followed; let it refer to "
        "the module that it is given"
    )
