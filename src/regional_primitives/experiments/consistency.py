"""Consistency: does a component add the same pattern whatever other components are present?

Axiom three of arXiv 2410.04421. The scores are those of `evaluate`; the pictures show one component
in some of the contexts that were scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition, generator_at
from regional_primitives.errors import InputError
from regional_primitives.experiments.across import AcrossPictures, listed
from regional_primitives.experiments.contexts import in_contexts
from regional_primitives.experiments.counted import counted_components, energy_mean
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.arguments import whole
from regional_primitives.scores.components import (
    ComponentEffects,
    component_patterns,
    measure_components,
)

__all__ = ["Consistency", "consistency"]

_LOCAL_SHARE = 0.25
"""A typical component is sought among those whose field leaves most of the picture alone."""


@dataclass(frozen=True, eq=False)
class Consistency:
    """How alike the patterns of one picture's strongest components are over contexts."""

    components: Int[Tensor, " measured"]
    """Their numbers in the decomposition."""
    energy: Float[Tensor, " measured"]
    """‖Δf_k‖², the weight in means."""
    cosine: Float[Tensor, " measured"]
    """Mean pairwise cosine of M_{A_k} Δx_k over contexts: the measure `consistency`."""
    deviation: Float[Tensor, " measured"]
    """Relative deviation of M_{A_k} Δx_k from its mean over contexts: `inconsistency`."""
    contexts: int
    """How many contexts each was measured in."""
    image_range: tuple[float, float]
    shown: int
    """The component that the pictures show."""
    shown_cosine: float
    """Its cosine over all contexts."""
    shown_field: Bool[Tensor, "height width"]
    """Pixels of its action field."""
    without: Float[Tensor, "some channels height width"]
    """G(f_C) of some contexts C."""
    together: Float[Tensor, "some channels height width"]
    """G(f_C + Δf_k)."""

    @staticmethod
    def over(results: Sequence[Consistency]) -> AcrossPictures[Consistency]:
        """Collect several pictures; raises what `AcrossPictures.of` raises."""
        return AcrossPictures.of(results)

    def numbers(self) -> dict[str, float]:
        """Return the energy-weighted means, and the least consistent component's cosine."""
        return {
            "consistency": energy_mean(self.cosine, self.energy) or 0.0,
            "inconsistency": energy_mean(self.deviation, self.energy) or 0.0,
            "least_consistency": float(self.cosine.min()),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; pictures are left out."""
        return {
            **self.numbers(),
            "contexts": self.contexts,
            **{name: listed(getattr(self, name))
               for name in ("components", "energy", "cosine", "deviation")},
        }  # fmt: skip


def consistency(
    decomposition: Decomposition,
    generator: Generator,
    *,
    leave_out: Sequence[int] | None = None,
    components: int = 40,
    contexts: int = 16,
    shown: int | None = None,
    seed: int = 0,
) -> Consistency:
    """Measure the strongest components in random contexts.

    Args:
        decomposition: one picture's.
        generator: the one that it was made with.
        leave_out: components that are not counted but may be part of a context; None: the exact
            form's remainder.
        components: how many of the strongest are measured.
        contexts: random sets of other components for each; at most 6 are kept as pictures.
        shown: the component whose pictures are kept; unless given, a typical one: of those whose
            field holds at most a quarter of all patches, the one with cosine nearest to the mean.
        seed: random stream of the contexts.

    Raises:
        InputError: a component that does not exist or is not measured, none left, bad counts.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    whole("components", components, 1)
    whole("contexts", contexts, 2)
    generator = generator_at(decomposition, generator)
    kept = counted_components(decomposition, leave_out)
    rest = [k for k in range(decomposition.count) if k not in set(kept)]
    ordered = decomposition.select([*kept, *rest])
    measured = min(components, len(kept))
    patterns = component_patterns(ordered, generator, list(range(ordered.count)))
    effects = measure_components(
        ordered, generator, patterns, measured, contexts=contexts, seed=seed
    )
    place = _place(ordered, effects, kept[:measured], shown)
    pictures = in_contexts(ordered, generator, place, contexts=contexts, seed=seed)
    return Consistency(
        components=torch.tensor(kept[:measured]),
        energy=effects.energy[:measured],
        cosine=effects.consistency,
        deviation=effects.inconsistency,
        contexts=contexts,
        image_range=ordered.provenance.image_range,
        shown=kept[place],
        shown_cosine=float(effects.consistency[place]),
        shown_field=ordered.regions.pixel_mask(
            ordered.action_fields[place], *ordered.image.shape[-2:]
        ),
        without=pictures.without[:6],
        together=pictures.together[:6],
    )


def _place(
    ordered: Decomposition,
    effects: ComponentEffects,
    measured: list[int],
    shown: int | None,
) -> int:
    """Return where the component to be shown stands among the measured ones."""
    if shown is not None:
        if shown not in measured:
            raise InputError(
                f"component {shown} cannot be shown: it is not among the {len(measured)} measured"
            )
        return measured.index(shown)
    sizes = ordered.action_fields[: len(measured)].sum(1)
    local = sizes <= _LOCAL_SHARE * ordered.regions.count
    candidates = local if bool(local.any()) else torch.ones_like(local)
    # The strongest or most visible components are more consistent than most: they would flatter.
    gap = (effects.consistency - effects.mean(effects.consistency)).abs()
    return int(gap.where(candidates, torch.tensor(torch.inf)).argmin())
