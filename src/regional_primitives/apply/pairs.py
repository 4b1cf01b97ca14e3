"""Two pictures of one generator: whose components go together by action field, and by place.

Both are ours: arXiv 2410.04421 compares the components of two pictures, but does not exchange them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition, the_decomposition
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import all_of_kind, wholes

__all__ = ["RULES", "Partners", "check_pair", "held_share", "partners", "taken_share"]

RULES = ("shared", "mostly", "touching", "inside")
"""Whose a component is whose field straddles the border of the region; see `taken_share`."""
_SAME = 1e-3
"""Baselines that differ by less, relative to the features' own departure, are the same."""


def check_pair(one: Decomposition, other: Decomposition) -> None:
    """Refuse two decompositions whose components cannot stand in one feature.

    Raises:
        InputError: other weights, another hold, layer, regions, picture size or baseline.
    """
    for each in (one, other):
        the_decomposition(each)
    mine, given = one.provenance, other.provenance
    if mine.hold != given.hold:
        raise InputError(
            f"the other picture was made with hold={given.hold!r}, this one with hold={mine.hold!r}"
        )
    if mine.weights_digest != given.weights_digest:
        raise InputError(
            f"the other picture was made with other weights ({given.generator}, digest "
            f"{given.weights_digest[:12]}…) than this one ({mine.generator}, "
            f"{mine.weights_digest[:12]}…)"
        )
    if mine.layer != given.layer or one.feature_shape != other.feature_shape:
        raise InputError(
            f"the other picture was explained at layer {given.layer!r}, this one at {mine.layer!r}"
        )
    if one.regions != other.regions or one.image.shape != other.image.shape:
        raise InputError(
            f"the other picture was explained with a {other.regions.description}, this one with a "
            f"{one.regions.description}"
            + ("" if one.regions.is_grid else "; label maps must be equal, pixel by pixel")
        )
    gap = float((one.baseline_units - other.baseline_units).norm())
    size = float((one.feature_units - one.baseline_units).norm())
    if gap > _SAME * size:
        raise InputError(
            f"the two pictures' baselines differ by {gap / max(size, 1e-30):.1%} of the feature's "
            "departure; explain both with the same baseline_count and baseline_seed"
        )


@dataclass(frozen=True)
class Partners:
    """Components of two pictures that are exchanged for each other."""

    out: tuple[int, ...]
    """Of the picture at hand."""
    into: tuple[int, ...]
    """Of the other."""


def partners(
    one: Decomposition,
    other: Decomposition,
    components: Sequence[int],
    fields: Sequence[Sequence[int]],
    nearest: bool,
) -> Partners:
    """Find the other picture's components with the same action fields.

    Args:
        one: the picture at hand.
        other: the other.
        components: of `one`.
        fields: further action fields, as lists of patches.
        nearest: where `other` has no component with that field, take the one whose field overlaps
            it most (intersection over union; of equals the strongest).

    Raises:
        InputError: nothing named, no such component or patch, `one` has no component with a named
            field, or `other` has none and `nearest` is false.
    """
    wanted: list[tuple[Tensor, str]] = []
    for k in wholes("a component", components):
        one.scales({k: 1.0})  # refuses what does not exist
        wanted.append((one.action_fields[k], f"component {k} "))
    for patches in all_of_kind(fields, Iterable, "fields are lists of patches"):
        row = one.regions.demand(patches)
        if not bool((one.action_fields == row).all(1).any()):
            raise InputError(f"this picture has no component with the action field {_names(row)}")
        wanted.append((row, ""))
    if not wanted:
        raise InputError("a swap names at least one component or action field")
    out: set[int] = set()
    into: set[int] = set()
    for row, name in wanted:
        out |= set((one.action_fields == row).all(1).nonzero().flatten().tolist())
        same = (other.action_fields == row).all(1).nonzero().flatten().tolist()
        into |= set(same) if same else {_nearest(other, row, name, nearest)}
    return Partners(tuple(sorted(out)), tuple(sorted(into)))


def _nearest(other: Decomposition, row: Bool[Tensor, " patches"], name: str, allowed: bool) -> int:
    both = (other.action_fields & row).sum(1)
    overlap = both / (other.action_fields | row).sum(1).clamp_min(1)
    if len(overlap) == 0 or float(overlap.max()) == 0:
        raise InputError(
            f"the other picture has no component whose action field meets that of {name}"
            f"({_names(row)})"
        )
    found = int(overlap.argmax())
    if not allowed:
        raise InputError(
            f"the other picture has no component with the action field of {name}({_names(row)}); "
            f"its nearest is component {found} ({_names(other.action_fields[found])}, overlap "
            f"{float(overlap[found]):.2f}), which `nearest` takes"
        )
    return found


def _names(row: Bool[Tensor, " patches"]) -> str:
    patches = row.nonzero().flatten().tolist()
    return f"patch{'' if len(patches) == 1 else 'es'} {', '.join(map(str, patches))}"


def held_share(
    decomposition: Decomposition, region: Bool[Tensor, " patches"]
) -> Float[Tensor, " components"]:
    """Return the share of each action field's pixels that lies in the region."""
    labels = decomposition.regions.label_map(*decomposition.image.shape[-2:])
    size = torch.bincount(labels[labels >= 0], minlength=decomposition.regions.count).float()
    fields = decomposition.action_fields.float()
    return (fields @ (size * region)) / (fields @ size).clamp_min(1)


def taken_share(
    decomposition: Decomposition, region: Bool[Tensor, " patches"], rule: str
) -> Float[Tensor, " components"]:
    """Return how much of each component of one picture counts as the region's, 0 … 1.

    A field within the region counts wholly and a field outside it not at all, under every rule.
    A field that straddles the border counts

    - `shared`: by the share of its pixels in the region;
    - `mostly`: wholly if at least half of its pixels are in the region, else not at all;
    - `touching`: wholly;
    - `inside`: not at all.

    Raises:
        InputError: no such rule.
    """
    if not isinstance(rule, str) or rule not in RULES:
        raise InputError(f"there is no rule {rule!r} for blending; there are: {', '.join(RULES)}")
    held = held_share(decomposition, region)
    if rule == "shared":
        return held
    half = 0.5 - 1e-6
    chosen = {"mostly": held >= half, "touching": held > 0, "inside": held >= 1 - 1e-6}[rule]
    return chosen.float()
