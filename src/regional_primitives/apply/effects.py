"""What an edit does where, beside pasting pixels and cropping the feature; the measures are ours.

With x the picture, y the edited one, R the region that is meant to change and M_R its pixels:

- share of the change outside = ‖(1 − M_R)(y − x)‖² / ‖y − x‖²;
- seam = root mean square, over the pairs of neighbouring pixels that R's border separates, of the
  step across the border less the mean of the two steps beside it: how far the colours jump there
  beyond the slope that leads up to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from regional_primitives.apply.edits import Edit
from regional_primitives.axes import Image, Images, Mask, Region, Units
from regional_primitives.decompose.cells import Choose, mostly, touching, units_under
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.rich_display import RichResult

WAYS = {
    "components": "through components",
    "pixels": "pixels of the region pasted",
    "crop, mostly": "feature crop, cells mostly inside",
    "crop, touching": "feature crop, cells that touch",
}
"""The ways to make an edit, in words."""
_CROPS: dict[str, Choose] = {"crop, mostly": mostly, "crop, touching": touching}


@dataclass(frozen=True)
class WayEffect:
    """What one way of making the edit does to the picture."""

    way: str
    """One of `WAYS`."""
    inside: float
    """Root mean square change of the region's pixels, as a share of the image range."""
    outside: float
    """That of all other pixels; 0 where there are none."""
    outside_share: float | None
    """Share of the change's energy that falls outside the region; None if nothing changes."""
    seam: float | None
    """The jump across the region's border, as a share of the image range; None without border."""
    target_error: float | None
    """Of edits that take components from another picture x' and name their patches (blends):
    ‖M_R (y − x')‖² / ‖M_R (x − x')‖², where 0 shows the other picture and 1 still the first."""


@dataclass(frozen=True)
class EditEffects(RichResult):
    """What an edit does inside and outside the region that it is meant to change."""

    patches: tuple[int, ...]
    """The region: the edit's own patches, or the union of the action fields of what changes."""
    pixels: float
    """Share of the picture's pixels in it."""
    seam_before: float | None
    """The jump across the region's border in the unedited picture."""
    ways: tuple[WayEffect, ...]
    """The edit itself, then what one would do instead."""

    def __repr__(self) -> str:
        told = (
            f"{WAYS[way.way]} {way.inside:.1%} inside, {way.outside:.2%} outside"
            for way in self.ways
        )
        return f"<EditEffects, root mean square change of pixels: {'; '.join(told)}>"

    @property
    def own(self) -> WayEffect:
        """The edit through components."""
        return self.ways[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {**found, "patches": list(self.patches), "ways": list(found["ways"])}


@ordinary()
@torch.no_grad()
def edit_ways(
    decomposition: Decomposition,
    generator: Generator,
    edit: Edit | Mapping[int, float],
    other: Decomposition | None = None,
) -> dict[str, Images]:
    """Make the same edit in each of `WAYS`.

    - Pixels: the region's pixels come from the other picture where the edit takes components from
      one, else from the edited picture; nothing else changes, but the border shows.
    - Crop: at the region's cells the whole feature comes from the other picture; of an edit that
      scales, a cell's departure from the baseline is multiplied by the scales of all named
      components whose field covers it, or by that of the others where none does. Of an edit that
      names its patches, the cells of each patch are, by the scale farthest from 1 among the
      components whose field covers the patch.

    Raises:
        InputError, GeneratorError: what `rp.edit` raises.
    """
    wanted, picture = Edit.of(edit), Picture.of(decomposition, generator)
    donor = other if wanted.taken else None
    ways = {"components": picture.render(wanted.units(decomposition, other))}
    region = wanted.region(decomposition, other)
    mask = pixels_of(decomposition, region)
    source = ways["components"] if donor is None else donor.image[None]
    ways["pixels"] = torch.where(mask, source, decomposition.image[None])
    for way, choose in _CROPS.items():
        if donor is None:
            departure = decomposition.feature_units - decomposition.baseline_units
            units = (
                decomposition.baseline_units + cropped(decomposition, wanted, choose) * departure
            )
        else:
            under = units_under(decomposition, choose)(region[None])
            units = torch.where(under, donor.feature_units, decomposition.feature_units)
        ways[way] = picture.render(units)
    return ways


@ordinary()
def edit_effects(
    decomposition: Decomposition,
    generator: Generator,
    edit: Edit | Mapping[int, float],
    other: Decomposition | None = None,
) -> EditEffects:
    """Measure what an edit does inside and outside its region, beside the other `WAYS`.

    Args:
        decomposition: of the picture.
        generator: that it was made with.
        edit: an `rp.Edit`, or the scales of the components that are to change.
        other: of the picture from which the edit takes components, if it does.

    Raises:
        InputError, GeneratorError: what `rp.edit` raises.
    """
    wanted = Edit.of(edit)
    pictures = edit_ways(decomposition, generator, wanted, other)
    return measured_ways(decomposition, wanted, pictures, other)


def measured_ways(
    decomposition: Decomposition,
    edit: Edit,
    pictures: Mapping[str, Images],
    other: Decomposition | None = None,
) -> EditEffects:
    """Measure the pictures that `edit_ways` made; raises what `Edit.region` raises."""
    region = edit.region(decomposition, other)
    mask = pixels_of(decomposition, region)
    image_range = decomposition.provenance.image_range
    aimed = other.image if other is not None and edit.taken and edit.patches is not None else None
    before = decomposition.image

    def measured(way: str, after: Image) -> WayEffect:
        error = None
        if aimed is not None:
            left = float((after - aimed).double()[:, mask].square().sum())
            due = float((before - aimed).double()[:, mask].square().sum())
            error = left / due if due > 0 else None
        return WayEffect(
            way,
            *changes(before, after, mask, image_range),
            seam=seam(after, mask, image_range),
            target_error=error,
        )

    return EditEffects(
        patches=tuple(region.nonzero().flatten().tolist()),
        pixels=float(mask.double().mean()),
        seam_before=seam(before, mask, image_range),
        ways=tuple(measured(way, picture[0]) for way, picture in pictures.items()),
    )


def changes(
    before: Image, after: Image, mask: Mask, image_range: tuple[float, float]
) -> tuple[float, float, float | None]:
    """Return how much changes inside and outside, and the share outside; see `WayEffect`."""
    energy = (after - before).double().square()  # [channels, height, width]
    inside, outside = energy[:, mask], energy[:, ~mask]
    total = float(inside.sum() + outside.sum())
    span = image_range[1] - image_range[0]
    share = float(outside.sum()) / total if total > 0 else None
    return _root_mean(inside) / span, _root_mean(outside) / span, share


def _root_mean(energy: Tensor) -> float:
    return float(energy.mean().sqrt()) if energy.numel() else 0.0


def seam(image: Image, mask: Mask, image_range: tuple[float, float]) -> float | None:
    """Return how far colours jump across the border of a region, beyond the slope beside it.

    Of each two neighbouring pixels p in and q out of the region, with p' before and q' behind them
    in the same row or column: (q − p) − ½ ((p − p') + (q' − q)); where the picture ends, the mean
    is over the one step that there is. The root mean square over pairs and channels, as a share of
    the image range; None where the region has no border. Ours.
    """
    jumps = []
    for axis in (1, 2):
        values = image.double().movedim(axis, -1)  # steps run along the last axis
        held = mask.movedim(axis - 1, -1)
        steps = values.diff(dim=-1)
        if steps.shape[-1] == 0:
            continue
        left = torch.nn.functional.pad(steps, (1, 0))[..., :-1]
        right = torch.nn.functional.pad(steps, (0, 1))[..., 1:]
        places = torch.arange(steps.shape[-1])
        beside = (places > 0).double() + (places < steps.shape[-1] - 1).double()
        jump = steps - (left + right) / beside.clamp_min(1)
        jumps.append(jump[:, held[..., 1:] != held[..., :-1]].flatten())
    every = torch.cat(jumps) if jumps else torch.zeros(0)
    if every.numel() == 0:
        return None
    return float(every.square().mean().sqrt()) / (image_range[1] - image_range[0])


def pixels_of(decomposition: Decomposition, region: Region) -> Mask:
    """Mark the pixels of a region of a picture."""
    return decomposition.regions.pixel_mask(region, *decomposition.image.shape[-2:])


def cropped(decomposition: Decomposition, edit: Edit, choose: Choose) -> Units:
    """Return by how much an edit that scales would scale each unit, if cells were all it knew."""
    under = units_under(decomposition, choose)
    scale = torch.ones(1, decomposition.unit_count)
    if edit.patches is not None:
        # Of each patch that is meant to change, the scale of what is most its own.
        scales = edit.row(decomposition)[0]
        rows: dict[float, Region] = {}
        for patch in edit.patches:
            covering = scales[decomposition.action_fields[:, patch]].tolist()
            value = max(covering, key=lambda each: abs(each - 1), default=1.0)
            row = decomposition.regions.demand([patch])
            rows[value] = rows.get(value, row) | row
        for value, row in rows.items():
            scale = torch.where(under(row[None]), torch.tensor(value), scale)
        return scale
    named = torch.zeros(1, decomposition.unit_count, dtype=torch.bool)
    for k, value in edit.scales.items():
        covered = under(decomposition.action_fields[k : k + 1])
        scale = torch.where(covered, scale * value, scale)
        named |= covered
    return torch.where(named, scale, torch.tensor(edit.others))
