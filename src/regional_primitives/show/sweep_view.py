"""All that the page of a sweep prints: numbers already formatted, the figure already encoded."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from regional_primitives.decompose.structured import Structured
from regional_primitives.scores import Evaluation
from regional_primitives.scores.sweep_scores import AVERAGED, LayerScores, SweepScores
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import form, numerals, style
from regional_primitives.show.charts import Chart
from regional_primitives.show.pixels import data_uri
from regional_primitives.show.score_table import write, write_mean
from regional_primitives.show.sweep_plots import darkened_sweep, plot_sweep
from regional_primitives.show.sweep_table import ColumnGroup, Row, column_groups, rows

__all__ = ["LayerRuns", "RunLink", "SweepView", "sweep_command", "sweep_view"]


@dataclass(frozen=True)
class RunLink:
    """One run, with its report where it has one."""

    seed: str
    report: str | None
    """A link from the page's folder."""
    inside: str
    leak: str


@dataclass(frozen=True)
class LayerRuns:
    """All runs at one layer."""

    layer: str
    shape: str
    runs: tuple[RunLink, ...]


@dataclass(frozen=True)
class SweepView:
    """The page, top to bottom."""

    title: str
    summary: tuple[tuple[str, bool], ...]
    """Pieces of one sentence; True marks the key figures."""
    spread: str
    """Over what means and intervals are taken."""
    chart: Chart
    groups: tuple[ColumnGroup, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """What a reader must know of these numbers."""
    layers: tuple[LayerRuns, ...]
    command: str
    origin: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    evaluation: tuple[tuple[str, str], ...]
    changed: frozenset[str]
    """Settings, of fit or evaluation, that differ from their defaults."""


def sweep_view(sweep: SweepScores) -> SweepView:
    """Build the view."""
    pictures, layers = _some(len(sweep.seeds), "picture"), _some(len(sweep.layers), "layer")
    return SweepView(
        title=f"{sweep.generator}: {pictures} at {layers}",
        summary=_summary(sweep),
        spread=_spread(sweep),
        chart=_chart(sweep),
        groups=column_groups(),
        rows=rows(sweep),
        notes=_notes(sweep),
        layers=tuple(
            LayerRuns(row.layer, row.shape, _links(layer))
            for row, layer in zip(rows(sweep), sweep.layers, strict=True)
        ),
        command=sweep_command(sweep),
        origin=_origin(sweep),
        settings=tuple((name, _plain(value)) for name, value in sweep.settings.items()),
        evaluation=tuple((name, _plain(value)) for name, value in sweep.evaluation.items()),
        changed=frozenset([*_changed(_usual(sweep), sweep.settings),
                           *_changed(Evaluation(), sweep.evaluation)]),
    )  # fmt: skip


def sweep_command(sweep: SweepScores) -> str:
    """Return the command line that makes the sweep again."""
    layers = ",".join(layer.layer for layer in sweep.layers)
    grid = f"{sweep.regions['rows']}x{sweep.regions['columns']}"
    words = ["primitives", "sweep", sweep.generator, "--layers", layers]
    words += ["--seeds", _seeds(sweep.seeds), "--grid", grid]
    for name, value in sweep.options.items():
        words += [f"--{name}", str(value)]
    if sweep.purpose != Structured().purpose:
        words += ["--purpose", sweep.purpose]
    measured = _changed(Evaluation(), sweep.evaluation)
    if measured.pop("refits", False):
        words.append("--thorough")
    for option, changes in (
        ("--set", _changed(_usual(sweep), sweep.settings)),
        ("--measure", measured),
    ):
        for name, value in changes.items():
            words += [option, f"{name}={_plain(value)}"]
    return shlex.join(words)


def _usual(sweep: SweepScores) -> Structured:
    return Structured(purpose=sweep.purpose)


def _summary(sweep: SweepScores) -> tuple[tuple[str, bool], ...]:
    first, last = sweep.layers[0], sweep.layers[-1]

    def ends(name: str, unit: str = "") -> str:
        spreads = [layer.summary.get(name) for layer in (first, last)]
        at_ends = [
            "not measured" if spread is None else write_mean(AVERAGED[name], spread.mean)
            for spread in spreads
        ]
        return f"{at_ends[0]}{unit}" if first is last else f"{at_ends[0]} to {at_ends[1]}{unit}"

    goes = "is" if first is last else "goes from"
    start = (
        f"At {first.layer} an action field "
        if first is last
        else f"From {first.layer} to {last.layer} an action field "
    )
    return (
        (f"{start}{goes} ", False),
        (ends("field_patches", " patches"), True),
        (f" (mean, of {sweep.patches}), boundedness in context {goes} ", False),
        (ends("boundedness_in_context"), True),
        *(
            piece
            for name in reversed(headlines(sweep.purpose)[:2])
            for piece in ((f", {TABLE[name].phrase} {goes} ", False), (ends(name), True))
        ),
        (".", False),
    )


def _spread(sweep: SweepScores) -> str:
    if len(sweep.seeds) == 1:
        return "All numbers are of one single picture, which has no interval."
    return (
        f"Means over {_some(len(sweep.seeds), 'picture')}, the same at each layer; ± is half the "
        "95 % interval of the mean (Student's t)."
    )


def _notes(sweep: SweepScores) -> tuple[str, ...]:
    notes = []
    if len(sweep.seeds) > 1 and len(sweep.layers) > 1:
        notes.append(
            "The pictures are the same at each layer, so that a difference between layers is surer "
            "than the overlap of their intervals suggests: compare the dots of one picture, which "
            "stand in the same order at each layer."
        )
    late = [_some(count, "run") + f" at {layer.layer}" for layer in sweep.layers
            if (count := sum(not picture.converged for picture in layer.pictures))]  # fmt: skip
    if late:
        notes.append(
            f"{', '.join(late)} used all steps before the components stood still; more steps may "
            "still change their numbers."
        )
    if not sweep.evaluation.get("refits"):
        notes.append(
            "Stability and the frontier were not measured; --thorough measures them with three "
            "more fits a run."
        )
    return tuple(notes)


def _chart(sweep: SweepScores) -> Chart:
    drawing = style.svg(plot_sweep(sweep))
    light, dark = (
        data_uri(text.encode("utf-8"), "image/svg+xml")
        for text in (drawing, darkened_sweep(drawing))
    )
    names = ", ".join(layer.layer for layer in sweep.layers)
    marks = (
        "Thin dots are single pictures, marks their mean, bars its 95 % interval."
        if len(sweep.seeds) > 1
        else "Marks are those of the one picture."
    )
    return Chart(
        light=light,
        dark=dark,
        label=f"Panels of all scores over the layers {names}; the table below has their means.",
        caption=numerals.unbroken(
            "Layers stand from left to right as they were given, each with the shape of its "
            f"feature. {marks} “Gated” is what a layer allows where each demand gets a feature of "
            "its own, every unit within what components can reach, “free” where it may take any "
            "value."
        ),
    )


def _links(layer: LayerScores) -> tuple[RunLink, ...]:
    return tuple(
        RunLink(
            seed=str(picture.seed),
            report=None if picture.report is None else quote(picture.report),
            inside=write(TABLE["inside_error"], picture.scores.inside_error),
            leak=write(TABLE["leak"], picture.scores.leak),
        )
        for picture in layer.pictures
    )


def _origin(sweep: SweepScores) -> tuple[tuple[str, str], ...]:
    seconds = sum(sum(layer.values("wall_seconds")) for layer in sweep.layers)
    runs = sum(len(layer.pictures) for layer in sweep.layers)
    regions, hold = sweep.regions, sweep.options.get("hold")
    return (
        ("Generator", sweep.generator),
        ("Weights, SHA-256", sweep.weights_digest),
        ("Layers", ", ".join(layer.layer for layer in sweep.layers)),
        *([("Held behind the cut", form.held_in_words(hold))] if hold else []),
        ("Picture seeds", _seeds(sweep.seeds)),
        ("Patches", f"{regions['rows']} × {regions['columns']} grid"),
        ("Runs", f"{numerals.count(runs)}, {numerals.seconds(seconds)} of fitting in all"),
        ("Written", sweep.date),
        ("Machine", ", ".join(f"{name.replace('_', ' ')} {value}"
                              for name, value in sweep.machine.items())),
        ("Versions", ", ".join(f"{name} {value}" for name, value in sweep.versions.items())),
    )  # fmt: skip


def _seeds(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 1 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}:{seeds[-1] + 1}"
    return ",".join(map(str, seeds))


def _changed(defaults: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    known = asdict(defaults)
    return {name: value for name, value in values.items() if known.get(name) != value}


def _some(number: int, what: str) -> str:
    return f"{numerals.count(number)} {what}{'' if number == 1 else 's'}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
