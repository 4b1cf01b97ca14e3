"""What single components do to the picture: bounded to their fields, alike in every context?

Axioms two and three of arXiv 2410.04421 as numbers. The changes Δx_k = G(f0 + Δf_k) − G(f0) are the
paper's regional patterns; the scores are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Images, PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.picture import Picture
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.alone import BLOCK, bounded_share, field_masks
from regional_primitives.scores.evaluation import Measurement


@dataclass(frozen=True, eq=False)
class ComponentEffects:
    """What the strongest components do in company, a number each."""

    boundedness_in_context: Float[Tensor, " measured"]
    """Share of ‖Δx_k‖² that lies in A_k, against random sets of others, mean over contexts."""
    consistency: Float[Tensor, " measured"]
    """Mean pairwise cosine of M_{A_k} Δx_k over contexts."""
    inconsistency: Float[Tensor, " measured"]
    """Relative deviation of M_{A_k} Δx_k from its mean over contexts."""


def component_scores(measurement: Measurement) -> dict[str, Any]:
    """Measure components alone, and the strongest among random sets of others."""
    settings, components = measurement.settings, measurement.parts.decomposition
    measured = min(settings.components, components.count)
    effects = measure_components(
        measurement.parts,
        measured,
        contexts=settings.contexts,
        seed=settings.seed,
        progress=measurement.progress,
    )
    alone = measurement.alone
    of_each = {"chance_boundedness": chance_share(components), **vars(effects)}
    energy, weight = components.strengths.double().square(), components.strengths.square()
    return {
        "boundedness": energy_mean(alone.boundedness, alone.energy),
        **{name: energy_mean(values, weight) for name, values in of_each.items()},
        "patterns": len(alone.components),
        "patterns_share": float(energy[alone.components].sum() / energy.sum()),
        "measured_components": measured,
        "measured_share": float(energy[:measured].sum() / energy.sum()),
    }


def measure_components(
    picture: Picture,
    measured: int,
    *,
    contexts: int = 16,
    seed: int = 0,
    progress: Progress = silent,
) -> ComponentEffects:
    """Measure the `measured` strongest in contexts: 2 × contexts forward evaluations each."""
    masks = field_masks(picture.decomposition, picture.decomposition.action_fields[:measured])
    rows = []
    for k in range(measured):
        changes = in_contexts(picture, k, contexts=contexts, seed=seed).changes
        bounded = bounded_share(changes, masks[k].expand(contexts, -1, -1)).mean()
        rows.append([float(bounded), *_agreement((changes * masks[k]).flatten(1))])
        progress("scores", k + 1, measured, "contexts")
    return ComponentEffects(*torch.tensor(rows).reshape(measured, 3).T)


@dataclass(frozen=True, eq=False)
class InContexts:
    """Pictures of one component in several contexts C."""

    without: Images
    """G(f_C)."""
    together: Images
    """G(f_C + Δf_k)."""

    @property
    def changes(self) -> Images:
        """Δx_k in each context."""
        return self.together - self.without


def in_contexts(picture: Picture, k: int, *, contexts: int, seed: int) -> InContexts:
    """Generate component k in random contexts: each other component is there with probability ½.

    A context depends on the seed and the component alone.
    """
    rng = stream(seed, "contexts", k)
    company = (torch.rand(contexts, picture.decomposition.count, generator=rng) < 0.5).float()
    company[:, k] = 0.0
    joined = company.clone()
    joined[:, k] = 1.0
    units = picture.decomposition.combine_units(torch.cat([company, joined]))
    return InContexts(*picture.render(units).chunk(2))


def chance_share(decomposition: Decomposition) -> PerComponent:
    """Return which share of ‖x − x0‖² each action field holds.

    That is what a component is bounded by chance, if it changes a little of all: the area of the
    field would say the same of a picture that departs from the baseline alike everywhere.
    """
    departure = (decomposition.image - decomposition.baseline_image).square().sum(0)
    blocks = decomposition.action_fields.split(BLOCK)
    held = [(field_masks(decomposition, rows) * departure).sum((1, 2)) for rows in blocks]
    return torch.cat(held) / departure.sum()


def patch_shares(decomposition: Decomposition) -> Float[Tensor, " patches"]:
    """Return each patch's share of the energy, less the remainder's.

    The energy of a component is its squared strength, split evenly over its action field.
    """
    d = decomposition.without(decomposition.remainder)
    fields, energy = d.action_fields.double(), d.strengths.double().square()
    each = energy / fields.sum(1).clamp_min(1) / energy.sum().clamp_min(1e-300)
    return each @ fields


def counted_components(decomposition: Decomposition) -> list[int]:
    """List all components but the exact form's remainder, which is of patches that nobody chose.

    Raises:
        InputError: there is no other.
    """
    remainder = decomposition.remainder
    counted = [k for k in range(decomposition.count) if k != remainder]
    if not counted:
        raise InputError("the remainder is the only component; at least one must be counted")
    return counted


def counted_first(decomposition: Decomposition) -> tuple[list[int], Decomposition]:
    """Return the components that count, and all with the remainder behind them, as company."""
    counted = counted_components(decomposition)
    others = [] if decomposition.remainder is None else [decomposition.remainder]
    return counted, decomposition.select([*counted, *others])


def energy_mean(values: Float[Tensor, " some"], energy: PerComponent) -> float | None:
    """Return the energy-weighted mean of the values that are numbers; None where none is.

    The values are those of the first components that `energy` weighs.
    """
    known = ~values.isnan()
    if not bool(known.any()):
        return None
    weights = energy[: len(values)][known]
    return float((values[known] * weights).sum() / weights.sum())


def _agreement(changes: Float[Tensor, "contexts pixels"]) -> tuple[float, float]:
    """Return the mean pairwise cosine, and the root mean square deviation from the mean."""
    count = len(changes)
    unit = torch.nn.functional.normalize(changes, dim=1)
    cosine = (unit.sum(0).square().sum() - unit.square().sum()) / max(count * (count - 1), 1)
    mean = changes.mean(0)
    spread = (changes - mean).square().sum(1).mean().sqrt() / mean.norm().clamp_min(1e-20)
    return float(cosine), float(spread)
