"""Arguments and options that several commands share, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regional_primitives.decompose.purpose import QUESTIONS
from regional_primitives.decompose.structured import QUALITIES
from regional_primitives.errors import InputError

Model = Annotated[str, typer.Argument(help="A generator of the zoo; see `primitives models`.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Grid = Annotated[str, typer.Option(help="Patches, ROWSxCOLUMNS.")]
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
    typer.Option("--thorough", help="Fit three times more, to score stability and the frontier."),
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
        help="How much to spend on the fit: about 1,000, 5,000 or 20,000 evaluations of the tail "
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


def patch_numbers(option: str, text: str, example: str) -> tuple[int, ...]:
    """Read P,P,… ."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes patch numbers such as {example}, not {text!r}") from None
