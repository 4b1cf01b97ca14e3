"""The command that scores what other methods and tools made: components, and edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from regional_primitives.apply import edit_scores
from regional_primitives.cli.application import app
from regional_primitives.cli.options import Json, ModelOptions, OwnModel, keywords
from regional_primitives.cli.output import print_json, print_rivals, print_table
from regional_primitives.decompose import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.others import components, read_answer
from regional_primitives.others.files import in_words
from regional_primitives.rivals import baselines as compared
from regional_primitives.runs.folder import generator_of, report
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.settings import changed, settings_help
from regional_primitives.scores import Evaluation


@app.command()
def score(
    folder: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="The run folder of the picture.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…",
            help="What other methods found of it, each a .safetensors or .npz file that holds one "
            f"of: {in_words()}.",
        ),
    ] = None,
    edit: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(
            metavar="BEFORE AFTER MASK",
            help="Score an edit instead: two pictures, and one that is white where they were meant "
            "to differ.",
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(metavar="all|NAME,…", help="More rows, as of `primitives evaluate`."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=settings_help(Evaluation)),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With one FILE: a run folder of its components, for the other commands."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that --out holds already.")
    ] = False,
    model: OwnModel = None,
    options: ModelOptions = None,
    as_json: Json = False,
) -> None:
    """Score what other methods found of a run's picture, in one table beside the run's own."""
    if edit is not None:
        if folder is not None or baselines or out is not None:
            raise InputError("--edit takes three pictures, and no run")
        _score_edit(edit, as_json)
        return
    if folder is None or not files:
        raise InputError("give a run folder and a file of components; or --edit BEFORE AFTER MASK")
    if out is not None and len(files) > 1:
        raise InputError(f"--out is a run folder of one file's components, not of {len(files)}")
    answers = {file.stem: read_answer(file) for file in files}
    if len(answers) < len(files):
        raise InputError("files are told apart by their names; two are called alike")
    settings = changed(Evaluation, changes or [])
    names = [] if baselines is None else [name.strip() for name in baselines.split(",")]
    own = Decomposition.load(folder)
    with progress_bar() as progress:
        generator = generator_of(own, model, **keywords(options))
        found = compared(
            own,
            generator,
            "all" if names == ["all"] else names,
            settings,
            others=answers,
            progress=progress,
        )
        if out is not None:
            ((name, answer),) = answers.items()
            theirs = components(answer, generator, own, name=name)
            report(theirs, generator, out, settings, overwrite=overwrite, progress=progress)
    if as_json:
        print_json({"run": str(folder), "out": None if out is None else str(out),
                    "comparison": found.to_dict()})  # fmt: skip
        return
    print_rivals(found)


def _score_edit(pictures: tuple[Path, Path, Path], as_json: bool) -> None:
    found = edit_scores(*pictures)
    if as_json:
        print_json({"edit": list(map(str, pictures)), "scores": found.to_dict()})
        return
    told = f"meant to change: {found.pixels:.0%} of the picture"
    table = Table("what", "value", title=told, title_justify="left")
    for label, value, form in (
        ("change inside", found.inside, "{:.1%}"),
        ("change outside", found.outside, "{:.2%}"),
        ("share of the change outside", found.outside_share, "{:.1%}"),
        ("PSNR outside", found.psnr_outside, "{:.1f} dB"),
        ("SSIM outside", found.ssim_outside, "{:.3f}"),
        ("seam", found.seam, "{:.1%}"),
        ("seam before", found.seam_before, "{:.1%}"),
    ):
        table.add_row(label, "–" if value is None else form.format(value))
    print_table(table)
