"""Commands on run folders: evaluate anew, compare, explore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regional_primitives.cli.application import app, tell
from regional_primitives.cli.options import Json, ModelOptions, OwnModel, keywords
from regional_primitives.cli.output import (
    has_screen,
    print_json,
    print_report,
    print_run,
    print_table,
)
from regional_primitives.compare.checkpoints import CheckpointComparison
from regional_primitives.decompose import Decomposition
from regional_primitives.explore import explore as serve
from regional_primitives.rivals import BASELINES
from regional_primitives.runs.compare import COMPARISON, compare_runs
from regional_primitives.runs.folder import generator_of, rescore
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.settings import changed, settings_help
from regional_primitives.scores import Evaluation
from regional_primitives.show.comparison_page import (
    COMPARISON_REPORT,
    terminal_checkpoints,
    terminal_fields,
    terminal_parts,
    terminal_table,
)


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
            help="Also score other methods, what one would do instead, on the same demands: "
            f"{', '.join(BASELINES)}.",
        ),
    ] = None,
    model: OwnModel = None,
    options: ModelOptions = None,
    as_json: Json = False,
) -> None:
    """Measure runs anew; their scores, figures and reports are renewed."""
    settings = changed(Evaluation, changes or [])
    names: list[str] | str | None = baselines
    if baselines is not None and baselines.strip() != "all":
        names = [name.strip() for name in baselines.split(",")]
    for folder in folders:
        with progress_bar() as progress:
            scores, compared = rescore(
                folder, settings, progress, names, model, **keywords(options)
            )
        print_run(folder, scores, as_json, compared if names else None)


@app.command()
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN…", help="Run folders of one generator, layer and division."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for compare.json and, unless of checkpoints, the page compare.html."
        ),
    ] = None,
    a: Annotated[int, typer.Option(help="Strongest fields of one picture …")] = 20,
    b: Annotated[int, typer.Option(help="… sought among so many of the other.")] = 100,
    draws: Annotated[int, typer.Option(help="Draws of random fields of the same sizes.")] = 10,
    model: OwnModel = None,
    options: ModelOptions = None,
    as_json: Json = False,
) -> None:
    """Tell which primitives pictures share, beside what random fields would.

    Two runs of one picture under different weights are two checkpoints: told is what share each
    part takes under either, and which shares changed.
    """
    with progress_bar() as progress:
        result = compare_runs(
            folders, out, a=a, b=b, draws=draws, progress=progress, model=model,
            **keywords(options),
        )  # fmt: skip
    if as_json:
        print_json({"runs": [str(folder) for folder in folders], **result.to_dict()})
        return
    if isinstance(result, CheckpointComparison):
        print_table(terminal_checkpoints(result))
        if out is not None:
            typer.echo(f"numbers: {out / COMPARISON}")
        return
    if result.remark:
        tell(result.remark)
    print_table(terminal_table(result))
    if result.parts:
        print_table(terminal_parts(result))
    print_table(terminal_fields(result))
    if out is not None:
        print_report(out / COMPARISON_REPORT)


@app.command()
def explore(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…",
            help="Run folders; the first is shown, the others are open beside it, also to take "
            "parts of their pictures from.",
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the page's address; any free one for 0.")
    ] = 0,
    show: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open the page in a browser, if there is a screen."),
    ] = True,
    model: OwnModel = None,
    options: ModelOptions = None,
) -> None:
    """Open a page on 127.0.0.1 to ask for patches and to scale, solo and play components.

    Its address is printed. It serves this machine only, and only until it is interrupted (Ctrl-C).
    """

    def opened(address: str) -> None:
        typer.echo(address)
        tell("the explorer runs until it is interrupted (Ctrl-C)")

    with progress_bar() as progress:
        generator = generator_of(Decomposition.load(folders[0]), model, **keywords(options))
        serve(
            folders[0],
            generator,
            others=folders[1:],
            port=port,
            show=show and has_screen(),
            progress=progress,
            tell=opened,
        )
