"""Settings told as texts: NAME=VALUE becomes a field of a settings dataclass, defaults its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from regional_primitives.errors import InputError

__all__ = ["changed", "pair", "settings_help", "settings_list"]


def settings_help(kind: type) -> str:
    """Say what can be changed, with all defaults."""
    return f"Change a setting, NAME=VALUE, repeatable. Defaults: {settings_list(kind)}."


def settings_list(kind: type) -> str:
    """List what can be changed by text, with all defaults."""
    return ", ".join(
        f"{field.name}={field.default}"
        for field in fields(kind)
        if field.default is not MISSING and not isinstance(field.default, tuple)
    )


def changed(
    kind: type[Any], changes: Sequence[str], start: Mapping[str, Any] | None = None, **given: Any
) -> Any:
    """Build settings from NAME=VALUE texts; types and defaults are the dataclass's own.

    Args:
        kind: the dataclass.
        changes: the texts.
        start: settings in place of the defaults, which the texts may change.
        given: settings that are no texts.

    Raises:
        InputError: another form, no such setting, or a value of another type or out of range.
    """
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {}
    for text in changes:
        name, value = pair(text, str, str)
        name = name.replace("-", "_")
        if name not in known:
            raise InputError(f"there is no setting {name!r}; there are: {', '.join(known)}")
        if name in given:
            raise InputError(f"{name} has an option of its own; it is not --set")
        values[name] = _parsed(name, value, type(known[name].default))
    return kind(**{**(start or {}), **values}, **given)


def _parsed(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{name} is true or false, not {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"{name} is {wanted}, not {text!r}") from error


def pair(text: str, first: type, second: type) -> tuple[Any, Any]:
    """Read NAME=VALUE, each side as its type.

    Raises:
        InputError: another form.
    """
    left, sign, right = text.partition("=")
    try:
        if not sign:
            raise ValueError
        return first(left.strip()), second(right.strip())
    except ValueError as error:
        raise InputError(f"{text!r} is not of the form NAME=VALUE with a fitting value") from error
