"""Scores of many pictures at several layers: what sweep.json holds, and the means that it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from regional_primitives.decompose.provenance import purpose_of
from regional_primitives.decompose.purpose import Purpose
from regional_primitives.decompose.stored import Grid, LabelMap, Side
from regional_primitives.errors import MissingExtraError
from regional_primitives.generators.feature import FeatureShape, unit_count
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.staging import staged_file
from regional_primitives.runtime.storage import (
    AtLeastZero,
    check_version,
    read_as,
    typed,
    write_json,
)
from regional_primitives.scores.spread import Spread, spreads
from regional_primitives.scores.table import TABLE, Score, Scores

if TYPE_CHECKING:
    import pandas

SWEEP = "sweep.json"
"""The file whose presence makes a folder a sweep's folder."""
INDEX = "sweep.parquet"
"""The same as a table, a run a row."""
SCHEMA_VERSION = 1
ENOUGH = 8
"""From so many pictures on, it is told how they are spread and what recurs among them."""
SEPARABLE = {"generate": "pooled_inside_error", "isolate": "leak"}
"""The score, small where good, by which pictures of each purpose are called separable; ours. Parts
that can be asked for come out right, and parts that can be changed leave the others alone."""

_DERIVED = {
    "field_patches": Score(
        "Patches a field",
        "How many patches an action field has, mean weighted by squared strength.",
        unit="decimal",
        good="no target",
        sweep="Action fields",
    ),
    "field_share": Score(
        "Share of the grid",
        "The same over all patches of the picture.",
        good="no target",
        sweep="Action fields",
    ),
    "n90_per_unit": Score(
        "n90 / units",
        "n90 over the number of units of the feature, which changes with the layer.",
        good="small",
        sweep="Sparsity",
    ),
    "wall_seconds": Score(
        "Time of a fit",
        "Wall time, one process a fit; other work on the machine makes it longer.",
        unit="seconds",
        good="short",
        sweep="Effort",
    ),
}
AVERAGED = TABLE | {name: replace(score, name=name) for name, score in _DERIVED.items()}
"""What can be averaged over pictures: scores, and what follows from them and from the fit."""

_Link = Annotated[str, Meta(pattern=r"^[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*\Z")]
"""A path below a folder, of the names that `sweep` gives."""


@dataclass(frozen=True)
class _Picture:
    seed: int
    run: _Link
    """Its run folder, below the sweep's."""
    report: _Link | None
    """Its report, below the sweep's folder; None where it was left out."""
    converged: bool
    wall_seconds: AtLeastZero
    """Time of the fit."""


@dataclass(frozen=True)
class PictureScores(_Picture):
    """One picture at one layer."""

    scores: Scores

    def numbers(self, patches: int, units: int) -> dict[str, float]:
        """Return all of `AVERAGED` that was measured, for so many patches and units."""
        found = {
            name: float(value)
            for name, value in self.scores.to_dict().items()
            if isinstance(value, (int, float))
        }
        found["wall_seconds"] = self.wall_seconds
        sizes = self.scores.field_sizes
        if sizes:
            mean = sum(size * share for size, share in sizes.items()) / sum(sizes.values())
            found |= {"field_patches": mean, "field_share": mean / patches}
        if "n90" in found:
            found["n90_per_unit"] = found["n90"] / units
        return found


@dataclass(frozen=True)
class FrontierPoint:
    """Inside error and leak of a layer at one price."""

    price: float
    """Of leak; of the departure where leak has none."""
    inside_error: Spread
    leak: Spread


@dataclass(frozen=True)
class LayerScores:
    """All pictures at one layer."""

    layer: str
    feature_shape: FeatureShape
    patches: int
    """How many patches the picture has."""
    pictures: tuple[PictureScores, ...]

    @property
    def units(self) -> int:
        """D, how many units the feature has."""
        return unit_count(self.feature_shape)

    @cached_property
    def numbers(self) -> tuple[dict[str, float], ...]:
        """What can be averaged, one dictionary a picture."""
        return tuple(picture.numbers(self.patches, self.units) for picture in self.pictures)

    @cached_property
    def summary(self) -> dict[str, Spread]:
        """Mean and interval of each, over the pictures for which it was measured."""
        return spreads(self.numbers)

    def values(self, name: str) -> list[float]:
        """Return one score of each picture for which it was measured."""
        return [numbers[name] for numbers in self.numbers if name in numbers]

    def by_separability(self, purpose: Purpose) -> list[PictureScores]:
        """Return the pictures for which `SEPARABLE` was measured, the most separable first."""
        name = SEPARABLE[purpose]
        known = [one for one in self.pictures if getattr(one.scores, name) is not None]
        return sorted(known, key=lambda one: (getattr(one.scores, name), one.seed))

    @cached_property
    def frontier(self) -> tuple[FrontierPoint, ...] | None:
        """Leak against inside error as their price varies; None where not measured."""
        curves = [picture.scores.frontier or () for picture in self.pictures]
        if not all(curves):
            return None
        points = [point for curve in curves for point in curve]

        def spread(name: str, price: float) -> Spread:
            return Spread.over([point[name] for point in points if point["price"] == price])

        return tuple(
            FrontierPoint(price, spread("inside_error", price), spread("leak", price))
            for price in sorted({point["price"] for point in points})
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as JSON holds it: every picture, and what they come to."""
        pictures = [
            {
                **{name: getattr(picture, name) for name in _OF_A_PICTURE},
                **numbers,
                **picture.scores.to_dict(),
            }
            for picture, numbers in zip(self.pictures, self.numbers, strict=True)
        ]
        return {
            "layer": self.layer,
            "feature_shape": self.feature_shape,
            "units": self.units,
            "summary": {name: asdict(spread) for name, spread in self.summary.items()},
            "frontier": self.frontier and [asdict(point) for point in self.frontier],
            "pictures": pictures,
        }


@dataclass(frozen=True)
class FailedPicture:
    """A picture that could not be explained at a layer; none of its scores count anywhere."""

    seed: int
    layer: str
    why: str


@dataclass(frozen=True)
class _Sweep:
    generator: str
    weights_digest: str
    options: dict[str, Any]
    """What `rp.load_generator` was asked for besides name, layer and device."""
    regions: dict[str, Any]
    """As run.json has them: a grid's rows and columns."""
    patches: Side
    seeds: Annotated[tuple[int, ...], Meta(min_length=1)]
    settings: dict[str, Any]
    evaluation: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, Any]
    date: str
    """Day of writing, ISO 8601."""
    failed: tuple[FailedPicture, ...] = field(default=(), kw_only=True)
    """Pictures that are not among `seeds`, since they could not be explained at every layer."""


@dataclass(frozen=True)
class SweepScores(_Sweep):
    """A sweep: the same pictures at each layer, and what was asked for."""

    layers: tuple[LayerScores, ...]

    @property
    def purpose(self) -> Purpose:
        """Which question the runs answer, see `purpose_of`."""
        return purpose_of(self.settings)

    @property
    def table(self) -> pandas.DataFrame:
        """A frame, a run a row: layer, seed, run (its folder, below the sweep's), and its numbers.

        Scores that were not measured, or have no number, are NaN; shares are of 1, times in
        seconds.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("the table of a sweep", "sweeps") from error
        rows = [
            {
                "layer": layer.layer,
                **{name: getattr(picture, name) for name in _OF_A_PICTURE},
                **numbers,
            }
            for layer in self.layers
            for picture, numbers in zip(layer.pictures, layer.numbers, strict=True)
        ]
        return pandas.DataFrame(rows).astype({"seed": "uint64"})

    def write_index(self, folder: AnyPath) -> None:
        """Write sweep.parquet, the table, into an existing folder.

        Raises:
            MissingExtraError: pandas or pyarrow is not installed.
            StorageError: the disk refuses.
        """
        table = self.table
        with staged_file(path_of(folder, "the sweep's folder") / INDEX) as temporary:
            try:
                table.to_parquet(temporary, engine="pyarrow", index=False)
            except ImportError as error:
                raise MissingExtraError("the index of a sweep", "sweeps") from error

    def to_dict(self) -> dict[str, Any]:
        """Return what sweep.json holds."""
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        content["layers"] = [layer.to_dict() for layer in self.layers]
        content["failed"] = [asdict(one) for one in self.failed]
        return {"schema_version": SCHEMA_VERSION, **content}

    def write(self, folder: AnyPath) -> None:
        """Write sweep.json into an existing folder."""
        write_json(path_of(folder, "the sweep's folder") / SWEEP, self.to_dict())

    @staticmethod
    def read(folder: AnyPath) -> SweepScores:
        """Read what `write` wrote; means are worked out anew from the pictures."""
        folder = path_of(folder, "the sweep's folder")

        def made(content: dict[str, Any]) -> SweepScores:
            check_version(folder / SWEEP, content, SCHEMA_VERSION)
            told = typed(content.pop("layers", None), _Dictionaries)
            del content["schema_version"]
            asked = typed(content, _Sweep)
            typed(asked.regions, Grid | LabelMap)
            layers = tuple(_layer(layer, asked.patches) for layer in told)
            return SweepScores(**vars(asked), layers=layers)

        return read_as(folder / SWEEP, made)


_Dictionaries = Annotated[list[dict[str, Any]], Meta(min_length=1)]
_Shape = Annotated[list[Side | list[Side]], Meta(min_length=1)]
_OF_A_PICTURE = tuple(one.name for one in fields(_Picture))


def _layer(content: Mapping[str, Any], patches: int) -> LayerScores:
    """Take out of a layer what is not worked out anew; raises ValueError as `typed` does."""
    shape: Any = typed(content.get("feature_shape"), _Shape)
    if isinstance(shape[0], list):
        shape = [tuple(one) for one in typed(shape, list[list[Side]])]
    else:
        shape = typed(shape, list[Side])
    return LayerScores(
        layer=typed(content.get("layer"), str),
        feature_shape=tuple(shape),
        patches=patches,
        pictures=tuple(map(_picture, typed(content.get("pictures"), _Dictionaries))),
    )


def _picture(content: Mapping[str, Any]) -> PictureScores:
    own = {name: content[name] for name in _OF_A_PICTURE if name in content}
    return PictureScores(**vars(typed(own, _Picture)), scores=Scores.from_dict(content))
