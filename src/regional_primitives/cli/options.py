"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Device", "Json", "Overwrite", "Size", "Thorough", "Weights"]

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
Device = Annotated[str, typer.Option(help="A torch device, such as cpu or cuda.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run that the folder holds already.")
]
