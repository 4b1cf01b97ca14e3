"""Answers from files: safetensors or NumPy's .npz, whose names tell the form; no pickle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regional_primitives.errors import InputError
from regional_primitives.others.answer import Answer
from regional_primitives.others.attributions import Attributions
from regional_primitives.others.codes import Codes
from regional_primitives.others.components import Components
from regional_primitives.others.directions import Directions
from regional_primitives.others.interactions import Interactions
from regional_primitives.others.maps import Maps
from regional_primitives.others.parts import Parts
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.storage import read_tensors

FEATURE = "feature"
"""The name under which any file may hold the feature that its components were made of."""


@dataclass(frozen=True)
class _Form:
    make: Callable[..., Answer]
    names: tuple[str, ...]
    """In a file, the first of which tells the form, as the class takes them."""
    needed: int = 1
    """How many of these must be there."""


FORMS = (
    _Form(Components, ("components", "fields")),
    _Form(Directions, ("directions", "masks")),
    _Form(Codes, ("decoder", "activations", "baseline_activations"), needed=2),
    _Form(Parts, ("parts", "appearances")),
    _Form(Maps, ("maps",)),
    _Form(Attributions, ("attributions", "fields")),
    _Form(Interactions, ("interactions", "fields"), needed=2),
)


def in_words() -> str:
    """Say what a file may hold."""
    return "; ".join(
        ", ".join(name if i < form.needed else f"[{name}]" for i, name in enumerate(form.names))
        for form in FORMS
    )


def read_answer(path: AnyPath) -> Answer:
    """Read an answer, and the feature that it was made of where the file tells.

    Raises:
        InputError: another kind of file, or names that are none of a form.
        StorageError: missing or corrupt.
    """
    file = path_of(path, "the file of components")
    tensors: dict[str, Any] = dict(_tensors(file))
    made_of = tensors.pop(FEATURE, None)
    form = next((form for form in FORMS if form.names[0] in tensors), None)
    if (
        form is None
        or not set(form.names[: form.needed]) <= tensors.keys()
        or not tensors.keys() <= set(form.names)
    ):
        told = ", ".join(sorted(tensors))[:200] or "nothing"
        raise InputError(f"{file} holds {told}; a file holds one of: {in_words()}; and [{FEATURE}]")
    return form.make(*(tensors.get(name) for name in form.names), made_of=made_of)


def _tensors(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return read_tensors(file, None)
    if file.suffix != ".npz":
        raise InputError(f"components come as .safetensors or .npz, not {file.name}")
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
    except Exception as error:  # damaged files, and arrays of objects, raise all kinds
        raise InputError(f"{file} cannot be read as a NumPy file of arrays of numbers") from error
