"""The checks, each a fit of what should or should not give the same explanation, and their table.

Ours, in the spirit of "Sanity checks for saliency maps" (Adebayo et al. 2018, arXiv 1810.03292).
All are held against one reference: the same picture explained with the same settings. How much of
it survives is told by fields, `scores.agreement.field_stability`: Σ min / Σ max of their strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from regional_primitives.decompose import Decomposition, Structured, explain
from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.feature import (
    Feature,
    feature_of,
    map_feature,
    tensors_of,
)
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import AnyPath, path_of, random_seed
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.run_files import SANITY
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import Real, read_as, typed, write_json
from regional_primitives.runtime.streams import stream
from regional_primitives.sanity.neighbours import neighbour
from regional_primitives.sanity.shuffled import parts_in_order, shuffled
from regional_primitives.scores import Evaluation, evaluate
from regional_primitives.scores.agreement import field_stability

Should: TypeAlias = Literal["stay", "go", "either"]

SCORED = ("pooled_inside_error", "boundedness", "consistency", "n90")
"""Scores of each check's explanation of its own picture, which may tell nonsense from sense."""
_WANTED: dict[Should, str] = {"stay": ", and should be", "go": ", and should not be", "either": ""}
_FEW = Evaluation(demands=32, components=12, contexts=4, free_demands=0)
_MEDIAN_OF = 256


@dataclass(frozen=True)
class Checked:
    """One check."""

    name: str
    should: Should
    """Whether the explanation should survive it; "either" where what is left tells whose it is."""
    about: str
    """What is changed."""
    survives: Real | None
    """How much of the explanation does, in [0, 1]; None where the check could not be made."""
    scores: dict[str, Real | None]
    """`SCORED`, of the check's explanation of its own picture."""
    why_not: str = ""
    """Why it could not be made."""

    @property
    def sentence(self) -> str:
        """Tell it in one sentence."""
        if self.survives is None:
            return f"{self.about}: not measured, {self.why_not}."
        return (
            f"{self.about}: {self.survives:.0%} of the explanation is left{_WANTED[self.should]}."
        )


@dataclass(frozen=True)
class Sanity(RichResult):
    """All checks of one run."""

    reference: dict[str, Real | None]
    """Scores of the explanation that all are held against."""
    checks: tuple[Checked, ...]

    def __repr__(self) -> str:
        left = ", ".join(
            f"{one.name} {one.survives:.0%}" for one in self.checks if one.survives is not None
        )
        return f"<Sanity, what is left of the explanation: {left}>"

    @property
    def margin(self) -> float | None:
        """What is left where it should stay, mean, less what is left where it should go, mean."""
        means = []
        for should in ("stay", "go"):
            left = [
                one.survives
                for one in self.checks
                if one.should == should and one.survives is not None
            ]
            if not left:
                return None
            means.append(sum(left) / len(left))
        return means[0] - means[1]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {**asdict(self), "margin": self.margin}

    def write(self, folder: AnyPath) -> None:
        """Write sanity.json into an existing run folder."""
        write_json(path_of(folder, "the run folder") / SANITY, self.to_dict())

    @staticmethod
    def read(folder: AnyPath) -> Sanity | None:
        """Read what `write` wrote; None where nothing was checked.

        Raises:
            StorageError: corrupt, or of another release.
        """
        path = path_of(folder, "the run folder") / SANITY
        return read_as(path, Sanity.from_dict) if path.is_file() else None

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Sanity:
        """Undo `to_dict`, also after JSON.

        Raises:
            InputError: it is not what `to_dict` gives.
        """
        return typed({key: value for key, value in content.items() if key != "margin"}, Sanity)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What every check is given."""

    picture: Picture
    settings: Structured
    seed: int
    reference: Decomposition
    """The explanation that all are held against."""

    def explained(
        self, generator: Generator, regions: Regions | None = None, seed: int | None = None
    ) -> Picture:
        """Explain the picture that a generator makes of the same latents."""
        known = self.picture.decomposition
        settings = self.settings if seed is None else replace(self.settings, seed=seed)
        found = explain(generator, known.latents, regions or known.regions, settings)
        return Picture.of(found, generator)

    def mixed(self, parts: Sequence[str] | None) -> Picture:
        """Explain what the network makes with shuffled weights."""
        return self.explained(shuffled(self.generator, parts, self.seed))

    def against(self, baseline: Feature) -> Picture:
        """Explain the picture with another f0."""
        return self.explained(replace(self.generator, baseline=baseline))

    def at_layer(self, step: int) -> Picture:
        """Explain the picture at another layer of the network."""
        return self.explained(neighbour(self.generator, self.picture.decomposition.latents, step))

    @cached_property
    def generator(self) -> Generator:
        """The generator, bound to no picture."""
        return replace(self.picture.generator, behind=None, picture=None, last={})

    @cached_property
    def parts(self) -> tuple[list[str], list[str]]:
        """Submodules with weights before the cut and behind it."""
        return parts_in_order(self.generator, self.picture.decomposition.latents)

    def heads(self, count: int) -> Feature:
        """Return features of other pictures."""
        drawn = self.generator.stream_latents(count, self.seed, "sanity", min(count, 16))
        found = [tensors_of(self.generator.head(latents)) for latents in drawn]
        return feature_of(torch.cat(column) for column in zip(*found, strict=True))


_Made: TypeAlias = tuple[Picture, Decomposition]
"""The check's explanation, and what it is held against."""


@dataclass(frozen=True)
class _Check:
    name: str
    should: Should
    about: str
    make: Callable[[_Scene], Picture | _Made]


def _last(share: float) -> Callable[[_Scene], Picture]:
    def make(scene: _Scene) -> Picture:
        behind = scene.parts[1]
        return scene.mixed(behind[-max(1, round(share * len(behind))) :])

    return make


def _swapped(scene: _Scene) -> Picture:
    known = scene.reference
    order = torch.randperm(known.count, generator=stream(scene.seed, "sanity", "fields"))
    entries = known.owners, known.units.long(), known.values
    found = _assembled(known, known.action_fields[order], *entries, known.regions)
    return scene.picture.showing(found)


def _median(scene: _Scene) -> Picture:
    middle = map_feature(
        lambda tensor: tensor.median(0, keepdim=True).values, scene.heads(_MEDIAN_OF)
    )
    return scene.against(middle)


def _coarser(scene: _Scene) -> _Made:
    known = scene.reference
    regions, joined = known.regions, known.action_fields
    if regions.rows is None or regions.columns is None or (regions.rows | regions.columns) % 2:
        raise InputError("the regions are no grid of even numbers")
    rows, columns = regions.rows // 2, regions.columns // 2
    # A demand for four patches in one asks for what any of the four asks for.
    joined = joined.view(-1, rows, 2, columns, 2).any(4).any(2).flatten(1)
    fields, field_of = joined.unique(dim=0, return_inverse=True)
    units = known.unit_count
    places, entry = (field_of[known.owners] * units + known.units).unique(return_inverse=True)
    values = known.values.new_zeros(len(places)).index_add(0, entry, known.values)
    coarse = Regions.grid(rows, columns)
    held = _assembled(known, fields, places // units, places % units, values, coarse)
    return scene.explained(scene.generator, coarse), held


def _assembled(
    known: Decomposition,
    fields: Tensor,
    field_of: Tensor,
    unit_of: Tensor,
    values: Tensor,
    regions: Regions,
) -> Decomposition:
    kept = ("feature", "baseline", "image", "baseline_image", "latents", "provenance", "history")
    rest = {name: getattr(known, name) for name in kept}
    return Decomposition.assemble(fields, field_of, unit_of, values, regions=regions, **rest)


CHECKS = (
    _Check(
        "another seed", "stay", "Fitted with other random demands",
        lambda scene: scene.explained(scene.generator, seed=scene.settings.seed + 1),
    ),
    _Check("coarser grid", "stay", "Patches twice as wide and high", _coarser),
    _Check(
        "f0: median", "stay",
        f"f0 is sparsest, each unit's median over {_MEDIAN_OF} pictures (the least mean ‖f − f0‖₁)",
        _median,
    ),
    _Check(
        "f0: zero", "stay", "f0 is zero",
        lambda scene: scene.against(
            map_feature(torch.zeros_like, scene.picture.decomposition.feature)
        ),
    ),
    _Check(
        "f0: another picture", "stay", "f0 is another picture's feature",
        lambda scene: scene.against(scene.heads(1)),
    ),
    _Check("fields shuffled", "go", "Every component has the field of another", _swapped),
    _Check(
        "last layer shuffled", "go", "Weights of the layer next to the picture are shuffled",
        _last(0),
    ),
    _Check(
        "half the tail shuffled", "go",
        "Weights of the half of the tail next to the picture are shuffled", _last(0.5),
    ),
    _Check("tail shuffled", "go", "All weights behind the cut are shuffled", _last(1)),
    _Check(
        "noise as picture", "either",
        "All weights before the cut are shuffled, and the trained tail shows noise; what is left "
        "is the layer's own",
        lambda scene: scene.mixed(scene.parts[0]),
    ),
    _Check(
        "layer before", "either",
        "Cut one layer earlier; what is left is the picture's, by the fields' shares of strength",
        lambda scene: scene.at_layer(-1),
    ),
    _Check(
        "layer behind", "either",
        "Cut one layer later; what is left is the picture's, by the fields' shares of strength",
        lambda scene: scene.at_layer(1),
    ),
    _Check(
        "untrained network", "go", "All weights are shuffled", lambda scene: scene.mixed(None)
    ),
)  # fmt: skip
"""In the order in which they are told."""


@ordinary()
def check(
    decomposition: Decomposition,
    generator: Generator,
    settings: Structured | None,
    seed: int,
    progress: Progress | bool | None,
) -> Sanity:
    """Do what `rp.sanity` says."""
    picture, seed = Picture.of(decomposition, generator), random_seed(seed)
    if decomposition.provenance.method != "structured":
        raise InputError(
            "sanity checks are fits of the structured form; they say nothing about components of "
            + ("the exact form" if decomposition.provenance.fitted else "another method")
        )
    fast = Structured.of_quality("fast", decomposition.provenance.purpose)
    settings = settings_or(settings, (Structured,), fast)
    with reporting(progress) as report:
        reference = explain(generator, decomposition.latents, decomposition.regions, settings)
        scene = _Scene(picture, settings, seed, reference)
        scores = _scores(picture.showing(reference))
        found: list[Checked] = []
        for number, check in enumerate(CHECKS, start=1):
            report("sanity", number - 1, len(CHECKS), check.name)
            found.append(_checked(check, scene))
        report("sanity", len(CHECKS), len(CHECKS), "")
    return Sanity(scores, tuple(found))


def _checked(check: _Check, scene: _Scene) -> Checked:
    told = check.name, check.should, check.about
    try:
        made = check.make(scene)
    except (InputError, GeneratorError) as error:  # this network, or these regions, do not have it
        return Checked(*told, None, dict.fromkeys(SCORED), first_line(error))
    picture, held_against = made if isinstance(made, tuple) else (made, scene.reference)
    left = field_stability(held_against, picture.decomposition)
    return Checked(*told, left, _scores(picture))


def _scores(picture: Picture) -> dict[str, float | None]:
    found = evaluate(picture.decomposition, picture.generator, _FEW)
    return {name: getattr(found, name) for name in SCORED}
