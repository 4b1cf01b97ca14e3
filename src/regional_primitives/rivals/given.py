"""Rivals that a caller brings, another method's answer about the picture, and what is compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.given import Given
from regional_primitives.errors import InputError
from regional_primitives.generators.latents import same_latents
from regional_primitives.others.components import Terms, answer_of
from regional_primitives.others.fields import SHARES
from regional_primitives.picture import Picture
from regional_primitives.rivals.rival import Rival, Scene, Way
from regional_primitives.runtime.arguments import of_kind

OWN = "this decomposition"
"""What the run's own row is called."""


def as_fitted(decomposition: Decomposition, name: str = OWN) -> Rival:
    """Make a rival of a decomposition as it is."""
    parts = decomposition.without(decomposition.remainder)

    def ways(scene: Scene) -> Iterator[Way]:
        scene.evaluations.count += decomposition.provenance.evaluations
        yield Way("as fitted", parts.minimal_units, decomposition)

    return Rival(name, "what this run found", "this library", "none", ways, place=0)


def given_rival(name: Any, answer: Any, picture: Picture) -> Rival:
    """Make a rival of an answer of `rp.others`, (fields, tensors), or another decomposition.

    Fields that the method has count as they are. Where the one rule gives them, how much of a
    component's change they hold is the method's knob, and so its frontier.

    Raises:
        InputError: something else, or a decomposition of another picture.
    """
    of_kind(name, str, "other methods are told by name, {name: answer}")
    if isinstance(answer, Decomposition):
        _refuse_another_picture(name, answer, picture)
        return as_fitted(answer, name)
    terms = Terms.of(answer_of(answer), picture.subject)

    def ways(scene: Scene) -> Iterator[Way]:
        for share in SHARES if terms.given_fields is None else (None,):
            found = terms.decomposition(Given(name, share=share))
            setting = "fields as given"
            if share is not None:
                setting = f"fields that hold {share:.0%} of each component's change"
            yield Way(setting, found.without(found.remainder).minimal_units, found)

    return Rival(
        name,
        f"{terms.kind} that were given",
        name,
        "share of the change in the field",
        ways,
        place=0,
    )


def _refuse_another_picture(name: str, other: Decomposition, picture: Picture) -> None:
    own = picture.decomposition
    other.check_generator(picture.generator)
    for what, same in (
        ("of another picture", same_latents(own.latents, other.latents)),
        ("in other patches", own.regions == other.regions),
        ("from another baseline", own.baseline_units.equal(other.baseline_units)),
    ):
        if not same:
            raise InputError(f"the components of {name!r} are {what}, so they cannot be compared")
