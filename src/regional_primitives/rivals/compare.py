"""What one would do instead, scored on the same demands and the same picture as a decomposition.

Every rival answers demands with features; inside error and leak of these are measured as for the
decomposition itself. A rival with a knob gives several points, its frontier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from msgspec import Meta

from regional_primitives.axes import Demands
from regional_primitives.decompose.bound import Prices
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.errors import InputError, MissingExtraError
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.rivals.given import OWN, as_fitted, given_rival
from regional_primitives.rivals.rival import BASELINES, Rival, Scene, Way
from regional_primitives.runtime.arguments import AnyPath, all_of_kind, of_kind, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting, silent
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.run_files import RIVALS
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import Count, Real, read_as, typed, write_json
from regional_primitives.scores.components import component_scores
from regional_primitives.scores.demands import demand_errors
from regional_primitives.scores.evaluation import Evaluation, Measurement
from regional_primitives.scores.sparsity import sparsity_scores
from regional_primitives.scores.superposition import completeness_gap

_AXIOMS = ("boundedness", "consistency", "components", "n90", "completeness_gap", "patterns")


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
    """These and the following are of the best point, see `Scores`; None without components."""
    consistency: Real | None
    components: Count | None
    n90: Count | None
    completeness_gap: Real | None = None
    patterns: Count | None = None
    """On how many of the components boundedness was measured."""

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
    """A decomposition and its rivals, on the same demands of the same picture."""

    own: Compared
    baselines: tuple[Compared, ...]
    demands: Count
    free_demands: Count
    """Of these, how many the free optimum was computed for."""
    left_out: dict[str, str]
    """Rivals that could not be run, and why."""

    def __repr__(self) -> str:
        told = (
            f"{method.name} {method.best.inside_error:.2%} inside, {method.best.leak:.0%} leak"
            for method in (self.own, *self.baselines)
        )
        return f"<Comparison on {self.demands} demands: {'; '.join(told)}>"

    @property
    def notes(self) -> dict[str, str]:
        """What rows do not tell, by method: why it is left out, and what is an estimate."""
        told = {name: f"is left out: {why}" for name, why in self.left_out.items()}
        for method in (self.own, *self.baselines):
            alone, count = method.patterns, method.components
            if alone is not None and count is not None and alone < count:
                told[method.name] = (
                    f"has a boundedness estimated from {alone:,} of its {count:,} components"
                )
        return told

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
        return read_as(path, Comparison.from_dict) if path.is_file() else None

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Comparison:
        """Undo `to_dict`, also after JSON.

        Raises:
            InputError: it is not what `to_dict` gives.
        """
        return typed(content, Comparison)


@ordinary()
def baselines(
    decomposition: Decomposition,
    generator: Generator,
    names: Sequence[str] | str = "all",
    settings: Evaluation | None = None,
    *,
    others: Mapping[str, Any] | None = None,
    progress: Progress | bool | None = False,
) -> Comparison:
    """Score rivals, other methods, on the demands that the decomposition itself is scored on.

    Args:
        decomposition: a result, and the picture that it explains.
        generator: the one that it was made with.
        names: of `BASELINES`; "all" takes every one whose packages are installed, () none.
        settings: as for `rp.evaluate`. The free optimum is computed for `free_demands` of the
            demands, whatever `free_steps` say, at a hundred steps each.
        others: what other methods answer about this picture, by the method's name: of `rp.others`,
            (fields, tensors), or another decomposition of it. They are told first.
        progress: True draws a bar on stderr; or a callable, told of every rival.

    Raises:
        InputError: an unknown name, one that is taken, or an answer that does not fit the picture.
        GeneratorError: another generator.
        MissingExtraError: a method was named whose packages are missing.
    """
    brought = of_kind({} if others is None else others, Mapping, "others are {name: answer}")
    wanted = [] if brought and not names else _wanted(names)
    taken = {OWN, *(one.name for one in wanted)} & set(brought)
    if taken:
        raise InputError(f"another name for {taken.pop()!r}, which a row of the table has already")
    picture = Picture.of(decomposition, generator)
    settings = settings_or(settings, Evaluation, Evaluation())
    settings.afford(decomposition)
    with reporting(progress) as report:
        theirs = [given_rival(name, answer, picture) for name, answer in brought.items()]
        return _compared(picture, [*theirs, *wanted], names != "all", settings, report)


def _compared(
    picture: Picture, wanted: Sequence[Rival], named: bool, settings: Evaluation, tell: Progress
) -> Comparison:
    whole = picture.decomposition
    given = picture.showing(whole.without(whole.remainder))
    demands = settings.held_out(given.decomposition)
    few = settings.few(demands)
    found: list[Compared] = []
    left_out: dict[str, str] = {}
    for number, method in enumerate(wanted, start=1):
        asked = few if method.optimises else demands
        if len(asked):
            try:
                found.append(_measured(method, given, asked, settings))
            except MissingExtraError as error:
                if named:
                    raise
                left_out[method.name] = str(error)
        else:
            left_out[method.name] = "free_demands is 0"
        tell("baselines", number, len(wanted), method.name)
    own = _measured(as_fitted(whole), given, demands, settings)
    return Comparison(own, tuple(found), len(demands), len(few), left_out)


def _wanted(names: Sequence[str] | str) -> list[Rival]:
    if isinstance(names, str):
        names = list(BASELINES) if names == "all" else [names]
    listed = all_of_kind(names, str, "methods are named by texts")
    unknown = [name for name in listed if name not in BASELINES]
    if unknown or not listed:
        raise InputError(
            f"{', '.join(map(repr, unknown)) or 'nothing'} is no method to compare with; "
            f"there are: all, {', '.join(BASELINES)}"
        )
    return [BASELINES[name] for name in dict.fromkeys(listed)]


def _measured(method: Rival, given: Picture, demands: Demands, settings: Evaluation) -> Compared:
    evaluations = Evaluations(given.generator)
    scene = Scene(given.decomposition, given.generator, evaluations, settings.seed)
    tried = [(_point(scene, way, demands), way.components) for way in method.ways(scene)]
    components = min(tried, key=lambda one: one[0].objective)[1]
    axioms: dict[str, Any] = {}
    if components is not None:
        measurement = Measurement(given.showing(components), settings, silent)
        axioms = component_scores(measurement) | sparsity_scores(measurement)
        axioms["completeness_gap"] = completeness_gap(measurement.whole)
    return Compared(
        method.name,
        method.about,
        method.source,
        method.knob,
        tuple(point for point, _ in tried),
        evaluations.count,
        **{name: axioms.get(name) for name in _AXIOMS},
    )


def _point(scene: Scene, way: Way, demands: Demands) -> Point:
    found = demand_errors(scene, demands, way.answer(demands))
    objective = Prices.of(scene.decomposition.provenance.settings).objective(*found.all)
    return Point(way.setting, **found.means(), objective=float(objective.mean()))
