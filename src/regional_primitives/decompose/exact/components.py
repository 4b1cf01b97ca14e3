"""The exact form: OR interactions of all 2ⁿ minimal features, with a noise floor.

Δf_T = I_or(T) = −Σ_{L⊆T} (−1)^{|T|−|L|} u(P∖L) of the minimal features of every demand out of the
chosen patches P (arXiv 2410.04421). `raw` is that transform, which gives every u(S) back to
rounding; `sparse` (ours, the default) is the sparsest OR representation among features that
generate the demands equally well, see sparse_or.py. What u(P) leaves of f is a component of its
own, the remainder, that acts on the other patches, so that the components sum to f − f0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.axes import BySubset
from regional_primitives.decompose.evaluations import Evaluations, Spent
from regional_primitives.decompose.exact.lattice import all_demands
from regional_primitives.decompose.exact.minimal import MinimalFeatures, find_minimal, mean_features
from regional_primitives.decompose.exact.objective import DemandObjective
from regional_primitives.decompose.exact.settings import Exact
from regional_primitives.decompose.exact.sparse_or import fit_jointly, sparsest
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import of_kind
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting, silent
from regional_primitives.runtime.settings import settings_or
from regional_primitives.setfunctions import membership, or_harsanyi, or_values, orders


def noise_floor(one: BySubset, other: BySubset) -> Float[Tensor, " subsets"]:
    """Tell the noise of a component from two independent fits, by bitmask.

    It is the largest ‖I¹(T) − I²(T)‖ / √2 over all T of its order: the noise of one fit, of which
    the result, the mean of both, has less.
    """
    order, apart = orders((len(one) - 1).bit_length()), (one - other).norm(dim=1)
    largest = [apart[order == size].max() for size in range(int(order.max()) + 1)]
    return (torch.stack(largest) / 2**0.5)[order]


@dataclass(frozen=True, eq=False)
class ExactComponents(Spent):
    """The components of one picture's demands; what they cost includes the minimal features."""

    features: MinimalFeatures
    settings: Exact
    components: BySubset
    """Δf_T indexed by the bitmask of T within the chosen patches; that of ∅ is zero."""
    noise: Float[Tensor, " subsets"] | None = None
    """The noise floor of each component's order, by bitmask."""

    @property
    def converged(self) -> bool:
        """Whether every minimal feature's residual fell to the tolerance."""
        return bool(self.features.converged.all())

    @property
    def strengths(self) -> Float[Tensor, " subsets"]:
        """‖Δf_T‖ by bitmask."""
        return self.components.norm(dim=1)

    @property
    def predicted(self) -> BySubset:
        """f0 + Σ_{T∩S≠∅} Δf_T by the bitmask of S: what additivity says of u(S)."""
        return self.features.subject.baseline_units.cpu() + or_values(self.components)

    @property
    def fields(self) -> Bool[Tensor, "subsets patches"]:
        """T as rows over all patches of the regions, by bitmask."""
        patches, regions = self.features.patches, self.features.subject.regions
        rows = torch.zeros(len(self.components), regions.count, dtype=torch.bool)
        rows[:, list(patches)] = membership(len(patches))
        return rows


@ordinary()
def exact_components(
    features: MinimalFeatures,
    settings: Exact | None = None,
    *,
    progress: Progress | bool | None = False,
) -> ExactComponents:
    """Split the minimal features of all demands into components; one fit, no noise floor.

    Args:
        features: of all non-empty subsets of the chosen patches, in bitmask order, as
            `minimal_features` gives them where no subsets are named.
        settings: `rp.Exact()` with the features' own settings unless given; of given ones, form,
            prices and steps are used.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: features of other demands than all subsets in bitmask order.
    """
    of_kind(features, MinimalFeatures, "exact_components takes what rp.minimal_features gives")
    own = {**vars(features.settings), "noise_floor": False}
    settings = settings_or(settings, Exact, Exact(**own))
    evaluations = Evaluations(features.subject.generator)
    patches, regions = features.patches, features.subject.regions
    expected = all_demands(patches, regions)
    if not torch.equal(features.demands, expected):
        raise InputError(
            f"the transform takes all {len(expected)} non-empty subsets of the patches "
            f"{list(patches)} in bitmask order; leave `subsets` out of minimal_features"
        )
    baseline = features.subject.baseline_units
    departures = torch.cat([torch.zeros(1, baseline.shape[1]), features.units - baseline.cpu()])
    with reporting(progress) as report:
        if settings.form == "raw":
            # In double precision: 2^|T| terms cancel, and rounding must not look like a component.
            components = or_harsanyi(departures.double()).float()
            components[0] = 0
        else:
            # The sparsest components of these features, then the best of as few for the pictures.
            components = sparsest(departures.to(baseline.device), settings, report)
            if settings.joint_steps:
                objective = DemandObjective(features.subject, features.settings, evaluations)
                components = fit_jointly(components, objective, features.demands, settings, report)
    spent = evaluations.spent(features)
    return ExactComponents(features, settings, components.cpu(), **spent)


@ordinary()
def fit_exact(
    subject: Subject,
    settings: Exact,
    progress: Progress = silent,
    checkpoint: Path | None = None,
) -> ExactComponents:
    """Find minimal features and components of a prepared picture; twice, for the noise floor.

    A checkpoint holds a folder for each search, named by its random stream.
    """
    demands = all_demands(settings.chosen(subject.regions), subject.regions)

    def fit(settings: Exact, name: str) -> ExactComponents:
        found = []
        for search in range(settings.searches):
            one = replace(settings, seed=settings.seed + search)
            folder = None if checkpoint is None else checkpoint / str(one.seed)
            ordinal = f" {search + 1} of {settings.searches}" if settings.searches > 1 else ""
            told = _renamed(progress, name + ordinal)
            found.append(find_minimal(subject, demands, one, folder, told))
        return exact_components(mean_features(found), settings, progress=_renamed(progress, name))

    first = fit(settings, "")
    if not settings.noise_floor:
        return first
    # The result is the mean of two fits; what tells them apart is the noise of one.
    halves = (first, fit(settings.independent(), ", again"))
    features = mean_features([half.features for half in halves])
    mean = exact_components(features, settings, progress=_renamed(progress, " of both"))
    noise = noise_floor(*(half.components for half in halves))
    spent = mean.spent
    for half in halves:  # the mean has counted their features, not what was made of them
        for name, figure in half.features.spent.items():
            spent[name] += half.spent[name] - figure
    return replace(mean, noise=noise, **spent)


def _renamed(progress: Progress, suffix: str) -> Progress:
    """Tell the same under other names of stages."""

    def told(stage: str, done: int, total: int, note: str = "") -> None:
        progress(stage + suffix, done, total, note)

    return told
