"""The command `primitives`: a verb a subcommand; each parses, makes one library call, prints."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from regional_primitives import runs, sweeps
from regional_primitives.apply import edit as edit_picture
from regional_primitives.decompose import Decomposition, Exact, Structured
from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.evaluate import Evaluation, Scores
from regional_primitives.generators import ZOO, load_generator
from regional_primitives.generators import layers as cut_points
from regional_primitives.generators.feature import describe_shape, unit_count
from regional_primitives.regions import Regions
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.settings import changed, pair, settings_help, settings_list
from regional_primitives.show.pixels import write_picture
from regional_primitives.show.report import REPORT
from regional_primitives.show.sweep_report import SWEEP_REPORT
from regional_primitives.show.sweep_table import terminal_table

__all__ = ["app", "main"]

app = typer.Typer(
    name="primitives",
    help="Which part of an image generator's feature makes which part of the picture?",
    epilog="Exit status: 0 done, 2 bad input (one line says what), 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130
# The base of all errors of parsing; typer shows it under no name of its own.
_UsageError: Any = typer.BadParameter.__mro__[1]

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Weights = Annotated[
    Path | None,
    typer.Option(help="A weights file of your own; of photos, the folder of both files."),
]
_Size = Annotated[int | None, typer.Option(help="Pixels a side, where the generator has a choice.")]
_Thorough = Annotated[
    bool,
    typer.Option("--thorough", help="Fit three times more, to score stability and the frontier."),
]
_Device = Annotated[str, typer.Option(help="A torch device, such as cpu or cuda.")]
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run that the folder holds already.")
]


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="A generator of the zoo; see `primitives models`.")],
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
    grid: Annotated[str, typer.Option(help="Patches, ROWSxCOLUMNS.")] = "6x6",
    exact: Annotated[
        str | None,
        typer.Option(
            metavar="P,P,…",
            help="The paper's own route on up to 12 patches: minimal features of all their "
            "subsets, and exact OR interactions. Patch 0 is top left, row by row.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/MODEL-LAYER-SEED unless given.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help=f"{settings_help(Structured)} With --exact: {settings_list(Exact)}.",
        ),
    ] = None,
    weights: _Weights = None,
    size: _Size = None,
    thorough: _Thorough = False,
    device: _Device = "cpu",
    overwrite: _Overwrite = False,
    show: Annotated[
        bool, typer.Option("--open", help="Open the report in a browser if there is a screen.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Explain one picture: components, scores and a report in a run folder."""
    settings: Structured | Exact
    if exact is None:
        settings = changed(Structured, changes or [])
    else:
        settings = changed(Exact, changes or [], patches=_patches(exact))
    regions = Regions.parse(grid)
    if image is not None and seed is not None:
        raise InputError("--image and --seed both choose the picture; give one of them")
    generator = load_generator(model, layer, weights=weights, size=size, device=device)
    picture = image if image is not None else seed or 0
    named = picture.stem if isinstance(picture, Path) else picture
    folder = out or Path("runs") / f"{model}-{generator.layer}-{named}"
    with progress_bar() as progress:
        scores, stood = runs.explain_to_folder(
            generator,
            picture,
            folder,
            regions=regions,
            settings=settings,
            evaluation=Evaluation(refits=thorough),
            overwrite=overwrite,
            progress=progress,
        )
    if stood:
        _tell(f"{folder} holds this very run already, not fitted again; --overwrite makes it anew")
    _print_run(folder, scores, as_json)
    if show:
        _open(folder / REPORT)


@app.command()
def sweep(
    model: Annotated[str, typer.Argument(help="A generator of the zoo; see `primitives models`.")],
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
    grid: Annotated[str, typer.Option(help="Patches, ROWSxCOLUMNS.")] = "6x6",
    out: Annotated[
        Path | None, typer.Option(help="The sweep's folder; runs/sweep-MODEL unless given.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=settings_help(Structured)),
    ] = None,
    measured: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="NAME=VALUE", help=settings_help(Evaluation)),
    ] = None,
    weights: _Weights = None,
    size: _Size = None,
    thorough: _Thorough = False,
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that share the threads; their number changes no more than rounding."
        ),
    ] = 1,
    device: _Device = "cpu",
    as_json: _Json = False,
) -> None:
    """Explain the same pictures at several layers and compare; goes on where it was stopped."""
    evaluation = changed(Evaluation, measured or [])
    folder = out or Path("runs") / f"sweep-{model}"
    try:
        with progress_bar(overall=sweeps.RUNS) as progress:
            result = sweeps.sweep(
                model,
                sweeps.parse_seeds(seeds),
                sweeps.parse_layers(chosen),
                folder,
                regions=Regions.parse(grid),
                settings=changed(Structured, changes or []),
                evaluation=replace(evaluation, refits=True) if thorough else evaluation,
                workers=workers,
                progress=progress,
                weights=weights,
                size=size,
                device=device,
            )
    except KeyboardInterrupt:
        if folder.is_dir():
            _tell(f"finished runs stay in {folder}; the same command goes on from there")
        raise
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False, indent=2))
        return
    Console().print(terminal_table(result))
    if (folder / SWEEP_REPORT).is_file():
        typer.echo(f"report: {folder / SWEEP_REPORT}")


@app.command()
def evaluate(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run folders.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=settings_help(Evaluation)),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Measure runs anew; their scores, figures and reports are renewed."""
    settings = changed(Evaluation, changes or [])
    for folder in folders:
        with progress_bar() as progress:
            scores = runs.rescore(folder, settings, progress)
        _print_run(folder, scores, as_json)


@app.command()
def edit(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    scale: Annotated[
        list[str],
        typer.Option(metavar="K=V", help="Scale component K by V (0 removes it); repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="The edited picture, a PNG file.")],
    as_json: _Json = False,
) -> None:
    """Scale components of a run and generate the edited picture."""
    scales = {int(k): v for k, v in (pair(text, int, float) for text in scale)}
    decomposition = Decomposition.load(folder)
    picture = edit_picture(decomposition, runs.generator_of(decomposition), scales)
    write_picture(out, picture[0], decomposition.provenance.image_range)
    _print({"picture": str(out), "scales": {str(k): v for k, v in scales.items()}}, as_json)


@app.command()
def layers(
    model: Annotated[str, typer.Argument(help="A generator of the zoo; see `primitives models`.")],
    every: Annotated[
        bool, typer.Option("--all", help="Every layer, not only those worth using.")
    ] = False,
    weights: _Weights = None,
    size: _Size = None,
    as_json: _Json = False,
) -> None:
    """List where a generator can be cut, and what lies behind each cut."""
    generator = load_generator(model, weights=weights, size=size)
    worth = ZOO[model].layers
    points = [point for point in cut_points(generator) if every or point.name in worth]
    if as_json:
        typer.echo(json.dumps([asdict(point) for point in points], ensure_ascii=False, indent=2))
        return
    table = Table("layer", "feature", "units", "parameters behind", "run time behind", "flows past")
    for point in points:
        past = ", ".join(point.flows_past[:3]) + (" …" if len(point.flows_past) > 3 else "")
        table.add_row(
            point.name,
            describe_shape(point.feature_shape),
            f"{unit_count(point.feature_shape):,}",
            f"{point.parameters_behind:,}",
            f"{point.time_share:.1%}",
            f"{len(point.flows_past)}: {past}" if past else "nothing",
        )
    Console().print(table)
    if not every:
        _tell("these are the layers worth using; --all lists every one")


@app.command()
def models(as_json: _Json = False) -> None:
    """List the generators that are known by name."""
    rows = [
        {
            "name": entry.name,
            "family": entry.family,
            "resolution": ", ".join(f"{size} × {size}" for size in entry.sizes),
            "layers": ", ".join(entry.layers),
            "licence": entry.licence,
            "installed": "yes" if entry.installed() else f"no; {entry.how_to_get}",
        }
        for entry in ZOO.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table(*rows[0])
    for row in rows:
        names = row["layers"].split(", ")
        listed = (
            row["layers"] if len(names) < 6 else f"{names[0]} … {names[-1]}, {len(names)} of them"
        )
        table.add_row(
            *{**row, "layers": listed, "installed": row["installed"].split(";")[0]}.values()
        )
    Console().print(table)
    for entry in ZOO.values():
        if not entry.installed():
            typer.echo(f"{entry.name}: {entry.how_to_get}")


def _patches(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--exact takes patch numbers such as 7,8,13, not {text!r}") from None


def _print_run(folder: Path, scores: Scores, as_json: bool) -> None:
    report = folder / REPORT
    content: dict[str, Any] = {
        "run": str(folder),
        "report": str(report) if report.is_file() else None,
        "scores": scores.to_dict(),
    }
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
        return
    table = Table("score", "value", "spread over demands", title=str(folder), title_justify="left")
    table.add_row("inside error", f"{scores.inside_error:.2%}", f"{scores.inside_error_spread:.2%}")
    table.add_row("leak", f"{scores.leak:.1%}", f"{scores.leak_spread:.1%}")
    table.add_row("boundedness", f"{scores.boundedness:.2f}")
    table.add_row("consistency", f"{scores.consistency:.2f}")
    table.add_row("components for 90 % of the energy", f"{scores.n90} of {scores.components}")
    table.add_row("evaluations of the tail", f"{scores.evaluations:,}")
    Console().print(table)
    if report.is_file():
        typer.echo(f"report: {report}")


def _print(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
    else:
        for name, value in content.items():
            typer.echo(f"{name}: {value}")


def _open(report: Path) -> None:
    on_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if on_screen and report.is_file():
        webbrowser.open(report.absolute().as_uri())


def _tell(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn expected failures into one line and a status; bugs keep their traceback."""
    try:
        yield
    except RegionalPrimitivesError as error:
        _tell(f"error: {error}")
        sys.exit(2)
    except _UsageError as error:
        _tell(f"error: {error.format_message()}")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        _tell("interrupted; nothing unfinished was left behind")
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: where the interrupt met code run by exec(), as imports do, Python would
        # end by the signal instead of this status. All cleaning up is done by now.
        os._exit(_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; closing quietly is what it expects.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def main() -> None:
    """Run the command."""
    with _exit_codes():
        words = sys.argv[1:] or ["--help"]
        result = app(words, prog_name="primitives", standalone_mode=False)
        if result == _INTERRUPTED:  # typer turns an interrupt into its status
            raise KeyboardInterrupt
        sys.exit(result if isinstance(result, int) else 0)
