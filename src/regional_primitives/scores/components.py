"""What single components do to the picture: bounded to their fields, alike in every context?

Axioms two and three of arXiv 2410.04421 as numbers. The changes Δx_k = G(f0 + Δf_k) − G(f0) are the
paper's regional patterns; the scores are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.streams import stream

__all__ = [
    "ComponentEffects",
    "bounded_share",
    "chance_share",
    "component_patterns",
    "field_masks",
    "measure_components",
    "removal_changes",
]


@dataclass(frozen=True, eq=False)
class ComponentEffects:
    """Per component, strongest first: what it does alone and in company."""

    boundedness: Float[Tensor, " components"]
    """Share of ‖Δx_k‖² that lies in A_k, against the baseline feature; of every component."""
    boundedness_in_context: Float[Tensor, " measured"]
    """The same against random sets of other components, mean over contexts."""
    consistency: Float[Tensor, " measured"]
    """Mean pairwise cosine of M_{A_k} Δx_k over contexts."""
    inconsistency: Float[Tensor, " measured"]
    """Relative deviation of M_{A_k} Δx_k from its mean over contexts."""
    energy: Float[Tensor, " components"]
    """‖Δf_k‖², the weight in means."""

    def mean(self, values: Float[Tensor, " some"]) -> float:
        """Return the energy-weighted mean over the strongest components that were measured."""
        energy = self.energy[: len(values)]
        return float((values * energy).sum() / energy.sum())


def component_patterns(
    decomposition: Decomposition, generator: Generator, components: list[int]
) -> Float[Tensor, "components channels height width"]:
    """Return Δx_k = G(f0 + Δf_k) − G(f0), the regional patterns."""
    pictures = [
        generator.render(decomposition.combine_units(_only(decomposition.count, chunk)))
        for chunk in _chunks(components)
    ]
    return torch.cat(pictures) - decomposition.baseline_image


def removal_changes(
    decomposition: Decomposition, generator: Generator, components: list[int]
) -> Float[Tensor, "components channels height width"]:
    """Return x − G(f − Δf_k): what the finished picture owes to each component."""
    pictures = [
        generator.render(decomposition.combine_units(1 - _only(decomposition.count, chunk)))
        for chunk in _chunks(components)
    ]
    return decomposition.image - torch.cat(pictures)


def measure_components(
    decomposition: Decomposition,
    generator: Generator,
    patterns: Float[Tensor, "components channels height width"],
    measured: int,
    *,
    contexts: int = 16,
    seed: int = 0,
    progress: Progress = silent,
) -> ComponentEffects:
    """Measure every component alone, from its pattern, and the `measured` strongest in contexts.

    A context holds each other component with probability ½. Costs 2 × contexts forward
    evaluations a component.
    """
    masks = field_masks(decomposition)
    energy = decomposition.strengths.square()
    alone = bounded_share(patterns, masks)
    in_context = torch.zeros(measured)
    cosine = torch.zeros(measured)
    deviation = torch.zeros(measured)
    for k in range(measured):
        rng = stream(seed, "contexts", k)
        company = (torch.rand(contexts, decomposition.count, generator=rng) < 0.5).float()
        company[:, k] = 0.0
        joined = company.clone()
        joined[:, k] = 1.0
        units = decomposition.combine_units(torch.cat([company, joined]))
        without, together = generator.render(units).chunk(2)
        changes = together - without
        in_context[k] = bounded_share(changes, masks[k].expand(contexts, -1, -1)).mean()
        cosine[k], deviation[k] = _agreement((changes * masks[k]).flatten(1))
        progress("scores", k + 1, measured, "contexts")
    return ComponentEffects(alone, in_context, cosine, deviation, energy)


def bounded_share(
    changes: Float[Tensor, "batch channels height width"],
    masks: Float[Tensor, "batch height width"],
) -> Float[Tensor, " batch"]:
    """Return which share of each change's energy lies inside its mask."""
    energy = changes.square().sum(1)
    return (energy * masks).sum((1, 2)) / energy.sum((1, 2)).clamp_min(1e-20)


def chance_share(decomposition: Decomposition) -> Float[Tensor, " components"]:
    """Return which share of ‖x − x0‖² each action field holds.

    That is what a component is bounded by chance, if it changes a little of all: the area of the
    field would say the same of a picture that departs from the baseline alike everywhere.
    """
    departure = (decomposition.image - decomposition.baseline_image).square().sum(0)
    return (field_masks(decomposition) * departure).sum((1, 2)) / departure.sum()


def _agreement(changes: Float[Tensor, "contexts pixels"]) -> tuple[float, float]:
    """Return the mean pairwise cosine, and the root mean square deviation from the mean."""
    count = len(changes)
    unit = torch.nn.functional.normalize(changes, dim=1)
    cosine = (unit.sum(0).square().sum() - unit.square().sum()) / max(count * (count - 1), 1)
    mean = changes.mean(0)
    spread = (changes - mean).square().sum(1).mean().sqrt() / mean.norm().clamp_min(1e-20)
    return float(cosine), float(spread)


def field_masks(decomposition: Decomposition) -> Float[Tensor, "components height width"]:
    """Mark the pixels of every component's action field."""
    pixels = decomposition.regions.masks(*decomposition.image.shape[-2:]).float()
    return torch.einsum("kn,nhw->khw", decomposition.action_fields.float(), pixels)


def _only(count: int, components: list[int]) -> Float[Tensor, "batch components"]:
    rows = torch.zeros(len(components), count)
    rows[torch.arange(len(components)), torch.tensor(components)] = 1.0
    return rows


def _chunks(components: list[int], size: int = 64) -> list[list[int]]:
    return [components[start : start + size] for start in range(0, len(components), size)]
