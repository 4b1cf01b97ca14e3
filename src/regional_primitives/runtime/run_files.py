"""The files that make a run folder: these are ours to replace, all else in it is the user's."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

__all__ = ["MANIFEST", "is_run", "is_run_file", "is_run_folder"]

MANIFEST = "run.json"
"""The file that makes a folder a run folder, if it is one of ours."""
_FILES = (
    MANIFEST,
    "tensors.safetensors",
    "scores.json",
    "exhibits.json",
    "exhibits.safetensors",
    "baselines.json",
    "report.html",
)
_FIGURES = (
    "overview",
    "sparsity",
    "top_error",
    "field_sizes",
    "noise",
    "history",
    "frontier",
    "baselines",
    "containment",
    "togetherness",
    "overlap",
    "credit",
)
_OURS = frozenset((*_FILES, *(f"figures/{name}.png" for name in _FIGURES)))


def is_run(folder: Path) -> bool:
    """Tell whether a folder holds a run of ours; other tools too call a file run.json.

    Raises:
        OSError: it cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        return False
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"schema_version", "tensors_digest"} <= content.keys()


def is_run_file(inside: PurePath) -> bool:
    """Tell whether a path, told from the run folder on, is that of a file that we write."""
    return inside.as_posix() in _OURS


def is_run_folder(inside: PurePath) -> bool:
    """Tell whether a path, told from the run folder on, is that of a folder of such files."""
    return inside.as_posix() == "figures"
