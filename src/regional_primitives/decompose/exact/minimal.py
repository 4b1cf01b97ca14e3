"""Minimal features u(S): for each demand S, the least departure from f0 that generates its patches.

The paper's objects (arXiv 2410.04421). They are found by quasi-Newton steps on the objective of
objective.py, all demands of a batch at once, small demands first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.axes import Demands
from regional_primitives.decompose.evaluations import Evaluations, Spent
from regional_primitives.decompose.exact.checkpoint import Checkpoint
from regional_primitives.decompose.exact.lattice import Lattice, all_demands
from regional_primitives.decompose.exact.objective import DemandObjective
from regional_primitives.decompose.exact.quasi_newton import Minimum, minimise
from regional_primitives.decompose.exact.settings import Minimal
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.feature import Feature, units_as
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting, silent
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import tensors_digest
from regional_primitives.runtime.streams import stream


@dataclass(frozen=True, eq=False)
class MinimalFeatures(Spent):
    """The minimal features of one picture's demands, and how good they are."""

    subject: Subject
    settings: Minimal
    demands: Bool[Tensor, "demands patches"]
    """S, over all patches of the regions."""
    units: Float[Tensor, "demands units"]
    """u(S), flat."""
    objective: Float[Tensor, " demands"]
    """E_S(u(S))."""
    residual: Float[Tensor, " demands"]
    """‖∇E_S‖ · ‖f − f0‖ there: 0 at the optimum (gated: of the projected gradient)."""
    converged: Bool[Tensor, " demands"]
    """Whether the residual fell to the tolerance (of a mean of fits: in all)."""
    inside_error: Float[Tensor, " demands"]
    leak: Float[Tensor, " demands"]
    """Both as in `rp.evaluate`; all pixels that S does not ask for count for the leak."""
    cost: Float[Tensor, " demands"]
    """‖u(S) − f0‖₁ / ‖f − f0‖₁."""

    @property
    def feature(self) -> Feature:
        """u(S) in the feature's shape, a demand an item."""
        return units_as(self.units, self.subject.feature_shape)

    @property
    def patches(self) -> tuple[int, ...]:
        """P, the patches that may be demanded."""
        return self.settings.chosen(self.subject.regions)


@ordinary()
def minimal_features(
    generator: Generator,
    latents: Latents,
    regions: Regions | None = None,
    subsets: Bool[Tensor, "demands patches"] | Sequence[Sequence[int]] | None = None,
    settings: Minimal | None = None,
    *,
    checkpoint: AnyPath | None = None,
    progress: Progress | bool | None = False,
) -> MinimalFeatures:
    """Find the minimal feature of each demand by optimisation.

    Args:
        generator: from `rp.cut` or `rp.load_generator`.
        latents: what the picture is generated from; a batch of one.
        regions: the patches; a 6 × 6 grid unless given.
        subsets: demands as bool rows [demands, n] or lists of patch indices; all non-empty
            subsets of the chosen patches unless given (at most 12 patches), in bitmask order.
        settings: `rp.Minimal()` unless given.
        checkpoint: a folder in which finished demands are kept; a later call with the same picture,
            demands and settings goes on from there.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: malformed arguments, a demand that is empty or asks for patches that were not
            chosen, more demands than memory_mib holds.
        GeneratorError: a network that cannot be explained.
        StorageError: a checkpoint of another picture or other settings.
    """
    of_kind(generator, Generator, "minimal_features needs a generator from rp.cut")
    settings = settings_or(settings, Minimal, Minimal()).settled(generator)
    regions = Regions.of(regions)
    demands = _demands(subsets, settings.chosen(regions), regions)
    folder = None if checkpoint is None else path_of(checkpoint, "the checkpoint")
    with reporting(progress) as report:
        subject = prepare(
            generator,
            latents,
            regions,
            baseline_count=settings.baseline_count,
            baseline_seed=settings.baseline_seed,
            progress=report,
        )
        return find_minimal(subject, demands, settings, folder, report)


def _demands(
    subsets: Bool[Tensor, "demands patches"] | Sequence[Sequence[int]] | None,
    chosen: tuple[int, ...],
    regions: Regions,
) -> Bool[Tensor, "demands patches"]:
    if subsets is None:
        return all_demands(chosen, regions)
    if str(getattr(subsets, "dtype", "")) in ("bool", "torch.bool"):
        subsets = torch.as_tensor(subsets)
    if isinstance(subsets, Tensor):
        if subsets.dtype != torch.bool or subsets.ndim != 2 or subsets.shape[1] != regions.count:
            raise InputError(
                f"subsets are bool [demands, {regions.count}] or lists of patch indices, "
                f"not {subsets.dtype} {list(subsets.shape)}"
            )
        rows = subsets.cpu()
    else:
        lists = of_kind(subsets, Iterable, "subsets are bool rows or lists of patch indices")
        found = [regions.demand(subset) for subset in lists]
        rows = torch.stack(found) if found else torch.zeros(0, regions.count, dtype=torch.bool)
    if not len(rows) or not bool(rows.any(1).all()):
        raise InputError("every demand asks for at least one patch; u of the empty demand is f0")
    stray = rows.any(0)
    stray[list(chosen)] = False
    if bool(stray.any()):
        raise InputError(
            f"patches {stray.nonzero().flatten().tolist()} are demanded but not chosen; "
            f"chosen are {list(chosen)}"
        )
    return rows


@ordinary()
def find_minimal(
    subject: Subject,
    demands: Demands,
    settings: Minimal,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> MinimalFeatures:
    """Do what `minimal_features` does for a picture that is prepared; raises what it raises."""
    evaluations = Evaluations(subject.generator)
    objective = DemandObjective(subject, settings, evaluations)
    batch = _affordable_batch(subject, settings, len(demands))
    count, size = len(demands), subject.units.shape[1]
    units, figures = torch.zeros(count, size), torch.zeros(count, len(_FIGURES))
    done = torch.zeros(count, dtype=torch.bool)
    # What an earlier run has finished counts as done, and as spent.
    kept = Checkpoint.of(checkpoint, work_of(subject, demands, settings) if checkpoint else "")
    shapes = {"units": (size,), "figures": (len(_FIGURES),), "evaluations": ()}
    for rows, saved in kept.saved(count, shapes):
        units[rows], figures[rows], done[rows] = saved["units"], saved["figures"], True
        evaluations.count += max(0, round(float(saved["evaluations"].sum())))
    # Small demands come first: larger ones start from what was found for their subsets.
    lattice, baseline = Lattice(demands), subject.baseline_units[0].cpu()
    for rows in lattice.batches(batch, done, settings.starts):
        start = baseline.repeat(len(rows), 1)
        if settings.warm_start:
            start = torch.stack([lattice.start(r, units, done, baseline) for r in rows.tolist()])
        asked = demands[rows].to(subject.units.device)
        before = evaluations.count
        # Where few demands are of that size, begin from the mean end of several searches.
        repeats = lattice.repeats(rows[0], settings.starts)
        if repeats > 1:
            starts = torch.cat([start + _noise(rows, objective, n) for n in range(repeats)])
            searches = zip(asked.repeat(repeats, 1).split(batch), starts.split(batch), strict=True)
            ends = [
                _minimise(objective, some, begin.to(some.device)).units.cpu()
                for some, begin in searches
            ]
            start = torch.cat(ends).unflatten(0, (repeats, len(rows))).mean(0)
        elif settings.start_noise:
            start += _noise(rows, objective)
        found = _minimise(objective, asked, start.to(asked.device))
        if not bool(found.value.isfinite().all()):
            raise GeneratorError("the minimal features diverged: an objective is not finite")
        # Keep the batch, here and for a later run.
        units[rows], figures[rows] = found.units.cpu(), _figures(subject, asked, found)
        done[rows] = True
        spent = torch.full((len(rows),), (evaluations.count - before) / len(rows))
        kept.save(rows, units=units[rows], figures=figures[rows], evaluations=spent)
        inside = figures[done, _FIGURES.index("inside_error")].mean()
        progress("minimal features", int(done.sum()), count, f"inside error {inside:.2%}")
    columns = dict(zip(_FIGURES, figures.T, strict=True))
    columns["converged"] = columns["converged"].bool()
    return MinimalFeatures(subject, settings, demands, units, **columns, **evaluations.spent())


@ordinary()
def mean_features(fits: Sequence[MinimalFeatures]) -> MinimalFeatures:
    """Average fits of the same demands, and measure the averages; costs an evaluation each."""
    first = fits[0]
    if len(fits) == 1:
        return first
    evaluations = Evaluations(first.subject.generator)
    objective = DemandObjective(first.subject, first.settings, evaluations)
    units, figures = torch.stack([fit.units for fit in fits]).mean(0), []
    for rows in torch.arange(len(units)).split(first.settings.batch):
        asked = first.demands[rows].to(first.subject.units.device)
        found = _minimise(objective, asked, units[rows].to(asked.device), steps=0)
        figures.append(_figures(first.subject, asked, found))
    columns = dict(zip(_FIGURES, torch.cat(figures).T, strict=True))
    columns["converged"] = torch.stack([fit.converged for fit in fits]).all(0)
    return replace(first, units=units, **columns, **evaluations.spent(*fits))


def work_of(subject: Subject, demands: Demands, settings: Minimal) -> str:
    """Name all that minimal features depend on."""
    tensors = {
        "feature": subject.units,
        "baseline": subject.baseline_units,
        "labels": subject.errors.labels,
        "demands": demands,
    }
    # What makes components of them changes nothing, nor how many go together, in what memory.
    names = {field.name for field in fields(Minimal)} - {"batch", "memory_mib"}
    known = {name: value for name, value in asdict(settings).items() if name in names}
    return f"{subject.generator.digest} {tensors_digest(tensors)} {known}"


def _figures(subject: Subject, demands: Demands, found: Minimum) -> Float[Tensor, "batch figures"]:
    """Return the numbers of `_FIGURES` for each demand."""
    images = subject.generator.render(found.units).to(found.units.device)
    cost = (found.units - subject.baseline_units).abs().sum(1) / subject.difference.abs().sum()
    columns = (
        found.value,
        found.residual,
        found.converged.to(found.value),
        subject.errors.inside(images, demands),
        subject.errors.outside(images, demands),
        cost,
    )
    return torch.stack([column.cpu() for column in columns], 1)


def _noise(
    rows: Int[Tensor, " rows"], objective: DemandObjective, again: int = 0
) -> Float[Tensor, "rows units"]:
    """Draw a step in a random direction for each demand, from a stream of its own."""
    settings, difference = objective.settings, objective.subject.difference
    streams = [stream(settings.seed, "start", int(row), again) for row in rows]
    away = torch.stack([torch.randn(len(difference), generator=rng) for rng in streams])
    return settings.start_noise * difference.norm().cpu() * torch.nn.functional.normalize(away)


_FIGURES = ("objective", "residual", "converged", "inside_error", "leak", "cost")


def _affordable_batch(subject: Subject, settings: Minimal, demands: int) -> int:
    size = subject.units.shape[1]
    budget = settings.memory_mib * 2**20
    left = budget - 4 * size * demands
    batch = min(settings.batch, left // Minimum.memory_bytes(size))
    if batch < 1:
        need = math.ceil((4 * size * demands + Minimum.memory_bytes(size)) / 2**20)
        raise InputError(
            f"{demands} demands of {size:,} units take {need:,} MiB; memory_mib is "
            f"{settings.memory_mib:,}: raise it, or ask for fewer demands"
        )
    return batch


def _minimise(
    objective: DemandObjective,
    demands: Bool[Tensor, "demands patches"],
    start: Float[Tensor, "demands units"],
    *,
    steps: int | None = None,
) -> Minimum:
    """Go through the stages of the objective's price, each from where the one before ended."""
    settings, bounds = objective.settings, {}
    if settings.parametrisation == "gated":
        ends = objective.subject.units, objective.subject.baseline_units
        bounds = {"lower": torch.minimum(*ends), "upper": torch.maximum(*ends)}
    # Where no step is taken, features are measured at the price that they ended at.
    for stage in range(settings.stages) if steps is None else [-1]:
        priced = replace(objective, stage=stage)
        found = minimise(
            lambda rows, units, priced=priced: priced.gradient(demands[rows], units),  # type: ignore[misc]
            start,
            length=objective.length,
            steps=settings.steps if steps is None else steps,
            tolerance=settings.tolerance,
            **bounds,
        )
        start = found.units
    return found
