"""Label maps from files and from pictures: PNG, NumPy, and superpixels.

A map's PNG file is a palette picture whose indices are the labels; what the labels are called lies
in a text chunk of it, so that one file is enough.
"""

from __future__ import annotations

import colorsys
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from regional_primitives.errors import InputError, MissingExtraError, first_line
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.staging import staged_file
from regional_primitives.runtime.storage import read_json, typed

Names: TypeAlias = Mapping[str, str | None] | None
"""What labels are called; None for those that mark no patch."""
_CHUNK = "regional_primitives names"
_MOST_PIXELS = 2**26
_NONE = 255
"""The value of pixels without a patch, in files that `write_map` writes."""
_GREY = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
"""Modes of Pillow whose values are labels."""


def read_map(path: AnyPath, names: AnyPath | None) -> tuple[Int[Tensor, "height width"], Names]:
    """Read labels and their names; see `Regions.read`."""
    file = path_of(path, "the label map")
    if not file.is_file():
        raise InputError(f"there is no label map {file}")
    labels, found = _numpy(file) if file.suffix.lower() == ".npy" else _picture(file)
    if names is not None:
        told = path_of(names, "the file of names")
        try:
            found = typed(read_json(told), dict[str, str | None])
        except ValueError as error:
            raise InputError(
                f'{told} does not have the form {{"LABEL": "name" or null}}'
            ) from error
        _refuse_twice(told)
    return labels, found


def _refuse_twice(file: Path) -> None:
    """Refuse a JSON file that names a label twice, of which readers would keep the last."""

    def checked(pairs: list[tuple[str, Any]]) -> None:
        labels = [label for label, _ in pairs]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise InputError(f"{file} names label {twice[0][:60]} twice")

    json.loads(file.read_bytes(), object_pairs_hook=checked)


def _numpy(file: Path) -> tuple[Tensor, None]:
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        if values.dtype.kind not in "iu" or values.ndim != 2 or values.size > _MOST_PIXELS:
            raise InputError(
                f"{file} holds {values.dtype} {list(values.shape)}; a label map is whole numbers "
                "[height, width]"
            )
        if values.dtype.kind == "u" and values.size and values.max() > np.iinfo(np.int64).max:
            raise InputError(f"{file} holds the label {values.max()}; labels are below 2⁶³")
        return torch.from_numpy(values.astype(np.int64)), None
    except InputError:
        raise
    except Exception as error:  # damaged files raise all kinds
        raise InputError(f"{file} cannot be read as a NumPy file: {first_line(error)}") from error


def _picture(file: Path) -> tuple[Tensor, Names]:
    with _pillow("reading a label map"):
        from PIL import Image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    raise InputError(f"{file} has {picture.size} pixels, more than any picture")
                if picture.format == "JPEG":
                    raise InputError(f"{file} is a JPEG file, which blurs labels; save it as PNG")
                if picture.mode not in _GREY:
                    raise InputError(
                        f"{file} is a picture of mode {picture.mode}; a label map is a palette or "
                        "greyscale picture, whose values are the labels"
                    )
                labels = torch.from_numpy(np.array(picture).astype(np.int64))
                told = picture.info.get(_CHUNK)
    except InputError:
        raise
    except Exception as error:  # decoders raise all kinds on damaged files
        raise InputError(f"{file} cannot be read as a label map: {first_line(error)}") from error
    if told is None:
        return labels, None
    try:
        names = typed(msgspec.json.decode(told), dict[str, str])
    except ValueError as error:
        raise InputError(f"{file} has names that cannot be read: {first_line(error)}") from error
    return labels.where(labels != _NONE, torch.tensor(-1)), names or None


def write_map(
    labels: Int[Tensor, "height width"], names: Sequence[str] | None, path: AnyPath
) -> None:
    """Write labels 0 … n − 1, −1 for none, as a palette PNG; see `Regions.write`."""
    place = path_of(path, "the label map")
    if place.suffix.lower() != ".png":
        raise InputError(f"a label map is written as a PNG file; name it so, not {place.name}")
    count = int(labels.max()) + 1
    if count > _NONE:
        raise InputError(f"{count} patches are more than the {_NONE} colours of a palette")
    with _pillow("writing a label map"):
        from PIL import Image, PngImagePlugin
    picture = Image.fromarray(labels.where(labels >= 0, torch.tensor(_NONE)).byte().numpy(), "P")
    colours = [
        colorsys.hls_to_rgb(i * 0.618 % 1, 0.55 + 0.15 * (i % 3 - 1), 0.6) for i in range(_NONE)
    ]
    palette = [round(255 * channel) for colour in (*colours, (0.0, 0.0, 0.0)) for channel in colour]
    picture.putpalette(palette)
    about = PngImagePlugin.PngInfo()
    # Also without names: so that a reader knows what the value of no patch means.
    about.add_text(_CHUNK, json.dumps(dict(enumerate(names or ()))))
    with staged_file(place) as staging:
        picture.save(staging, "PNG", pnginfo=about)


def superpixels(image: Tensor, count: int) -> Int[Tensor, "height width"]:
    """Label about `count` superpixels of one picture; see `Regions.segments`."""
    pixels = image.detach().cpu().float()
    pixels = pixels[0] if pixels.ndim == 4 and len(pixels) == 1 else pixels
    if pixels.ndim != 3 or not pixels.numel() or not bool(pixels.isfinite().all()):
        raise InputError(
            f"superpixels are those of one picture [channels, height, width], not "
            f"{list(pixels.shape)}"
        )
    try:
        from skimage.segmentation import slic
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "skimage":
            raise
        raise MissingExtraError("dividing a picture into superpixels", "report") from error
    if count > pixels[0].numel():
        raise InputError(f"{count} superpixels need as many pixels; there are {pixels[0].numel()}")
    low, high = pixels.min(), pixels.max()
    unit = ((pixels - low) / (high - low).clamp_min(1e-12)).permute(1, 2, 0).double().numpy()
    colours = unit if unit.shape[2] == 3 else unit.mean(2, keepdims=True)
    return torch.from_numpy(slic(colours, count, start_label=0, channel_axis=-1).astype(np.int64))


@contextmanager
def _pillow(what: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "PIL":
            raise
        raise MissingExtraError(what, "report") from error
