"""The structured form: every unit divides itself among action fields, and the demands are fitted.

u(S) = f0 + p_S ⊙ (f − f0),  p_S = Σ_{T∩S≠∅} w_T,  Σ_T w_T = 1 for every unit, so that
Δf_T = w_T ⊙ (f − f0) and feature completeness and linear additivity (arXiv 2410.04421) hold by
construction; boundedness and consistency are terms of the loss. The form, its loss and its start
from measured influence are ours; it takes all patches where the paper's 2ⁿ subsets allow 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.axes import Demands, Dictionary
from regional_primitives.decompose.demands import draw_demands, single_patches
from regional_primitives.decompose.evaluations import Evaluations, Spent
from regional_primitives.decompose.structured.descent import Descent
from regional_primitives.decompose.structured.influence import measure_influence
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.structured.shares import Division, FieldShares
from regional_primitives.decompose.structured.trials import Trials
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import GeneratorError
from regional_primitives.runtime.arguments import refuse_too_large
from regional_primitives.runtime.progress import Progress, silent

_CHECK_EVERY = 10
"""Steps between two looks at whether the components still move."""
_DRAWN_TOGETHER = 10
"""Steps whose demands are drawn at once."""

_SMALLEST_ENERGY = 1e-12
"""Keeps the slope of a component's strength finite where it has none."""


@dataclass(frozen=True, eq=False)
class Fit(Spent):
    """What a fit found, and what it cost."""

    fields: Dictionary
    field_of: Tensor
    """[entries] the field of each kept share, ascending."""
    unit_of: Tensor
    """[entries] its unit."""
    values: Float[Tensor, " entries"]
    """[entries] its change Δf_T; the changes of a unit sum to f − f0."""
    history: Float[Tensor, "steps 3"]
    """Mean inside error, leak and cost of each step's own demands."""
    converged: bool
    """Whether the components stopped moving before the last step."""


def fit_structured(subject: Subject, settings: Structured, progress: Progress = silent) -> Fit:
    """Fit the structured form to random demands.

    Deterministic for a seed on the CPU (same machine and thread count).
    """
    evaluations = Evaluations(subject.generator)
    _afford(settings, subject)
    # Start where each unit acts.
    probes = settings.probes_a_patch(subject.errors.count)
    influence = measure_influence(subject, evaluations, probes, settings.seed, settings.batch)
    model = FieldShares.start(subject, influence, settings)
    # Go down, demands drawn anew each step, until all steps are taken or nothing moves.
    descent = Descent(model.unknowns, settings.learning_rate, settings.steps)
    drawn = _demands_of_steps(subject, settings)
    history: list[Tensor] = []
    checked = now = model.divide()
    converged = False
    while len(history) < settings.steps and not converged:
        step = len(history)
        history.append(_step(subject, evaluations, model, now, settings, step, next(drawn)))
        if not bool(history[-1].isfinite().all()):
            raise GeneratorError(f"the fit diverged: its loss is not finite at step {step + 1}")
        descent.step()
        now = model.divide()
        if len(history) % _CHECK_EVERY == 0:
            # Late steps are small by themselves; what counts is what full steps would move.
            stillness = model.moved(checked, now) / (1 - step / settings.steps)
            converged = stillness < settings.tolerance
            checked = now
        inside, leak, _ = torch.stack(history[-_CHECK_EVERY:]).mean(0).tolist()
        total = len(history) if converged else settings.steps
        progress("fit", len(history), total, f"inside error {inside:.2%}, leak {leak:.1%}")
    # Keep what matters of each unit's shares: Δf_T = w_T ⊙ (f − f0).
    field_of, unit_of, share = model.kept_shares(settings.smallest_share)
    return Fit(
        model.fields.cpu(),
        field_of,
        unit_of,
        share * subject.difference.cpu()[unit_of],
        torch.stack(history).cpu(),
        converged,
        **evaluations.spent(),
    )


def _afford(settings: Structured, subject: Subject) -> None:
    """Refuse steps of more demands and trials than memory holds."""
    rows = settings.batch + 2 * settings.trials  # a feature each, its slope, and one more at work
    numbers = 3 * 4 * subject.units.shape[1] + _DRAWN_TOGETHER * subject.errors.count
    what = f"a step of batch={settings.batch:,} and trials={settings.trials:,}"
    refuse_too_large(what, rows * numbers, "lower them")


def _demands_of_steps(subject: Subject, settings: Structured) -> Iterator[Demands]:
    """Draw every step's demands, those of some steps at a time, which is faster than one by one."""
    for first in range(0, settings.steps, _DRAWN_TOGETHER):
        count = min(_DRAWN_TOGETHER, settings.steps - first) * settings.batch
        start = first * settings.batch
        drawn = draw_demands(subject.regions, count, settings.seed, "fit", start=start)
        if settings.singles:
            steps, few = count // settings.batch, settings.singles
            turns = single_patches(
                subject.regions.count, steps * few, settings.seed, start=first * few
            )
            drawn.view(steps, settings.batch, -1)[:, :few] = turns.view(steps, few, -1)
        yield from drawn.to(subject.units.device).split(settings.batch)


def _step(
    subject: Subject,
    evaluations: Evaluations,
    model: FieldShares,
    now: list[Division],
    settings: Structured,
    step: int,
    demands: Demands,
) -> Float[Tensor, " figures"]:
    """Leave one step's slope in the unknowns; return inside error, leak and cost of its demands.

    Only the tail is differentiated by autograd: all else has an adjoint that is as short
    (docs/research/overhead.md). A batch that would not fit the generator's memory budget goes
    through the tail in chunks; the shares, of which a large feature has many, are gone over once.
    """
    batch = settings.batch
    late = step >= settings.ties_from * settings.steps
    # Which fields are on: those that a demand asks for, then each trial's alone, then all but it.
    energies = model.energies(now)
    trials = Trials.draw(model.fields, energies, settings.trials, seed=settings.seed, step=step)
    on = model.on_sites(torch.cat([model.asked(demands), trials.on]))
    units = model.switched(now, on)
    # Generate them, price the pictures, and pull the slope back to the units.
    prices = settings.boundedness_weight, settings.consistency_weight * late
    slope = torch.empty_like(units)
    figures = torch.zeros(2, device=units.device)
    for rows, asked, tried in _chunks(demands, trials, subject.generator.chunk):

        def pricing(
            images: Tensor, asked: Tensor = asked, tried: Trials = tried
        ) -> tuple[Tensor, Tensor]:
            slope, inside, leak = subject.errors.slope_of_demands(
                images[: len(asked)], asked, settings.outside_weight, settings.error_floor
            )
            slope.div_(batch)
            if len(tried):
                weights = (price / settings.trials for price in prices)
                at_trials = tried.slope(images[len(asked) :], subject.errors, *weights)
                slope = torch.cat([slope, at_trials])
            return slope, torch.stack([inside.sum(), leak.sum()]) / batch

        slope[rows], errors = evaluations.pulled_back(subject.baseline_units + units[rows], pricing)
        figures += errors
    # Price what the demands switch on, the less the later.
    whole = subject.difference.abs().sum()
    cost = units[:batch].abs().sum() / whole / batch
    left = (1 - step / settings.steps) ** settings.price_decay
    price = settings.cost_weight * left / batch / float(whole)
    slope[:batch].add_(units[:batch].sign(), alpha=price)
    # Price Σ_T ‖Δf_T‖; late in a fit it and the trials act only on what the demands leave open.
    strengths = (energies + _SMALLEST_ENERGY).sqrt()
    gathering = settings.sparsity_weight * late / subject.difference.norm() / (2 * strengths)
    if late and settings.undecided_power:
        slopes = model.pulled_back([rows[:, :batch] for rows in on], slope[:batch])
        ties = model.pulled_back([rows[:, batch:] for rows in on], slope[batch:])
        model.break_ties(now, slopes, ties, gathering, settings.undecided_power)
    else:
        slopes = model.pulled_back(on, slope)
        model.gather(now, slopes, gathering)
    # From the components down to the logits.
    model.descend(now, slopes)
    return torch.cat([figures, cost[None]])


def _chunks(
    demands: Demands, trials: Trials, size: int
) -> Iterator[tuple[slice | Tensor, Bool[Tensor, "some patches"], Trials]]:
    """Split a step's work so that no more than `size` images are at work, or a trial's two.

    Yields rows of the step's batch (demands, trials alone, trials left out), and what they are.
    """
    batch, count = len(demands), len(trials)
    if batch + 2 * count <= size:
        yield slice(None), demands, trials
        return
    for start in range(0, batch, size):
        rows = slice(start, min(start + size, batch))
        yield rows, demands[rows], trials[:0]
    for start in range(0, count, max(1, size // 2)):
        some = slice(start, start + max(1, size // 2))
        places = torch.arange(count)[some] + batch
        yield torch.cat([places, places + count]), demands[:0], trials[some]
