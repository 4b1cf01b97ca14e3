"""What a picture costs, and what the obvious way would: each demand through the whole model.

Ours, for the paper's reviewers, who asked for the cost. The obvious way runs the whole network with
the layer's output replaced, for one demand after another; its evaluations are as many as ours took.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.exact import ExactComponents
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.errors import InputError
from regional_primitives.generators.feature import units_as
from regional_primitives.generators.tail import WholeRunTail
from regional_primitives.runtime.storage import AtLeastZero, Count
from regional_primitives.scores.evaluation import Measurement
from regional_primitives.scores.measured import Measured

_ROUNDS = 10
_STILL_FALLING = 0.005


def effort_scores(measurement: Measurement) -> dict[str, Any]:
    """Tell what the fit took; of components that another method made, nothing is known."""
    origin = measurement.whole.decomposition.provenance
    if not origin.fitted:
        return {}
    return {"evaluations": origin.evaluations, "overhead_ratio": origin.overhead_ratio}


def unfinished(decomposition: Decomposition) -> bool:
    """Tell whether more steps would still have changed a fit by much, see `still_falling`."""
    return still_falling(decomposition.provenance, decomposition.history)


def still_falling(origin: Provenance, history: Float[Tensor, "steps 3"]) -> bool:
    """Tell the same of what is known of a fit besides its components.

    Step sizes fall to zero, so that a fit may well be done at its last step. One that took all its
    steps is not if inside error and priced leak still fell by more than half a percent of the
    baseline picture's over the last fifth. Of the exact form: some minimal features ran out of
    steps.
    """
    if origin.converged or origin.method == "exact":
        return not origin.converged
    if len(history) < 5:
        return len(history) > 0  # none of components that no fit made
    fifth = len(history) // 5
    errors = history[:, 0] + origin.settings.get("outside_weight", 0.0) * history[:, 1]
    return float(errors[-2 * fifth : -fifth].mean() - errors[-fifth:].mean()) > _STILL_FALLING


@dataclass(frozen=True)
class Spent(Measured):
    """What the components of one picture took."""

    evaluations: int
    """Forward-and-backward evaluations of the tail."""
    seconds: float
    """Of all fits; to make the baseline is no part of them."""

    def numbers(self) -> dict[str, float]:
        """Return both, by name."""
        return {"evaluations": float(self.evaluations), "seconds": self.seconds}


def spent(decomposition: Decomposition) -> Spent:
    """Tell what a decomposition took, in either form, when it was made."""
    origin = decomposition.provenance
    return Spent(origin.evaluations, origin.wall_seconds)


@dataclass(frozen=True)
class ObviousCost(Measured):
    """Evaluations and seconds of one picture."""

    told = ("evaluations", "seconds", "seconds_alone")
    evaluations: Count
    """Forward-and-backward evaluations that the exact form took."""
    seconds: AtLeastZero
    """What it took, all work included."""
    seconds_alone: AtLeastZero
    """One demand forward and backward through the whole network, median of rounds."""

    def numbers(self) -> dict[str, float]:
        """Return the cost, and the obvious way's: each demand alone through the whole network."""
        obvious = self.evaluations * self.seconds_alone
        return {
            "evaluations": float(self.evaluations),
            "seconds": self.seconds,
            "obvious_seconds": obvious,
            "obvious_over_ours": obvious / max(self.seconds, 1e-9),
        }


def obvious_cost(made: ExactComponents) -> ObviousCost:
    """Time single demands through the whole network, beside what the exact form took."""
    subject = made.features.subject
    generator = subject.generator.at(subject.latents)
    tail = generator.behind
    if tail is None:
        raise InputError("only a generator that is bound to a picture has a tail to compare with")
    whole = WholeRunTail(tail.parts, generator.network, generator.layers, subject.latents, 0, "")
    units = made.features.units[-1:].to(generator.device)
    seconds = []
    for _ in range(_ROUNDS):
        leaf = units.clone().requires_grad_(True)
        feature = units_as(leaf, generator.feature_shape)
        began = time.perf_counter()
        image = whole(feature)
        torch.autograd.grad(image.square().sum(), leaf)
        seconds.append(time.perf_counter() - began)
    return ObviousCost(made.evaluations, made.wall_seconds, statistics.median(seconds))
