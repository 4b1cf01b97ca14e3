"""Weights: where their files lie, and how one is read and checked."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from regional_primitives.errors import GeneratorError, StorageError
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.runtime.storage import file_digest, measurable, read_tensors

WEIGHTS_VARIABLE = "REGIONAL_PRIMITIVES_WEIGHTS"

_Network = TypeVar("_Network", bound=nn.Module)

# In a package from PyPI, published once and known by its digest


def in_package(package: str, file: str) -> Path | None:
    """Locate a file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return first_file(Path(folder) / file for folder in folders)


def published(path: Path | None, name: str, sha256: str, how_to_get: str) -> Path:
    """Return the file of generator `name`; refuse one that is not there, or not as published."""
    if path is None:
        raise GeneratorError(f"the weights of {name!r} are not installed; get them: {how_to_get}")
    if file_digest(path) != sha256:
        raise StorageError(f"{path} is not the published file; get it anew: {how_to_get}")
    return path


# Trained for this library, and part of it


def trained_here(name: str) -> Path:
    """Return where the weights of generator `name` lie; `trained/README.md` says how they came."""
    return Path(__file__).with_name("trained") / f"{name}.safetensors"


# In a folder of the user's


def folders(given: Path | None, collection: str) -> list[Path]:
    """List where files may lie, best first: in `given` and nowhere else, or where they are kept.

    They are kept in the folder that $REGIONAL_PRIMITIVES_WEIGHTS names and in `weights` in the
    cache folder; in each place directly, or in a folder called `collection`.
    """
    chosen = os.environ.get(WEIGHTS_VARIABLE)
    kept = [*([Path(chosen)] if chosen else []), cache_folder() / "weights"]
    places = [place.expanduser() for place in (kept if given is None else [given])]
    return [folder for place in places for folder in (place, place / collection)]


def first_file(paths: Iterable[Path]) -> Path | None:
    """Return the first path that is a file."""
    return next((path for path in paths if path.is_file()), None)


def not_found(name: str, given: Path | None, collection: str, how_to_get: str) -> GeneratorError:
    """Say that generator `name` has no weights, and how to get them into folder `collection`."""
    where = "not installed" if given is None else f"not in {given}"
    return GeneratorError(
        f"the weights of {name!r} are {where}; get them: {how_to_get} and pass --weights "
        f"{collection} (or name the folder in ${WEIGHTS_VARIABLE})"
    )


def filled(
    make: Callable[[], _Network], path: Path, how_to_get: str, *, prefix: str = ""
) -> _Network:
    """Build a network around a file's tensors, in float32 and without drawing weights first.

    The file is safetensors, or what `torch.save` made of a state dict; no code in it is run. If
    names in it begin with `prefix`, only those count, without it.
    """
    with torch.device("meta"):
        network = make()
    state = _read(path, how_to_get)
    if prefix and isinstance(state, dict):
        own = {key: part for key, part in state.items() if str(key).startswith(prefix)}
        state = {key.removeprefix(prefix): part for key, part in own.items()} or state
    fault = _fault(state, network.state_dict())
    if fault:
        raise StorageError(
            f"{path} is not the file of {type(network).__name__}: {fault}; get it: {how_to_get}"
        )
    network.load_state_dict({key: part.float() for key, part in state.items()}, assign=True)
    return network.eval()


def _read(path: Path, how_to_get: str) -> Any:
    if path.suffix == ".safetensors":
        return read_tensors(path, None)  # what they are is checked by name and shape
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises all kinds on a damaged file
        # Its first sentence says what happened; the next ones advise to trust the file.
        reason = str(error).strip().split("\n")[0].split(". ")[0] or type(error).__name__
        raise StorageError(
            f"{path} is corrupt, or no file of tensors alone: {reason}; get it: {how_to_get}"
        ) from error


def _fault(state: Any, expected: dict[str, Tensor]) -> str:
    """Say the first way in which a state dict is not the expected one; "" if it is."""
    if not isinstance(state, dict):
        return f"it holds a {type(state).__name__}, no tensors by name"
    for key, pattern in expected.items():
        part = state.get(key)
        if not isinstance(part, Tensor):
            return f"{key!r} is missing"
        if part.shape != pattern.shape or not part.is_floating_point():
            kind = str(part.dtype).removeprefix("torch.")
            return f"{key!r} is {kind} {list(part.shape)}, not real numbers {list(pattern.shape)}"
        if not measurable(part):
            return f"{key!r} holds NaN, infinity or numbers without a measure"
    unknown = [str(key) for key in state if key not in expected]
    return f"{unknown[0]!r} is unknown" if unknown else ""
