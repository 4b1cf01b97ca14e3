"""The command `primitives`: a verb a subcommand; each parses, makes one library call, prints."""

from __future__ import annotations

from regional_primitives.cli import (
    catalogue,
    checking,
    completion,
    editing,
    fitting,
    results,
    scoring,
)
from regional_primitives.cli.application import app, main

_AS_USED = (
    "models", "layers", "explain", "evaluate", "sanity", "score", "edit", "compare", "sweep",
    "explore", "reproduce", "completion",
)  # fmt: skip
app.registered_commands.sort(key=lambda verb: _AS_USED.index(verb.callback.__name__))  # type: ignore[union-attr]

__all__ = [
    "app",
    "catalogue",
    "checking",
    "completion",
    "editing",
    "fitting",
    "main",
    "results",
    "scoring",
]
