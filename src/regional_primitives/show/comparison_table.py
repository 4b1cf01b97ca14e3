"""The numbers of a comparison as tables: for a page, and for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regional_primitives.compare import PictureComparison
from regional_primitives.compare.comparison import Chance, Span
from regional_primitives.show import numerals

if TYPE_CHECKING:
    from rich.table import Table
else:  # only annotations need it; rich is loaded when a table is printed
    Table = Any

__all__ = ["NumberRow", "number_rows", "pair_rows", "terminal_fields", "terminal_table"]

_PERCENT = "\u00a0%"


@dataclass(frozen=True)
class NumberRow:
    """One number of the pictures, beside what chance gives."""

    label: str
    value: str
    spread: str
    connected: str
    subsets: str
    meaning: str


def number_rows(comparison: PictureComparison) -> tuple[NumberRow, ...]:
    """Write the comparison's numbers; of several pictures their means with intervals."""
    a, b = comparison.a, comparison.b
    rows = [
        _row(
            comparison,
            "transfer",
            f"Transfer t({a}, {b})",
            numerals.percent,
            lambda chance: chance.transfer,
            f"Of the {a} strongest action fields of one picture, the share that is among the {b} "
            "strongest of the other; mean of both ways.",
        ),
        _symmetric(comparison),
        _row(
            comparison,
            "strength_overlap",
            "Overlap of strengths",
            numerals.percent,
            lambda chance: chance.strength_overlap,
            "Over all fields, Σ min / Σ max of their two strengths, each picture’s adding up to "
            "one. 100 % is the same fields with the same shares.",
        ),
        _row(
            comparison,
            "shared_fields",
            "Shared fields",
            lambda value: f"{value:.0f}" if value == round(value) else f"{value:.1f}",
            None,
            "Action fields that both pictures have, whatever their strength.",
        ),
        _row(
            comparison,
            "cosine",
            "Likeness of the components",
            _two_digits,
            None,
            "Cosine of the two Δf of one field, mean over shared fields weighted by strength. Near "
            "1, the same units make it in the same way; near 0, other units, or the same units "
            "otherwise.",
        ),
        _row(
            comparison,
            "other_cosine",
            "… with the nearest other field",
            _two_digits,
            None,
            "The same with the other picture’s component of the field that overlaps most without "
            "being the same: what one would get at this place anyway.",
        ),
        _row(
            comparison,
            "departure_cosine",
            "… of the whole features",
            _two_digits,
            None,
            "Cosine of the two whole departures f − f₀: how alike the pictures’ features are "
            "anyway. Where shared components are no more alike than that, they have their place in "
            "common, and nothing more.",
        ),
        _row(
            comparison,
            "unit_overlap",
            "Units in common",
            numerals.percent,
            None,
            "Of the units that either component of a shared field changes, the share that both do.",
        ),
    ]
    return tuple(row for row in rows if row is not None)


def pair_rows(
    comparison: PictureComparison,
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Write the main numbers of every pair: the columns' names, and the rows."""
    a, b = comparison.a, comparison.b
    columns = ("Pictures", f"t({a}, {b})", "random", "strengths", "random", "shared", "cosine")
    rows = tuple(
        (
            f"{comparison.names[pair.first]}, {comparison.names[pair.second]}",
            numerals.percent(pair.transfer),
            _range(pair.connected.transfer),
            numerals.percent(pair.strength_overlap),
            _range(pair.connected.strength_overlap),
            numerals.count(len(pair.shared)),
            "" if pair.cosine is None else _two_digits(pair.cosine),
        )
        for pair in comparison.pairs
    )
    return columns, rows


def terminal_table(comparison: PictureComparison) -> Table:
    """Lay the numbers out for a terminal."""
    from rich.table import Table

    pictures = ", ".join(comparison.names[:4]) + (" …" if len(comparison.names) > 4 else "")
    table = Table(
        title=f"{len(comparison.names)} pictures: {pictures}",
        title_justify="left",
        caption=f"random: fields of the same sizes, mean and range over {comparison.draws} draws",
        caption_justify="left",
    )
    table.add_column("number")
    for name in ("pictures", "random connected", "random subsets"):
        table.add_column(name, justify="right", no_wrap=name == "pictures")
    for row in number_rows(comparison):
        table.add_row(row.label, f"{row.value} {row.spread}".strip(), row.connected, row.subsets)
    return table


def terminal_fields(comparison: PictureComparison, most: int = 10) -> Table:
    """Lay the strongest shared fields out for a terminal."""
    from rich.table import Table

    table = Table(
        title=f"shared action fields, {min(most, len(comparison.common))} of "
        f"{len(comparison.common)}",
        title_justify="left",
    )
    table.add_column("patches")
    several = len(comparison.names) > 2
    names = ("in pictures",) if several else comparison.names
    for name in (*names, "share of strength"):
        table.add_column(name, justify="right")
    for field in comparison.common[:most]:
        if several:
            cells = [f"{field.pictures} of {len(comparison.names)}"]
        else:
            cells = [
                f"{k}: {strength:.3g}"
                for k, strength in zip(field.components, field.strengths, strict=True)
            ]
        patches = ",".join(map(str, field.patches))
        table.add_row(
            patches if len(patches) < 40 else f"{len(field.patches)} patches, from {patches[:20]}…",
            *cells,
            f"{field.strength_share:.1%}",
        )
    return table


def _row(
    comparison: PictureComparison,
    name: str,
    label: str,
    write: Callable[[float], str],
    chance: Callable[[Chance], Span] | None,
    meaning: str,
) -> NumberRow | None:
    """Write one number; None where no pair has it."""
    found = comparison.summary.get(name)
    if found is None:
        return None
    half = found.half_interval_95 if len(comparison.names) > 2 else None
    drawn = ["", ""]
    if chance is not None:
        drawn = [
            _range(_over([chance(getattr(pair, kind)) for pair in comparison.pairs]))
            for kind in ("connected", "subsets")
        ]
    return NumberRow(
        label=label,
        value=write(found.mean),
        spread="" if half is None else f"± {write(half)}",
        connected=drawn[0],
        subsets=drawn[1],
        meaning=numerals.unbroken(meaning),
    )


def _symmetric(comparison: PictureComparison) -> NumberRow:
    place = comparison.a - 1
    own = [float(pair.curve[place]) for pair in comparison.pairs]
    drawn = [
        _over(
            [
                Span(float(c.curve[place]), float(c.least[place]), float(c.most[place]))
                for c in (getattr(pair, kind) for pair in comparison.pairs)
            ]
        )
        for kind in ("connected", "subsets")
    ]
    spread = _ends(min(own), max(own)) if own[1:] else ""
    return NumberRow(
        label=f"Symmetric transfer t({comparison.a}, {comparison.a})",
        value=numerals.percent(sum(own) / len(own)),
        spread=spread,
        connected=_range(drawn[0]),
        subsets=_range(drawn[1]),
        meaning=f"The share that the {comparison.a} strongest fields of both have in common.",
    )


def _over(spans: Sequence[Span]) -> Span:
    return Span(
        sum(span.mean for span in spans) / len(spans),
        min(span.least for span in spans),
        max(span.most for span in spans),
    )


def _range(span: Span) -> str:
    return f"{numerals.percent(span.mean)} ({_ends(span.least, span.most)})"


def _ends(least: float, most: float) -> str:
    """Write 20–30 %."""
    return f"{numerals.percent(least).removesuffix(_PERCENT)}–{numerals.percent(most)}"


def _two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
