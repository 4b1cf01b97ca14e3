"""Commands on run folders: evaluate anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regional_primitives import runs
from regional_primitives.cli.application import app
from regional_primitives.cli.options import Json
from regional_primitives.cli.output import print_run
from regional_primitives.evaluate import BASELINES, Evaluation
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.settings import changed, settings_help

__all__ = ["evaluate"]


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
