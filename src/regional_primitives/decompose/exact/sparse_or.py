"""The sparsest OR representation among features that generate the demands equally well.

The plain transform turns independent errors of the u(S) into noise that grows √2-fold with every
order (docs/method.md). But many features generate a demand equally well; of these we take the ones
that need few components. Per unit a lasso in the OR basis, with a price on whole components too
(sparse group lasso, Simon et al. 2013), solved by ADMM (Boyd et al. 2011):

    min_Δ  ½ Σ_S ‖u(S) − f0 − Σ_{T∩S≠∅} Δ_T‖²  +  Σ_T √|T| (λ ‖Δ_T‖₁ + γ √D ‖Δ_T‖₂)

Then the numbers that are left are fitted to the pictures themselves: min mean_S E_S(f0 + Σ Δ_T).
All of it is ours.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import BySubset, Demands
from regional_primitives.decompose.exact.objective import DemandObjective
from regional_primitives.decompose.exact.quasi_newton import minimise
from regional_primitives.decompose.exact.settings import Exact
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.setfunctions import OrRidge, or_harsanyi, or_values, orders

_BALANCE_EVERY = 10
"""Steps of ADMM between two looks at whether its copies are tied too loosely or too tightly."""


def sparsest(departures: BySubset, settings: Exact, progress: Progress = silent) -> BySubset:
    """Return the components Δ_T, indexed by bitmask; that of ∅ is zero.

    Prices are in units of the noise: σ √2ⁿ, where σ is the noise of the u(S) as the plain transform
    tells it (the median over components of their root mean square, over √2 per order). So exact
    features are hardly shrunk, and noisy ones as much as they need.

    `departures` are u(S) − f0 by bitmask, that of ∅ zero; λ and γ are the settings' `entry_price`
    and `group_price` in units of the noise.
    """
    n = (len(departures) - 1).bit_length()
    order = orders(n).to(departures)[:, None]
    plain = or_harsanyi(departures.double()).to(departures)
    noise = (plain.square().mean(1, keepdim=True).sqrt() / 2 ** (order / 2))[1:].median()
    unit = noise * len(departures) ** 0.5 * order.sqrt()
    entry = settings.entry_price * unit
    group = settings.group_price * unit * departures.shape[1] ** 0.5
    sparse = _admm(departures, plain, entry, group, settings.sparse_steps, progress)
    strength = sparse.norm(dim=1, keepdim=True)
    return sparse * (strength >= settings.smallest_strength * strength.max())


def _admm(
    asked: BySubset,
    start: BySubset,
    entry: Float[Tensor, "subsets 1"],
    group: Float[Tensor, "subsets 1"],
    steps: int,
    progress: Progress,
) -> BySubset:
    """Minimise ½ ‖asked − A Δ‖² + Σ entry ‖Δ_T‖₁ + Σ group ‖Δ_T‖₂, A the OR matrix."""
    ridge = OrRidge((len(asked) - 1).bit_length())
    tie = len(asked) / 4  # how strongly the two copies of Δ are held together
    aim = or_values(asked)  # A is symmetric
    sparse, dual = start, torch.zeros_like(asked)
    for step in range(1, steps + 1):
        # One copy of Δ comes close to what is asked, the other is sparse; the dual ties them.
        close = ridge.solve(aim + tie * (sparse - dual), tie)
        dual += 1.6 * close - 0.6 * sparse  # over-relaxed by 1.6, as Boyd et al. recommend
        # Every number shrinks by its price, then every row as a whole by its own.
        inner = dual.sign() * (dual.abs() - entry / tie).clamp_min_(0)
        size = inner.norm(dim=1, keepdim=True).clamp_min(1e-30)
        before, sparse = sparse, inner * (1 - group / tie / size).clamp_min_(0)
        dual -= sparse
        progress("sparse form", step, steps)
        # Tie them closer where they are apart, looser where neither moves.
        if step % _BALANCE_EVERY == 0 and step <= 0.8 * steps:
            apart = float((close - sparse).norm() / close.norm().clamp_min(1e-30))
            moving = float((sparse - before).norm() / dual.norm().clamp_min(1e-30))
            factor = 2.0 if apart > 5 * moving else 0.5 if moving > 5 * apart else 1.0
            tie *= factor
            dual /= factor
    return sparse


def fit_jointly(
    components: BySubset,
    objective: DemandObjective,
    demands: Demands,
    settings: Exact,
    progress: Progress = silent,
) -> BySubset:
    """Fit the entries that are not zero so that the demands, in bitmask order, are generated best.

    Each quasi-Newton step takes every demand about once, a batch of features at a time.
    """
    last = settings.joint_steps + 1
    alive = components.any(1).nonzero().flatten()
    if not len(alive):
        progress("joint fit", last, last)
        return components
    held, demands = components[alive] != 0, demands.to(components.device)
    masks = torch.arange(1, len(components), device=components.device)
    asks = ((masks[:, None] & alive) > 0).to(components)
    # A component that many demands ask for is steeper; this evens the curvatures out.
    scale = asks.sum(0).rsqrt()[:, None]
    baseline = objective.subject.baseline_units
    times = itertools.count(1)

    def evaluate(rows: Tensor, entries: Tensor) -> tuple[Tensor, Tensor]:
        dense = torch.zeros_like(components[alive])
        dense[held] = entries[0]
        dense *= scale
        total, slope = 0.0, torch.zeros_like(dense)
        for chunk in (masks - 1).split(settings.batch):
            values, gradients = objective.gradient(demands[chunk], baseline + asks[chunk] @ dense)
            total += float(values.double().sum())
            slope.addmm_(asks[chunk].T, gradients)
        progress("joint fit", min(next(times), last), last)
        slope *= scale / len(masks)
        return torch.tensor([total / len(masks)], device=dense.device), slope[held][None]

    start = (components[alive] / scale)[held][None]
    found = minimise(
        evaluate, start, length=objective.length, steps=settings.joint_steps, tolerance=0.0
    )
    progress("joint fit", last, last)
    fitted = torch.zeros_like(components)
    dense = torch.zeros_like(components[alive])
    dense[held] = found.units[0]
    fitted[alive] = dense * scale
    return fitted
