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
