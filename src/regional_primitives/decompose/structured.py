"""The structured form: every unit divides itself among action fields, and the demands are fitted.

u(S) = f0 + p_S ⊙ (f − f0),  p_S = Σ_{T∩S≠∅} w_T,  Σ_T w_T = 1 for every unit, so that
Δf_T = w_T ⊙ (f − f0) and feature completeness and linear additivity (arXiv 2410.04421) hold by
construction; boundedness and consistency are terms of the loss. The form, its loss and its start
from measured influence are ours; it takes all patches where the paper's 2ⁿ subsets allow 9.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.demands import draw_demands, single_patches
from regional_primitives.decompose.descent import Descent
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.influence import measure_influence
from regional_primitives.decompose.purpose import BY_PURPOSE, GENERATING, Purpose, decide
from regional_primitives.decompose.shares import Division, FieldShares, Start
from regional_primitives.decompose.subject import Subject
from regional_primitives.decompose.trials import Trials
from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.arguments import refuse_too_large
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.settings import check_settings

__all__ = ["PURPOSES", "QUALITIES", "Fit", "Structured", "fit_structured", "preset"]


_CHECK_EVERY = 10
"""Steps between two looks at whether the components still move."""
_DRAWN_TOGETHER = 10
"""Steps whose demands are drawn at once."""

PURPOSES: dict[str, dict[str, Any]] = {
    "generate": {
        **GENERATING,
        "singles": 2,
        "price_decay": 3.0,
        "consistency_weight": 0.2,
        "sparsity_weight": 0.01,
        "ties_from": 0.3,
        "undecided_power": 3.0,
        "give_back": 0.0,
        "influence_sharpness": 10.0,
        "tolerance": 0.0,
    },
    "isolate": {
        "singles": 0,
        "error_floor": 0.0,
        "outside_weight": 0.2,
        "cost_weight": 0.02,
        "price_decay": 0.0,
        "consistency_weight": 0.03,
        "sparsity_weight": 0.003,
        "ties_from": 0.0,
        "undecided_power": 0.0,
        "give_back": 0.6,
        "influence_sharpness": 3.0,
        "tolerance": 1e-3,
    },
}
"""What each purpose sets where nothing else is said.

`generate` prices nothing that moves a planted answer: leak contradicts the OR law, squared and
lasting prices shrink, take-back mixes. Group sparsity and consistency would move it too, and so
they break ties alone: they act on units that the demands leave undecided, once these have had time
to decide (docs/research/planted-answers.md).
"""

QUALITIES: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {
        "generate": {
            "steps": 103,
            "batch": 4,
            "singles": 1,
            "probes": 4,
            "learning_rate": 0.3,
            "boundedness_weight": 0.4,
        },
        "isolate": {
            "steps": 112,
            "trials": 0,
            "probes": 2,
            "learning_rate": 0.3,
            "influence_sharpness": 8.0,
            "size_penalty": 0.35,
            "outside_weight": 0.08,
            "sparsity_weight": 0.001,
        },
    },
    "balanced": {},
    "best": {key: {"steps": 1600, "learning_rate": 0.08} for key in PURPOSES},
}
"""Settings that differ from the defaults, by name of a quality and purpose.

With few evaluations `isolate` spends them on the demands alone and tries no components; with so few
steps the start matters more, and a sharper one makes the demanded patches exact sooner. `generate`
reaches small errors soon, and tries as many components as it asks demands.
"""


def preset(quality: str = "balanced", purpose: str = "generate") -> dict[str, Any]:
    """Return what a quality changes of a purpose's defaults.

    Raises:
        InputError: no such quality, or no such purpose.
    """
    for name, chosen, known in (("quality", quality, QUALITIES), ("purpose", purpose, PURPOSES)):
        if chosen not in list(known):  # what has no hash, too
            raise InputError(f"{name} is {', '.join(known)}, not {chosen!r}")
    return dict(QUALITIES[quality].get(purpose, {}))


_MOST_PRODUCTS = 720
"""Of influence in all: few patches are probed more often each, many not below the next."""
_FEWEST_PROBES = 4
_SMALLEST_ENERGY = 1e-12
"""Keeps the slope of a component's strength finite where it has none."""


@dataclass(frozen=True)
class Structured:
    """Settings of the structured form. The defaults cost about 4,900 evaluations on 36 patches.

    What is not given depends on the purpose (`PURPOSES`), once: `dataclasses.replace` with another
    purpose keeps the prices of the one before, so make new settings for it.
    """

    purpose: Purpose = "generate"
    """`generate`: what generates S, the paper's minimal features (arXiv 2410.04421), whatever else
    comes along. `isolate`: what can be changed in S alone, with least leak, for edits (ours)."""
    steps: int = 350
    """Most optimisation steps."""
    batch: int = 8
    """Fresh random demands a step, each one forward-and-backward evaluation of the tail."""
    trials: int = 2
    """Components a step that are tried alone and left out, each two evaluations."""
    singles: int = BY_PURPOSE
    """How many of a step's demands are for one patch, each patch in its turn."""
    error_floor: float = BY_PURPOSE
    """What a demand departs at the least, in average patches: a blank one does not rule the fit."""
    learning_rate: float = 0.13
    """Adam's first step size on the logits; falls linearly to zero over `steps`."""
    outside_weight: float = BY_PURPOSE
    """Price of leak relative to inside error: higher leaks less and generates less exactly."""
    cost_weight: float = BY_PURPOSE
    """Price of the share of the feature that a demand switches on."""
    price_decay: float = BY_PURPOSE
    """How fast that price falls to zero as the fit converges: with (1 − step / steps) to this
    power, so that needed units end whole; 0 keeps it."""
    boundedness_weight: float = 0.24
    """Price of what a tried component changes outside its action field."""
    consistency_weight: float = BY_PURPOSE
    """Price of how much a tried component's pattern depends on its company; from `ties_from` on."""
    sparsity_weight: float = BY_PURPOSE
    """Price of Σ_T ‖Δf_T‖ / ‖f − f0‖, which gathers the feature in few strong components; from
    `ties_from` on."""
    ties_from: float = BY_PURPOSE
    """After which share of the steps these two prices count."""
    undecided_power: float = BY_PURPOSE
    """From then on trials and sparsity act on a unit times (1 − its largest share) to this power:
    what the demands decide stays, what they leave open is gathered in few consistent components."""
    give_back: float = BY_PURPOSE
    """The most of itself that a unit may take back where its neighbours spill over; 0 lets units
    only switch on, leaks more, and has patterns that add up better."""
    probes: int = 20
    """Vector–Jacobian products a patch that measure influence before the fit; fewer where that
    would be more than 720 in all, but not below 4."""
    influence_sharpness: float = BY_PURPOSE
    """How much the start favours fields that hold a site's influence."""
    size_penalty: float = 0.5
    """How much the start disfavours each further patch of a field."""
    reach_threshold: float = 4e-3
    """A site reaches the patches that get at least this share of its influence."""
    most_candidates: int = 512
    """No site chooses among more fields than this."""
    smallest_share: float = 1e-3
    """Shares |w_T| of a unit below this are dropped; the largest takes up what they held."""
    tolerance: float = BY_PURPOSE
    """Stop early once 10 steps of full size move less than this share of the feature."""
    baseline_count: int = 0
    """Latents whose mean feature is the baseline f0; 0 leaves it to the generator (4,096 unless it
    says otherwise)."""
    baseline_seed: int = 0
    """Random stream of those latents."""
    seed: int = 0
    """Random stream of demands, trials and influence probes."""

    def __post_init__(self) -> None:
        decide(self, self.purpose, PURPOSES)
        least = {"steps": 1, "batch": 1, "trials": 0, "probes": 1, "most_candidates": 1}
        check_settings(self, {**least, "baseline_count": 0, "singles": 0})
        if self.singles > self.batch:
            raise InputError("singles must be no more than batch")
        if self.ties_from > 1:
            raise InputError("ties_from must be no more than 1")
        if not self.learning_rate > 0:
            raise InputError("learning_rate must be above 0")
        if self.smallest_share >= 0.5 or self.reach_threshold >= 0.5:
            raise InputError("smallest_share and reach_threshold must be below 0.5")

    @staticmethod
    def of_quality(quality: str = "balanced", purpose: str = "generate") -> Structured:
        """Return the settings for a budget: `fast` (about 1,000 evaluations on 36 patches),
        `balanced` (the defaults, 5,000) or `best` (20,000).

        Raises:
            InputError: another word.
        """
        return Structured(**{**preset(quality, purpose), "purpose": purpose})

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Structured:
        """Read settings that a run was stored with.

        Raises:
            InputError: settings that this release does not know.
        """
        unknown = set(stored) - {field.name for field in fields(Structured)}
        if unknown:
            raise InputError(
                f"the run was fitted by an earlier release (its settings include "
                f"{', '.join(sorted(unknown))}); explain the picture again"
            )
        # Before purposes had names there was one; before ties had prices, nothing acted on them.
        return Structured(
            **{"purpose": "isolate", "ties_from": 0.0, "undecided_power": 0.0, **stored}
        )

    def probes_a_patch(self, patches: int) -> int:
        """Return how many products measure the influence on each of so many patches."""
        return min(self.probes, max(_FEWEST_PROBES, _MOST_PRODUCTS // patches))

    def afford(self, units: int, patches: int) -> None:
        """Refuse steps of more demands and trials than memory holds.

        Args:
            units: of the feature.
            patches: of the regions.

        Raises:
            InputError: so it is.
        """
        rows = self.batch + 2 * self.trials  # a feature each, its slope, and one more at work
        size = rows * (3 * 4 * units + _DRAWN_TOGETHER * patches)
        what = f"a step of batch={self.batch:,} and trials={self.trials:,}"
        refuse_too_large(what, size, "lower them")

    def settled(self, generator: Generator) -> Structured:
        """Fill in what is left to the generator."""
        if self.baseline_count:
            return self
        return replace(self, baseline_count=generator.baseline_count)


@dataclass(frozen=True, eq=False)
class Fit:
    """What the structured fit found, and what it cost."""

    fields: Bool[Tensor, "fields patches"]
    field_of: Tensor
    """[entries] the field of each kept share, ascending."""
    unit_of: Tensor
    """[entries] its unit."""
    share: Float[Tensor, " entries"]
    """[entries] w_T of that unit; the shares of a unit sum to 1."""
    history: Float[Tensor, "steps 3"]
    """Mean inside error, leak and cost of each step's own demands."""
    evaluations: int
    """Forward-and-backward evaluations of the tail."""
    converged: bool
    """Whether the components stopped moving before the last step."""
    wall_seconds: float
    """All of the fit, influence and field selection included."""
    tail_seconds: float
    """The part of it spent in the tail, forward and backward."""


def fit_structured(subject: Subject, settings: Structured, progress: Progress = silent) -> Fit:
    """Fit the structured form to random demands.

    Deterministic for a seed on the CPU (same machine and thread count).

    Raises:
        GeneratorError: the loss is not finite.
    """
    began = time.perf_counter()
    settings.afford(subject.units.shape[1], subject.errors.count)
    evaluations = Evaluations(subject.generator)
    probes = settings.probes_a_patch(subject.errors.count)
    influence = measure_influence(subject, evaluations, probes, settings.seed, settings.batch)
    start = Start(
        sharpness=settings.influence_sharpness,
        size_penalty=settings.size_penalty,
        reach_threshold=settings.reach_threshold,
        most_candidates=settings.most_candidates,
        give_back=settings.give_back,
        by_overlap=settings.purpose == "generate",
    )
    model = FieldShares.start(subject, influence, start)
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
    field_of, unit_of, share = model.kept_shares(settings.smallest_share)
    return Fit(
        fields=model.fields.cpu(),
        field_of=field_of,
        unit_of=unit_of,
        share=share,
        history=torch.stack(history).cpu(),
        evaluations=evaluations.count,
        converged=converged,
        wall_seconds=time.perf_counter() - began,
        tail_seconds=evaluations.seconds,
    )


def _demands_of_steps(
    subject: Subject, settings: Structured
) -> Iterator[Bool[Tensor, "batch patches"]]:
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
    demands: Bool[Tensor, "batch patches"],
) -> Float[Tensor, " figures"]:
    """Leave one step's slope in the unknowns; return inside error, leak and cost of its demands.

    Only the tail is differentiated by autograd: all else has an adjoint that is as short
    (docs/research/overhead.md). A batch that would not fit the generator's memory budget goes
    through the tail in chunks; the shares, of which a large feature has many, are gone over once.
    """
    device = subject.units.device
    batch = settings.batch
    energies = model.energies(now)
    trials = Trials.draw(model.fields, energies, settings.trials, seed=settings.seed, step=step)
    on = model.on_sites(torch.cat([model.asked(demands), trials.on]))
    units = model.switched(now, on)
    slope = torch.empty_like(units)
    figures = torch.zeros(2, device=device)
    late = step >= settings.ties_from * settings.steps
    consistency = settings.consistency_weight * late
    for rows, asked, tried in _chunks(demands, trials, subject.generator.chunk):

        def pricing(
            images: Tensor, asked: Tensor = asked, tried: Trials = tried
        ) -> tuple[Tensor, Tensor]:
            slope, inside, leak = subject.errors.slope_of_demands(
                images[: len(asked)], asked, settings.outside_weight, settings.error_floor
            )
            slope.div_(batch)
            if len(tried):
                weights = (w / settings.trials for w in (settings.boundedness_weight, consistency))
                at_trials = tried.slope(images[len(asked) :], subject.errors, *weights)
                slope = torch.cat([slope, at_trials])
            return slope, torch.stack([inside.sum(), leak.sum()]) / batch

        slope[rows], errors = evaluations.pulled_back(subject.baseline_units + units[rows], pricing)
        figures += errors
    whole = subject.difference.abs().sum()
    cost = units[:batch].abs().sum() / whole / batch
    left = (1 - step / settings.steps) ** settings.price_decay
    price = settings.cost_weight * left / batch / float(whole)
    slope[:batch].add_(units[:batch].sign(), alpha=price)
    strengths = (energies + _SMALLEST_ENERGY).sqrt()
    gathering = settings.sparsity_weight * late / subject.difference.norm() / (2 * strengths)
    if late and settings.undecided_power:
        slopes = model.pulled_back([rows[:, :batch] for rows in on], slope[:batch])
        ties = model.pulled_back([rows[:, batch:] for rows in on], slope[batch:])
        model.break_ties(now, slopes, ties, gathering, settings.undecided_power)
    else:
        slopes = model.pulled_back(on, slope)
        model.gather(now, slopes, gathering)
    model.descend(now, slopes)
    return torch.cat([figures, cost[None]])


def _chunks(
    demands: Bool[Tensor, "batch patches"], trials: Trials, size: int
) -> Iterator[tuple[slice | Tensor, Bool[Tensor, "some patches"], Trials]]:
    """Split a step's work so that no more than `size` images are at work, or a trial's two.

    Yields:
        The rows of the step's batch (demands, trials alone, trials left out), and what they are.
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
