"""A comparison of pictures as a page, compare.html, and as tables for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regional_primitives.axes import Images
from regional_primitives.compare.checkpoints import CHANGED, CheckpointComparison
from regional_primitives.compare.comparison import CommonField, PictureComparison
from regional_primitives.compare.likeness import Likeness
from regional_primitives.compare.part_units import PartUnits
from regional_primitives.compare.transfer import Span
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.scores.exhibits import Patterns
from regional_primitives.show import form, numerals
from regional_primitives.show.comparison_plots import plot_shared_fields, plot_transfer_matrix
from regional_primitives.show.extras import require_extra
from regional_primitives.show.pictures import PictureBook
from regional_primitives.show.pixels import ColourScale, channel_note, magnitude
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
    write_page,
)

COMPARISON_REPORT = "compare.html"
_MOST_ROWS = 24
_MOST_CELLS = 240
"""Pictures of patterns on one page."""
MOST_COLUMNS = 12
"""Pictures whose patterns are shown side by side."""
MOST_PARTS = 12
"""Parts that are shown as pictures."""
_MOST_PAIRS = 300
"""Rows of the table of pairs; of more, compare.json tells."""


@ordinary()
def write_comparison_report(
    folder: AnyPath,
    comparison: PictureComparison,
    patterns: Sequence[Patterns],
    answers: Sequence[Images | None],
) -> Path:
    """Write compare.html, whole or not at all; return its path.

    Args:
        folder: where.
        comparison: what the page is about.
        patterns: of each picture, of the components that `shown_components` names.
        answers: of each picture, G(u(S)) of each part alone; None where they are not shown.

    Raises:
        MissingExtraError: packages that only the report needs are not installed.
        StorageError: the disk refuses.
    """
    require_extra()
    place = path_of(folder, "the comparison's folder") / COMPARISON_REPORT
    several = comparison.decompositions
    origin, (height, width) = several[0].provenance, several[0].image.shape[-2:]
    maps = [magnitude(d.image - d.baseline_image, origin.image_range) for d in several]
    maps += [magnitude(change, origin.image_range)
             for own in patterns for change in own.changes.values()]  # fmt: skip
    images: dict[str, str] = {}
    scale = ColourScale.over(maps)
    books = [PictureBook(decomposition, scale, images) for decomposition in several]
    shown = _Shown(comparison, patterns, books, answers)
    page = Page(
        kicker="Regional primitives that pictures share",
        title=f"{len(several)} pictures of {origin.generator}, layer {origin.layer}",
        summary=_summary(comparison),
        sections=[made for make in SECTIONS if (made := make(shown)) is not None],
        images=images,
        sizes={
            "width": width,
            "height": height,
            "zoom": books[0].zoom(128),
            "zoom-large": books[0].zoom(256 if len(several) <= 4 else 128),
            "zoom-narrow": books[0].zoom(128),
        },
    )
    return write_page(place, page)


def shown_components(comparison: PictureComparison) -> list[list[int]]:
    """List the components of each picture whose patterns the page shows."""
    columns = zip(*(field.components for field in _shown_fields(comparison)), strict=True)
    found = [[k for k in column if k is not None] for column in columns]
    found += [[] for _ in comparison.names[len(found) :]]  # where no field is shared
    return [own if i < MOST_COLUMNS else [] for i, own in enumerate(found)]


def number_rows(comparison: PictureComparison) -> list[Row]:
    """Write each number, by chance in two ways, and what it says; of several pictures means."""
    a, b = comparison.a, comparison.b
    numbers = {
        "transfer": (
            f"Transfer t({a}, {b})",
            numerals.percent,
            f"Of the {a} strongest action fields of one picture, the share that is among the {b} "
            "strongest of the other; mean of both ways.",
        ),
        "symmetric": (
            f"Symmetric transfer t({a}, {a})",
            numerals.percent,
            f"The share that the {a} strongest fields of both have in common.",
        ),
        "strength_overlap": (
            "Overlap of strengths",
            numerals.percent,
            "Over all fields, Σ min / Σ max of their two strengths, each picture’s adding up to "
            "one. 100 % is the same fields with the same shares.",
        ),
        "shared_fields": (
            "Shared fields",
            lambda value: f"{value:.0f}" if value == round(value) else f"{value:.1f}",
            "Action fields that both pictures have, whatever their strength.",
        ),
        "cosine": (
            "Likeness of the components",
            _two_digits,
            "Cosine of the two Δf of one field, mean over shared fields weighted by strength. Near "
            "1, the same units make it in the same way; near 0, other units, or the same units "
            "otherwise.",
        ),
        "other_cosine": (
            "… with the nearest other field",
            _two_digits,
            "The same with the other picture’s component of the field that overlaps most without "
            "being the same: what one would get at this place anyway.",
        ),
        "departure_cosine": (
            "… of the whole features",
            _two_digits,
            "Cosine of the two whole departures f − f₀: how alike the pictures’ features are "
            "anyway. Where shared components are no more alike than that, they have their place in "
            "common, and nothing more.",
        ),
        "unit_overlap": (
            "Units in common",
            numerals.percent,
            "Of the units that either component of a shared field changes, the share that both do.",
        ),
    }
    return [
        Row(label, [_told(comparison, name, write), *_chance(comparison, name),
                    numerals.unbroken(meaning)])
        for name, (label, write, meaning) in numbers.items()
        if name == "symmetric" or name in comparison.summary
    ]  # fmt: skip


def terminal_table(comparison: PictureComparison) -> Any:
    """Lay the numbers out for a terminal."""
    pictures = ", ".join(comparison.names[:4]) + (" …" if len(comparison.names) > 4 else "")
    return for_terminal(
        f"{len(comparison.names)} pictures: {pictures}",
        ("number", "pictures", "random connected", "random subsets"),
        [(row.head, *map(str, row.cells[:3])) for row in number_rows(comparison)],
        f"random: fields of the same sizes, mean and range over {comparison.draws} draws",
    )


def terminal_fields(comparison: PictureComparison, most: int = 10) -> Any:
    """Lay the strongest shared fields out for a terminal."""
    several, regions = len(comparison.names) > 2, comparison.decompositions[0].regions
    named = regions.given_names is not None
    rows = []
    for field in comparison.common[:most]:
        patches = regions.in_words(field.patches)
        head = f"{len(field.patches)} patches, from {patches[:20]}…"
        own = zip(field.components, field.strengths, strict=True)
        of_each = [f"{k}: {strength:.3g}" for k, strength in own if not several]
        told = of_each or [f"{field.pictures} of {len(comparison.names)}"]
        rows.append(
            (patches if named or len(patches) < 40 else head, *told, f"{field.strength_share:.1%}")
        )
    title = f"shared action fields, {len(rows)} of {len(comparison.common)}"
    names = ("in pictures",) if several else comparison.names
    return for_terminal(title, ("field", *names, "share of strength"), rows)


def part_rows(comparison: PictureComparison) -> list[Row]:
    """Write which channels make each part, those of most pictures first."""
    count = len(comparison.names)

    def leading(part: PartUnits) -> str:
        told = [f"{one.channel} ({one.pictures} of {count})" for one in part.leading[:4]]
        return ", ".join(told)

    return [
        Row(
            part.part,
            [f"{part.needed:.0f}", leading(part), numerals.percent(part.common),
             _range(part.common_random)],
        )
        for part in comparison.parts
    ]  # fmt: skip


def terminal_parts(comparison: PictureComparison) -> Any:
    """Lay out which channels make each part for a terminal."""
    return for_terminal(
        "what makes each part: channels that hold half of its energy",
        ("part", "channels", "in most pictures", "in common", "random fields"),
        [(row.head, *map(str, row.cells)) for row in part_rows(comparison)],
        "in common: of the channels of either of two pictures, the share that both have",
    )


def terminal_checkpoints(comparison: CheckpointComparison) -> Any:
    """Lay out what share each part takes under two checkpoints for a terminal."""
    beside, (one, two) = comparison.beside, comparison.names
    rows = [
        (
            part.part,
            *map(numerals.percent, part.shares),
            f"{100 * part.moved:+.1f}",
            "yes" if part.changed else "no",
            numerals.percent(part.picture_change),
        )
        for part in comparison.parts
    ]
    met, drawn = beside.found.both_ways(0, 1), beside.connected.both_ways(0, 1)
    return for_terminal(
        f"one picture, two checkpoints: {one}, {two}",
        ("part", one, two, "share moved", "clearly", "picture differs"),
        rows,
        f"share of the energy, in percentage points; clearly moved: by more than "
        f"{100 * CHANGED:.0f}, as no two fits of one network differ; "
        f"t({beside.a}, {beside.b}), the strongest action fields of one among those of the other: "
        f"{numerals.percent(met)}, of random connected fields "
        f"{numerals.percent(drawn)}",
    )


@dataclass(frozen=True)
class _Shown:
    """What the sections are made from."""

    comparison: PictureComparison
    patterns: Sequence[Patterns]
    books: Sequence[PictureBook]
    """One a picture; all share their images and their colours."""
    answers: Sequence[Images | None]
    """Of each picture: what each part needs by itself; None without the generator."""

    @property
    def several(self) -> bool:
        """Whether there are more than two pictures."""
        return len(self.books) > 2


def _pictures(shown: _Shown) -> Section:
    comparison = shown.comparison
    pictures = [
        book.picture(f"x-{i}", book.decomposition.image, f"The picture of {name}",
                     f"{name}: {numerals.count(len(counted))} components", grid=True)
        for i, (name, counted, book) in enumerate(
            zip(comparison.names, comparison.counted, shown.books, strict=True)
        )
    ]  # fmt: skip
    note = channel_note(len(comparison.decompositions[0].image))
    return Section(
        "pictures",
        "The pictures",
        notes=[note] if note else [],
        template="compare.html",
        values={"pictures": pictures, "shared": []},
    )


def _numbers(shown: _Shown) -> Section:
    comparison = shown.comparison
    note = f"Random fields are drawn {comparison.draws} times; their range is over draws"
    if shown.several:
        note += (
            " and pairs. ± is half the 95 % interval over pictures, each with its mean over the "
            "others; pairs share pictures, so that it is only a guide."
        )
        note += "" if len(comparison.pairs) <= _MOST_PAIRS else " Every pair is in compare.json."
    else:
        note += ". It is one pair of pictures, and says nothing about others."
    columns = [Column(name) for name in ("Pictures", "Random connected fields",
                                         "Random sets of patches")]  # fmt: skip
    columns.append(Column("What it says", kind="meaning"))
    rows = number_rows(comparison)
    return Section(
        "numbers",
        "How much they share",
        notes=[note],
        table=Table("Numbers beside random fields", "Number", columns, rows),
        drawings=_drawings(comparison),
        details=_pairs(comparison) if 1 < len(comparison.pairs) <= _MOST_PAIRS else None,
    )


def _drawings(comparison: PictureComparison) -> list[Drawing]:
    drawings = [
        Drawing.of(
            plot_shared_fields(comparison),
            "Common action fields t(a, a) by a, beside random fields.",
            "How many of the a strongest fields two pictures have in common. At the right end, all "
            "fields count, and even random ones of the same sizes are often the same, since there "
            "are only so many small fields; the left end tells more. Bands: least and most over "
            "pairs, and over draws of random fields.",
        )
    ]
    if len(comparison.names) > 2:
        drawings.append(
            Drawing.of(
                plot_transfer_matrix(comparison),
                f"Matrix of t({comparison.a}, {comparison.b}) of every two pictures.",
                "Row: the picture whose strongest fields are sought. Column: the picture that "
                "they are sought in.",
            )
        )
    return drawings


def _pairs(comparison: PictureComparison) -> Table:
    """Tell the main numbers of every pair."""
    columns = (f"t({comparison.a}, {comparison.b})", "random", "strengths", "random", "shared",
               "cosine")  # fmt: skip
    rows = [
        Row(
            f"{comparison.names[pair.first]}, {comparison.names[pair.second]}",
            [
                numerals.percent(pair.transfer),
                _range(pair.connected.transfer),
                numerals.percent(pair.strength_overlap),
                _range(pair.connected.strength_overlap),
                numerals.count(len(pair.shared)),
                "" if pair.cosine is None else _two_digits(pair.cosine),
            ],
        )
        for pair in comparison.pairs
    ]
    return Table("Every pair", "Pictures", [*map(Column, columns)], rows)


def _primitives(shown: _Shown) -> Section:
    comparison = shown.comparison
    alike: dict[tuple[int, ...], list[Likeness]] = {}
    for pair in comparison.pairs:
        for field in pair.shared:
            alike.setdefault(field.patches, []).append(field.likeness)
    rows = [
        {
            "title": f"{number}. {_field(shown, field.patches)}",
            "facts": [
                *(
                    [("pictures", f"{field.pictures} of {len(shown.books)}")]
                    if shown.several
                    else []
                ),
                ("strength, mean share", numerals.percent(field.strength_share)),
                *_likeness_in_words(alike[field.patches]),
            ],
            "cells": [_cell(shown, field, i) for i in range(len(shown.books[:MOST_COLUMNS]))],
        }
        for number, field in enumerate(_shown_fields(comparison), start=1)
    ]
    return Section(
        "shared",
        "Primitives that they share",
        prose=[
            "A primitive is shared where pictures have a component with the same action field. "
            "Below, each picture with that field outlined, and what its own component makes of the "
            "baseline picture alone."
        ],
        notes=[f"{_rows_note(shown, len(rows))} {_patterns_note(shown)}".strip()],
        template="compare.html",
        values={
            "pictures": [],
            "shared": rows,
            "maps": shown.books[0] if rows and not shown.several else None,
        },
    )


def _field(shown: _Shown, patches: Sequence[int]) -> str:
    """Name a field; fields of numbered patches are outlined beside."""
    regions = shown.books[0].decomposition.regions
    return (
        numerals.patches(len(patches)) if regions.given_names is None else regions.in_words(patches)
    )


def _parts(shown: _Shown) -> Section | None:
    comparison = shown.comparison
    if not comparison.parts:
        return None
    regions = comparison.decompositions[0].regions
    books = list(enumerate(zip(comparison.names, shown.books, shown.answers, strict=True)))
    rows = [
        {
            "title": part.part,
            "facts": [
                ("channels for half of its energy", f"{part.needed:.0f}"),
                ("in common by two pictures", numerals.percent(part.common)),
                ("… of random fields", _range(part.common_random)),
            ],
            "cells": [
                (name, "", [
                    book.picture(f"part-{i}-{part.patch}", answers[part.patch],
                                 f"What {part.part} of {name} needs, alone",
                                 patches=regions.demand([part.patch]))
                ])
                for i, (name, book, answers) in books[:MOST_COLUMNS] if answers is not None
            ],
        }
        for part in comparison.parts[:MOST_PARTS]
    ]  # fmt: skip
    columns = [
        Column(name)
        for name in ("Channels for half of its energy", "In most pictures",
                     "In common by two pictures", "Random fields")
    ]  # fmt: skip
    told = all(answers is None for answers in shown.answers)
    missing = ["The pictures of parts are not shown: the generator is not at hand."] if told else []
    return Section(
        "parts",
        "The same part in each picture",
        prose=[
            "Which channels of the feature make a part? Leading are the fewest that hold half of "
            "the energy of its components, each counted by the share of its action field that "
            "lies in the part. Beside: how many would be in common if the components had random "
            "fields of the same sizes. Below: what the part alone needs, and nothing more."
        ],
        notes=missing,
        table=Table("What makes each part", "Part", columns, part_rows(comparison)),
        template="" if told else "compare.html",
        values={"pictures": [], "shared": rows, "maps": None},
    )


def _origin(shown: _Shown) -> Section:
    comparison, first = shown.comparison, shown.comparison.decompositions[0]
    origin = first.provenance
    rows = [
        ("Generator", origin.generator),
        ("Weights, SHA-256", origin.weights_digest),
        ("Layer", origin.layer),
        *([("Held behind the cut", form.held_in_words(origin.hold))] if origin.hold else []),
        ("Patches", first.regions.description),
        ("Random fields", f"{comparison.draws} draws, seed {comparison.seed}"),
    ]
    for name, d, counted in zip(
        comparison.names, comparison.decompositions, comparison.counted, strict=True
    ):
        left = ", its remainder left out" if d.remainder is not None else ""
        ways = "exact form" if form.is_exact(d) else "structured form"
        picture = d.provenance.picture_in_words or "picture of unknown seed"
        rows.append((name, f"{picture}, {ways}, {len(counted)} components{left}"))
    return Section("origin", "Origin", facts=[Facts(rows)])


SECTIONS: list[Callable[[_Shown], Section | None]] = [
    _pictures,
    _numbers,
    _parts,
    _primitives,
    _origin,
]
"""From top to bottom."""


def _summary(comparison: PictureComparison) -> str:
    mean = {name: numerals.percent(spread.mean) for name, spread in comparison.summary.items()
            if name.startswith(("transfer", "strength_overlap"))}  # fmt: skip
    beware = f" **Beware: {comparison.remark}.**" if comparison.remark else ""
    return (
        f"Of the {comparison.a} strongest action fields of one picture, **{mean['transfer']}** are "
        f"among the {comparison.b} strongest of another; of random connected fields of the same "
        f"sizes, **{mean['transfer_connected_fields']}** are. All their fields, weighted by "
        f"strength, overlap by **{mean['strength_overlap']}** (random: "
        f"{mean['strength_overlap_connected_fields']}).{beware}"
    )


def _shown_fields(comparison: PictureComparison) -> tuple[CommonField, ...]:
    columns = min(len(comparison.names), MOST_COLUMNS)
    return comparison.common[: min(_MOST_ROWS, _MOST_CELLS // columns)]


def _cell(shown: _Shown, field: CommonField, i: int) -> tuple[str, str, list[Any]]:
    """Tell what picture i has of a shared primitive: its name, the facts, and pictures."""
    book, name, k = shown.books[i], shown.comparison.names[i], field.components[i]
    d, patches = book.decomposition, book.decomposition.regions.demand(field.patches)
    pictures = [
        book.picture(f"x-{i}", d.image, f"The picture of {name}, the field outlined",
                     "action field", patches=patches, dim=True)
    ]  # fmt: skip
    if k is None:
        return name, "has no component of this field", pictures
    strength, rank = field.strengths[i], field.ranks[i]
    assert strength is not None
    assert rank is not None
    change = shown.patterns[i].changes.get(k)
    if change is not None:
        pictures.append(
            book.picture(f"alone-{i}-{k}", d.baseline_image + change,
                         f"The baseline picture with component {k} of {name} alone",
                         "alone on x₀", patches=patches)
        )  # fmt: skip
        if not shown.several:
            label = f"Map of the change by component {k} of {name}"
            pictures.append(
                book.change(f"change-{i}-{k}", change, label, "change it makes", patches=patches)
            )
    told = f"component {k}, {numerals.ordinal(rank)}, strength {numerals.decimal(strength)}"
    return name, told, pictures


def _likeness_in_words(alike: Sequence[Likeness]) -> list[tuple[str, str]]:
    """Tell how alike the components of one field are, mean over all pairs that share it."""

    def mean(values: Sequence[float], write: Callable[[float], str]) -> str:
        return write(sum(values) / len(values)) if values else "none overlaps"

    others = [one.other_cosine for one in alike if one.other_cosine is not None]
    return [
        ("cosine of Δf", mean([one.cosine for one in alike], _two_digits)),
        ("… nearest other field", mean(others, _two_digits)),
        ("units in common", mean([one.unit_overlap for one in alike], numerals.percent)),
    ]


def _rows_note(shown: _Shown, rows: int) -> str:
    count = len(shown.comparison.common)
    if not count:
        return "These pictures share no action field."
    first = (
        "those of most pictures first, then by strength" if shown.several else "the strongest first"
    )
    which = "at least two of the pictures have" if shown.several else "both pictures have"
    told = f"{numerals.count(count)} action fields are ones that {which}; shown: {rows}, {first}."
    if len(shown.books) > MOST_COLUMNS:
        told += f" Pictures beyond the first {MOST_COLUMNS} are counted, not shown."
    return told


def _patterns_note(shown: _Shown) -> str:
    """Say where the patterns come from."""
    kept = sum(len(own.kept) for own in shown.patterns)
    made = sum(len(own.changes) for own in shown.patterns) - kept
    origin = shown.comparison.decompositions[0].provenance
    told = []
    if kept:
        told.append(f"{numerals.count(kept)} patterns are those that the run folders keep")
    if made:
        told.append(
            f"{numerals.count(made)} were generated for this page by {origin.generator!r} "
            f"(weights {origin.weights_digest[:12]}…)"
        )
    text = f"{'; '.join(told)}." if told else ""
    missing = next((own.missing for own in shown.patterns if own.missing), "")
    return f"{text} The other patterns are not shown: {missing}." if missing else text


def _told(comparison: PictureComparison, name: str, write: Callable[[float], str]) -> Cell:
    """Write a number's mean over pictures, and its interval; of t(a, a), the range over pairs."""
    if name == "symmetric":
        own = [float(pair.curve[comparison.a - 1]) for pair in comparison.pairs]
        return Cell(write(sum(own) / len(own)), _ends(min(own), max(own)) if own[1:] else "")
    found = comparison.summary[name]
    half = found.half_interval_95 if len(comparison.names) > 2 else None
    return Cell(write(found.mean), "" if half is None else f"± {write(half)}")


def _chance(comparison: PictureComparison, name: str) -> tuple[str, str]:
    """Write what random connected fields give, and random subsets; nothing where not drawn."""
    if name not in ("transfer", "symmetric", "strength_overlap"):
        return "", ""

    def told(kind: str) -> str:
        drawn = [getattr(pair, kind) for pair in comparison.pairs]
        if name == "symmetric":
            own = [(one.curve, one.least, one.most) for one in drawn]
            ends = [[float(curve[comparison.a - 1]) for curve in curves] for curves in own]
        else:
            spans = [getattr(one, name) for one in drawn]
            ends = [[span.mean, span.least, span.most] for span in spans]
        mean, least, most = zip(*ends, strict=True)
        return _range(Span(sum(mean) / len(mean), min(least), max(most)))

    return told("connected"), told("subsets")


def _range(span: Span) -> str:
    return f"{numerals.percent(span.mean)} ({_ends(span.least, span.most)})"


def _ends(least: float, most: float) -> str:
    """Write 20–30 %."""
    return f"{numerals.percent(least).removesuffix(chr(160) + '%')}–{numerals.percent(most)}"


def _two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
