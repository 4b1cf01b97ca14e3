"""Editing a picture by its components: x' = G(f0 + Σ_k s_k Δf_k)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator

__all__ = ["edit"]


@torch.no_grad()
def edit(
    decomposition: Decomposition, generator: Generator, scales: Mapping[int, float]
) -> Float[Tensor, "1 channels height width"]:
    """Scale components and generate the picture: 0 removes one, 1 leaves it, others stay at 1.

    Raises:
        InputError: no such component, or a scale that is not a finite number.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    decomposition.check_generator(generator)
    generator = generator.at(decomposition.latents)
    return generator.render(decomposition.combine_units(decomposition.scales(scales)))
