"""The structured form: every unit divides itself among action fields, and the demands are fitted.

u(S) = f0 + p_S ⊙ (f − f0),  p_S = Σ_{T∩S≠∅} w_T,  Σ_T w_T = 1 for every unit, so that
Δf_T = w_T ⊙ (f − f0) and feature completeness and linear additivity (arXiv 2410.04421) hold by
construction; boundedness and consistency are terms of the loss. The form, its loss and its start
from measured influence are ours; it takes all patches where the paper's 2ⁿ subsets allow 9.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.demands import draw_demands, single_patches
from regional_primitives.decompose.evaluations import Evaluations, Spent
from regional_primitives.decompose.structured.descent import Descent
from regional_primitives.decompose.structured.influence import measure_influences
from regional_primitives.decompose.structured.replay import replayed
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.structured.shares import FieldShares
from regional_primitives.decompose.structured.trials import Trials, turns
from regional_primitives.decompose.subject import PatchErrors, Subject
from regional_primitives.decompose.subjects import Subjects
from regional_primitives.errors import GeneratorError
from regional_primitives.regions import Regions
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

    Raises:
        GeneratorError: the loss is not finite.
    """
    (found,) = fit_together(Subjects([subject]), settings, progress)
    if isinstance(found, GeneratorError):
        raise found
    return found


def fit_together(
    subjects: Subjects, settings: Structured, progress: Progress = silent, *, graphs: bool = False
) -> list[Fit | GeneratorError]:
    """Fit several pictures in lockstep, each as if alone: to rounding, and by the same draws.

    A picture whose components have stopped moving leaves the others; so does one whose loss is not
    finite, and its error comes in its place. Time is shared out equally among those at work. With
    `graphs` a CUDA device replays the step (`replayed`); of the tail's time only what was launched
    one by one is known then.
    """
    _afford(settings, subjects)
    clock = _Clock(Evaluations(subjects.several[0].generator))
    # Start where each unit acts.
    influences = _influences(subjects, clock.evaluations, settings)
    model = FieldShares.start(subjects, influences, settings)
    # Go down, demands drawn anew each step, until all steps are taken or nothing moves.
    descent = Descent(model.unknowns, settings.learning_rate, settings.steps)
    places = turns(settings.trials, settings.steps, settings.seed).to(subjects.difference.device)
    drawn = _demands_of_steps(subjects, settings)
    found: dict[int, Fit | GeneratorError] = {}
    numbers = list(range(len(subjects)))
    history: list[Tensor] = []
    checked = model.divide()
    late, advance = False, None
    while numbers:
        step = len(history)
        if advance is None or late is not (step >= settings.ties_from * settings.steps):
            late = step >= settings.ties_from * settings.steps
            advance = _advance(subjects, clock.evaluations, model, descent, settings, late)
            advance = replayed(advance, subjects.difference.device) if graphs else advance
        decay = (1 - step / settings.steps) ** settings.price_decay
        history.append(advance(next(drawn), places[step], decay, descent.rate))
        descent.taken += 1
        done, last = step + 1, step + 1 == settings.steps
        still, broken = [False] * len(numbers), [0] * len(numbers)
        if done % _CHECK_EVERY == 0 and settings.tolerance:
            # Late steps are small by themselves; what counts is what full steps would move.
            now = model.divide()
            stillness = model.moved(checked, now) / (1 - step / settings.steps)
            still = (stillness < settings.tolerance).tolist()
            checked = now
        if done % _CHECK_EVERY == 0 or last:
            broken = _first_not_finite(history)
        left = [i for i in range(len(numbers)) if not (last or still[i] or broken[i])]
        if progress is not silent:
            note = _note(history, len(numbers) if len(subjects.several) > 1 else 0)
            progress("fit", done, settings.steps if left else done, note)
        if len(left) == len(numbers):
            continue
        # Keep what matters of each unit's shares, of the pictures that are done.
        past = torch.stack(history)
        gone = [i for i in range(len(numbers)) if i not in left]
        kept = {i: model.kept_shares(settings.smallest_share, i) for i in gone if not broken[i]}
        clock.share_out(numbers)
        for i in gone:
            if broken[i]:
                found[numbers[i]] = GeneratorError(
                    f"the fit diverged: its loss is not finite at step {broken[i]}"
                )
                continue
            field_of, unit_of, share = kept[i]
            found[numbers[i]] = Fit(
                model.dictionary(i, subjects.several[i].errors.count),
                field_of,
                unit_of,
                share * subjects.several[i].difference.cpu()[unit_of],  # Δf_T = w_T ⊙ (f − f0)
                past[:, i].cpu(),
                still[i],
                evaluations=_evaluations(subjects.several[i], settings, done),
                **clock.of(numbers[i]),
            )
        numbers = [numbers[i] for i in left]
        if numbers:
            subjects, history = subjects.only(left), list(past[:, left])
            model, rows = model.only(left)
            descent = descent.only(model.unknowns, rows)
            drawn, advance = _demands_of_steps(subjects, settings, done), None
            checked = model.divide()
    return [found[number] for number in sorted(found)]


@dataclass
class _Clock:
    """Shares the time out among pictures that are at work together."""

    evaluations: Evaluations
    wall: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    tail: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    until: tuple[float, float] = (0.0, 0.0)

    def share_out(self, numbers: Sequence[int]) -> None:
        """Share out the time since the last call."""
        spent = self.evaluations.spent()
        now = spent["wall_seconds"], spent["tail_seconds"]
        for number in numbers:
            for shares, end, start in zip((self.wall, self.tail), now, self.until, strict=True):
                shares[number] += (end - start) / len(numbers)
        self.until = now

    def of(self, number: int) -> dict[str, float]:
        """Return a picture's share, by the names of `Spent`."""
        return {"wall_seconds": self.wall[number], "tail_seconds": self.tail[number]}


def _evaluations(subject: Subject, settings: Structured, steps: int) -> int:
    """Count the evaluations of one picture."""
    count = subject.errors.count
    a_step = settings.batch + 2 * settings.trials
    return settings.probes_a_patch(count) * count + steps * a_step


def _note(history: list[Tensor], pictures: int) -> str:
    """Say what the last steps' demands came to, mean over the pictures."""
    inside, leak, _ = torch.stack(history[-_CHECK_EVERY:]).mean((0, 1)).tolist()
    many = f"{pictures} pictures, " if pictures else ""
    return f"{many}inside error {inside:.2%}, leak {leak:.1%}"


def _first_not_finite(history: list[Tensor]) -> list[int]:
    """Return at which step each picture's figures were first not finite lately; 0 for never."""
    recent = history[-_CHECK_EVERY:]
    before = len(history) - len(recent)
    bad = ~torch.stack(recent).isfinite().all(-1)
    return [before + row.index(True) + 1 if any(row) else 0 for row in bad.T.tolist()]


def _afford(settings: Structured, subjects: Subjects) -> None:
    """Refuse steps of more demands and trials than memory holds."""
    rows = settings.batch + 2 * settings.trials  # a feature each, its slope, and one more at work
    numbers = 3 * 4 * subjects.difference.shape[1] + _DRAWN_TOGETHER * subjects.errors.count
    what = f"a step of batch={settings.batch:,} and trials={settings.trials:,}"
    if len(subjects) > 1:
        what += f", of {len(subjects):,} pictures,"
    refuse_too_large(what, len(subjects) * rows * numbers, "lower them")


def _influences(
    subjects: Subjects, evaluations: Evaluations, settings: Structured
) -> list[Float[Tensor, "patches units"]]:
    """Measure the influences of all, pictures of as many patches together."""
    found: dict[int, Tensor] = {}
    counts = [subject.errors.count for subject in subjects.several]
    for count in dict.fromkeys(counts):
        alike = [number for number, other in enumerate(counts) if other == count]
        group = subjects if len(alike) == len(counts) else subjects.only(alike)
        probes = settings.probes_a_patch(count)
        measured = measure_influences(group, evaluations, probes, settings.seed, settings.batch)
        found.update(zip(alike, measured, strict=True))
    return [found[number] for number in range(len(counts))]


def _demands_of_steps(
    subjects: Subjects, settings: Structured, first: int = 0
) -> Iterator[Bool[Tensor, "pictures batch patches"]]:
    """Draw every step's demands, those of some steps at a time, which is faster than one by one."""
    most, device = subjects.errors.count, subjects.difference.device
    for start in range(first, settings.steps, _DRAWN_TOGETHER):
        steps = range(start, min(start + _DRAWN_TOGETHER, settings.steps))
        # Pictures with the same patches are asked the same.
        of_regions = {
            regions: _demands(regions, settings, steps)
            for regions in dict.fromkeys(subjects.regions)
        }
        padded = [
            torch.nn.functional.pad(of_regions[regions], (0, most - regions.count))
            for regions in subjects.regions
        ]
        yield from torch.stack(padded, 1).to(device)


def _demands(
    regions: Regions, settings: Structured, steps: range
) -> Bool[Tensor, "steps batch patches"]:
    """Draw the demands of some steps on one picture's patches."""
    count = len(steps) * settings.batch
    drawn = draw_demands(
        regions, count, settings.seed, "fit", start=steps.start * settings.batch
    ).view(len(steps), settings.batch, -1)
    if settings.singles:
        few = settings.singles
        turns_of = single_patches(
            regions.count, len(steps) * few, settings.seed, start=steps.start * few
        )
        drawn[:, :few] = turns_of.view(len(steps), few, -1)
    return drawn


def _advance(
    subjects: Subjects,
    evaluations: Evaluations,
    model: FieldShares,
    descent: Descent,
    settings: Structured,
    late: bool,
) -> Callable[..., Float[Tensor, "pictures figures"]]:
    """Return the function that takes a step: of its demands, trials, price decay and step size."""

    def advance(
        demands: Tensor, places: Tensor, decay: float | Tensor, rate: float | Tensor
    ) -> Tensor:
        figures = _step(subjects, evaluations, model, settings, late, demands, places, decay)
        descent.move(rate)
        return figures

    return advance


def _step(
    subjects: Subjects,
    evaluations: Evaluations,
    model: FieldShares,
    settings: Structured,
    late: bool,
    demands: Bool[Tensor, "pictures batch patches"],
    places: Float64[Tensor, " trials"],
    decay: float | Float[Tensor, ""],
) -> Float[Tensor, "pictures figures"]:
    """Leave one step's slope in the unknowns; return inside error, leak and cost of its demands.

    Only the tail is differentiated by autograd: all else has an adjoint that is as short
    (docs/research/overhead.md). A batch that would not fit the generator's memory budget goes
    through the tail in chunks; the shares, of which a large feature has many, are gone over once.
    """
    batch, now = settings.batch, model.divide()
    # Which fields are on: those that a demand asks for, then each trial's alone, then all but it.
    energies = model.energies(now)
    trials = Trials.draw(model.fields, energies, places, model.counts)
    on = model.on_sites(torch.cat([model.asked(demands), trials.on], 1))
    units = model.switched(now, on)
    # Generate them, price the pictures, and pull the slope back to the units.
    prices = settings.boundedness_weight, settings.consistency_weight * late
    slope = torch.empty_like(units)
    figures = torch.zeros(len(subjects), 2, device=units.device)
    for pictures, rows, asked, tried in _chunks(demands, trials, subjects.chunk):
        errors = subjects.errors[pictures]
        features = subjects.baseline_units[pictures] + units[pictures, rows]

        def pricing(
            images: Tensor,
            asked: Tensor = asked,
            tried: Trials = tried,
            errors: PatchErrors = errors,
        ) -> tuple[Tensor, Tensor]:
            images = images.unflatten(0, (len(asked), -1))
            slope, inside, leak = errors.slope_of_demands(
                images[:, : asked.shape[1]], asked, settings.outside_weight, settings.error_floor
            )
            slope.div_(batch)
            if len(tried):
                weights = (price / settings.trials for price in prices)
                at_trials = tried.slope(images[:, asked.shape[1] :], errors, *weights)
                slope = torch.cat([slope, at_trials], 1)
            return slope.flatten(0, 1), torch.stack([inside.sum(-1), leak.sum(-1)], -1) / batch

        tail = subjects.tail(pictures, features.shape[1])
        at_units, found = evaluations.pulled_back(features.flatten(0, 1), pricing, tail)
        slope[pictures, rows] = at_units.unflatten(0, features.shape[:2])
        figures[pictures] += found
    # Price what the demands switch on, the less the later.
    cost = units[:, :batch].abs().sum((1, 2)) / subjects.sizes / batch
    price = (settings.cost_weight * decay / batch / subjects.sizes.double()).float()
    slope[:, :batch].addcmul_(units[:, :batch].sign(), price[:, None, None])
    # Price Σ_T ‖Δf_T‖; late in a fit it and the trials act only on what the demands leave open.
    strengths = (energies + _SMALLEST_ENERGY).sqrt()
    gathering = settings.sparsity_weight * late / subjects.lengths[:, None] / (2 * strengths)
    if late and settings.undecided_power:
        slopes = model.pulled_back([rows[:, :batch] for rows in on], slope[:, :batch])
        ties = model.pulled_back([rows[:, batch:] for rows in on], slope[:, batch:])
        model.break_ties(now, slopes, ties, gathering, settings.undecided_power)
    else:
        slopes = model.pulled_back(on, slope)
        model.gather(now, slopes, gathering)
    # From the components down to the logits.
    model.descend(now, slopes)
    return torch.cat([figures, cost[:, None]], 1)


def _chunks(
    demands: Bool[Tensor, "pictures batch patches"], trials: Trials, size: int
) -> Iterator[tuple[slice, slice | Tensor, Bool[Tensor, "some fewer patches"], Trials]]:
    """Split a step's work so that no more than `size` images are at work, or a trial's two.

    Yields pictures, rows of each one's batch (demands, trials alone, trials left out), and what
    they are.
    """
    pictures, batch, count = len(demands), demands.shape[1], len(trials)
    together = max(1, size // (batch + 2 * count))
    for first in range(0, pictures, together):
        some = slice(first, first + together)
        asked, tried = demands[some], trials.of(some)
        if batch + 2 * count <= size:
            yield some, slice(None), asked, tried
            continue
        for start in range(0, batch, size):
            rows = slice(start, min(start + size, batch))
            yield some, rows, asked[:, rows], tried[:0]
        for start in range(0, count, max(1, size // 2)):
            few = slice(start, start + max(1, size // 2))
            places = torch.arange(count)[few] + batch
            yield some, torch.cat([places, places + count]), asked[:, :0], tried[few]
