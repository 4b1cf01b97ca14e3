"""The cards of single components, in two orders of importance, and the remainder's apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regional_primitives.scores import Exhibits
from regional_primitives.show import form, numerals
from regional_primitives.show.pictures import Picture, PictureBook

__all__ = ["Card", "Ranking", "Remainder", "rankings", "remainder"]

_OPEN_CARDS = 12
"""Cards of a ranking that are shown at once; the others wait behind a click."""


@dataclass(frozen=True)
class Card:
    """One component."""

    title: str
    mark: str
    """What the reader must not overlook; empty where there is nothing."""
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
class Remainder:
    """What the exact form's chosen patches leave of the feature."""

    title: str
    where: str
    """Its action field, as a clause."""
    note: str
    card: Card | None
    """None where the run has no pictures of it."""


def rankings(book: PictureBook, exhibits: Exhibits) -> tuple[Ranking, ...]:
    """Order the components by strength and by visible change; the remainder is in neither."""
    remainder = book.decomposition.remainder
    by_strength = [k for k in range(book.decomposition.count) if k != remainder]
    by_sight = [k for k in exhibits.visible_order if k != remainder]
    ranks = _ranks(by_strength), _ranks(by_sight)
    cards = {
        k: _card(book, exhibits, k, place, ranks)
        for place, k in enumerate(exhibits.shown.tolist())
        if k != remainder
    }
    # Of each ranking, the leading components that all have their pictures.
    strongest, most_visible = _leading(by_strength, cards), _leading(by_sight, cards)
    return (
        Ranking(
            "by-strength",
            "By feature strength ‖Δf‖",
            "What moves the feature most. Strong components often repaint plain background, which "
            "takes much feature and little detail.",
            tuple(strongest[:_OPEN_CARDS]),
            tuple(strongest[_OPEN_CARDS:]),
        ),
        Ranking(
            "by-visible-change",
            "By visible change",
            "What structure the finished picture would miss if the component were taken out: "
            "1\u00a0−\u00a0SSIM of the picture and the picture without it. A repainted blank "
            "background changes much colour but little structure, so that it does not crowd out "
            "shapes.",
            tuple(most_visible[:_OPEN_CARDS]),
            tuple(most_visible[_OPEN_CARDS:]),
        ),
    )


def remainder(book: PictureBook, exhibits: Exhibits) -> Remainder | None:
    """Tell what the chosen patches leave over; None where nothing is."""
    k = book.decomposition.remainder
    if k is None:
        return None
    shown = exhibits.shown.tolist()
    acts = bool(book.decomposition.action_fields[k].any())
    return Remainder(
        where="whose action field is all other patches"
        if acts
        else "which has no action field, since all patches are chosen",
        title=form.remainder_in_words(book.decomposition).capitalize(),
        note="It is no interaction of patches: it holds what the minimal feature of all chosen "
        "patches, u(P), leaves of the feature, so that all pieces together are f\u00a0−\u00a0f₀; "
        + (
            "a demand switches it on whole as soon as it asks for any patch that was not chosen."
            if acts
            else "no demand switches it on."
        ),
        card=_card(book, exhibits, k, shown.index(k), None) if k in shown else None,
    )


def _ranks(order: Iterable[int]) -> dict[int, int]:
    return {k: rank for rank, k in enumerate(order, start=1)}


def _leading(order: Iterable[int], cards: Mapping[int, Card]) -> list[Card]:
    leading = []
    for k in order:
        if k not in cards:
            break
        leading.append(cards[k])
    return leading


def _card(
    book: PictureBook,
    exhibits: Exhibits,
    k: int,
    place: int,
    ranks: tuple[Mapping[int, int], Mapping[int, int]] | None,
) -> Card:
    """Make the card of component k, or of the remainder, which has no ranks."""
    decomposition = book.decomposition
    field = decomposition.action_fields[k]
    alone = decomposition.baseline_image + exhibits.patterns[place]
    without = decomposition.image - exhibits.removals[place]
    name = f"component {k}" if ranks else "the remainder"
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
    bounded = numerals.percent(float(exhibits.boundedness[place]))
    size = numerals.patches(int(field.sum()))
    if ranks is None:
        facts: tuple[tuple[str, str], ...] = (
            ("strength ‖Δf‖", strength),
            ("visible change", visible),
            ("boundedness", bounded),
            ("action field", f"{size}, all that were not chosen" if bool(field.any()) else "none"),
        )
        return Card(f"Number {k}", "the remainder", facts, pictures)
    by_strength, by_sight = ranks
    noise = form.noise_in_words(decomposition, k)
    beside = f", {noise}" if noise else ""
    energy = decomposition.strengths.double().square()
    total = form.apart(decomposition).strengths.double().square().sum()
    facts = (
        ("strength ‖Δf‖", f"{strength} ({numerals.ordinal(by_strength[k])}){beside}"),
        ("share of Σ‖Δf‖²", numerals.percent(float(energy[k] / total))),
        ("visible change", f"{visible} ({numerals.ordinal(by_sight[k])})"),
        ("boundedness", bounded),
        ("action field", size),
    )
    mark = "" if bool(decomposition.significant[k]) else "below the noise floor"
    return Card(name.capitalize(), mark, facts, pictures)
