"""Editing a picture by its components: x' = G(f0 + Σ_k s_k Δf_k)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.apply.edits import Edit
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator

__all__ = ["edit"]


@torch.no_grad()
def edit(
    decomposition: Decomposition, generator: Generator, scales: Edit | Mapping[int, float]
) -> Float[Tensor, "1 channels height width"]:
    """Scale components and generate the picture: 0 removes one, 1 leaves it, others stay at 1.

    Args:
        decomposition: of the picture.
        generator: that it was made with.
        scales: an `rp.Edit`, or the scales of the components that are to change.

    Returns:
        The edited picture, in the generator's image range, on the CPU.

    Raises:
        InputError: no such component, a scale that is not a finite number, or an edit that belongs
            to another run.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    wanted = scales if isinstance(scales, Edit) else Edit(scales)
    decomposition.check_generator(generator)
    generator = generator.at(decomposition.latents)
    return generator.render(decomposition.combine_units(wanted.row(decomposition)))
