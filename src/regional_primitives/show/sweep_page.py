"""A sweep as a page, sweep.html, and as a table for the terminal: every score over depth."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from regional_primitives.decompose.structured import Structured
from regional_primitives.generators.feature import describe_shape
from regional_primitives.regions import described
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.run_files import FIGURES
from regional_primitives.scores import Evaluation
from regional_primitives.scores.sweep_scores import (
    AVERAGED,
    ENOUGH,
    SEPARABLE,
    LayerScores,
    SweepScores,
)
from regional_primitives.scores.table import TABLE, columns, headlines
from regional_primitives.show import form, numerals
from regional_primitives.show.extras import require_extra
from regional_primitives.show.figures import write_figure
from regional_primitives.show.reproduce import changed_from, seeds_in_words, sweep_command
from regional_primitives.show.score_table import write, write_mean
from regional_primitives.show.sections import (
    Cell,
    Column,
    Drawing,
    Facts,
    Page,
    Row,
    Section,
    Table,
    for_terminal,
    listing,
    write_page,
)
from regional_primitives.show.sweep_distributions import plot_distributions
from regional_primitives.show.sweep_pictures import Album, enough, picture_sections
from regional_primitives.show.sweep_plots import NOT_MEASURED, plot_sweep

SWEEP_REPORT = "sweep.html"
SWEEP_FIGURE = "sweep.png"
"""In the folder's figures."""
_RUNS_A_PAGE = 100
"""Links to runs that are folded away together, where there are more."""
_MOST_FAILED = 10
"""Pictures that are said one by one to have been left out."""
_IN_TERMINAL = {
    "generate": (
        "field_patches", "pooled_inside_error", "departure", "boundedness", "consistency", "n90",
    ),
    "isolate": (
        "field_patches", "boundedness", "boundedness_in_context", "n90", "inside_error", "leak",
    ),
}  # fmt: skip
"""By the purpose of the runs."""


@ordinary()
def write_sweep_report(folder: AnyPath) -> Path:
    """Read sweep.json; write the figure and then sweep.html, whole or not at all.

    Raises:
        StorageError: sweep.json is missing or corrupt, or the disk refuses.
        MissingExtraError: packages that only the report needs are not installed.
    """
    folder = path_of(folder, "the sweep's folder")
    require_extra()
    sweep = SweepScores.read(folder)
    figure = plot_sweep(sweep)
    album, depth, single = Album(folder), _figure(sweep, figure), len(sweep.layers) == 1
    page = Page(
        kicker=f"Regional primitives over {'pictures' if single else 'depth'}",
        title=f"{sweep.generator}: {_some(len(sweep.seeds), 'picture')} at "
        f"{_some(len(sweep.layers), 'layer')}",
        summary=_summary(sweep),
        sections=[
            *([] if single else [depth]),
            *([_distributions(sweep)] if enough(sweep) else []),
            *picture_sections(sweep, album),
            *([depth] if single else []),
            *(section(sweep) for section in SECTIONS),
        ],
        footer="Made from this folder alone; the page loads nothing from anywhere.",
        images=album.images,
        sizes=album.sizes,
    )
    write_figure(folder / FIGURES / SWEEP_FIGURE, figure)
    return write_page(folder / SWEEP_REPORT, page)


def cell(layer: LayerScores, name: str) -> Cell:
    """Write one score of one layer: mean ± half the 95 % interval, or why there is none."""
    score = AVERAGED[name]
    if name == "frontier" and layer.frontier is not None:
        lines = (
            f"{numerals.percent(point.leak.mean)} at {numerals.percent(point.inside_error.mean)}"
            for point in layer.frontier
        )
        return Cell("\n".join(lines), kind="lines")
    spread = layer.summary.get(name)
    if spread is None:
        missing = NOT_MEASURED if score.group == "refits" else "not measured"
        return Cell(missing, kind="missing")
    half = spread.half_interval_95
    if half is None:
        return Cell(write_mean(score, spread.mean))
    # Of numbers that are no shares, two digits of an uncertainty say enough.
    short = score.unit in ("decimal", "count", "ratio") and half < 100
    return Cell(
        write_mean(score, spread.mean),
        f"±\u00a0{f'{half:.2g}' if short else write_mean(score, half)}",
    )


def terminal_table(sweep: SweepScores) -> Any:
    """Return the main columns as a table of rich."""
    from rich.text import Text

    interval = " ± half the 95 % interval" if len(sweep.seeds) > 1 else ""
    chosen = _IN_TERMINAL[sweep.purpose]
    rows = []
    for layer in sweep.layers:
        cells = [cell(layer, name) for name in chosen]
        # The unit stands behind the mean; twice it would not fit 80 letters.
        told = (f"{one.text}\n{one.spread.removesuffix(chr(160) + '%')}".strip() for one in cells)
        shape = describe_shape(layer.feature_shape).replace(" × ", "×")
        rows.append((Text(f"{layer.layer}\n{shape}"), *told))
    return for_terminal(
        f"{sweep.generator}, mean over {_some(len(sweep.seeds), 'picture')}{interval}",
        ("layer", *(AVERAGED[name].column.lower().replace("\u00ad", "-\n") for name in chosen)),
        rows,
        "\n".join(_remarks(sweep)) or None,
    )


def _remarks(sweep: SweepScores) -> list[str]:
    """Tell what stands below the table: which pictures stick out, and what was not measured."""
    told = []
    name = SEPARABLE[sweep.purpose]
    for layer in sweep.layers if len(sweep.layers) == 1 else ():
        ordered = layer.by_separability(sweep.purpose)
        if len(ordered) >= ENOUGH:
            first, last = (
                [f"{one.seed} ({write(TABLE[name], getattr(one.scores, name))})" for one in some]
                for some in (ordered[:3], ordered[:-4:-1])
            )
            told.append(f"most separable by {TABLE[name].phrase}: {', '.join(first)}")
            told.append(f"least: {', '.join(last)}")
    if not any(layer.frontier for layer in sweep.layers):
        told.append(f"frontier and stability: {NOT_MEASURED}")
    return told


def _summary(sweep: SweepScores) -> str:
    first, last = sweep.layers[0], sweep.layers[-1]

    def ends(name: str) -> str:
        told = [layer.summary.get(name) for layer in (first, last)]
        words = ["not measured" if spread is None else write_mean(AVERAGED[name], spread.mean)
                 for spread in told]  # fmt: skip
        return words[0] if first is last else " to ".join(words)

    count = len({one.seed for one in sweep.failed})
    left_out = f" {_some(count, 'picture')} could not be explained." if count else ""
    goes = "is" if first is last else "goes from"
    where = f"At {first.layer}" if first is last else f"From {first.layer} to {last.layer}"
    scores = "".join(
        f", {TABLE[name].phrase} {goes} **{ends(name)}**"
        for name in reversed(headlines(sweep.purpose)[:2])
    )
    return (
        f"{where} an action field {goes} **{ends('field_patches')} patches** (mean, of "
        f"{sweep.patches}), boundedness in context {goes} **{ends('boundedness_in_context')}**"
        f"{scores}.{left_out}"
    )


def _figure(sweep: SweepScores, figure: Any) -> Section:
    names = ", ".join(layer.layer for layer in sweep.layers)
    marks = (
        "Thin dots are single pictures, marks their mean, bars its 95 % interval."
        if len(sweep.seeds) > 1
        else "Marks are those of the one picture."
    )
    caption = numerals.unbroken(
        "Layers stand from left to right as they were given, each with the shape of its "
        f"feature. {marks} “Gated” is what a layer allows where each demand gets a feature of "
        "its own, every unit within what components can reach, “free” where it may take any "
        "value."
    )
    label = f"Panels of all scores over the layers {names}; the table below has their means."
    drawing = Drawing.of(figure, label, caption)
    single = len(sweep.layers) == 1
    title = "All pictures" if single else "How the components change with depth"
    return Section("figure", title, drawings=[drawing])


def _distributions(sweep: SweepScores) -> Section:
    caption = (
        "How many pictures have which value: a histogram a layer, all of one height. Below it, the "
        "dot is the median, which is written on the right, and the bar goes from quartile to "
        "quartile: half of the pictures lie within."
    )
    label = "Histograms of the main scores over the pictures of each layer."
    drawing = Drawing.of(plot_distributions(sweep), label, caption)
    return Section("spread", "How the pictures differ", drawings=[drawing])


def scores_table(sweep: SweepScores) -> Section:
    """Tell every score of every layer."""
    note = (
        "All numbers are of one single picture, which has no interval."
        if len(sweep.seeds) == 1
        else f"Means over {_some(len(sweep.seeds), 'picture')}, the same at each layer; ± is half "
        "the 95 % interval of the mean (Student's t)."
    )
    told = [Column(AVERAGED[name].column, group) for group, names in columns(AVERAGED).items()
               for name in names]  # fmt: skip
    rows = [
        Row(
            layer.layer,
            [cell(layer, name) for name in chain(*columns(AVERAGED).values())],
            note=describe_shape(layer.feature_shape),
            href=f"#runs-{number}",
        )
        for number, layer in enumerate(sweep.layers, start=1)
    ]
    table = Table("All scores", "Layer", told, rows, scrolls=True)
    return Section("table", "All scores, layer by layer", notes=[note], table=table)


def _reading(sweep: SweepScores) -> Section:
    late = {
        layer.layer: sum(not picture.converged for picture in layer.pictures)
        for layer in sweep.layers
    }
    meanings = []
    for name in chain(*columns(AVERAGED).values()):
        score = AVERAGED[name]
        good = numerals.unbroken(f"Good: {score.good}.")
        meanings.append((score.column.replace("\u00ad", ""), f"{score.meaning} {good}"))
    return Section(
        "reading",
        "How to read it",
        template="sweep_reading.html",
        values={
            "paired": len(sweep.seeds) > 1 and len(sweep.layers) > 1,
            "late": [f"{_some(count, 'run')} at {name}" for name, count in late.items() if count],
            "refits": sweep.evaluation.get("refits"),
        },
        facts=[Facts(meanings)],
    )


def _runs(sweep: SweepScores) -> Section:
    def links(layer: LayerScores) -> list[tuple[int, str | None, str]]:
        told = ("inside_error", "leak")
        return [
            (
                picture.seed,
                picture.report and quote(picture.report),
                " · ".join(write(TABLE[name], getattr(picture.scores, name)) for name in told),
            )
            for picture in layer.pictures
        ]

    layers = []
    for layer in sweep.layers:
        all_links = links(layer)
        pages = [all_links[i : i + _RUNS_A_PAGE] for i in range(0, len(all_links), _RUNS_A_PAGE)]
        layers.append((layer.layer, describe_shape(layer.feature_shape), pages))
    return Section("runs", "The runs", template="sweep_runs.html", values={"layers": layers})


def _origin(sweep: SweepScores) -> Section:
    seconds = sum(sum(layer.values("wall_seconds")) for layer in sweep.layers)
    runs = sum(len(layer.pictures) for layer in sweep.layers)
    hold = sweep.options.get("hold")
    more = numerals.count(left) if (left := len(sweep.failed) - _MOST_FAILED) > 0 else ""
    machine = {name.replace("_", " "): value for name, value in sweep.machine.items()}
    about = [
        ("Generator", sweep.generator),
        ("Weights, SHA-256", sweep.weights_digest),
        ("Layers", ", ".join(layer.layer for layer in sweep.layers)),
        *([("Held behind the cut", form.held_in_words(hold))] if hold else []),
        ("Picture seeds", seeds_in_words(sweep.seeds)),
        *[(f"Picture {one.seed} left out", one.why) for one in sweep.failed[:_MOST_FAILED]],
        *([("More left out", f"{more}; sweep.json tells all")] if more else []),
        ("Patches", described(sweep.regions)),
        ("Runs", f"{numerals.count(runs)}, {numerals.seconds(seconds)} of fitting in all"),
        ("Written", sweep.date),
        ("Machine", listing(machine)),
        ("Versions", listing(sweep.versions)),
    ]
    defaults = {
        "Scores measured with": (Evaluation(), sweep.evaluation),
        "Settings of each fit": (Structured(purpose=sweep.purpose), sweep.settings),
    }
    settings = [
        Facts(
            [(name, numerals.plain(value)) for name, value in values.items()],
            title,
            frozenset(changed_from(default, values)),
        )
        for title, (default, values) in defaults.items()
    ]
    return Section(
        "origin",
        "What was asked for, and how to make it again",
        code=sweep_command(sweep),
        facts=[Facts(about, "Sweep"), *settings],
    )


SECTIONS: list[Callable[[SweepScores], Section]] = [scores_table, _reading, _runs, _origin]
"""Below the figure, from top to bottom."""


def _some(number: int, what: str) -> str:
    return f"{numerals.count(number)} {what}{'' if number == 1 else 's'}"
