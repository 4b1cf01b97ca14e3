"""Two pictures of one generator: whose components go together by action field, and by place.

Both are ours: arXiv 2410.04421 compares the components of two pictures, but does not exchange them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from regional_primitives.axes import PerComponent, Region
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.together import UNITS, check_together
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import all_of_kind, wholes

RULES = ("shared", "mostly", "touching", "inside")
"""Whose a component is whose field straddles the border of the region; see `taken_share`."""
_SAME = 1e-3
"""Baselines that differ by less, relative to the features' own departure, are the same."""


def check_pair(one: Decomposition, other: Decomposition) -> None:
    """Refuse two decompositions whose components cannot stand in one feature.

    Raises:
        InputError: other weights, another hold, layer, regions, picture size or baseline.
    """
    check_together((one, other), *UNITS, "patches", "picture sizes")
    gap = float((one.baseline_units - other.baseline_units).norm())
    size = float((one.feature_units - one.baseline_units).norm())
    if gap > _SAME * size:
        raise InputError(
            f"the two pictures' baselines differ by {gap / max(size, 1e-30):.1%} of the feature's "
            "departure; explain both with the same baseline_count and baseline_seed"
        )


def partners(
    one: Decomposition,
    other: Decomposition,
    components: Sequence[int],
    fields: Sequence[Sequence[int]],
    nearest: bool,
) -> tuple[list[int], list[int]]:
    """Return components of `one`, and those of `other` with the same fields; see `Edit.swap`."""
    wanted: list[tuple[Region, str]] = []
    for k in wholes("a component", components):
        one.scales({k: 1.0})  # refuses what does not exist
        wanted.append((one.action_fields[k], f"component {k} "))
    for patches in all_of_kind(fields, Iterable, "fields are lists of patches"):
        row = one.regions.demand(patches)
        if not _having(one, row):
            raise InputError(
                f"this picture has no component with the action field {_field(one, row)}"
            )
        wanted.append((row, ""))
    if not wanted:
        raise InputError("a swap names at least one component or action field")
    out = {k for row, _ in wanted for k in _having(one, row)}
    into = {
        k
        for row, name in wanted
        for k in _having(other, row) or [_nearest(other, row, name, nearest)]
    }
    return sorted(out), sorted(into)


def _having(decomposition: Decomposition, row: Region) -> list[int]:
    """List the components with this action field."""
    found: list[int] = (decomposition.action_fields == row).all(1).nonzero().flatten().tolist()
    return found


def _nearest(other: Decomposition, row: Region, name: str, allowed: bool) -> int:
    both = (other.action_fields & row).sum(1)
    overlap = both / (other.action_fields | row).sum(1).clamp_min(1)
    if len(overlap) == 0 or float(overlap.max()) == 0:
        raise InputError(
            f"the other picture has no component whose action field meets that of {name}"
            f"({_field(other, row)})"
        )
    found = int(overlap.argmax())
    if not allowed:
        raise InputError(
            f"the other picture has no component with the action field of {name}"
            f"({_field(other, row)}); its nearest is component {found} "
            f"({_field(other, other.action_fields[found])}, overlap {float(overlap[found]):.2f}), "
            "which `nearest` takes"
        )
    return found


def _field(decomposition: Decomposition, row: Region) -> str:
    return decomposition.regions.in_words(row.nonzero().flatten().tolist())


def held_share(decomposition: Decomposition, region: Region) -> PerComponent:
    """Return the share of each action field's pixels that lies in the region."""
    labels = decomposition.regions.label_map(*decomposition.image.shape[-2:])
    size = torch.bincount(labels[labels >= 0], minlength=decomposition.regions.count).float()
    fields = decomposition.action_fields.float()
    return (fields @ (size * region)) / (fields @ size).clamp_min(1)


def taken_share(decomposition: Decomposition, region: Region, rule: str) -> PerComponent:
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
    margin = 1e-6  # for rounding
    return {"mostly": held >= 0.5 - margin, "touching": held > 0, "inside": held >= 1 - margin}[
        rule
    ].float()
