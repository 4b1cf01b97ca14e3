"""Consistency: does a component add the same pattern whatever other components are present?

Axiom three of arXiv 2410.04421. The scores are those of `evaluate`; the pictures show one component
in some of the contexts that were scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regional_primitives.axes import Images, Mask
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.arguments import whole
from regional_primitives.scores.components import (
    counted_first,
    energy_mean,
    in_contexts,
    measure_components,
)
from regional_primitives.scores.measured import Measured

_LOCAL_SHARE = 0.25
"""A typical component is sought among those whose field leaves most of the picture alone."""


@dataclass(frozen=True, eq=False)
class Consistency(Measured):
    """How alike the patterns of one picture's strongest components are over contexts."""

    told = ("components", "energy", "cosine", "deviation", "contexts")
    components: Int[Tensor, " measured"]
    """Their numbers in the decomposition."""
    energy: Float[Tensor, " measured"]
    """‖Δf_k‖², the weight in means."""
    cosine: Float[Tensor, " measured"]
    """Mean pairwise cosine of M_{A_k} Δx_k over contexts: the score `consistency`."""
    deviation: Float[Tensor, " measured"]
    """Relative deviation of M_{A_k} Δx_k from its mean over contexts: `inconsistency`."""
    contexts: int
    """How many contexts each was measured in."""
    image_range: tuple[float, float]
    shown: int
    """The component that the pictures show."""
    shown_cosine: float
    """Its cosine over all contexts."""
    shown_field: Mask
    """Pixels of its action field."""
    without: Images
    """G(f_C) of some contexts C."""
    together: Images
    """G(f_C + Δf_k)."""

    def numbers(self) -> dict[str, float]:
        """Return the energy-weighted means, and the least consistent component's cosine."""
        return {
            "consistency": energy_mean(self.cosine, self.energy) or 0.0,
            "inconsistency": energy_mean(self.deviation, self.energy) or 0.0,
            "least_consistency": float(self.cosine.min()),
        }


def consistency(
    decomposition: Decomposition,
    generator: Generator,
    *,
    components: int = 40,
    contexts: int = 16,
    seed: int = 0,
) -> Consistency:
    """Measure the strongest components in random contexts, and keep pictures of a typical one.

    That is, of those whose field holds at most a quarter of all patches, the one with the cosine
    nearest to the mean: the strongest or most visible ones are more consistent than most, and would
    flatter. The exact form's remainder is not measured, but may be part of a context.

    Args:
        decomposition: one picture's.
        generator: the one that it was made with.
        components: how many of the strongest are measured.
        contexts: random sets of other components for each; at most 6 are kept as pictures.
        seed: random stream of the contexts.

    Raises:
        InputError: no component to measure, bad counts.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    whole("components", components, 1)
    whole("contexts", contexts, 2)
    picture = Picture.of(decomposition, generator)
    kept, ordered = counted_first(decomposition)
    picture, measured = picture.showing(ordered), kept[:components]
    energy = ordered.strengths[: len(measured)].square()
    effects = measure_components(picture, len(measured), contexts=contexts, seed=seed)
    mean = energy_mean(effects.consistency, energy) or 0.0
    local = ordered.action_fields[: len(measured)].sum(1) <= _LOCAL_SHARE * ordered.regions.count
    typical = local if bool(local.any()) else torch.ones_like(local)
    off = (effects.consistency - mean).abs()
    place = int(off.where(typical, torch.tensor(torch.inf)).argmin())
    pictures = in_contexts(picture, place, contexts=contexts, seed=seed)
    field = ordered.action_fields[place]
    return Consistency(
        components=torch.tensor(measured),
        energy=energy,
        cosine=effects.consistency,
        deviation=effects.inconsistency,
        contexts=contexts,
        image_range=ordered.provenance.image_range,
        shown=measured[place],
        shown_cosine=float(effects.consistency[place]),
        shown_field=ordered.regions.pixel_mask(field, *picture.image.shape[-2:]),
        without=pictures.without[:6],
        together=pictures.together[:6],
    )
