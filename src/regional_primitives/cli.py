"""The command `primitives`: a verb a subcommand; each parses, makes one library call, prints."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from regional_primitives import runs
from regional_primitives.apply import edit as edit_picture
from regional_primitives.decompose import Decomposition, Structured
from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.evaluate import Evaluation, Scores
from regional_primitives.generators import ZOO, load_generator
from regional_primitives.regions import Regions
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.show.pixels import write_picture
from regional_primitives.show.report import REPORT

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
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run that the folder holds already.")
]


def _settings_help(kind: type) -> str:
    listed = ", ".join(
        f"{field.name}={field.default}" for field in fields(kind) if field.default is not MISSING
    )
    return f"Change a setting, NAME=VALUE, repeatable. Defaults: {listed}."


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="A generator of the zoo; see `primitives models`.")],
    seed: Annotated[int, typer.Option(min=0, help="Which picture: the seed of its latent.")] = 0,
    layer: Annotated[
        str | None, typer.Option(help="Where to cut; the generator's own choice unless given.")
    ] = None,
    grid: Annotated[str, typer.Option(help="Patches, ROWSxCOLUMNS.")] = "6x6",
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/MODEL-LAYER-SEED unless given.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=_settings_help(Structured)),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A weights file of your own.")] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="Fit three times more, to score stability and the frontier."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="A torch device, such as cpu or cuda.")] = "cpu",
    overwrite: _Overwrite = False,
    show: Annotated[
        bool, typer.Option("--open", help="Open the report in a browser if there is a screen.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Explain one picture: components, scores and a report in a run folder."""
    settings = _changed(Structured, changes or [])
    regions = Regions.parse(grid)
    generator = load_generator(model, layer, weights=weights, device=device)
    folder = out or Path("runs") / f"{model}-{generator.layer}-{seed}"
    with progress_bar() as progress:
        scores, stood = runs.explain_to_folder(
            generator,
            seed,
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
def evaluate(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run folders.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=_settings_help(Evaluation)),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Measure runs anew; their scores, figures and reports are renewed."""
    settings = _changed(Evaluation, changes or [])
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
    scales = {int(k): v for k, v in (_pair(text, int, float) for text in scale)}
    decomposition = Decomposition.load(folder)
    picture = edit_picture(decomposition, runs.generator_of(decomposition), scales)
    write_picture(out, picture[0], decomposition.provenance.image_range)
    _print({"picture": str(out), "scales": {str(k): v for k, v in scales.items()}}, as_json)


@app.command()
def models(as_json: _Json = False) -> None:
    """List the generators that are known by name."""
    rows = [
        {
            "name": entry.name,
            "family": entry.family,
            "resolution": f"{entry.resolution} × {entry.resolution}",
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
        table.add_row(*row.values())
    Console().print(table)


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


def _changed(kind: type[Any], changes: list[str]) -> Any:
    """Build settings from NAME=VALUE texts; types and defaults are the dataclass's own."""
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {}
    for text in changes:
        name, value = _pair(text, str, str)
        name = name.replace("-", "_")
        if name not in known:
            raise InputError(f"there is no setting {name!r}; there are: {', '.join(known)}")
        values[name] = _parsed(name, value, type(known[name].default))
    return kind(**values)


def _parsed(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{name} is true or false, not {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"{name} is {wanted}, not {text!r}") from error


def _pair(text: str, first: type, second: type) -> tuple[Any, Any]:
    left, sign, right = text.partition("=")
    try:
        if not sign:
            raise ValueError
        return first(left.strip()), second(right.strip())
    except ValueError as error:
        raise InputError(f"{text!r} is not of the form NAME=VALUE with a fitting value") from error


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
        _tell("interrupted; nothing was left behind")
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
