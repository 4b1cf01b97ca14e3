"""Commands that fit: explain one picture, sweep over many, reproduce the paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from regional_primitives.cli.application import app, tell
from regional_primitives.cli.options import (
    Device,
    Division,
    Hold,
    Json,
    Model,
    ModelOptions,
    Purpose,
    Quality,
    RegionNames,
    Resize,
    Size,
    Thorough,
    Weights,
    division_of,
    keywords,
    patches_of,
)
from regional_primitives.cli.output import (
    open_report,
    print_json,
    print_report,
    print_run,
    print_table,
)
from regional_primitives.decompose import Exact, Structured
from regional_primitives.decompose.division import PARTS, division
from regional_primitives.decompose.structured import preset
from regional_primitives.errors import InputError, StorageError
from regional_primitives.generators import load_generator
from regional_primitives.regions import Regions
from regional_primitives.runs import folder as runs
from regional_primitives.runs import reproduce as reproduction
from regional_primitives.runs import sweep as sweeps
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.run_files import REPORT, SANITY
from regional_primitives.runtime.settings import changed, settings_help, settings_list
from regional_primitives.scores import Evaluation
from regional_primitives.show.reproduction_page import REPRODUCTION_REPORT, reproduction_table
from regional_primitives.show.sweep_page import SWEEP_REPORT, terminal_table


@app.command()
def explain(
    model: Model,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Which picture: the seed of its latent; 0 unless given."),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(help="A picture file of your own, for generators that find its latent."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Where to cut; the generator's own choice unless given. Several: A+B.",
        ),
    ] = None,
    regions: Division = None,
    names: RegionNames = None,
    resize: Resize = False,
    exact: Annotated[
        str | None,
        typer.Option(
            metavar="P,P,…",
            help="The paper's own route on up to 12 patches: minimal features of all their "
            "subsets, and exact OR interactions. Patch 0 is top left, row by row.",
        ),
    ] = None,
    purpose: Purpose = "generate",
    quality: Quality = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; runs/MODEL-LAYER-SEED unless given, with -fast or -best, and "
            "-isolate, where these are asked for."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help=f"{settings_help(Structured, 'purpose')} "
            f"With --exact: {settings_list(Exact, 'purpose')}.",
        ),
    ] = None,
    options: ModelOptions = None,
    weights: Weights = None,
    size: Size = None,
    thorough: Thorough = False,
    device: Device = "cpu",
    hold: Hold = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that the folder holds already.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--open", help="Open the report in a browser if there is a screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Explain one picture: components, scores and a report in a run folder."""
    settings: Structured | Exact
    if exact is None:
        settings = _structured(changes, purpose, quality)
    elif quality is not None:
        raise InputError("--quality belongs to the structured form; --exact has none")
    else:
        settings = changed(Exact, changes or [], purpose=purpose)
    asked = division_of(regions, names, resize)
    if image is not None and seed is not None:
        raise InputError("--image and --seed both choose the picture; give one of them")
    generator = load_generator(
        model,
        layer,
        weights=weights,
        size=size,
        device=device,
        hold=hold,
        **keywords(options),
    )
    picture = image if image is not None else seed or 0
    if isinstance(settings, Exact) and exact is not None:
        patches = patches_of("--exact", exact, "7,8,13 or mouth,nose")
        if any(isinstance(patch, str) for patch in patches):
            own = PARTS if asked is None and generator.parts is not None else asked
            asked = division(own, generator)
            patches = asked.numbers(patches)
        settings = replace(settings, patches=patches)  # type: ignore[arg-type]  # numbers
    elif asked is None and generator.parts is not None:
        asked = PARTS
    folder = out or runs.default_folder(model, generator.layer, picture, purpose, quality)
    with progress_bar() as progress:
        scores, stood = runs.explain_to_folder(
            generator,
            picture,
            folder,
            regions=asked,
            resize=resize,
            settings=settings,
            evaluation=Evaluation().thorough() if thorough else Evaluation(),
            overwrite=overwrite,
            progress=progress,
        )
        if thorough and exact is not None:
            tell("no sanity checks: they are of the structured form")
        elif thorough and not (folder / SANITY).is_file():
            runs.check(folder, generator, progress=progress)
    if isinstance(asked, Regions) and asked.labels is not None and bool((asked.labels < 0).any()):
        share = float((asked.labels < 0).float().mean())
        tell(
            f"{share:.0%} of the picture is in no region: what is drawn there is no leak, and "
            "counts against boundedness; a region for the rest would be asked for too"
        )
    if stood:
        tell(f"{folder} holds this very run already, not fitted again; --overwrite makes it anew")
    print_run(folder, scores, as_json)
    if show:
        open_report(folder / REPORT)


@app.command()
def sweep(
    model: Model,
    seeds: Annotated[
        str, typer.Option(help="Pictures: START:STOP (STOP left out), a list 1,5,9, or one.")
    ],
    chosen: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="all|NAME,NAME,…",
            help="Where to cut, from the latent to the picture; all are those that the zoo lists. "
            "The generator's own choice unless given.",
        ),
    ] = None,
    regions: Division = None,
    names: RegionNames = None,
    resize: Resize = False,
    purpose: Purpose = "generate",
    quality: Quality = None,
    out: Annotated[
        Path | None, typer.Option(help="The sweep's folder; runs/sweep-MODEL unless given.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=settings_help(Structured, "purpose")),
    ] = None,
    measured: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="NAME=VALUE", help=settings_help(Evaluation)),
    ] = None,
    options: ModelOptions = None,
    weights: Weights = None,
    size: Size = None,
    thorough: Thorough = False,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that share the threads; their number changes no more than rounding. "
            "One unless given; with --ray as many as there is room for."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local",
            help="Do the runs on a Ray cluster: HOST:PORT of its head, auto, or local for one that "
            "is begun here.",
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream", help="Let runs come here from the cluster even where it sees the folder."
        ),
    ] = False,
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            help="Join a sweep that is at work on the folder already, and share its work.",
        ),
    ] = False,
    together: Annotated[
        int | None,
        typer.Option(help="Pictures that are fitted in lockstep: one unless given, on a GPU 16."),
    ] = None,
    device: Device = "cpu",
    hold: Hold = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="runs|scores",
            help="What is kept of each picture: a run folder, or its scores, fields and strengths "
            "alone.",
        ),
    ] = "runs",
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at the first picture that cannot be explained."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Explain the same pictures at several layers and compare; goes on where it was stopped."""
    evaluation = changed(Evaluation, measured or [])
    folder = out or sweeps.default_sweep(model)
    with _going_on("runs", folder), progress_bar(overall=sweeps.RUNS) as progress:
        result = sweeps.sweep(
            model,
            sweeps.parse_seeds(seeds),
            sweeps.parse_layers(chosen),
            folder,
            regions=division_of(regions, names, resize),
            resize=resize,
            settings=_structured(changes, purpose, quality),
            evaluation=evaluation.thorough() if thorough else evaluation,
            workers=workers,
            ray=ray,
            stream=stream,
            share=share,
            together=together,
            keep=keep,  # type: ignore[arg-type]  # refused there if it is another
            strict=strict,
            progress=progress,
            weights=weights,
            size=size,
            device=device,
            hold=hold,
            **keywords(options),
        )
    for one in result.failed:
        tell(f"left out: {one.why}")
    if as_json:
        print_json(result.to_dict())
        return
    print_table(terminal_table(result))
    print_report(folder / SWEEP_REPORT)


@app.command()
def reproduce(
    model: Model,
    out: Annotated[
        Path | None, typer.Option(help="The folder; runs/reproduce-MODEL unless given.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 8,
    layer: Annotated[
        str | None, typer.Option(help="Where to cut; the generator's own choice unless given.")
    ] = None,
    regions: Division = None,
    names: RegionNames = None,
    resize: Resize = False,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", metavar="NAME=VALUE", help=settings_help(reproduction.Protocol)),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help=f"Of the exact form: {settings_list(Exact, 'purpose')}.",
        ),
    ] = None,
    purpose: Purpose = "generate",
    structured: Annotated[
        list[str] | None,
        typer.Option(
            "--structured",
            metavar="NAME=VALUE",
            help=f"Of the structured form: {settings_list(Structured, 'purpose')}.",
        ),
    ] = None,
    options: ModelOptions = None,
    weights: Weights = None,
    size: Size = None,
    device: Device = "cpu",
    hold: Hold = None,
    as_json: Json = False,
) -> None:
    """Run every experiment of the paper, with numbers; goes on where it was stopped."""
    folder = out or reproduction.default_reproduction(model)
    with _going_on("pictures", folder), progress_bar(overall=reproduction.PICTURES) as progress:
        result = reproduction.reproduce(
            model,
            folder,
            layer=layer,
            protocol=changed(reproduction.Protocol, protocol or [], images=images),
            regions=division_of(regions, names, resize),
            resize=resize,
            exact=changed(Exact, changes or [], purpose=purpose),
            structured=changed(Structured, structured or [], purpose=purpose),
            progress=progress,
            weights=weights,
            size=size,
            device=device,
            hold=hold,
            **keywords(options),
        )
    if as_json:
        print_json(result.to_dict())
        return
    print_table(reproduction_table(result))
    print_report(folder / REPRODUCTION_REPORT)


def _structured(changes: list[str] | None, purpose: str, quality: str | None) -> Structured:
    start = preset(quality or "balanced", purpose)
    settings: Structured = changed(Structured, changes or [], start, purpose=purpose)
    return settings


@contextmanager
def _going_on(what: str, folder: Path) -> Iterator[None]:
    """Say at an interrupt, or where the disk is full, what is kept."""
    try:
        yield
    except (KeyboardInterrupt, StorageError) as error:
        refused = isinstance(error.__cause__, OSError)
        if folder.is_dir() and (refused or isinstance(error, KeyboardInterrupt)):
            tell(f"finished {what} stay in {folder}; the same command goes on from there")
        raise
