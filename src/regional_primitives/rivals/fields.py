"""Random fields of matched sizes: the same components, each with another field as large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from regional_primitives.rivals.rival import Scene, Way, rival
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.random_fields import random_connected


@rival(
    "random fields",
    "keeps the components and gives each a random connected field as large as its own",
    "ours",
    "none",
    place=90,
)
def random_fields(scene: Scene) -> Iterator[Way]:
    """Yield the decomposition with connected random fields of the same sizes."""
    given = scene.decomposition
    fields = random_connected(
        given.action_fields.sum(1),
        given.regions.demand(given.patches),
        given.regions,
        stream(scene.seed, "random fields"),
        rectangles=given.regions.is_grid,
    )
    components = replace(given, action_fields=fields)
    yield Way("one draw", components.minimal_units, components)
