"""Settings: dataclasses whose fields are checked in one place, and told as texts NAME=VALUE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import random_seed, real, whole

_Settings = TypeVar("_Settings")


def settings_or(given: Any, kind: type | tuple[type, ...], default: _Settings) -> _Settings:
    """Return the settings that a caller gave, which are of that kind, or the default for None."""
    if given is None:
        return default
    if not isinstance(given, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(f"rp.{one.__name__}" for one in kinds)
        raise InputError(f"settings are {names}, not {type(given).__name__}")
    return given  # type: ignore[return-value]  # one of `kind`, as the default is


def check_settings(settings: Any, least: Mapping[str, int | float] | None = None) -> None:
    """Check every field of a frozen dataclass by its type, and make numbers Python's own.

    Whole numbers and real numbers are at least what `least` says of them; real numbers that it
    does not name are at least 0, whole ones anything. A `Literal` is one of its choices.
    """
    hints, bounds = get_type_hints(type(settings)), least or {}
    for field in fields(settings):
        name, kind, value = field.name, hints[field.name], getattr(settings, field.name)
        if kind is bool and not isinstance(value, bool):
            raise InputError(f"{name} must be True or False, not {value!r}")
        if kind is int and name.endswith("seed"):
            value = random_seed(value)
        elif kind is int:
            value = whole(name, value, bounds.get(name))  # type: ignore[arg-type]
        elif kind is float:
            value = real(name, value, bounds.get(name, 0))
        elif get_origin(kind) is Literal and not (
            isinstance(value, str) and value in get_args(kind)
        ):
            allowed = " or ".join(map(repr, get_args(kind)))
            raise InputError(f"{name} must be {allowed}, not {value!r}")
        object.__setattr__(settings, name, value)


def settings_help(kind: type, *otherwise: str) -> str:
    """Say what can be changed, with all defaults, but for what has an option of its own."""
    listed = settings_list(kind, *otherwise)
    return f"Change a setting, NAME=VALUE, repeatable. Defaults: {listed}."


def settings_list(kind: type, *otherwise: str) -> str:
    """List what can be changed by text, with all defaults, but for what has its own option."""
    default = kind()
    return ", ".join(
        f"{field.name}={getattr(default, field.name)}"
        for field in fields(kind)
        if field.name not in otherwise
        and field.default is not MISSING
        and not isinstance(field.default, tuple)
    )


def changed(
    kind: type[Any], changes: Sequence[str], start: Mapping[str, Any] | None = None, **given: Any
) -> Any:
    """Build settings of a dataclass from NAME=VALUE texts; types and defaults are its own.

    `start` holds settings in place of the defaults, `given` those that are no texts.
    """
    known, hints = [field.name for field in fields(kind)], get_type_hints(kind)
    values: dict[str, Any] = {}
    for text in changes:
        name, value = pair(text, str, str)
        name = name.replace("-", "_")
        if name not in known:
            raise InputError(f"there is no setting {name!r}; there are: {', '.join(known)}")
        if name in given:
            raise InputError(f"{name} has an option of its own; it is not --set")
        values[name] = _parsed(name, value, hints[name])
    return kind(**{**(start or {}), **values}, **given)


def _parsed(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{name} is true or false, not {text!r}")
        return text.lower() == "true"
    try:
        return text if get_origin(kind) is Literal else kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"{name} is {wanted}, not {text!r}") from error


def pair(text: str, first: type, second: type) -> tuple[Any, Any]:
    """Read NAME=VALUE, each side as its type."""
    left, sign, right = text.partition("=")
    try:
        if not sign:
            raise ValueError
        return first(left.strip()), second(right.strip())
    except ValueError as error:
        raise InputError(f"{text!r} is not of the form NAME=VALUE with a fitting value") from error
