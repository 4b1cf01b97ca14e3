"""The pictures that a report shows, generated once through the tail and kept in the run folder."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition, generator_at
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.errors import StorageError
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.run_files import EXHIBIT_NAMES, EXHIBITS
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.storage import (
    Digest,
    measurable,
    read_json,
    read_tensors,
    typed,
    write_json,
    write_tensors,
)
from regional_primitives.scores.components import (
    bounded_share,
    component_patterns,
    field_masks,
    removal_changes,
)
from regional_primitives.scores.evaluation import Evaluation
from regional_primitives.scores.quality import structural_change

__all__ = ["Exhibits", "exhibit", "named_demands"]


@dataclass(frozen=True, eq=False)
class Exhibits:
    """Pictures, and the figures that belong to them."""

    visible_change: Float[Tensor, " components"]
    """1 − SSIM(x, G(f − Δf_k)): the structure that the finished picture owes to each component.
    A repainted blank background changes colour, not structure."""
    shown: Int[Tensor, " shown"]
    """The components that are shown, ascending: the strongest and the most visible."""
    patterns: Float[Tensor, "shown channels height width"]
    """Δx_k = G(f0 + Δf_k) − G(f0)."""
    removals: Float[Tensor, "shown channels height width"]
    """x − G(f − Δf_k)."""
    boundedness: Float[Tensor, " shown"]
    """Share of ‖Δx_k‖² that lies in A_k."""
    steps: Int[Tensor, " steps"]
    """How many components, most visible first, each picture of the build-up holds."""
    build_up: Float[Tensor, "steps channels height width"]
    """G(f0 + the components so far)."""
    build_up_error: Float[Tensor, " steps"]
    """‖G(…) − x‖² / ‖x0 − x‖² of each."""
    demands: Bool[Tensor, "demands patches"]
    demanded: Float[Tensor, "demands channels height width"]
    """G(u(S)) of each demand that is shown."""
    inside: Float[Tensor, " demands"]
    leak: Float[Tensor, " demands"]
    demand_names: tuple[str, ...]
    baseline_as_it_is: Float[Tensor, "channels height width"] | None = None
    """What the network makes of f0 if nothing behind the cut is held; None where nothing is."""

    @property
    def visible_order(self) -> list[int]:
        """All components, the most visible first."""
        return self.visible_change.argsort(descending=True, stable=True).tolist()

    def write(self, folder: AnyPath) -> None:
        """Write the pictures into an existing run folder."""
        folder = path_of(folder, "the run folder")
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        digest = write_tensors(folder / EXHIBITS, tensors)
        write_json(
            folder / EXHIBIT_NAMES,
            {"demand_names": list(self.demand_names), "exhibits_digest": digest},
        )

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
        try:
            names = typed(read_json(folder / EXHIBIT_NAMES), _Names)
        except ValueError as error:
            raise StorageError(f"{folder / EXHIBIT_NAMES} is corrupt: {error}") from error
        tensors = read_tensors(folder / EXHIBITS, names.exhibits_digest)
        known = {field.name for field in fields(Exhibits)} - {"demand_names", _OF_HELD}
        if tensors.keys() - {_OF_HELD} != known:
            odd = ", ".join(map(repr, sorted(tensors.keys() - {_OF_HELD} ^ known)))[:200]
            raise StorageError(f"{folder / EXHIBITS} is corrupt: its tensors differ in: {odd}")
        found = Exhibits(**tensors, demand_names=names.demand_names)
        if not found._is_sound():
            raise StorageError(f"{folder / EXHIBITS} is corrupt: its tensors cannot be")
        if of is not None and not found._belong_to(of):
            raise StorageError(f"{folder} is corrupt: its pictures do not belong to its components")
        return found

    def _is_sound(self) -> bool:
        shown, steps, demands = len(self.shown), len(self.steps), len(self.demand_names)
        picture = self.patterns.shape[1:]
        expected: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
            "visible_change": (torch.float32, (len(self.visible_change),)),
            "shown": (torch.int64, (shown,)),
            "patterns": (torch.float32, (shown, *picture)),
            "removals": (torch.float32, (shown, *picture)),
            "boundedness": (torch.float32, (shown,)),
            "steps": (torch.int64, (steps,)),
            "build_up": (torch.float32, (steps, *picture)),
            "build_up_error": (torch.float32, (steps,)),
            "demands": (torch.bool, (demands, *self.demands.shape[1:])),
            "demanded": (torch.float32, (demands, *picture)),
            "inside": (torch.float32, (demands,)),
            "leak": (torch.float32, (demands,)),
        }
        if self.baseline_as_it_is is not None:
            expected[_OF_HELD] = (torch.float32, tuple(picture))
        tensors = {name: getattr(self, name) for name in expected}
        return (
            all((tensors[name].dtype, tensors[name].shape) == expected[name] for name in expected)
            and all(map(measurable, tensors.values()))
            and len(picture) == 3
            and self.demands.ndim == 2
            and _ascending(self.shown, len(self.visible_change) - 1)
            and _ascending(self.steps, len(self.visible_change))
            and all(bool((tensors[name] >= 0).all()) for name in _AT_LEAST_0)
        )

    def _belong_to(self, decomposition: Decomposition) -> bool:
        return (
            len(self.visible_change) == decomposition.count
            and self.patterns.shape[1:] == decomposition.image.shape
            and self.demands.shape[1] == decomposition.regions.count
        )


_OF_HELD = "baseline_as_it_is"
"""What only runs have in which something behind the cut was held."""
_AT_LEAST_0 = ("boundedness", "build_up_error", "inside", "leak")


@dataclass(frozen=True)
class _Names:
    demand_names: tuple[str, ...]
    exhibits_digest: Digest


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
        settings: which held-out demands the worst are sought among.
        most: components shown of each ranking.

    Raises:
        GeneratorError: the generator is not the one that the decomposition was made with.
        MissingExtraError: scikit-image, which the report's extra brings, is not installed.
    """
    generator = generator_at(decomposition, generator)
    as_it_is = None
    if generator.hold is not None:
        network = generator.as_it_is.at(decomposition.latents)
        as_it_is = network.render(decomposition.baseline_units)[0]
    errors = PatchErrors.of(
        decomposition.image, decomposition.baseline_image, decomposition.regions
    )
    everything = list(range(decomposition.count))
    removals = removal_changes(decomposition, generator, everything)
    visible = structural_change(decomposition, removals)
    order = visible.argsort(descending=True, stable=True)
    shown = sorted(set(everything[:most]) | set(order[:most].tolist()))
    patterns = component_patterns(decomposition, generator, shown)
    steps = _build_up_steps(decomposition.count)
    rank = torch.empty(decomposition.count, dtype=torch.long)
    rank[order] = torch.arange(decomposition.count)
    scales = (rank < torch.tensor(steps)[:, None]).float()
    build_up = generator.render(decomposition.combine_units(scales))
    departure = (decomposition.image - decomposition.baseline_image).square().sum()
    names, demands = named_demands(decomposition, errors)
    worst = _worst_held_out(
        decomposition, generator, errors, settings_or(settings, Evaluation, Evaluation())
    )
    demands = torch.cat([demands, worst])
    demanded = generator.render(decomposition.minimal_units(demands))
    return Exhibits(
        visible_change=visible,
        shown=torch.tensor(shown),
        patterns=patterns,
        removals=removals[shown],
        boundedness=bounded_share(patterns, field_masks(decomposition)[shown]),
        steps=torch.tensor(steps),
        build_up=build_up,
        build_up_error=(build_up - decomposition.image).square().sum((1, 2, 3)) / departure,
        demands=demands,
        demanded=demanded,
        inside=errors.inside(demanded, demands),
        leak=errors.outside(demanded, demands),
        demand_names=(
            *names,
            "held-out demand with the largest inside error",
            "held-out demand with the largest leak",
        ),
        baseline_as_it_is=as_it_is,
    )


def _build_up_steps(count: int) -> list[int]:
    steps = [0]
    step = 1
    while step < count:
        steps.append(step)
        step *= 2
    return [*steps, count]


def named_demands(
    decomposition: Decomposition, errors: PatchErrors
) -> tuple[list[str], Bool[Tensor, "demands patches"]]:
    """Choose demands that a reader can check by eye, out of the patches that may be demanded."""
    regions = decomposition.regions
    n = regions.count
    may = regions.demand(decomposition.patches)
    departure = errors.departure[:-1].cpu().masked_fill(~may, -1.0)
    rows: dict[str, Tensor] = {}
    peak = torch.zeros(n, dtype=torch.bool)
    peak[int(departure.argmax())] = True
    rows["the patch that departs most"] = peak
    rows["that patch and its neighbours"] = peak | regions.neighbours()[peak].any(0)
    if regions.rows is not None and regions.columns is not None:
        row = torch.arange(n) // regions.columns
        column = torch.arange(n) % regions.columns
        rows["left half"] = column < (regions.columns + 1) // 2
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


def _worst_held_out(
    decomposition: Decomposition, generator: Generator, errors: PatchErrors, settings: Evaluation
) -> Bool[Tensor, "2 patches"]:
    """Find the held-out demands with the largest inside error and with the largest leak."""
    demands = held_out_demands(
        decomposition.regions, settings.demands, settings.seed, within=decomposition.patches
    )
    images = generator.render(decomposition.minimal_units(demands))
    leak = errors.outside(images, demands) * ~demands.all(1)
    return demands[torch.stack([errors.inside(images, demands).argmax(), leak.argmax()])]
