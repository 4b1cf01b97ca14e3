"""The frozen twin of a user's network: a copy that shares its weights and nothing else.

Whatever is run is the twin, so that nothing done here can leave a hook, a mode, a gradient flag or
a changed buffer behind. A function that a module keeps, such as a replaced `forward`, a hook or a
layer in a list, holds on to the user's own modules; the twin gets one that holds the twin's.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    # What is the twin's already stays.
    for part in twin.modules():
        own = (part, *part._parameters.values(), *part._buffers.values(), *vars(part).values())
        copies.update({id(one): one for one in own if isinstance(one, (nn.Module, Tensor))})
    rebound = _Rebound(copies)
    for part in list(twin.modules()):
        for name, value in list(vars(part).items()):
            kept = rebound.kept(value)
            if kept is not value:
                vars(part)[name] = kept


class _Rebound:
    """Makes values that hold the twin's modules and tensors in the place of the user's."""

    def __init__(self, copies: dict[int, Any]) -> None:
        self.copies = copies
        """The twin's own, by the ids of the user's and of themselves."""
        self.functions: dict[int, Any] = {}

    def kept(self, value: Any) -> Any:
        """Return a value as the twin keeps it: itself where it holds nothing of the user's."""
        if isinstance(value, (FunctionType, MethodType, partial)):
            return self._callable(value)
        if isinstance(value, (nn.Module, Tensor)):
            return self.copies.get(id(value), value)
        if isinstance(value, dict):
            for key, item in list(value.items()):
                if (kept := self.kept(item)) is not item:
                    value[key] = kept
        elif isinstance(value, list):
            value[:] = map(self.kept, value)
        elif type(value) is tuple:
            items = tuple(map(self.kept, value))
            return value if _same(items, value) else items
        return value

    def held(self, value: Any) -> Any:
        """Return what a function holds, as its copy holds it."""
        if isinstance(value, nn.Module):
            return copy.deepcopy(value, self.copies)  # the twin's own, where it has one
        if isinstance(value, Tensor):
            return self.copies.get(id(value), value)
        if isinstance(value, (FunctionType, MethodType, partial)):
            return self._callable(value)
        container = isinstance(value, (dict, list, tuple))
        if (container or not callable(value)) and _holds_a_module(value):
            return copy.deepcopy(value, self.copies)
        return value

    def _callable(self, value: Any) -> Any:
        if id(value) not in self.functions:
            self.functions[id(value)] = value  # a function may hold itself
            self.functions[id(value)] = self._made(value)
        return self.functions[id(value)]

    def _made(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, MethodType):
            owner = self.held(value.__self__)
            return value if owner is value.__self__ else MethodType(value.__func__, owner)
        given = (value.func, *value.args, *value.keywords.values())
        run, *held = map(self.held, given)
        if _same((run, *held), given):
            return value
        count = len(value.args)
        return partial(run, *held[:count], **dict(zip(value.keywords, held[count:], strict=True)))

    def _function(self, function: FunctionType) -> FunctionType:
        cells, defaults = function.__closure__ or (), function.__defaults__ or ()
        keywords = function.__kwdefaults__ or {}
        given = (*map(_content, cells), *defaults, *keywords.values())
        held = tuple(map(self.held, given))
        names = {}
        for name in _global_names(function.__code__):
            known = function.__globals__.get(name)
            if self._of_the_user(known) and (bound := self.held(known)) is not known:
                names[name] = bound
        if not names and _same(held, given):
            return function
        made = FunctionType(
            function.__code__,
            {**function.__globals__, **names} if names else function.__globals__,
            function.__name__,
            held[len(cells) : len(cells) + len(defaults)] or None,
            tuple(
                cell if a is b else CellType(b)
                for cell, a, b in zip(cells, given, held, strict=False)
            )
            or None,
        )
        made.__kwdefaults__ = (
            dict(zip(keywords, held[len(cells) + len(defaults) :], strict=True)) or None
        )
        made.__dict__.update(function.__dict__)
        return made

    def _of_the_user(self, value: Any) -> bool:
        """Tell whether a global is a part of the network, or bound to one."""
        if isinstance(value, MethodType):
            value = value.__self__
        if isinstance(value, FunctionType):
            reached = (value.__globals__.get(name) for name in _global_names(value.__code__))
            return any(
                self._of_the_user(_content(cell)) for cell in value.__closure__ or ()
            ) or any(isinstance(one, nn.Module) and id(one) in self.copies for one in reached)
        return isinstance(value, (nn.Module, Tensor)) and id(value) in self.copies


def _same(some: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(a is b for a, b in zip(some, others, strict=True))


def _content(cell: CellType) -> Any:
    """Return what a closure's cell holds; nothing of an empty one."""
    return cell.cell_contents if cell != CellType() else CellType


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


def _global_names(code: CodeType) -> set[str]:
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*(_global_names(part) for part in inner))


# What a function reaches in other ways


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Refuse a network whose twin runs one of the user's own modules within this context.

    It is stopped before that module runs where it is called as modules are; what it has written
    into the user's buffers is set back.
    """
    names = {id(part): name or type(part).__name__ for name, part in module.named_modules()}
    before = [(name, value, value.detach().clone()) for name, value in module.named_buffers()]
    here = threading.get_ident()

    def refuse(part: nn.Module, inputs: Any) -> None:
        if id(part) in names and threading.get_ident() == here and not _users.at_work:
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


class _Users(threading.local):
    at_work = False


_users = _Users()


@contextmanager
def users_code() -> Iterator[None]:
    """Within this context the user's modules may run: samplers ask them for embeddings."""
    before, _users.at_work = _users.at_work, True
    try:
        yield
    finally:
        _users.at_work = before


class _OwnModuleError(BaseException):
    """Not an Exception: no network may take it for its own."""


def _refusal(name: str) -> GeneratorError:
    return GeneratorError(
        f"a copy of this network would run {name!r} of the network itself and change it: code that "
        "a layer or a hook calls refers to it in a way that cannot be followed; let it refer to "
        "the module that it is given"
    )
