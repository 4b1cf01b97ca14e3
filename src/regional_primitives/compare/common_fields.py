"""Action fields that pictures have in common, t(a, b), beside random fields of the same sizes.

t(a, b) is the share of the a strongest fields of one picture that are among the b strongest of
another, from the paper (arXiv 2410.04421). Random fields are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.compare.counted import counted_components
from regional_primitives.decompose.decomposition import Decomposition, the_decomposition
from regional_primitives.errors import InputError
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind, refuse_too_large
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.random_fields import random_connected, random_subsets

__all__ = [
    "Shares",
    "afford_draws",
    "all_rectangles",
    "comparable_components",
    "random_alike",
    "shares_of",
]


@dataclass(frozen=True, eq=False)
class Shares:
    """t over the ordered pairs of pictures."""

    strongest: Float[Tensor, "pictures pictures"]
    """t(a, b) from picture i (row) to picture j (column); NaN on the diagonal."""
    pair_curves: Float[Tensor, "pictures pictures counts"]
    """t(a, a) for a = 1, 2, … of each pair, which is the same both ways; NaN on the diagonal."""

    @property
    def curves(self) -> Float[Tensor, "pictures counts"]:
        """t(a, a) for a = 1, 2, …; from each picture, mean over the others."""
        return self.pair_curves.nanmean(1)

    @property
    def by_picture(self) -> list[float]:
        """t(a, b) from each picture, mean over the others."""
        values: list[float] = self.strongest.nanmean(1).tolist()
        return values


def comparable_components(
    decompositions: Sequence[Decomposition], leave_out: Sequence[Sequence[int]] | None = None
) -> list[list[int]]:
    """List the components of each picture that count, if their fields can be compared at all.

    Args:
        decompositions: two or more, of the same patches; of the exact form, whose fields are sets
            of its chosen patches, also of the same choice.
        leave_out: for each of them, the components that are not counted; None: the exact form's
            remainders.

    Raises:
        InputError: fewer than two pictures, other patches or another choice of them, or a picture
            of which nothing is left to count.
    """
    for decomposition in of_kind(decompositions, Sequence, "pictures are a list"):
        the_decomposition(decomposition)
    if leave_out is not None:
        of_kind(leave_out, Sequence, "leave_out is a list for each picture")
    if len(decompositions) < 2:
        raise InputError(f"transfer compares pictures, at least two; got {len(decompositions)}")
    if leave_out is not None and len(leave_out) != len(decompositions):
        raise InputError(
            f"leave_out names the components of each picture: {len(decompositions)} lists, "
            f"not {len(leave_out)}"
        )
    regions = decompositions[0].regions
    for decomposition in decompositions[1:]:
        if regions != decomposition.regions:
            raise InputError(
                f"fields can be compared only over the same patches: {regions.description} and "
                f"{decomposition.regions.description} differ"
            )
        if set(decomposition.patches) != set(decompositions[0].patches):
            raise InputError(
                "fields can be compared only over the same patches: those that were demanded "
                f"differ, {_demanded(decompositions[0])} and {_demanded(decomposition)}; explain "
                "every picture with the same `patches`, or in the structured form"
            )
    left_out = leave_out if leave_out is not None else [None] * len(decompositions)
    return [
        counted_components(decomposition, left)
        for decomposition, left in zip(decompositions, left_out, strict=True)
    ]


def _demanded(decomposition: Decomposition) -> str:
    """Name the patches that were demanded."""
    patches = decomposition.patches
    if len(patches) == decomposition.regions.count:
        return f"all {len(patches)}"
    return ", ".join(map(str, sorted(patches)))


def all_rectangles(fields: Sequence[Bool[Tensor, "_ patches"]], regions: Regions) -> bool:
    """Tell whether every field of every picture is a rectangle of the grid."""
    if not regions.is_grid:
        return False
    assert regions.rows is not None
    assert regions.columns is not None
    rows, columns = regions.rows, regions.columns
    return all(_is_rectangle(field.view(rows, columns)) for own in fields for field in own)


def afford_draws(pictures: int, counts: int, draws: int) -> None:
    """Refuse more draws of random fields than memory holds, before the first is made.

    Raises:
        InputError: so it is.
    """
    size = 2 * 8 * draws * pictures**2 * (counts + 2)
    refuse_too_large(f"draws={draws:,} of random fields", size, "lower draws")


def _is_rectangle(field: Bool[Tensor, "rows columns"]) -> bool:
    """Tell whether the field is not empty and fills the least rectangle around it."""
    cells = field.nonzero()
    if len(cells) == 0:
        return False
    sides = cells.amax(0) - cells.amin(0) + 1
    return int(sides.prod()) == len(cells)


def random_alike(
    fields: Sequence[Bool[Tensor, "_ patches"]],
    regions: Regions,
    *,
    rectangles: bool,
    seed: int,
    draw: int,
) -> tuple[list[Tensor], list[Tensor]]:
    """Draw, for each picture, random fields of the same sizes, over the patches that it covers.

    Args:
        fields: of each picture, bool [components, patches].
        regions: the patches.
        rectangles: whether the connected ones are rectangles of the grid; see `all_rectangles`.
        seed: of the random streams, one a picture and draw.
        draw: which draw it is.

    Returns:
        Connected fields, and any sets of patches.
    """
    connected, subsets = [], []
    for i, own in enumerate(fields):
        rng = stream(seed, "random fields", draw, i)
        sizes, patches = own.sum(1), own.any(0)
        connected.append(random_connected(sizes, patches, regions, rng, rectangles=rectangles))
        subsets.append(random_subsets(sizes, patches, rng))
    return connected, subsets


def shares_of(fields: Sequence[Bool[Tensor, "_ patches"]], a: int, b: int) -> Shares:
    """Return t of every pair of pictures.

    Args:
        fields: of each picture, strongest first.
        a: strongest fields of the first of a pair, at most as many as the least picture has.
        b: strongest fields of the second, likewise.
    """
    count, least = len(fields), min(map(len, fields))
    ranks = [{row.numpy().tobytes(): rank for rank, row in reversed(list(enumerate(own)))}
             for own in fields]  # fmt: skip
    strongest = torch.full((count, count), float("nan"))
    curves = torch.full((count, count, least), float("nan"))
    for i, j in itertools.permutations(range(count), 2):
        # A field of rank r in one and s in the other is common from a = max(r, s) + 1 on.
        met = [(rank, ranks[j][key]) for key, rank in ranks[i].items() if key in ranks[j]]
        strongest[i, j] = sum(rank < a and other < b for rank, other in met) / a
        since = torch.tensor([max(pair) for pair in met if max(pair) < least], dtype=torch.long)
        curves[i, j] = since.bincount(minlength=least).cumsum(0) / torch.arange(1, least + 1)
    return Shares(strongest, curves)
