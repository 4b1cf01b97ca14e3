"""The files that make a run folder: these are ours to replace, all else in it is the user's."""

from __future__ import annotations

from pathlib import PurePath

__all__ = ["MANIFEST", "is_run_file", "is_run_folder"]

MANIFEST = "run.json"
"""The file whose presence makes a folder a run folder."""
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


def is_run_file(inside: PurePath) -> bool:
    """Tell whether a path, told from the run folder on, is that of a file that we write."""
    return inside.as_posix() in _OURS


def is_run_folder(inside: PurePath) -> bool:
    """Tell whether a path, told from the run folder on, is that of a folder of such files."""
    return inside.as_posix() == "figures"
