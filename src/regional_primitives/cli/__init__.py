"""The command `primitives`: a verb a subcommand; each parses, makes one library call, prints."""

from __future__ import annotations

from regional_primitives.cli import catalogue, exploring, fitting, results
from regional_primitives.cli.application import app, main

__all__ = ["app", "catalogue", "exploring", "fitting", "main", "results"]
