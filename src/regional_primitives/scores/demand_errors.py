"""Inside error, leak and cost of features that answer demands, one definition for every method."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.generators.generator import Generator

__all__ = ["DemandErrors", "demand_errors", "mean"]


@dataclass(frozen=True, eq=False)
class DemandErrors:
    """How well demands are answered; one number a demand each."""

    inside: Float[Tensor, " demands"]
    leak: Float[Tensor, " demands"]
    cost: Float[Tensor, " demands"]
    inside_whole: Float[Tensor, " demands"]
    """What the inside error is a share of: ‖x − x0‖² in the patches of S."""
    leak_whole: Float[Tensor, " demands"]
    """What the leak is a share of: ‖x − x0‖² everywhere else."""
    partial: Bool[Tensor, " demands"]
    """Of the full demand nothing is outside, so that it has no leak."""
    images: Float[Tensor, "demands channels height width"]

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inside error, leak and cost."""
        return self.inside, self.leak, self.cost

    @property
    def mean_leak(self) -> float:
        """The mean over demands that leave something out; 0 of none."""
        return mean(self.leak[self.partial])

    @property
    def pooled_inside(self) -> float:
        """Squared errors of all demands over their departures, so that blank ones weigh nothing."""
        return float((self.inside * self.inside_whole).sum() / self.inside_whole.sum())

    @property
    def pooled_leak(self) -> float:
        """The same of the leak, over demands that leave something out; 0 of none."""
        leak, whole = self.leak[self.partial], self.leak_whole[self.partial]
        return float((leak * whole).sum() / whole.sum()) if len(whole) else 0.0


def demand_errors(
    decomposition: Decomposition,
    generator: Generator,
    demands: Bool[Tensor, "demands patches"],
    features: Float[Tensor, "demands units"],
) -> DemandErrors:
    """Generate the features' pictures and measure them against the decomposition's picture.

    Costs one forward evaluation a demand.
    """
    errors = PatchErrors.of(
        decomposition.image, decomposition.baseline_image, decomposition.regions
    )
    departure = (decomposition.feature_units - decomposition.baseline_units).abs().sum()
    images = generator.render(features)
    return DemandErrors(
        errors.inside(images, demands),
        errors.outside(images, demands),
        (features - decomposition.baseline_units).abs().sum(1) / departure,
        *errors.wholes(demands),
        ~demands.all(1),
        images,
    )


def mean(values: Float[Tensor, " some"]) -> float:
    """Return the mean, 0 of nothing."""
    return float(values.mean()) if len(values) else 0.0
