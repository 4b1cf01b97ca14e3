"""Gates: how a map that only says where, or how much, takes a share of the feature.

Ours: Δf_k = g_k ⊙ (f − f0), with a gate g_k from the map's positive part, normalised in one of
three ways. `peak`: each map over its own maximum, as heat maps are shown; overlapping maps then sum
up to more than f − f0. `share`: each place divides itself among the maps, which sum up to f − f0
wherever any map is positive. `none`: maps as they are.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.errors import InputError

Normalise = Literal["peak", "share", "none"]
_TINY = torch.finfo(torch.float32).tiny


def gates(maps: Float[Tensor, "maps places"], normalise: str) -> Float[Tensor, "maps places"]:
    """Return the gate of every map at every place.

    Raises:
        InputError: another way to normalise, or maps that are positive nowhere.
    """
    if normalise not in get_args(Normalise):
        told = " or ".join(map(repr, get_args(Normalise)))
        raise InputError(f"normalise must be {told}, not {normalise!r}")
    positive = maps.clamp_min(0)
    if not bool(positive.any()):
        raise InputError("no map is positive anywhere, so none takes a share of the feature")
    if normalise == "peak":
        return positive / positive.amax(1, keepdim=True).clamp_min(_TINY)
    return positive / positive.sum(0).clamp_min(_TINY) if normalise == "share" else positive
