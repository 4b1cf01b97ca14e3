"""Regional control: scale the components of a region, and see where the picture changes.

An experiment of the paper (arXiv 2410.04421); regions, scores and the comparison with random
components are ours. By the OR law, removing the components whose field lies *inside* a region R
gives u(N \\ R), which generates everything but R: all change should lie inside. Removing all that
*touch* R also takes what R shares with its surroundings.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.axes import Image, Images, Region
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import whole
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.components import counted_components
from regional_primitives.scores.measured import Measured
from regional_primitives.scores.random_fields import grow

SCALES = (0.0, 1.5, 2.0)
"""What the components of a region are multiplied by; 0 removes them."""
SELECTIONS = ("inside", "touching")
"""Which components are a region's: those whose field lies inside it, or touches it."""


@dataclass(frozen=True)
class Effect:
    """Where a change of the picture lies."""

    share_inside: float
    """Share of ‖G(edited) − x‖² that lies inside the region."""
    inside_change: float
    """‖M_R(G(edited) − x)‖² / ‖M_R(x − x0)‖²; 1 is as large as the whole departure there."""
    outside_change: float
    """The same for all other pixels."""


@dataclass(frozen=True)
class ScaledRegion:
    """One region's components scaled, beside random components of the same total strength."""

    region: tuple[int, ...]
    """Its patches."""
    selection: str
    """`inside` or `touching`."""
    scale: float
    components: int
    """How many were scaled."""
    energy_share: float
    """Their share of Σ‖Δf_k‖²."""
    effect: Effect | None
    """None where the region has no such component."""
    random_effect: Effect | None
    """Mean over random sets of components with nearest to the same Σ‖Δf_k‖²."""


@dataclass(frozen=True, eq=False)
class Control(Measured):
    """What scaling the components of regions does to one picture."""

    told = ("regions", "draws", "edits")
    regions: tuple[tuple[int, ...], ...]
    """The patches of each region."""
    edits: tuple[ScaledRegion, ...]
    """Every region, selection and scale, in this order."""
    area: tuple[float, ...]
    """Each region's share of all pixels."""
    draws: int
    """Random sets of components for each edit."""
    image: Image
    """x."""
    image_range: tuple[float, float]
    pictures: Float[Tensor, "regions selections scales channels height width"]
    """The edited pictures."""
    masks: Bool[Tensor, "regions height width"]
    """Pixels of each region."""

    def of(self, selection: str, scale: float) -> list[ScaledRegion]:
        """List one kind of edit, of the regions that have such components."""
        return [
            edit
            for edit in self.edits
            if edit.selection == selection and edit.scale == scale and edit.effect is not None
        ]

    def numbers(self) -> dict[str, float]:
        """Return means over regions, by name: `share_inside_inside_x0` and so on."""
        found = {"area": sum(self.area) / len(self.area)}
        for selection, scale in itertools.product(SELECTIONS, SCALES):
            edits = self.of(selection, scale)
            for prefix, kind in (("", "effect"), ("random_", "random_effect")):
                effects = [getattr(edit, kind) for edit in edits]
                for name, value in asdict(_mean(effects)).items() if effects else ():
                    found[f"{prefix}{name}_{selection}_x{scale:g}"] = value
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; pictures are left out."""
        return {**super().to_dict(), "area_of_each": list(self.area)}


def control(
    decomposition: Decomposition,
    generator: Generator,
    *,
    regions: Sequence[Sequence[int]] | None = None,
    draws: int = 8,
    seed: int = 0,
) -> Control:
    """Scale the components of each region and measure where the picture changes.

    The exact form's remainder is never scaled.

    Args:
        decomposition: one picture's.
        generator: the one that it was made with.
        regions: each a list of patches; unless given, 6 random blocks of 2 × 2.
        draws: random sets of components to compare with.
        seed: random stream of blocks and random components.

    Raises:
        InputError: an empty region, a patch that does not exist, no component but the remainder.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    whole("draws", draws, 1)
    picture = Picture.of(decomposition, generator)
    counted = torch.zeros(decomposition.count, dtype=torch.bool)
    counted[counted_components(decomposition)] = True
    chosen = _chosen(decomposition, counted, regions, seed)
    edits: list[ScaledRegion] = []
    pictures, masks = [], []
    for place, region in enumerate(chosen):
        row = decomposition.regions.demand(region)
        masks.append(decomposition.regions.pixel_mask(row, *picture.image.shape[-2:]))
        for selection in SELECTIONS:
            mine = _selection(decomposition, row, selection) & counted
            rng = stream(seed, "random components", place, selection)
            sets = torch.stack(
                [mine, *(_random_alike(decomposition, mine, counted, rng) for _ in range(draws))]
            )
            scales = torch.tensor(SCALES)[:, None, None]
            images = picture.combine(torch.where(sets, scales, 1.0).flatten(0, 1))
            edited = images.unflatten(0, (len(SCALES), len(sets)))
            pictures.append(edited[:, 0])
            share = _energy(decomposition, mine) / _energy(decomposition, counted)
            for scale, several in zip(SCALES, edited, strict=True):
                effects = _effects(picture.errors, several, row) if bool(mine.any()) else []
                own, others = (effects[0], _mean(effects[1:])) if effects else (None, None)
                edits.append(
                    ScaledRegion(region, selection, scale, int(mine.sum()), share, own, others)
                )
    stacked = torch.stack(masks)
    return Control(
        regions=chosen,
        edits=tuple(edits),
        area=tuple(stacked.float().mean((1, 2)).tolist()),
        draws=draws,
        image=picture.image,
        image_range=decomposition.provenance.image_range,
        pictures=torch.stack(pictures).unflatten(0, (len(chosen), len(SELECTIONS))),
        masks=stacked,
    )


def random_blocks(
    regions: Regions, count: int, seed: int, patches: Region
) -> tuple[tuple[int, ...], ...]:
    """Draw different blocks of 2 × 2 patches; of a label map, connected sets of 4.

    Args:
        regions: the patches.
        count: how many blocks; fewer where there are not so many.
        seed: the random stream.
        patches: those that may be taken; blocks are cut to them, and the fullest come first.
    """
    rng = stream(seed, "random blocks")
    if regions.rows is not None and regions.columns is not None:
        cells = torch.arange(regions.count).view(regions.rows, regions.columns)
        sides = [range(max(side - 1, 1)) for side in cells.shape]
        blocks = [cells[y : y + 2, x : x + 2].flatten() for y in sides[0] for x in sides[1]]
        cut = [tuple(block[patches[block]].tolist()) for block in blocks]
    else:
        neighbours = regions.neighbours()
        grown = [grow(4, patches, neighbours, rng) for _ in range(8 * count)]
        cut = [tuple(row.nonzero().flatten().tolist()) for row in grown]
    different = [block for block in dict.fromkeys(cut) if block]
    shuffled = [different[i] for i in torch.randperm(len(different), generator=rng).tolist()]
    return tuple(sorted(shuffled, key=len, reverse=True)[:count])


def _chosen(
    decomposition: Decomposition,
    counted: Bool[Tensor, " components"],
    regions: Sequence[Sequence[int]] | None,
    seed: int,
) -> tuple[tuple[int, ...], ...]:
    if regions is None:
        patches = decomposition.action_fields[counted].any(0)
        return random_blocks(decomposition.regions, 6, seed, patches)
    found = tuple(tuple(int(patch) for patch in region) for region in regions)
    if not found or not all(found):
        raise InputError("every region needs at least one patch, and there must be a region")
    return found


def _selection(
    decomposition: Decomposition, region: Region, selection: str
) -> Bool[Tensor, " components"]:
    fields = decomposition.action_fields
    return ~(fields & ~region).any(1) if selection == "inside" else (fields & region).any(1)


def _energy(decomposition: Decomposition, chosen: Bool[Tensor, " components"]) -> float:
    return float(decomposition.strengths[chosen].double().square().sum())


def _random_alike(
    decomposition: Decomposition,
    chosen: Bool[Tensor, " components"],
    counted: Bool[Tensor, " components"],
    rng: torch.Generator,
) -> Bool[Tensor, " components"]:
    """Draw components in random order until their energy is nearest to that of the chosen."""
    pool = counted.nonzero().flatten()
    order = pool[torch.randperm(len(pool), generator=rng)]
    energy = decomposition.strengths[order].double().square().cumsum(0)
    taken = int((energy - _energy(decomposition, chosen)).abs().argmin()) + 1
    row = torch.zeros_like(chosen)
    row[order[:taken]] = True
    return row


def _effects(
    errors: PatchErrors,
    pictures: Images,
    region: Region,
) -> list[Effect]:
    change = errors.per_patch(pictures, errors.image)
    departure = errors.departure
    inside = torch.nn.functional.pad(region, (0, 1))
    floor = 1e-12 * float(departure.sum())
    return [
        Effect(
            share_inside=float(row[inside].sum() / row.sum().clamp_min(floor)),
            inside_change=float(row[inside].sum() / departure[inside].sum().clamp_min(floor)),
            outside_change=float(row[~inside].sum() / departure[~inside].sum().clamp_min(floor)),
        )
        for row in change
    ]


def _mean(effects: list[Effect]) -> Effect:
    rows = [asdict(effect) for effect in effects]
    return Effect(**{name: sum(row[name] for row in rows) / len(rows) for name in rows[0]})
