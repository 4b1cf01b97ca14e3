"""Pictures compared: which primitives they share, and all experiments over several of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regional_primitives.compare.comparison import PictureComparison
    from regional_primitives.decompose.decomposition import Decomposition


def compare(
    decompositions: Sequence[Decomposition],
    *,
    names: Sequence[str] | None = None,
    a: int = 20,
    b: int = 100,
    draws: int = 10,
    seed: int = 0,
) -> PictureComparison:
    """Tell which primitives pictures share, every two of them.

    Args:
        decompositions: two or more, of one generator cut at one layer, over the same patches; of
            the exact form, whose remainder does not count, also with the same choice of patches.
        names: what each picture is called; its seed or file unless given.
        a: strongest fields of one; fewer where a picture has fewer components.
        b: strongest fields of the other, likewise.
        draws: how often random fields are drawn.
        seed: their random stream.

    Raises:
        InputError: fewer than two pictures, what is no decomposition, another generator, layer or
            feature, other patches, another number of names, or counts below 1.
    """
    from regional_primitives.compare.comparison import compared

    return compared(decompositions, names, a, b, draws, seed)
