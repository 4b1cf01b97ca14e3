"""The command that checks whether an explanation would look the same on nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regional_primitives.cli.application import app
from regional_primitives.cli.options import Json, ModelOptions, OwnModel, keywords
from regional_primitives.cli.output import print_json, print_table
from regional_primitives.decompose import Decomposition
from regional_primitives.runs.folder import check, generator_of
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.sanity.suite import SCORED
from regional_primitives.scores.table import TABLE
from regional_primitives.show.sections import for_terminal


@app.command()
def sanity(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    seed: Annotated[int, typer.Option(help="Random stream of what is shuffled and drawn.")] = 0,
    model: OwnModel = None,
    options: ModelOptions = None,
    as_json: Json = False,
) -> None:
    """Check whether nonsense would be explained alike: shuffled weights, fields, other f0, seeds.

    The picture is explained a dozen times, of quality fast. What is left of the explanation, by
    strengths of action fields, is told, and written to the run's sanity.json and report.
    """
    with progress_bar() as progress:
        generator = generator_of(Decomposition.load(folder), model, **keywords(options))
        found = check(folder, generator, seed, progress)
    if as_json:
        print_json({"run": str(folder), **found.to_dict()})
        return
    rows = [("as it is", "", "", *_told(found.reference))]
    for one in found.checks:
        left = one.why_not if one.survives is None else f"{one.survives:.0%}"
        rows.append((one.name, one.should, left, *_told(one.scores)))
    columns = (
        "check",
        "should",
        "is left",
        *(TABLE[name].column.replace("\u00ad", "") for name in SCORED),
    )
    margin = "" if found.margin is None else f", mean less mean: {found.margin:.2f} (1 is best)"
    print_table(
        for_terminal(str(folder), columns, rows, f"left where it should stay or go{margin}")
    )


def _told(scores: dict[str, float | None]) -> list[str]:
    return [
        "" if value is None else TABLE[name].form.format(value) for name, value in scores.items()
    ]
