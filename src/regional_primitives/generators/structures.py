"""What layers and networks return: tensors in containers of any kind, listed and put back.

One walk serves all who look: what `rp.layers` lists, `rp.cut` can replace, and an image is found in
the same places.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

__all__ = ["leaves", "with_leaves"]


def leaves(structure: Any) -> dict[str, Any]:
    """List what is no container, each under the path that leads to it, such as `[0].sample`.

    Containers are tuples, lists, mappings, dataclass objects and simple namespaces.
    """
    parts = _parts(structure)
    if parts is None:
        return {"": structure}
    return {path + rest: leaf for path, _, part in parts for rest, leaf in leaves(part).items()}


def with_leaves(structure: Any, replaced: Sequence[Any]) -> Any:
    """Return a copy of a structure with other leaves, in the order of `leaves`.

    Containers stay of their kinds; those that were given are left as they are.
    """
    return _rebuilt(structure, iter(replaced))


def _rebuilt(structure: Any, replaced: Iterator[Any]) -> Any:
    parts = _parts(structure)
    if parts is None:
        return next(replaced)
    made = {key: _rebuilt(part, replaced) for _, key, part in parts}
    if isinstance(structure, tuple):
        values = list(made.values())
        named = hasattr(structure, "_fields")
        return type(structure)(*values) if named else _as_kind(structure, values)
    if isinstance(structure, list):
        return _as_kind(structure, list(made.values()))
    if type(structure) is dict:
        return made
    whole = copy.copy(structure)
    for key, value in made.items():
        if isinstance(structure, Mapping):
            whole[key] = value
        else:
            object.__setattr__(whole, key, value)  # a frozen dataclass takes it too
    return whole


def _as_kind(structure: Any, values: list[Any]) -> Any:
    try:
        return type(structure)(values)  # also what torch's own functions return
    except TypeError:
        return tuple(values) if isinstance(structure, tuple) else values


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
