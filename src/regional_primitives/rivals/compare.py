"""What one would do instead, scored on the same demands and the same picture as a decomposition.

Every baseline answers demands with features; inside error and leak of these are measured as for the
decomposition itself. A baseline with a knob gives several points, its frontier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from jaxtyping import Bool
from msgspec import Meta
from torch import Tensor

from regional_primitives.decompose.bound import Prices
from regional_primitives.decompose.decomposition import Decomposition, generator_at
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.errors import InputError, MissingExtraError, StorageError
from regional_primitives.generators.generator import Generator
from regional_primitives.rivals.attribution import gradient_masks, influence_masks
from regional_primitives.rivals.crop import crops
from regional_primitives.rivals.factors import nmf_terms, pca_terms, semi_nmf_terms
from regional_primitives.rivals.fields import random_fields
from regional_primitives.rivals.free import freely_optimised
from regional_primitives.rivals.scene import Baseline, Scene, Way
from regional_primitives.runtime.arguments import AnyPath, all_of_kind, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.run_files import RIVALS
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import Count, Real, read_json, typed, write_json
from regional_primitives.scores.components import component_patterns, measure_components
from regional_primitives.scores.demand_errors import demand_errors
from regional_primitives.scores.energy import count_for
from regional_primitives.scores.evaluation import Evaluation

__all__ = ["BASELINES", "Compared", "Comparison", "Point", "baselines"]


BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline("spatial crop", "switches on the feature's cells where the demand lies",
                 "common practice", "which cells count", crops),
        Baseline("influence alone", "switches on the units that the demand's patches depend on, "
                 "by vector–Jacobian products, without a fit",
                 "ours", "least share of a unit's influence", influence_masks),
        Baseline("gradient × activation", "keeps the units to which the demanded change is "
                 "attributed, one gradient a demand",
                 "Shrikumar et al. 2016", "share of the attribution", gradient_masks),
        Baseline("PCA", "splits the feature into principal components, each with the patches that "
                 "it changes", "as GANSpace, of one picture",
                 "terms, share of the change in the field", pca_terms),
        Baseline("NMF", "splits the feature into non-negative factors, likewise",
                 "Lee and Seung 1999", "terms, share of the change in the field", nmf_terms),
        Baseline("semi-NMF", "splits the feature into parts and appearances, likewise",
                 "as PandA (Oldfield et al. 2022), of one picture",
                 "terms, share of the change in the field", semi_nmf_terms),
        Baseline("random fields", "keeps the components and gives each a random connected field "
                 "as large as its own", "ours", "none", random_fields),
        Baseline("free optimum", "optimises every demand by itself, without components: "
                 "what no sum of components beats by much", "the bound", "price of leak",
                 freely_optimised),
    )
}  # fmt: skip
"""Every baseline by name."""


@dataclass(frozen=True)
class Point:
    """A method at one setting; means over the demands."""

    setting: str
    inside_error: Real
    inside_error_spread: Real
    """Standard deviation over demands."""
    leak: Real
    leak_spread: Real
    cost: Real
    objective: Real
    """inside + a · leak + b · cost, with the prices of the decomposition's own fit."""


@dataclass(frozen=True)
class Compared:
    """One method on the common demands."""

    name: str
    about: str
    source: str
    knob: str
    points: Annotated[tuple[Point, ...], Meta(min_length=1)]
    evaluations: Count
    """Forward-and-backward evaluations for all its points, those of scoring left out."""
    boundedness: Real | None
    """The following four are of the best point, see `Scores`; None without components."""
    consistency: Real | None
    components: Count | None
    n90: Count | None

    @property
    def best(self) -> Point:
        """The point of the lowest objective: the setting that serves the method best here."""
        return min(self.points, key=lambda point: point.objective)

    @property
    def frontier(self) -> tuple[Point, ...]:
        """The points that no other of the method beats in both, the least inside error first."""
        kept: list[Point] = []
        for point in sorted(self.points, key=lambda point: (point.inside_error, point.leak)):
            if not kept or point.leak < kept[-1].leak:
                kept.append(point)
        return tuple(kept)


@dataclass(frozen=True)
class Comparison(RichResult):
    """A decomposition and the baselines, on the same demands of the same picture."""

    own: Compared
    baselines: tuple[Compared, ...]
    demands: Count
    free_demands: Count
    """Of these, how many the free optimum was computed for."""
    left_out: dict[str, str]
    """Baselines that could not be run, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return asdict(self)

    def write(self, folder: AnyPath) -> None:
        """Write baselines.json into an existing run folder."""
        write_json(path_of(folder, "the run folder") / RIVALS, self.to_dict())

    @staticmethod
    def read(folder: AnyPath) -> Comparison | None:
        """Read what `write` wrote; None where nothing was compared.

        Raises:
            StorageError: corrupt, or of another release.
        """
        path = path_of(folder, "the run folder") / RIVALS
        if not path.is_file():
            return None
        try:
            return Comparison.from_dict(read_json(path))
        except InputError as error:
            raise StorageError(f"{path} is corrupt: {error}") from error

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Comparison:
        """Undo `to_dict`, also after JSON.

        Raises:
            InputError: it is not what `to_dict` gives.
        """
        try:
            return typed(content, Comparison)
        except ValueError as error:
            raise InputError(str(error)) from error


@ordinary()
def baselines(
    decomposition: Decomposition,
    generator: Generator,
    names: Sequence[str] | str = "all",
    settings: Evaluation | None = None,
    *,
    progress: Progress | bool | None = False,
) -> Comparison:
    """Score baselines on the demands that the decomposition itself is scored on.

    Args:
        decomposition: a result, and the picture that it explains.
        generator: the one that it was made with.
        names: of `BASELINES`; "all" takes every one whose packages are installed.
        settings: as for `rp.evaluate`. The free optimum is computed for `free_demands` of the
            demands, whatever `free_steps` say, at a hundred steps each.
        progress: True draws a bar on stderr; or a callable, told of every baseline.

    Raises:
        InputError: an unknown name.
        GeneratorError: another generator.
        MissingExtraError: a baseline was named whose packages are missing.
    """
    wanted = _wanted(names)
    generator = generator_at(decomposition, generator)
    settings = settings_or(settings, Evaluation, Evaluation())
    settings.afford(decomposition)
    with reporting(progress) as report:
        return _compared(decomposition, generator, wanted, names != "all", settings, report)


def _compared(
    decomposition: Decomposition,
    generator: Generator,
    wanted: Sequence[Baseline],
    named: bool,
    settings: Evaluation,
    progress: Progress,
) -> Comparison:
    given = decomposition.without(decomposition.remainder)
    demands = held_out_demands(given.regions, settings.demands, settings.seed, within=given.patches)
    found: list[Compared] = []
    left_out: dict[str, str] = {}
    few = demands[~demands.all(1)][: settings.free_demands]
    for number, baseline in enumerate(wanted):
        asked = few if baseline.ways is freely_optimised else demands
        if len(asked):
            try:
                found.append(_measured(baseline, given, generator, asked, settings))
            except MissingExtraError as error:
                if named:
                    raise
                left_out[baseline.name] = str(error)
        else:
            left_out[baseline.name] = "free_demands is 0"
        progress("baselines", number + 1, len(wanted), baseline.name)
    return Comparison(
        _measured(_OWN, given, generator, demands, settings),
        tuple(found),
        len(demands),
        len(few),
        left_out,
    )


def _wanted(names: Sequence[str] | str) -> list[Baseline]:
    if isinstance(names, str):
        names = list(BASELINES) if names == "all" else [names]
    listed = all_of_kind(names, str, "baselines are named by texts")
    unknown = [name for name in listed if name not in BASELINES]
    if unknown or not listed:
        raise InputError(
            f"{', '.join(map(repr, unknown)) or 'nothing'} is no baseline; "
            f"there are: all, {', '.join(BASELINES)}"
        )
    return [BASELINES[name] for name in dict.fromkeys(listed)]


def _as_fitted(scene: Scene) -> Iterator[Way]:
    scene.evaluations.count += scene.decomposition.provenance.evaluations
    yield Way("as fitted", scene.decomposition.minimal_units, scene.decomposition)


_OWN = Baseline("this decomposition", "what this run found", "this library", "none", _as_fitted)


def _measured(
    baseline: Baseline,
    given: Decomposition,
    generator: Generator,
    demands: Bool[Tensor, "demands patches"],
    settings: Evaluation,
) -> Compared:
    scene = Scene(given, generator, Evaluations(generator), settings.seed)
    tried = [(_point(scene, way, demands), way.components) for way in baseline.ways(scene)]
    points = tuple(point for point, _ in tried)
    components = min(tried, key=lambda one: one[0].objective)[1]
    shared = (baseline.name, baseline.about, baseline.source, baseline.knob, points)
    if components is None:
        return Compared(*shared, scene.evaluations.count, None, None, None, None)
    patterns = component_patterns(components, generator, list(range(components.count)))
    effects = measure_components(
        components,
        generator,
        patterns,
        min(settings.components, components.count),
        contexts=settings.contexts,
        seed=settings.seed,
    )
    return Compared(
        *shared,
        scene.evaluations.count,
        effects.mean(effects.boundedness),
        effects.mean(effects.consistency),
        components.count,
        count_for(components.strengths.double().square(), 0.9),
    )


def _point(scene: Scene, way: Way, demands: Bool[Tensor, "demands patches"]) -> Point:
    features = way.answer(demands)
    found = demand_errors(scene.decomposition, scene.generator, demands, features)
    objective = Prices.of(scene.decomposition.provenance.settings).objective(*found.all)
    leak = found.leak[found.partial]
    return Point(
        way.setting,
        float(found.inside.mean()),
        float(found.inside.std(correction=0)),
        found.mean_leak,
        float(leak.std(correction=0)) if len(leak) else 0.0,
        float(found.cost.mean()),
        float(objective.mean()),
    )
