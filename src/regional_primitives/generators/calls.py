"""Calls that torch's modes are not told of, as they are made while a network runs here.

Of an autograd Function torch's modes see the operations within its forward pass, whose own backward
pass would be lost; of scripted code nothing. What a network runs under `torch.inference_mode` could
have no gradient at all. So while one runs, calls of the first two kinds go to whoever wants to see
them, checkpoints are the ordinary code that they are, and inference mode is `torch.no_grad`. Nor
do distributions of `torch.distributions` check their arguments, which reads numbers of a feature.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch
from torch.autograd.function import _SingleLevelFunction
from torch.distributions import Distribution
from torch.utils.checkpoint import CheckpointFunction

from regional_primitives.runtime.modes import ProcessWide

See: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""(what is called, its arguments, its keywords) → what it returns."""

_APPLY = torch._C._FunctionBase.__dict__["apply"]
"""What every `apply` of an autograd Function comes to, also one that was taken long before."""
_SCRIPTED: tuple[Any, ...] = (torch._C.ScriptFunction, torch._C.ScriptMethod)
_seers = threading.local()


@contextmanager
def calls_seen_by(see: See) -> Iterator[None]:
    """Within this context, and in this thread, `see` makes such calls."""
    before = _seer()
    _seers.see = see
    try:
        with _seen_calls:
            yield
    finally:
        _seers.see = before


@contextmanager
def calls_seen() -> Iterator[None]:
    """Within this context they are as this module tells; whoever sees them already still does."""
    with calls_seen_by(_seer() or _made):
        yield


def seen(called: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what is one operation for whoever sees such calls, alike in every run if it is equal."""
    return (_seer() or _made)(called, args, kwargs)


def _seer() -> See | None:
    return getattr(_seers, "see", None)


def _made(called: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return called(*args, **kwargs)


def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    bound, see = _APPLY.__get__(None, cls), _seer()
    if see is None:
        return bound(*args, **kwargs)
    run, *given = _checkpointed(cls, args)
    return see(bound, args, kwargs) if run is None else run(*given)


def _checkpointed(cls: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a checkpoint runs, and on what; None for all else.

    A checkpoint saves memory by running twice; its gradient is ordinary. That of ADM's U-Nets and
    what was made from them (guided-diffusion, latent diffusion) wants weights that follow
    gradients, which frozen ones do not: (function, number of inputs, inputs, weights).
    """
    if cls is CheckpointFunction:
        return args[0], *args[2:]
    known = cls.__name__ == CheckpointFunction.__name__ and len(args) > 1
    if known and callable(args[0]) and type(args[1]) is int:
        return args[0], *args[2 : 2 + args[1]]
    return (None,)


@dataclass(frozen=True)
class _Script:
    """A call of scripted code, alike in every run."""

    run: Callable[..., Any] = field(compare=False)
    name: str
    module: int | None
    """Which module's method it is, where it is one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


def _seen_scripted(own: Callable[..., Any]) -> Callable[..., Any]:
    def call(script: Any, *args: Any, **kwargs: Any) -> Any:
        see = _seer()
        run, owner = partial(own, script), getattr(script, "owner", None)
        if see is None:
            return run(*args, **kwargs)
        made = _Script(run, script.name, None if owner is None else hash(owner))
        return see(made, args, kwargs)

    return call


def _followed(own: Callable[[Any], None]) -> Callable[[Any], None]:
    def enter(mode: Any) -> None:
        if _seer() is None:
            own(mode)
            return
        mode._inference_mode_context = torch.no_grad() if mode.mode else torch.enable_grad()
        mode._inference_mode_context.__enter__()

    return enter


def _unchecked(own: Callable[..., None]) -> Callable[..., None]:
    def make(made: Distribution, *args: Any, **kwargs: Any) -> None:
        if _seer() is not None:  # beside the two shapes
            args, kwargs = args[:2], {**kwargs, "validate_args": False}
        own(made, *args, **kwargs)

    return make


def _see_calls() -> list[Callable[[], None]]:
    """Put our own in the place of torch's ways to call, which are one for all threads."""
    function: Any = _SingleLevelFunction  # between Function.apply and the one behind it
    if "apply" in vars(function):
        return []
    function.apply = classmethod(_apply)
    back: list[Callable[[], None]] = [partial(delattr, function, "apply")]
    ways: list[tuple[Any, str, Any]] = [(kind, "__call__", _seen_scripted) for kind in _SCRIPTED]
    ways += [
        (torch.inference_mode, "__enter__", _followed),
        (Distribution, "__init__", _unchecked),
    ]
    for kind, name, seen in ways:
        own = getattr(kind, name)
        setattr(kind, name, seen(own))
        back.append(partial(setattr, kind, name, own))
    return back


_seen_calls = ProcessWide(_see_calls)
