"""All that the report prints: numbers already formatted, pictures already encoded, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.evaluate import Exhibits, Scores
from regional_primitives.generators.feature import describe_shape
from regional_primitives.show import numerals, reproduce
from regional_primitives.show.charts import Chart, report_charts
from regional_primitives.show.pictures import Picture, PictureBook, ScaleBar
from regional_primitives.show.pixels import ColourScale, channel_note, magnitude
from regional_primitives.show.score_table import ScoreGroup, score_groups

__all__ = ["Card", "DemandRow", "Ranking", "ReportView", "Step", "report_view"]

_OPEN_CARDS = 12
"""Cards of a ranking that are shown at once; the others wait behind a click."""


@dataclass(frozen=True)
class Card:
    """One component."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """What is told of it: name and value."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Ranking:
    """Components in one order of importance."""

    anchor: str
    title: str
    note: str
    first: tuple[Card, ...]
    rest: tuple[Card, ...]


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
    """The large pictures' on a narrow screen."""
    scale: ScaleBar
    channel_note: str
    patches: str
    introduction: tuple[Picture, ...]
    groups: tuple[ScoreGroup, ...]
    components: str
    rankings: tuple[Ranking, ...]
    steps: tuple[Step, ...]
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
    manifest: Mapping[str, Any] | None = None,
) -> ReportView:
    """Build the view.

    Args:
        decomposition: the result that the report is about.
        scores: its scores.
        exhibits: its pictures.
        manifest: what run.json tells beyond the decomposition, such as how scores were measured.
    """
    origin = decomposition.provenance
    departure = decomposition.image - decomposition.baseline_image
    scale = ColourScale.over(
        [magnitude(change, origin.image_range) for change in (departure, exhibits.patterns)]
    )
    book = PictureBook(decomposition, scale)
    introduction = (
        book.picture("x", decomposition.image, "The picture and the borders of its patches",
                     "The picture x and its patches", grid=True),
        book.picture("x0", decomposition.baseline_image, "The baseline picture",
                     "The baseline picture x₀"),
        book.change("departure", departure, "Map of the difference between picture and baseline",
                    "Their difference |x − x₀|"),
    )  # fmt: skip
    rankings = _rankings(book, exhibits)
    steps = _steps(book, exhibits)
    demands = _demands(book, exhibits)
    return ReportView(
        title=f"{origin.generator}, {origin.cut_and_picture}",
        method=origin.method,
        summary=_summary(decomposition, scores),
        images=book.images,
        width=book.size[1],
        height=book.size[0],
        zoom=_zoom(book.size[1], 128),
        zoom_large=_zoom(book.size[1], 384),
        zoom_narrow=_zoom(book.size[1], 320),
        scale=book.scale_bar(),
        channel_note=channel_note(len(decomposition.image)),
        patches=decomposition.regions.description,
        introduction=introduction,
        groups=score_groups(scores),
        components=numerals.count(decomposition.count),
        rankings=rankings,
        steps=steps,
        demands=demands,
        charts=report_charts(decomposition, scores),
        origin=_origin(decomposition, scores, manifest or {}),
        settings=tuple((name, _plain(value)) for name, value in origin.settings.items()),
        changed=frozenset(reproduce.changed_settings(decomposition)),
        command=reproduce.command(decomposition),
        python=reproduce.python_lines(decomposition),
    )


def _summary(decomposition: Decomposition, scores: Scores) -> tuple[tuple[str, bool], ...]:
    return (
        ("The feature behind this picture splits into ", False),
        (f"{numerals.count(decomposition.count)} components", True),
        ("; asked for some of the patches only, those components that serve them generate these "
         "patches with ", False),
        (f"{numerals.percent(scores.inside_error)} error", True),
        (" (0 % is exact, 100 % is the baseline picture) while ", False),
        (f"{numerals.percent(scores.leak)} of the change", True),
        (" elsewhere leaks in unasked.", False),
    )  # fmt: skip


def _zoom(width: int, wanted: int) -> float:
    """Enlarge small pictures by whole numbers, shrink large ones to fit."""
    return float(wanted // width) if width <= wanted else wanted / width


def _rankings(book: PictureBook, exhibits: Exhibits) -> tuple[Ranking, ...]:
    shown = exhibits.shown.tolist()
    visible_order = exhibits.visible_order
    visible_rank = {k: rank for rank, k in enumerate(visible_order, start=1)}
    cards = {k: _card(book, exhibits, k, place, visible_rank) for place, k in enumerate(shown)}
    # Of each ranking, the leading components that all have their pictures.
    by_strength = _leading(range(book.decomposition.count), cards)
    by_sight = _leading(visible_order, cards)
    return (
        Ranking(
            "by-strength",
            "By feature strength ‖Δf‖",
            "What moves the feature most. Strong components often repaint plain background, which "
            "takes much feature and little detail.",
            tuple(by_strength[:_OPEN_CARDS]),
            tuple(by_strength[_OPEN_CARDS:]),
        ),
        Ranking(
            "by-visible-change",
            "By visible change",
            "What structure the finished picture would miss if the component were taken out: "
            "1\u00a0−\u00a0SSIM of the picture and the picture without it. A repainted blank "
            "background changes much colour but little structure, so that it does not crowd out "
            "shapes.",
            tuple(by_sight[:_OPEN_CARDS]),
            tuple(by_sight[_OPEN_CARDS:]),
        ),
    )


def _leading(order: Any, cards: Mapping[int, Card]) -> list[Card]:
    leading = []
    for k in order:
        if k not in cards:
            break
        leading.append(cards[k])
    return leading


def _card(
    book: PictureBook, exhibits: Exhibits, k: int, place: int, visible_rank: Mapping[int, int]
) -> Card:
    decomposition = book.decomposition
    field = decomposition.action_fields[k]
    energy = decomposition.strengths.double().square()
    alone = decomposition.baseline_image + exhibits.patterns[place]
    without = decomposition.image - exhibits.removals[place]
    name = f"component {k}"
    pictures = (
        book.picture("x", decomposition.image, f"The picture, the action field of {name} outlined",
                     "action field", patches=field, dim=True),
        book.picture(f"alone-{k}", alone, f"The baseline picture with {name} alone",
                     "alone on x₀", patches=field),
        book.change(f"change-{k}", exhibits.patterns[place], f"Map of the change by {name} alone",
                    "change it makes", patches=field),
        book.picture(f"without-{k}", without, f"The picture without {name}",
                     "picture without it", patches=field),
    )  # fmt: skip
    strength = numerals.decimal(float(decomposition.strengths[k]))
    visible = numerals.percent(float(exhibits.visible_change[k]))
    facts = (
        ("strength ‖Δf‖", f"{strength} ({numerals.ordinal(k + 1)})"),
        ("share of Σ‖Δf‖²", numerals.percent(float(energy[k] / energy.sum()))),
        ("visible change", f"{visible} ({numerals.ordinal(visible_rank[k])})"),
        ("boundedness", numerals.percent(float(exhibits.boundedness[place]))),
        ("action field", numerals.patches(int(field.sum()))),
    )
    return Card(name.capitalize(), facts, pictures)


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
    decomposition: Decomposition, scores: Scores, manifest: Mapping[str, Any]
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
        ("Flows past the cut, held fixed", _flows_past(origin)),
        ("Patches", decomposition.regions.description),
        ("Method", f"{origin.method}, {'converged' if origin.converged else 'not converged'}"),
        ("Evaluations", f"{origin.evaluations:,} forward and backward"),
        ("Time of the fit", numerals.seconds(origin.wall_seconds)),
        ("… of it in the network", numerals.seconds(origin.tail_seconds)),
        ("Overhead ratio", numerals.times(scores.overhead_ratio)),
    ]
    if isinstance(manifest.get("evaluation_seconds"), (int, float)):
        rows.append(("Time of the scores", numerals.seconds(float(manifest["evaluation_seconds"]))))
    if isinstance(manifest.get("evaluation"), Mapping):
        told = ", ".join(f"{name} {_plain(v)}" for name, v in manifest["evaluation"].items())
        rows.append(("Scores measured with", told))
    versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
    return (*rows, ("Versions", versions))


def _flows_past(origin: Provenance) -> str:
    if origin.whole_network:
        return "the whole network is run with the layer replaced; it could not be recorded"
    count = len(origin.flows_past)
    named = ", ".join(origin.flows_past[:6]) + (", …" if count > 6 else "")
    return f"values of {count}: {named}" if count else "nothing of the picture"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
