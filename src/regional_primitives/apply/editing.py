"""Editing a picture by its components: x' = G(f0 + Σ_k s_k Δf_k)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.apply.edits import Edit
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.modes import ordinary

__all__ = ["edit"]


@ordinary()
@torch.no_grad()
def edit(
    decomposition: Decomposition,
    generator: Generator,
    scales: Edit | Mapping[int, float],
    other: Decomposition | None = None,
) -> Float[Tensor, "1 channels height width"]:
    """Scale components and generate the picture: 0 removes one, 1 leaves it, others stay at 1.

    What flows past the cut is held as it is in the picture that is edited.

    Args:
        decomposition: of the picture.
        generator: that it was made with.
        scales: an `rp.Edit`, or the scales of the components that are to change.
        other: of the picture from which the edit takes components, if it does.

    Returns:
        The edited picture, in the generator's image range, on the CPU.

    Raises:
        InputError: no such component, a scale that is not a finite number, an edit that belongs to
            another run, or another picture that is missing or does not go with this one.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    wanted = Edit.of(scales)
    picture = Picture.of(decomposition, generator)
    return picture.render(wanted.units(decomposition, other))
