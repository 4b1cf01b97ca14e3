"""One component in company: the pictures of random sets of other components, without and with it.

The contexts are those of `evaluate.measure_components`: each other component is present with
probability ½, from the stream that the seed and the component name.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.streams import stream

__all__ = ["InContexts", "in_contexts"]


@dataclass(frozen=True, eq=False)
class InContexts:
    """Pictures of one component in several contexts C."""

    without: Float[Tensor, "contexts channels height width"]
    """G(f_C)."""
    together: Float[Tensor, "contexts channels height width"]
    """G(f_C + Δf_k)."""

    @property
    def changes(self) -> Float[Tensor, "contexts channels height width"]:
        """Δx_k in each context."""
        return self.together - self.without


def in_contexts(
    decomposition: Decomposition, generator: Generator, k: int, *, contexts: int, seed: int
) -> InContexts:
    """Generate component k in random contexts, with a generator that is bound to the picture."""
    rng = stream(seed, "contexts", k)
    company = (torch.rand(contexts, decomposition.count, generator=rng) < 0.5).float()
    company[:, k] = 0.0
    joined = company.clone()
    joined[:, k] = 1.0
    pictures = generator.render(decomposition.combine_units(torch.cat([company, joined])))
    return InContexts(*pictures.chunk(2))
