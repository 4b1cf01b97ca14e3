"""All that the page of a comparison prints: numbers already formatted, pictures already encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regional_primitives.compare import CommonField, Likeness, PictureComparison
from regional_primitives.scores.exhibits import Patterns
from regional_primitives.show import form, numerals, style
from regional_primitives.show.comparison_plots import plot_shared_fields, plot_transfer_matrix
from regional_primitives.show.comparison_table import NumberRow, number_rows, pair_rows
from regional_primitives.show.pictures import Picture, PictureBook, ScaleBar
from regional_primitives.show.pixels import ColourScale, channel_note, data_uri, magnitude

__all__ = ["Cell", "ComparisonView", "Drawing", "SharedRow", "comparison_view", "shown_components"]

_MOST_ROWS = 24
_MOST_CELLS = 240
"""Pictures of patterns on one page."""
_MOST_COLUMNS = 12
"""Pictures whose patterns are shown side by side."""
_MOST_PAIRS = 300
"""Rows of the table of pairs; of more, compare.json tells."""


@dataclass(frozen=True)
class Cell:
    """What one picture has of a shared primitive."""

    name: str
    facts: str
    """Component, rank and strength; or that there is none."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class SharedRow:
    """One action field that pictures share."""

    title: str
    facts: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Drawing:
    """A figure for light and for dark pages."""

    light: str
    dark: str
    label: str
    caption: str
    width: int
    """CSS pixels at which its text has the size that it was drawn with."""


@dataclass(frozen=True)
class ComparisonView:
    """The page, top to bottom."""

    title: str
    summary: tuple[tuple[str, bool], ...]
    """Pieces of the sentence; True marks the key figures."""
    images: Mapping[str, str]
    """Each image once, a data URI by name."""
    width: int
    height: int
    zoom: float
    zoom_large: float
    zoom_narrow: float
    scale: ScaleBar
    channel_note: str
    introduction: tuple[Picture, ...]
    numbers: tuple[NumberRow, ...]
    numbers_note: str
    pairs: tuple[tuple[str, ...], ...]
    pair_columns: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    rows: tuple[SharedRow, ...]
    rows_note: str
    patterns_note: str
    """Where the patterns come from."""
    about: tuple[tuple[str, str], ...]


def shown_fields(comparison: PictureComparison) -> tuple[CommonField, ...]:
    """Choose the shared primitives that the page shows."""
    columns = min(len(comparison.names), _MOST_COLUMNS)
    return comparison.common[: min(_MOST_ROWS, _MOST_CELLS // columns)]


def shown_components(comparison: PictureComparison) -> list[list[int]]:
    """List the components of each picture whose patterns the page shows."""
    fields = shown_fields(comparison)
    columns = zip(*(field.components for field in fields), strict=True)
    found = [[k for k in column if k is not None] for column in columns]
    found += [[] for _ in comparison.names[len(found) :]]  # where no field is shared
    return [own if i < _MOST_COLUMNS else [] for i, own in enumerate(found)]


def comparison_view(comparison: PictureComparison, patterns: Sequence[Patterns]) -> ComparisonView:
    """Build the view.

    Args:
        comparison: what the page is about.
        patterns: of each picture, of the components that `shown_components` names.
    """
    several = comparison.decompositions
    image_range = several[0].provenance.image_range
    maps = [magnitude(d.image - d.baseline_image, image_range) for d in several]
    maps += [magnitude(change, image_range) for own in patterns for change in own.changes.values()]
    scale = ColourScale.over(maps)
    images: dict[str, str] = {}
    books = [PictureBook(d, scale, images) for d in several]
    introduction = tuple(
        book.picture(f"x-{i}", book.decomposition.image, f"The picture of {name}",
                     f"{name}: {numerals.count(len(comparison.counted[i]))} components", grid=True)
        for i, (name, book) in enumerate(zip(comparison.names, books, strict=True))
    )  # fmt: skip
    rows = _rows(comparison, books, patterns)
    width = several[0].image.shape[-1]
    origin = several[0].provenance
    return ComparisonView(
        title=f"{len(several)} pictures of {origin.generator}, layer {origin.layer}",
        summary=_summary(comparison),
        images=images,
        width=width,
        height=several[0].image.shape[-2],
        zoom=_zoom(width, 128),
        zoom_large=_zoom(width, 256 if len(several) <= 4 else 128),
        zoom_narrow=_zoom(width, 128),
        scale=books[0].scale_bar(),
        channel_note=channel_note(len(several[0].image)),
        introduction=introduction,
        numbers=number_rows(comparison),
        numbers_note=_numbers_note(comparison),
        pairs=pair_rows(comparison)[1] if 1 < len(comparison.pairs) <= _MOST_PAIRS else (),
        pair_columns=pair_rows(comparison)[0],
        drawings=_drawings(comparison),
        rows=rows,
        rows_note=_rows_note(comparison, len(rows)),
        patterns_note=_patterns_note(comparison, patterns),
        about=_about(comparison),
    )


def _zoom(width: int, wanted: int) -> float:
    """Enlarge small pictures by whole numbers, shrink large ones to fit."""
    return float(wanted // width) if width <= wanted else wanted / width


def _summary(comparison: PictureComparison) -> tuple[tuple[str, bool], ...]:
    found = comparison.summary
    transfer, chance = found["transfer"].mean, found["transfer_connected_fields"].mean
    kind = "random connected fields of the same sizes"
    return (
        (f"Of the {comparison.a} strongest action fields of one picture, ", False),
        (numerals.percent(transfer), True),
        (f" are among the {comparison.b} strongest of another; of {kind}, ", False),
        (numerals.percent(chance), True),
        (" are. All their fields, weighted by strength, overlap by ", False),
        (numerals.percent(found["strength_overlap"].mean), True),
        (" (random: ", False),
        (numerals.percent(found["strength_overlap_connected_fields"].mean), False),
        (").", False),
        *([(f" Beware: {comparison.remark}.", True)] if comparison.remark else []),
    )


def _numbers_note(comparison: PictureComparison) -> str:
    draws = f"Random fields are drawn {comparison.draws} times; their range is over draws"
    if len(comparison.names) == 2:
        return f"{draws}. It is one pair of pictures, and says nothing about others."
    return (
        f"{draws} and pairs. ± is half the 95 % interval over pictures, each with its mean over "
        "the others; pairs share pictures, so that it is only a guide."
        + ("" if len(comparison.pairs) <= _MOST_PAIRS else " Every pair is in compare.json.")
    )


def _drawings(comparison: PictureComparison) -> tuple[Drawing, ...]:
    several = len(comparison.names) > 2
    bands = "Bands: least and most over pairs, and over draws of random fields."
    figures = [
        (
            plot_shared_fields(comparison),
            "Common action fields t(a, a) by a, beside random fields.",
            "How many of the a strongest fields two pictures have in common. At the right end, all "
            "fields count, and even random ones of the same sizes are often the same, since there "
            f"are only so many small fields; the left end tells more. {bands}",
        )
    ]
    if several:
        figures.append(
            (
                plot_transfer_matrix(comparison),
                f"Matrix of t({comparison.a}, {comparison.b}) of every two pictures.",
                "Row: the picture whose strongest fields are sought. Column: the picture that "
                "they are sought in.",
            )
        )
    return tuple(
        Drawing(
            light=_uri(drawing := style.svg(figure)),
            dark=_uri(style.darkened(drawing)),
            label=label,
            caption=caption,
            width=round(96 * figure.get_figwidth()),
        )
        for figure, label, caption in figures
    )


def _uri(drawing: str) -> str:
    return data_uri(drawing.encode("utf-8"), "image/svg+xml")


def _rows(
    comparison: PictureComparison, books: Sequence[PictureBook], patterns: Sequence[Patterns]
) -> tuple[SharedRow, ...]:
    alike = _likenesses(comparison)
    rows = []
    for number, field in enumerate(shown_fields(comparison), start=1):
        facts = [
            ("strength, mean share", numerals.percent(field.strength_share)),
            ("cosine of Δf", _mean_of([one.cosine for one in alike[field.patches]])),
            (
                "… nearest other field",
                _mean_of(
                    [o.other_cosine for o in alike[field.patches] if o.other_cosine is not None]
                ),
            ),
            (
                "units in common",
                numerals.percent(
                    sum(o.unit_overlap for o in alike[field.patches]) / len(alike[field.patches])
                ),
            ),
        ]
        if len(books) > 2:
            facts.insert(0, ("pictures", f"{field.pictures} of {len(books)}"))
        cells = tuple(
            _cell(comparison, books[i], patterns[i], field, i)
            for i in range(min(len(books), _MOST_COLUMNS))
        )
        title = f"{number}. {numerals.patches(len(field.patches))}"
        rows.append(SharedRow(title, tuple(facts), cells))
    return tuple(rows)


def _likenesses(comparison: PictureComparison) -> dict[tuple[int, ...], list[Likeness]]:
    """Collect how alike the components of each field are, over all pairs that share it."""
    found: dict[tuple[int, ...], list[Likeness]] = {}
    for pair in comparison.pairs:
        for field in pair.shared:
            found.setdefault(field.patches, []).append(field.likeness)
    return found


def _mean_of(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.2f}".replace("-", "−") if values else "none overlaps"


def _cell(
    comparison: PictureComparison,
    book: PictureBook,
    patterns: Patterns,
    field: CommonField,
    i: int,
) -> Cell:
    d, name, k = book.decomposition, comparison.names[i], field.components[i]
    patches = d.regions.demand(field.patches)
    outlined = book.picture(f"x-{i}", d.image, f"The picture of {name}, the field outlined",
                            "action field", patches=patches, dim=True)  # fmt: skip
    if k is None:
        return Cell(name, "has no component of this field", (outlined,))
    strength, rank = field.strengths[i], field.ranks[i]
    assert strength is not None
    assert rank is not None
    facts = f"component {k}, {numerals.ordinal(rank)}, strength {numerals.decimal(strength)}"
    change = patterns.changes.get(k)
    if change is None:
        return Cell(name, facts, (outlined,))
    alone = book.picture(
        f"alone-{i}-{k}", d.baseline_image + change,
        f"The baseline picture with component {k} of {name} alone", "alone on x₀", patches=patches,
    )  # fmt: skip
    shown = [outlined, alone]
    if len(comparison.names) == 2:
        shown.append(
            book.change(f"change-{i}-{k}", change, f"Map of the change by component {k} of {name}",
                        "change it makes", patches=patches)
        )  # fmt: skip
    return Cell(name, facts, tuple(shown))


def _rows_note(comparison: PictureComparison, shown: int) -> str:
    count = len(comparison.common)
    if not count:
        return "These pictures share no action field."
    several = len(comparison.names) > 2
    first = "those of most pictures first, then by strength" if several else "the strongest first"
    which = "at least two of the pictures have" if several else "both pictures have"
    told = [
        f"{numerals.count(count)} action fields are ones that {which}; shown: {shown}, {first}."
    ]
    if len(comparison.names) > _MOST_COLUMNS:
        told.append(f"Pictures beyond the first {_MOST_COLUMNS} are counted, not shown.")
    return " ".join(told)


def _patterns_note(comparison: PictureComparison, patterns: Sequence[Patterns]) -> str:
    kept = sum(len(own.kept) for own in patterns)
    made = sum(len(own.changes) for own in patterns) - kept
    origin = comparison.decompositions[0].provenance
    told = []
    if kept:
        told.append(f"{numerals.count(kept)} patterns are those that the run folders keep")
    if made:
        told.append(
            f"{numerals.count(made)} were generated for this page by {origin.generator!r} "
            f"(weights {origin.weights_digest[:12]}…)"
        )
    text = f"{'; '.join(told)}." if told else ""
    missing = next((own.missing for own in patterns if own.missing), "")
    if missing:
        text += f" The other patterns are not shown: {missing}."
    return text.strip()


def _about(comparison: PictureComparison) -> tuple[tuple[str, str], ...]:
    first = comparison.decompositions[0]
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
    return tuple(rows)
