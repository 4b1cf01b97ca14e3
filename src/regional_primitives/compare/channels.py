"""Which channels of a feature hold the energy of a component, and which of them lead; ours.

Channel c holds ‖Δf_k,c‖² of component k, the sum over all places. Leading are the fewest channels
that hold half of an energy.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.generators.feature import FeatureShape


def channel_of_unit(feature_shape: FeatureShape) -> Int[Tensor, " units"]:
    """Number the channels of all tensors of the feature; a unit without a place is its own."""
    found, first = [], 0
    for layout in Layout.of(feature_shape):
        numbers = torch.arange(first, first + layout.channels)
        found.append(layout.flat(numbers.expand(layout.sites, -1)))
        first += layout.channels
    return torch.cat(found)


def channel_energies(
    offsets: Int[Tensor, " components_plus_1"],
    units: Int[Tensor, " entries"],
    values: Float[Tensor, " entries"],
    channels: Int[Tensor, " units"],
) -> Float[Tensor, "components channels"]:
    """Return ‖Δf_k,c‖² of components as a decomposition stores them, given each unit's channel."""
    components, count = len(offsets) - 1, int(channels.max()) + 1
    owners = torch.arange(components).repeat_interleave(offsets.diff())
    energy = torch.zeros(components * count, dtype=torch.double)
    energy.index_add_(0, owners * count + channels[units.long()], values.double().square())
    return energy.view(components, count)


def leading(energies: Float[Tensor, "*batch channels"]) -> Bool[Tensor, "*batch channels"]:
    """Mark the fewest channels that hold half of each energy."""
    ordered, index = energies.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    leads = (before < 0.5 * energies.sum(-1, keepdim=True)) & (ordered > 0)
    return torch.zeros_like(leads).scatter(-1, index, leads)
