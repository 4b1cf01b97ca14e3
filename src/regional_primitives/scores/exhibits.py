"""The pictures that a report shows, generated once through the tail and kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import torch
from jaxtyping import Bool, Float32, Int, Int64, jaxtyped
from torch import Tensor

from regional_primitives.axes import Demands, Image, PerComponent, Region
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import GeneratorError, StorageError
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.run_files import EXHIBIT_NAMES
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import (
    Count,
    Digest,
    measurable,
    read_as,
    read_tensors,
    typed,
    write_json,
    write_tensors,
)
from regional_primitives.scores.alone import BLOCK, bounded_share, field_masks
from regional_primitives.scores.components import patch_shares
from regional_primitives.scores.demands import demand_errors
from regional_primitives.scores.evaluation import Evaluation
from regional_primitives.scores.quality import similarity_map, structural_change
from regional_primitives.scores.superposition import build_up, doublings

EXHIBITS = "exhibits.safetensors"
_NAMES = "exhibits.json"


@dataclass(frozen=True, eq=False)
class Exhibits:
    """Pictures, and the figures that belong to them."""

    visible_change: Float32[Tensor, " components"]
    """The structure that the finished picture owes to each component: 1 − SSIM(x, G(f − Δf_k)),
    where one notices the change. 0 of one that nobody sees go, or that was not looked at."""
    shown: Int64[Tensor, " shown"]
    """The components that are shown, ascending: the strongest and the most visible."""
    patterns: Float32[Tensor, "shown channels height width"]
    """Δx_k = G(f0 + Δf_k) − G(f0)."""
    removals: Float32[Tensor, "shown channels height width"]
    """x − G(f − Δf_k)."""
    boundedness: Float32[Tensor, " shown"]
    """Share of ‖Δx_k‖² that lies in A_k."""
    steps: Int64[Tensor, " steps"]
    """How many components, most visible first, each picture of the build-up holds."""
    build_up: Float32[Tensor, "steps channels height width"]
    """G(f0 + the components so far)."""
    build_up_error: Float32[Tensor, " steps"]
    """‖G(…) − x‖² / ‖x0 − x‖² of each."""
    demands: Bool[Tensor, "demands patches"]
    demanded: Float32[Tensor, "demands channels height width"]
    """G(u(S)) of each demand that is shown."""
    inside: Float32[Tensor, " demands"]
    leak: Float32[Tensor, " demands"]
    demand_names: tuple[str, ...]
    looked_at: int | None = None
    """How many, the strongest, were taken out to see the visible change; None of all."""
    baseline_as_it_is: Float32[Tensor, "channels height width"] | None = None
    """What the network makes of f0 if nothing behind the cut is held; None where nothing is."""

    @property
    def visible_order(self) -> list[int]:
        """All components, the most visible first."""
        return self.visible_change.argsort(descending=True, stable=True).tolist()

    @property
    def seen(self) -> list[int]:
        """Those components that one would see go, the most visible first."""
        return [k for k in self.visible_order if self.visible_change[k] > 0]

    def write(self, folder: AnyPath) -> None:
        """Write the pictures into an existing run folder."""
        folder = path_of(folder, "the run folder")
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        digest = write_tensors(folder / EXHIBITS, tensors)
        looked = {} if self.looked_at is None else {"looked_at": self.looked_at}
        names = {"demand_names": list(self.demand_names), **looked, "exhibits_digest": digest}
        write_json(folder / EXHIBIT_NAMES, names)

    @staticmethod
    def read(folder: AnyPath, of: Decomposition | None = None) -> Exhibits:
        """Read what `write` wrote.

        Args:
            folder: the run folder.
            of: the decomposition that the pictures must belong to.

        Raises:
            StorageError: missing or corrupt files, or the pictures of another run.
        """
        folder = path_of(folder, "the run folder")
        names = read_as(folder / EXHIBIT_NAMES, lambda content: typed(content, _Names))
        tensors = read_tensors(folder / EXHIBITS, names.exhibits_digest)
        known = {field.name for field in fields(Exhibits)} - {*_TOLD, _OF_HELD}
        if tensors.keys() - {_OF_HELD} != known:
            odd = ", ".join(map(repr, sorted(tensors.keys() - {_OF_HELD} ^ known)))[:200]
            raise StorageError(f"{folder / EXHIBITS} is corrupt: its tensors differ in: {odd}")
        found = Exhibits(**tensors, demand_names=names.demand_names, looked_at=names.looked_at)
        if not found._is_sound():
            raise StorageError(f"{folder / EXHIBITS} is corrupt: its tensors cannot be")
        if of is not None and not found._belong_to(of):
            raise StorageError(f"{folder} is corrupt: its pictures do not belong to its components")
        return found

    def _is_sound(self) -> bool:
        hints = get_type_hints(Exhibits)
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        with jaxtyped("context"):  # the axes of the same name must agree
            shaped = all(isinstance(value, hints[name]) for name, value in tensors.items())
        return (
            shaped
            and len(self.demand_names) == len(self.demands)
            and all(map(measurable, tensors.values()))
            and _ascending(self.shown, len(self.visible_change) - 1)
            and _ascending(self.steps, len(self.visible_change))
            and all(bool((tensors[name] >= 0).all()) for name in _AT_LEAST_0)
        )

    def _belong_to(self, decomposition: Decomposition) -> bool:
        return (
            len(self.visible_change) == decomposition.count >= (self.looked_at or 0)
            and self.patterns.shape[1:] == decomposition.image.shape
            and self.demands.shape[1] == decomposition.regions.count
        )


_TOLD = ("demand_names", "looked_at")
"""What is no tensor."""
_OF_HELD = "baseline_as_it_is"
"""What only runs have in which something behind the cut was held."""
_AT_LEAST_0 = ("boundedness", "build_up_error", "inside", "leak")


@dataclass(frozen=True)
class _Names:
    demand_names: tuple[str, ...]
    exhibits_digest: Digest
    looked_at: Count | None = None


def _ascending(numbers: Int[Tensor, " numbers"], most: int) -> bool:
    """Tell whether these are numbers from 0 to `most`, none twice and the smallest first."""
    within = bool(((numbers >= 0) & (numbers <= most)).all())
    return within and bool((numbers.diff() > 0).all())


def exhibit(
    decomposition: Decomposition,
    generator: Generator,
    settings: Evaluation | None = None,
    *,
    most: int = 24,
) -> Exhibits:
    """Generate all pictures of a report.

    Args:
        decomposition: what is shown.
        generator: the one that it was made with.
        settings: which held-out demands the worst are sought among, and how many components, the
            strongest, are looked at for their visible change: as many as `patterns`.
        most: components shown of each ranking.

    Raises:
        GeneratorError: the generator is not the one that the decomposition was made with.
        MissingExtraError: scikit-image, which the report's extra brings, is not installed.
    """
    settings = settings_or(settings, Evaluation, Evaluation())
    picture = Picture.of(decomposition, generator)
    as_it_is = None
    if generator.hold is not None:
        network = picture.generator.as_it_is.at(decomposition.latents)
        as_it_is = network.render(decomposition.baseline_units)[0]
    looked_at = min(settings.patterns, decomposition.count)
    visible, removals = _seen_missing(picture, looked_at, most)
    order, shown = visible.argsort(descending=True, stable=True), list(removals)
    patterns = picture.patterns(shown)
    steps = [0, *doublings(decomposition.count)]
    grown = build_up(picture, order, steps)
    names, demands = named_demands(picture)
    demands = torch.cat([demands, _worst_held_out(picture, settings)])
    answered = demand_errors(picture, demands, decomposition.minimal_units(demands))
    return Exhibits(
        visible_change=visible,
        shown=torch.tensor(shown),
        patterns=patterns,
        removals=torch.stack([*removals.values()]),
        boundedness=bounded_share(
            patterns, field_masks(decomposition, decomposition.action_fields[shown])
        ),
        steps=torch.tensor(steps),
        build_up=grown,
        build_up_error=(grown - picture.image).square().sum((1, 2, 3))
        / picture.change.square().sum(),
        demands=demands,
        demanded=answered.images,
        inside=answered.inside,
        leak=answered.leak,
        demand_names=(
            *names,
            "held-out demand with the largest inside error",
            "held-out demand with the largest leak",
        ),
        looked_at=looked_at if looked_at < decomposition.count else None,
        baseline_as_it_is=as_it_is,
    )


def _seen_missing(
    picture: Picture, looked_at: int, most: int
) -> tuple[PerComponent, dict[int, Image]]:
    """Take each of the strongest out of the picture, and look what is missing.

    Returns:
        The visible change of every component, and what removing them changes for up to `most` each
        of the strongest and of the most visible, ascending.
    """
    visible, kept = torch.zeros(picture.decomposition.count), dict[int, Image]()
    for block in torch.arange(looked_at).split(BLOCK):
        removals = picture.removals(block.tolist())
        visible[block] = structural_change(picture.decomposition, removals)
        kept |= zip(block.tolist(), removals, strict=True)
        order = visible[: int(block[-1]) + 1].argsort(descending=True, stable=True)
        leading = {*range(min(most, looked_at)), *order[:most].tolist()}
        kept = {k: kept[k].clone() for k in sorted(leading & kept.keys())}
    return visible, kept


def named_demands(picture: Picture) -> tuple[list[str], Demands]:
    """Choose demands that a reader can check by eye, out of the patches that may be demanded."""
    regions = picture.decomposition.regions
    n = regions.count
    may = regions.demand(picture.decomposition.patches)
    departure = picture.errors.departure[:-1].masked_fill(~may, -1.0)
    rows: dict[str, Tensor] = {}
    if regions.given_names is not None:
        for patch in _most_telling(picture, may, 3):
            rows[regions.names[patch]] = torch.arange(n) == patch
    else:
        # Where most of the energy is: a plain corner may depart the most, and tells nothing.
        energy = patch_shares(picture.decomposition).masked_fill(~may, -1.0)
        peak = torch.zeros(n, dtype=torch.bool)
        peak[int(energy.argmax())] = True
        if regions.columns is not None:
            rows["left half"] = torch.arange(n) % regions.columns < (regions.columns + 1) // 2
        rows["the quarter that differs most in structure"] = regions.demand(
            _most_telling(picture, may, max(1, n // 4))
        )
        rows[f"{regions.in_words([int(peak.nonzero())])}, with most of the energy"] = peak
        rows["that patch and its neighbours"] = peak | regions.neighbours()[peak].any(0)
    if regions.rows is not None and regions.columns is not None:
        row = torch.arange(n) // regions.columns
        column = torch.arange(n) % regions.columns
        rows["bottom half"] = row >= regions.rows // 2
        edge = (row == 0) | (row == regions.rows - 1)
        edge |= (column == 0) | (column == regions.columns - 1)
        rows["all but the border"] = ~edge
        rows["every second patch"] = (row + column) % 2 == 0
    else:
        rows["the half that departs most"] = departure >= departure[may].median()
    kept: dict[str, Tensor] = {}
    for name, row in rows.items():
        chosen = row & may
        if bool(chosen.any()) and not any(torch.equal(chosen, other) for other in kept.values()):
            kept[name] = chosen
    return list(kept), torch.stack(list(kept.values()))


def _most_telling(picture: Picture, may: Region, most: int) -> list[int]:
    """Find the regions whose structure differs most from the baseline picture's, for their size."""
    d = picture.decomposition
    origin = d.provenance
    lost = 1 - similarity_map(d.image, d.baseline_image, origin.image_range).mean(0)
    masks = d.regions.masks(*lost.shape).float()
    each = (masks * lost).sum((1, 2)) / masks.sum((1, 2)).clamp_min(1)
    order = each.masked_fill(~may, -torch.inf).argsort(descending=True, stable=True)
    return order[: min(most, int(may.sum()))].tolist()


def _worst_held_out(picture: Picture, settings: Evaluation) -> Demands:
    """Find the held-out demands with the largest inside error and with the largest leak."""
    demands = settings.held_out(picture.decomposition)
    found = demand_errors(picture, demands, picture.decomposition.minimal_units(demands))
    leak = found.leak * found.partial
    return demands[torch.stack([found.inside.argmax(), leak.argmax()])]


@dataclass(frozen=True, eq=False)
class Patterns:
    """Δx_k = G(f0 + Δf_k) − G(f0) of some components of one picture."""

    changes: Mapping[int, Image]
    """By component."""
    kept: frozenset[int]
    """Those that the run folder held; the others were generated."""
    missing: str
    """Why some are not there; empty where all are."""


def patterns_of(
    decomposition: Decomposition,
    components: Sequence[int],
    folder: Path,
    generator: Callable[[], Generator],
) -> Patterns:
    """Get the patterns of these components.

    Args:
        decomposition: whose components they are.
        components: their numbers.
        folder: the run folder, which may hold some.
        generator: loads the one that the decomposition was made with; only called if it is needed.

    Raises:
        StorageError: the folder's exhibits are corrupt, or those of another run.
    """
    changes: dict[int, Tensor] = {}
    if (folder / EXHIBITS).is_file():
        exhibits = Exhibits.read(folder, decomposition)
        held = dict(zip(exhibits.shown.tolist(), exhibits.patterns, strict=True))
        changes = {k: held[k] for k in components if k in held}
    kept, missing = frozenset(changes), ""
    wanted = [k for k in dict.fromkeys(components) if k not in changes]
    if wanted:
        try:
            made = Picture.of(decomposition, generator()).patterns(wanted)
            changes |= dict(zip(wanted, made, strict=True))
        except GeneratorError as error:
            missing = str(error)
    return Patterns(changes, kept, missing)
