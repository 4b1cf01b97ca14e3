"""Level sets of influence: the fields that a unit's own influence suggests, of any shape.

A unit that paints two eyes acts on two places, which no rectangle holds and no connected set.
Sorted by influence, its patches fall off somewhere: the sets above its two steepest falls are
candidates, if influence falls to a twentieth there. What falls off slowly suggests no shape: where
it is cut is the noise of the probes, and another fit would cut it elsewhere.
Ours; on planted networks with disconnected fields they are what finds them
(docs/research/planted-answers.md).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["level_sets"]

_FALLS = 2
"""How many cuts a unit has a say in."""
_STEEP = 20.0
"""A fall by less suggests nothing."""
_FAINT = 0.01
"""Of influence below this share of a unit's strongest no fall is steep,"""
_NOTHING = 1e-4
"""unless to below this share, where there is none at all:"""
_LEAST = 1e-3
"""then this takes the place of `_FAINT`, and patches of weak influence count."""


def level_sets(
    influence: Float[Tensor, "patches units"], most: int
) -> Bool[Tensor, "sets patches"]:
    """List the fields that most of the units' influence suggests, the empty one first.

    Each unit votes for the sets above its steepest falls, with its influence times the logarithm of
    how steep the fall is. The empty field is that of units that no demand needs.

    Args:
        influence: squared influence of each unit of a site on each patch.
        most: how many sets to list besides the empty one.
    """
    influence = influence.cpu()
    patches = len(influence)
    order = influence.argsort(dim=0, descending=True, stable=True)
    falling = influence.gather(0, order)
    falling = falling / falling[:1].clamp_min(torch.finfo(torch.float32).tiny)
    upper, lower = falling[:-1], falling[1:]
    faint = torch.where(lower < _NOTHING, _LEAST, _FAINT)
    falls = (upper + faint) / (lower + faint)
    steepest = falls.topk(min(_FALLS, patches - 1), dim=0)
    rank = torch.zeros_like(order).scatter_(
        0, order, torch.arange(patches)[:, None].expand_as(order)
    )
    steep = steepest.values > _STEEP
    above = (rank <= steepest.indices[:, None]).transpose(1, 2)[steep]
    votes = (influence.sum(0) * steepest.values.log())[steep]
    sets, chosen = above.unique(dim=0, return_inverse=True)
    support = torch.zeros(len(sets)).index_add_(0, chosen, votes)
    best = support.argsort(descending=True, stable=True)[:most]
    return torch.cat([torch.zeros(1, patches, dtype=torch.bool), sets[best]])
