"""Arguments and options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.division import said
from regional_primitives.decompose.purpose import QUESTIONS
from regional_primitives.decompose.structured import QUALITIES
from regional_primitives.errors import InputError
from regional_primitives.regions import Regions
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.runtime.settings import pair

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A generator by name, see `primitives models`; or your own: a function that returns "
        "what rp.cut returns, as package.module:function or path/file.py:function.",
    ),
]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="Passed on to your own function; repeatable."
    ),
]
OwnModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE.py:FUNCTION",
        help="The function that makes the generator, where it is your own: its code is only run "
        "because you name it.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Division = Annotated[
    str | None,
    typer.Option(
        "--regions",
        "--grid",
        metavar="6x6|parts|segments:40|FILE|RUN",
        help="What is asked about: a grid of squares, 6x6; the parts of what the generator shows, "
        "where it comes with a map of them; superpixels of the picture; a label map, a palette or "
        "greyscale PNG or a .npy file; or a run folder, for what that run was asked about. Unless "
        "given, 6x6; `explain` takes parts where there are any.",
    ),
]
RegionNames = Annotated[
    Path | None,
    typer.Option(
        "--names",
        metavar="FILE",
        help='With a label map: what its labels are called, {"LABEL": "name" or null}; the pixels '
        "of null belong to no region.",
    ),
]
Resize = Annotated[
    bool,
    typer.Option("--resize-regions", help="Fit a label map to the size of the pictures."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="A weights file of your own; of photos, the folder of both files; of a VAE, its file "
        "or the folder that it is in."
    ),
]
Size = Annotated[int | None, typer.Option(help="Pixels a side, where the generator has a choice.")]
Thorough = Annotated[
    bool,
    typer.Option(
        "--thorough",
        help="Measure more: three more fits, for stability and the frontier, and free bounds; of "
        "one picture also the sanity checks, a dozen quick fits.",
    ),
]
Purpose = Annotated[
    str,
    typer.Option(
        metavar="|".join(QUESTIONS),
        help="Which question about patches S is answered. "
        + " ".join(f"{name}: {question}" for name, question in QUESTIONS.items()),
    ),
]
Quality = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(QUALITIES),
        help="How much to spend on the fit: about 850, 5,000 or 20,000 evaluations of the tail "
        "on 36 patches; balanced unless given.",
    ),
]
Device = Annotated[str, typer.Option(help="A torch device, such as cpu or cuda.")]
Hold = Annotated[
    str | None,
    typer.Option(
        metavar="normalisation",
        help="Let group, layer, instance and RMS normalisation behind the cut keep the statistics "
        "of the explained picture. It stays the same; the baseline picture becomes another.",
    ),
]


_OWN_OPTIONS = ("layer", "weights", "size", "device", "hold")
_TAKEN = (
    "name", "model", "folder", "seeds", "layers", "regions", "resize", "settings", "evaluation",
    "protocol", "exact", "structured", "workers", "progress", "baselines", "decomposition",
    "options",
)  # fmt: skip
"""What the library's functions that pass options on are called with besides."""


def division_of(text: str | None, names: Path | None, resize: bool) -> Regions | str | None:
    """Read what --regions and --names say, as far as it can be read without a picture."""
    found = _division(text, names)
    if resize and (not isinstance(found, Regions) or found.is_grid):
        raise InputError("--resize-regions belongs to --regions FILE; nothing else has a size")
    return found


def _division(text: str | None, names: Path | None) -> Regions | str | None:
    if text is None:
        if names is not None:
            raise InputError("--names belongs to --regions FILE")
        return None
    if names is None and (Path(text) / MANIFEST).is_file():
        return Decomposition.load(text).regions
    return said(text, names)


def keywords(options: list[str] | None) -> dict[str, Any]:
    """Read --option NAME=VALUE: numbers, true, false and null are what JSON takes them for."""
    given: dict[str, Any] = {}
    for text in options or []:
        name, value = pair(text, str, str)
        if not name.isidentifier() or name in given:
            raise InputError(f"--option takes NAME=VALUE, each name once; not {name[:60]!r}")
        if name in _OWN_OPTIONS:
            raise InputError(f"{name} has an option of its own: --{name}")
        if name in _TAKEN:
            raise InputError(f"an option of your function cannot be called {name!r} here")
        try:
            given[name] = msgspec.json.decode(value)
        except (ValueError, RecursionError):
            given[name] = value
    return given


def is_number(text: str) -> bool:
    """Tell whether a text means a patch or a component by its number."""
    return re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) is not None


def patches_of(option: str, text: str, example: str) -> tuple[int | str, ...]:
    """Read P,P,… : the numbers of patches, or their names."""
    told = [part.strip() for part in text.split(",")]
    if not all(told):
        raise InputError(f"{option} takes patches such as {example}, not {text!r}")
    return tuple(int(part) if is_number(part) else part for part in told)
