"""All that the report prints: numbers already formatted, pictures already encoded, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.stored import Manifest
from regional_primitives.generators.feature import describe_shape
from regional_primitives.rivals import Comparison
from regional_primitives.scores import Exhibits, Scores
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import form, numerals, reproduce
from regional_primitives.show.baseline_view import BaselineView, baseline_view
from regional_primitives.show.cards import Ranking, Remainder, rankings, remainder
from regional_primitives.show.charts import Chart, report_charts
from regional_primitives.show.pictures import Picture, PictureBook, ScaleBar
from regional_primitives.show.pixels import ColourScale, channel_note, magnitude
from regional_primitives.show.relation_view import RelationView, relation_view
from regional_primitives.show.score_table import (
    ScoreGroup,
    ScoreRow,
    score_groups,
    score_rows,
    write,
)
from regional_primitives.show.switchboard import switchboard

__all__ = ["DemandRow", "ReportView", "Step", "report_view"]


@dataclass(frozen=True)
class Step:
    """One picture of the build-up."""

    picture: Picture
    count: str
    error: str


@dataclass(frozen=True)
class DemandRow:
    """What one demand should give and what it gives."""

    name: str
    patches: str
    asked: Picture
    ideal: Picture
    given: Picture
    inside: str
    leak: str


@dataclass(frozen=True)
class ReportView:
    """The page, top to bottom."""

    title: str
    method: str
    question: tuple[str, str]
    """Which one the run answers, and how."""
    summary: tuple[tuple[str, bool], ...]
    """Pieces of one sentence; True marks the key figures."""
    images: Mapping[str, str]
    """Each image once, a data URI by name."""
    width: int
    height: int
    zoom: float
    """Size of small pictures: screen pixels a picture pixel, whole where the picture is small."""
    zoom_large: float
    zoom_narrow: float
    """The large pictures' on a narrow screen, and the switchboard's."""
    scale: ScaleBar
    channel_note: str
    patches: str
    held: str
    """What of the network behind the cut was held; empty where nothing was."""
    chosen: str
    """The chosen patches P of the exact form; empty for the structured form."""
    introduction: tuple[Picture, ...]
    switchboard: Mapping[str, Any] | None
    """What the page's board reads."""
    headlines: tuple[ScoreRow, ...]
    groups: tuple[ScoreGroup, ...]
    baselines: BaselineView | None
    components: str
    numbering: str
    """How components are numbered and what their ranks count."""
    rankings: tuple[Ranking, ...]
    remainder: Remainder | None
    relations: RelationView
    build_up_note: str
    steps: tuple[Step, ...]
    demands_note: str
    demands: tuple[DemandRow, ...]
    charts: tuple[Chart, ...]
    origin: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    changed: frozenset[str]
    """Settings that differ from their defaults."""
    command: str | None
    python: str


def report_view(
    decomposition: Decomposition,
    scores: Scores,
    exhibits: Exhibits,
    manifest: Manifest | None = None,
    comparison: Comparison | None = None,
) -> ReportView:
    """Build the view.

    Args:
        decomposition: the result that the report is about.
        scores: its scores.
        exhibits: its pictures.
        manifest: what run.json tells beyond the decomposition, such as how scores were measured.
        comparison: with baselines, where they were scored.
    """
    origin = decomposition.provenance
    departure = decomposition.image - decomposition.baseline_image
    scale = ColourScale.over(
        [magnitude(change, origin.image_range) for change in (departure, exhibits.patterns)]
    )
    book = PictureBook(decomposition, scale)
    introduction = _introduction(book, departure, exhibits)
    # Four large pictures stand in one row only if they are smaller.
    large = 384 if len(introduction) < 4 else 306
    cards = rankings(book, exhibits)
    left = remainder(book, exhibits)
    steps = _steps(book, exhibits)
    demands = _demands(book, exhibits)
    return ReportView(
        title=f"{origin.generator}, {origin.cut_and_picture}",
        method=origin.method,
        question=form.question_in_words(decomposition),
        summary=_summary(decomposition, scores),
        images=book.images,
        width=book.size[1],
        height=book.size[0],
        zoom=_zoom(book.size[1], 128),
        zoom_large=_zoom(book.size[1], large),
        zoom_narrow=_zoom(book.size[1], 320),
        scale=book.scale_bar(),
        channel_note=channel_note(len(decomposition.image)),
        patches=decomposition.regions.description,
        held=origin.hold or "",
        chosen=form.chosen_in_words(decomposition),
        introduction=introduction,
        switchboard=switchboard(book, exhibits),
        headlines=score_rows(scores, headlines(origin.purpose)),
        groups=score_groups(scores, decomposition),
        baselines=None if comparison is None else baseline_view(comparison, scores.frontier),
        components=numerals.count(form.apart(decomposition).count),
        numbering=_numbering(decomposition),
        rankings=cards,
        remainder=left,
        relations=relation_view(decomposition),
        build_up_note=_build_up_note(decomposition, exhibits),
        steps=steps,
        demands_note=_demands_note(decomposition),
        demands=demands,
        charts=report_charts(decomposition, scores),
        origin=_origin(decomposition, scores, manifest),
        settings=tuple((name, _plain(value)) for name, value in origin.settings.items()),
        changed=frozenset(reproduce.changed_settings(decomposition)),
        command=reproduce.command(decomposition),
        python=reproduce.python_lines(decomposition),
    )


def _introduction(book: PictureBook, departure: Tensor, exhibits: Exhibits) -> tuple[Picture, ...]:
    decomposition = book.decomposition
    chosen = decomposition.regions.demand(decomposition.patches)
    pictures = [
        book.picture("x", decomposition.image, "The picture and the borders of its patches",
                     "The picture x and its patches", grid=True),
        book.picture("x0", decomposition.baseline_image, "The baseline picture",
                     "The baseline picture x₀"),
        book.change("departure", departure, "Map of the difference between picture and baseline",
                    "Their difference |x − x₀|"),
    ]  # fmt: skip
    if exhibits.baseline_as_it_is is not None:
        pictures.append(
            book.picture("x0-as-it-is", exhibits.baseline_as_it_is,
                         "What the network, nothing held, makes of the baseline feature",
                         "x₀ of the network as it is, nothing held"),
        )  # fmt: skip
    if not bool(chosen.all()):
        pictures.insert(
            1,
            book.picture("x", decomposition.image, "The picture, the chosen patches outlined",
                         "The chosen patches P", patches=chosen, dim=True),
        )  # fmt: skip
    return tuple(pictures)


def _summary(decomposition: Decomposition, scores: Scores) -> tuple[tuple[str, bool], ...]:
    count = form.apart(decomposition).count
    components = f"{numerals.count(count)} component{'' if count == 1 else 's'}"
    left = form.remainder_in_words(decomposition)
    above = form.above_floor(decomposition)
    partly = len(decomposition.patches) < decomposition.regions.count
    asked = "some of the chosen patches" if partly else "some of the patches"
    exactly = numerals.unbroken("(0 % is exact, 100 % is the baseline picture)")
    if decomposition.provenance.purpose == "generate":
        told = [
            (f"{write(TABLE['pooled_inside_error'], scores.pooled_inside_error)} error", True),
            (f" {exactly}", False),
            *([] if scores.departure is None else [
                (", and ", False),
                (f"{write(TABLE['departure'], scores.departure)} the departure", True),
                (" from the baseline that each demand needs by itself", False),
            ]),
        ]  # fmt: skip
    else:
        told = [
            (f"{write(TABLE['inside_error'], scores.inside_error)} error", True),
            (f" {exactly} while ", False),
            (f"{write(TABLE['leak'], scores.leak)} of the change", True),
            (" elsewhere leaks in unasked", False),
        ]
    pieces = [
        ("The feature behind this picture splits into ", False),
        (components, True),
        (f" and {left}" if left else "", False),
        (f"; asked for {asked} only, those components that serve them generate these "
         "patches with ", False),
        *told,
        *([] if above is None else [
            ("; ", False),
            (f"{numerals.count(above)} of the {components}", True),
            (f" {'is' if above == 1 else 'are'} stronger than the noise of "
             f"{'its' if above == 1 else 'their'} order", False),
        ]),
        (".", False),
    ]  # fmt: skip
    return tuple((text, key) for text, key in pieces if text)


def _numbering(decomposition: Decomposition) -> str:
    k = decomposition.remainder
    if k is None:
        return "Components are numbered from 0 in order of strength."
    return (
        "Components are numbered from 0 in order of strength; "
        f"number {k} is the remainder, which ranks and shares leave out."
    )


def _build_up_note(decomposition: Decomposition, exhibits: Exhibits) -> str:
    k = decomposition.remainder
    if k is None:
        return ""
    rank = numerals.ordinal(exhibits.visible_order.index(k) + 1)
    return f"The remainder is counted as one of them here and comes {rank}."


def _demands_note(decomposition: Decomposition) -> str:
    worst = "The last two are the worst of the"
    if not form.is_exact(decomposition):
        return f"{worst} held-out demands, shown on purpose."
    return f"{worst} random demands, shown on purpose; the fit saw every demand."


def _zoom(width: int, wanted: int) -> float:
    """Enlarge small pictures by whole numbers, shrink large ones to fit."""
    return float(wanted // width) if width <= wanted else wanted / width


def _steps(book: PictureBook, exhibits: Exhibits) -> tuple[Step, ...]:
    return tuple(
        Step(
            book.picture(f"step-{count}", image, f"The picture made of {count} components"),
            "baseline only"
            if count == 0
            else f"{numerals.count(count)} of {numerals.count(book.decomposition.count)}",
            numerals.percent(float(error)),
        )
        for count, image, error in zip(
            exhibits.steps.tolist(), exhibits.build_up, exhibits.build_up_error, strict=True
        )
    )


def _demands(book: PictureBook, exhibits: Exhibits) -> tuple[DemandRow, ...]:
    rows = []
    for place, name in enumerate(exhibits.demand_names):
        name = form.demand_in_words(book.decomposition, name)
        patches = exhibits.demands[place]
        rows.append(
            DemandRow(
                name=f"{name[:1].upper()}{name[1:]}",
                patches=f"{numerals.patches(int(patches.sum()))} of {len(patches)}",
                asked=book.picture("x", book.decomposition.image,
                                   f"The picture, outlined: {name}", "asked for",
                                   patches=patches, dim=True),
                ideal=book.picture(f"ideal-{place}", book.ideal(patches),
                                   f"The ideal answer to: {name}", "ideal", patches=patches),
                given=book.picture(f"given-{place}", exhibits.demanded[place],
                                   f"Generated for: {name}", "generated", patches=patches),
                inside=numerals.percent(float(exhibits.inside[place])),
                leak="none, nothing is outside" if bool(patches.all())
                else numerals.percent(float(exhibits.leak[place])),
            )
        )  # fmt: skip
    return tuple(rows)


def _origin(
    decomposition: Decomposition, scores: Scores, manifest: Manifest | None
) -> tuple[tuple[str, str], ...]:
    origin = decomposition.provenance
    shape = describe_shape(decomposition.feature_shape)
    picture = " × ".join(map(str, decomposition.image.shape))
    low, high = origin.image_range
    rows = [
        ("Generator", origin.generator),
        ("Weights, SHA-256", origin.weights_digest),
        ("Layer", f"{origin.layer} ({shape} = {decomposition.unit_count:,} units)"),
        ("Picture", f"{picture}, values {low:g} to {high:g}".replace("-", "−")),
        ("Picture seed", "not known" if origin.picture_seed is None else str(origin.picture_seed)),
        *([("Picture file", origin.picture_file)] if origin.picture_file else []),
        *([("Held behind the cut", form.held_in_words(origin.hold))] if origin.hold else []),
        ("Flows past the cut, held fixed", _flows_past(origin)),
        ("Patches", decomposition.regions.description),
        *_method(decomposition),
        ("Evaluations", f"{origin.evaluations:,} forward and backward"),
        ("Time of the fit", numerals.seconds(origin.wall_seconds)),
        ("… of it in the network", numerals.seconds(origin.tail_seconds)),
        ("Overhead ratio", write(TABLE["overhead_ratio"], scores.overhead_ratio)),
    ]
    if manifest is not None and manifest.evaluation_seconds is not None:
        rows.append(("Time of the scores", numerals.seconds(manifest.evaluation_seconds)))
    if manifest is not None and manifest.evaluation is not None:
        told = ", ".join(f"{name} {_plain(v)}" for name, v in manifest.evaluation.items())
        rows.append(("Scores measured with", told))
    versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
    return (*rows, ("Versions", versions))


def _method(decomposition: Decomposition) -> list[tuple[str, str]]:
    origin = decomposition.provenance
    if not form.is_exact(decomposition):
        ending = "converged" if origin.converged else "not converged"
        return [("Method", f"{origin.method}, {ending}")]
    ending = (
        "every minimal feature reached the tolerance"
        if origin.converged
        else "some minimal features ran out of steps"
    )
    kind = origin.settings.get("form")
    floor = (
        "not measured"
        if decomposition.noise is None
        else "by a second fit from different starts; evaluations and time are those of both"
    )
    return [
        ("Chosen patches", form.chosen_in_words(decomposition)),
        ("Method", f"{origin.method}, {kind} form; {ending}" if kind else origin.method),
        ("Noise floor", floor),
    ]


def _flows_past(origin: Provenance) -> str:
    if origin.whole_network:
        return "the whole network is run with the layer replaced; it could not be recorded"
    count = len(origin.flows_past)
    named = ", ".join(origin.flows_past[:6]) + (", …" if count > 6 else "")
    return f"values of {count}: {named}" if count else "nothing of the picture"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
