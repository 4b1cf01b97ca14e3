"""Which decompositions go together: what must be the same, and how it is said what differs.

Units can be compared or exchanged only within one generator cut at one layer; action fields only
over the same patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import all_of_kind

UNITS = ("values of hold", "weights", "layers", "feature shapes")
"""What must be the same for a unit of one to be a unit of the other."""
FIELDS = ("patches", "demanded patches")
"""What must be the same for an action field of one to be one of the other; of the exact form, whose
fields are sets of its chosen patches, also their choice."""


class _Aspect(NamedTuple):
    value: Callable[[Decomposition], Any]
    told: Callable[[Decomposition], Any] | None = None
    """In words; None says the value."""
    advice: str = ""


def _demanded(decomposition: Decomposition) -> str:
    patches = decomposition.patches
    if len(patches) == decomposition.regions.count:
        return f"all {len(patches)}"
    return ", ".join(map(str, sorted(patches)))


_ASPECTS = {
    "generators": _Aspect(lambda d: d.provenance.generator),
    "values of hold": _Aspect(lambda d: d.provenance.hold),
    "weights": _Aspect(
        lambda d: d.provenance.weights_digest,
        lambda d: f"{d.provenance.generator} {d.provenance.weights_digest[:12]}…",
        "; two checkpoints are compared on one picture: explain it, of one seed, with both",
    ),
    "purposes": _Aspect(lambda d: d.provenance.purpose),
    "layers": _Aspect(lambda d: d.provenance.layer),
    "feature shapes": _Aspect(lambda d: d.feature_shape),
    "patches": _Aspect(
        lambda d: d.regions,
        lambda d: d.regions.description,
        "; a field is shared where it covers the same patches, and label maps must be equal, "
        "pixel by pixel",
    ),
    "picture sizes": _Aspect(lambda d: tuple(d.image.shape)),
    "demanded patches": _Aspect(
        lambda d: set(d.patches),
        _demanded,
        "; explain every picture with the same `patches`, or in the structured form",
    ),
}


def check_together(given: Sequence[Decomposition], *aspects: str) -> tuple[Decomposition, ...]:
    """Return two or more decompositions, which must not differ in any of these aspects.

    Raises:
        InputError: they do, one is no decomposition, or there are fewer than two.
    """
    several = all_of_kind(
        given,
        Decomposition,
        "decompositions are needed, as rp.explain and rp.Decomposition.load give them",
    )
    if len(several) < 2:
        raise InputError(f"a comparison takes at least two pictures; got {len(several)}")
    first = several[0]
    for other in several[1:]:
        for what in aspects:
            value, told, advice = _ASPECTS[what]
            if value(first) != value(other):
                mine, theirs = map(told or value, (first, other))
                raise InputError(
                    f"these pictures do not go together, since their {what} differ: {mine} and "
                    f"{theirs}{advice}"
                )
    return several
