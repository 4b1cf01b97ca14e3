"""Which channels make a part, in how many pictures, beside random fields of the same sizes; ours.

Of one picture, channel c holds Σ_k h_k ‖Δf_k,c‖² of a part's energy, with h_k the share of the
pixels of A_k that lies in the part. Leading channels are those of `channels.leading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.axes import Fields
from regional_primitives.compare.channels import channel_energies, channel_of_unit, leading
from regional_primitives.compare.transfer import Span, Transfer, random_alike
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.regions import Regions

_MOST_TOLD = 20
_MOST_ENTRIES = 2**26
"""Components times channels; of more, nothing is told."""


@dataclass(frozen=True)
class LeadingChannel:
    """A channel that is among the leading ones of a part."""

    channel: int
    """Its number; of features that are vectors or several tensors, one after the other."""
    pictures: int
    """In how many pictures it is."""
    share: float
    """Of the part's energy, mean over all pictures."""


@dataclass(frozen=True)
class PartUnits:
    """Which channels make one part of several pictures; of features without places, which units."""

    patch: int
    part: str
    """Its name."""
    needed: float
    """How many channels hold half of the part's energy, mean over pictures."""
    leading: tuple[LeadingChannel, ...]
    """Those of most pictures first, then by share; at most 20."""
    common: float
    """Of the channels that lead in either of two pictures, the share that do in both; mean over
    pairs."""
    common_random: Span
    """The same where the components have random connected fields of the same sizes."""


def part_units(beside: Transfer, seed: int) -> tuple[PartUnits, ...]:
    """Tell which channels make each part; nothing where patches are only numbered."""
    several, regions = beside.decompositions, beside.decompositions[0].regions
    channels = channel_of_unit(several[0].feature_shape)
    count = int(channels.max()) + 1
    if regions.given_names is None or count * max(map(len, beside.counted)) > _MOST_ENTRIES:
        return ()
    energies = [channel_energies(d.offsets, d.units, d.values, channels)[list(own)]
                for d, own in zip(several, beside.counted, strict=True)]  # fmt: skip
    fields = [d.action_fields[list(own)]
              for d, own in zip(several, beside.counted, strict=True)]  # fmt: skip
    sizes = _sizes(regions, several[0])

    def shares(rows: Sequence[Fields]) -> Float[Tensor, "pictures parts channels"]:
        held = [_held(own, sizes) @ energy for own, energy in zip(rows, energies, strict=True)]
        found = torch.stack(held)
        return found / found.sum(-1, keepdim=True).clamp_min(1e-300)

    found = shares(fields)
    leads = leading(found)
    common = _common(leads)
    drawn = torch.stack([
        _common(leading(shares(rows)))
        for rows, _ in random_alike(fields, regions, beside.draws, seed)
    ])  # fmt: skip
    pictures, mean = leads.sum(0), found.mean(0)
    parts = []
    for patch, name in enumerate(regions.names):
        any_lead = pictures[patch].nonzero().flatten().tolist()
        told = [LeadingChannel(c, int(pictures[patch, c]), float(mean[patch, c])) for c in any_lead]
        told.sort(key=lambda one: (-one.pictures, -one.share))
        parts.append(
            PartUnits(
                patch,
                name,
                needed=float(leads[:, patch].sum(-1).double().mean()),
                leading=tuple(told[:_MOST_TOLD]),
                common=float(common[patch]),
                common_random=Span.over(drawn[:, patch].tolist()),
            )
        )
    return tuple(parts)


def _sizes(regions: Regions, decomposition: Decomposition) -> Float[Tensor, " parts"]:
    labels = regions.label_map(*decomposition.image.shape[-2:])
    return torch.bincount(labels[labels >= 0], minlength=regions.count).double()


def _held(fields: Fields, sizes: Tensor) -> Float[Tensor, "parts components"]:
    """Return which share of each field's pixels lies in each part."""
    pixels = fields.double() * sizes
    return (pixels / pixels.sum(1, keepdim=True).clamp_min(1)).T


def _common(leads: Bool[Tensor, "pictures parts channels"]) -> Float[Tensor, " parts"]:
    """Return the mean over pairs of how much of either picture's leading channels both share."""
    one, other = torch.triu_indices(len(leads), len(leads), 1)
    both = (leads[one] & leads[other]).sum(-1).double()
    return (both / (leads[one] | leads[other]).sum(-1).clamp_min(1)).mean(0)
