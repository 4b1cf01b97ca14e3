"""The files that make a run folder: these are ours to replace, all else in it is the user's."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

MANIFEST = "run.json"
"""The file that makes a folder a run folder, if it is one of ours."""
TENSORS = "tensors.safetensors"
FIELDS = "fields.safetensors"
"""In the place of `TENSORS` where a sweep keeps scores alone: fields and strengths."""
SCORES = "scores.json"
EXHIBITS = "exhibits.safetensors"
EXHIBIT_NAMES = "exhibits.json"
RIVALS = "baselines.json"
SANITY = "sanity.json"
REPORT = "report.html"
FIGURES = "figures"
"""The folder of a run that holds its figures."""
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
_OURS = frozenset(
    (
        *(MANIFEST, TENSORS, FIELDS, SCORES, EXHIBITS, EXHIBIT_NAMES, RIVALS, SANITY, REPORT),
        *(f"{FIGURES}/{name}.png" for name in _FIGURES),
    )
)


def figure_file(name: str) -> str:
    """Return where in a run folder a figure lies; one that is not among ours would never go."""
    if name not in _FIGURES:
        raise KeyError(name)
    return f"{FIGURES}/{name}.png"


def is_run(folder: Path) -> bool:
    """Tell whether a folder holds a run of ours; other tools too call a file run.json."""
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
