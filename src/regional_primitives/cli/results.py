"""Commands on run folders: evaluate anew, edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regional_primitives import runs
from regional_primitives.apply import edit as edit_picture
from regional_primitives.cli.application import app
from regional_primitives.cli.options import Json
from regional_primitives.cli.output import print_pairs, print_run
from regional_primitives.decompose import Decomposition
from regional_primitives.evaluate import BASELINES, Evaluation
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.settings import changed, pair, settings_help
from regional_primitives.show.pixels import write_picture

__all__ = ["edit", "evaluate"]


@app.command()
def evaluate(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run folders.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=settings_help(Evaluation)),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="all|NAME,…",
            help="Also score what one would do instead, on the same demands: "
            f"{', '.join(BASELINES)}.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure runs anew; their scores, figures and reports are renewed."""
    settings = changed(Evaluation, changes or [])
    names: list[str] | str | None = baselines
    if baselines is not None and baselines.strip() != "all":
        names = [name.strip() for name in baselines.split(",")]
    for folder in folders:
        with progress_bar() as progress:
            scores, compared = runs.rescore(folder, settings, progress, names)
        print_run(folder, scores, as_json, compared if names else None)


@app.command()
def edit(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    scale: Annotated[
        list[str],
        typer.Option(metavar="K=V", help="Scale component K by V (0 removes it); repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="The edited picture, a PNG file.")],
    as_json: Json = False,
) -> None:
    """Scale components of a run and generate the edited picture."""
    scales = {int(k): v for k, v in (pair(text, int, float) for text in scale)}
    decomposition = Decomposition.load(folder)
    picture = edit_picture(decomposition, runs.generator_of(decomposition), scales)
    write_picture(out, picture[0], decomposition.provenance.image_range)
    print_pairs({"picture": str(out), "scales": {str(k): v for k, v in scales.items()}}, as_json)
