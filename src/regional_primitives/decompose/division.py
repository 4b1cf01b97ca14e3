"""How a picture is divided, as callers say it: regions, or a text that the picture may decide."""

from __future__ import annotations

import re
from os import PathLike, fspath
from pathlib import Path

import torch

from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import AnyPath

PARTS = "parts"
"""The map that a generator of the zoo comes with, of the parts of what it shows."""
SYNTAX = "6x6 (rows x columns), parts, segments:40, FILE.png, FILE.npy"
_SEGMENTS = re.compile(r"segments:(\d{1,5})")
_GRID = re.compile(r"(grid:)?\s*\d+\s*[x×X]\s*\d+\s*")


def said(text: str, names: AnyPath | None = None) -> Regions | str:
    """Read what a text says of regions, as far as it can be read without a picture.

    Told are regions, or the text itself where generator or picture decide: `parts`, `segments:40`.

    Raises:
        InputError: none of `SYNTAX`, no such file, or names where no labels are.
    """
    text = text.strip()
    is_file = bool(Path(text).suffix)
    if names is not None and not is_file:
        raise InputError("names belong to a label map: give the file of one too")
    superpixels = _SEGMENTS.fullmatch(text)
    if superpixels and int(superpixels[1]) < 2:
        raise InputError(f"regions {text}: a picture is divided into 2 superpixels or more")
    if text == PARTS or superpixels:
        return text
    if is_file:
        return Regions.read(text, names)
    if _GRID.fullmatch(text):
        return Regions.parse(text.removeprefix("grid:"))
    raise InputError(f"regions {text[:60]!r} are none of: {SYNTAX}")


@torch.no_grad()
def division(
    given: Regions | str | PathLike[str] | None,
    generator: Generator,
    latents: Latents | None = None,
    *,
    resize: bool = False,
) -> Regions:
    """Return the regions that a caller gave; a 6 × 6 grid, as in the paper, for None.

    Args:
        given: regions, or a text or path: `SYNTAX`.
        generator: whose `parts` may be meant.
        latents: of the picture that superpixels divide; None where no one picture is meant.
        resize: fit a label map to the size of the generator's pictures.

    Raises:
        InputError: something else, parts of a generator that has none, or superpixels where no one
            picture is meant.
    """
    is_said = isinstance(given, (str, PathLike))
    found = said(fspath(given)) if is_said else Regions.of(given)  # type: ignore[arg-type]
    if found == PARTS:
        if generator.parts is None:
            raise InputError(
                f"{generator.name} comes without a map of parts; give a label map, superpixels or "
                "a grid"
            )
        return generator.parts
    if isinstance(found, str):
        if latents is None:
            raise InputError(
                "superpixels are those of one picture; for several give a grid, parts, or a map"
            )
        return Regions.segments(_image(generator, latents), int(found.partition(":")[2]))
    if resize:
        some = generator.sample_latents(1) if latents is None else latents
        return found.resized(*_image(generator, some).shape[-2:])
    return found


def _image(generator: Generator, latents: Latents) -> torch.Tensor:
    at = generator.at(latents)
    return at.tail(at.head(latents))
