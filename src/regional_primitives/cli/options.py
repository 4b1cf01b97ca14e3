"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regional_primitives.decompose.structured import QUALITIES, Structured

__all__ = ["Device", "Json", "Overwrite", "Quality", "Size", "Thorough", "Weights", "preset"]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Weights = Annotated[
    Path | None,
    typer.Option(help="A weights file of your own; of photos, the folder of both files."),
]
Size = Annotated[int | None, typer.Option(help="Pixels a side, where the generator has a choice.")]
Thorough = Annotated[
    bool,
    typer.Option("--thorough", help="Fit three times more, to score stability and the frontier."),
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
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run that the folder holds already.")
]


def preset(quality: str | None) -> dict[str, Any]:
    """Return what a quality changes of the structured form's defaults.

    Raises:
        InputError: no such quality.
    """
    chosen = quality or "balanced"
    Structured.of_quality(chosen)  # refuses what is none
    return QUALITIES[chosen]
