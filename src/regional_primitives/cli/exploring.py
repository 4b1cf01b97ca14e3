"""The command that opens the explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regional_primitives.cli.application import app
from regional_primitives.cli.output import has_screen, tell
from regional_primitives.explore import explore as serve
from regional_primitives.runtime.progress import progress_bar

__all__ = ["explore"]


@app.command()
def explore(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the page's address; any free one for 0.")
    ] = 0,
    show: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open the page in a browser, if there is a screen."),
    ] = True,
) -> None:
    """Open a page on 127.0.0.1 to ask for patches and to scale, solo and play components.

    Its address is printed. It serves this machine only, and only until it is interrupted (Ctrl-C).
    """

    def opened(address: str) -> None:
        typer.echo(address)
        tell("the explorer runs until it is interrupted (Ctrl-C)")

    with progress_bar() as progress:
        serve(folder, port=port, show=show and has_screen(), progress=progress, tell=opened)
