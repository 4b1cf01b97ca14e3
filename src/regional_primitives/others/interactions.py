"""Interactions of a scalar game on the patches, such as shapiq's, which know of no feature.

A set T of patches with a number I(T) says that they act together, and how strongly, not which units
do it. Ours: every cell of the feature divides itself among the interactions that its patch takes
part in, by |I(T)|, so that Δf_T is the share of f − f0 under T that T is credited with; A_T = T.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.cells import cell_shares, side_of
from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.others.answer import Answer, afford, fields_of, numbers
from regional_primitives.runtime.arguments import real, wholes


@dataclass(frozen=True, eq=False)
class Interactions(Answer):
    """Interactions by the patches that take part; that of no patch, and those of 0, drop out."""

    interactions: Any
    """shapiq's InteractionValues, or {patches: number}, patches a tuple of their numbers; or
    numbers [K], with fields."""
    action_fields: Any = None
    """Bool [K, n], of numbers [K]."""

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return the share of f − f0 that each interaction is credited with."""
        fields, values = self._sets(subject)
        afford(len(fields), subject, "interactions")
        credit = fields * values.abs()[:, None]  # [K, n]
        credit = credit / credit.sum(0).clamp_min(torch.finfo(torch.float32).tiny)
        difference, found = subject.difference.cpu(), []
        for layout in Layout.of(subject.feature_shape):
            gate = credit @ cell_shares(subject, side_of(layout)).T  # [K, cells]
            gate = gate.repeat(1, layout.sites // gate.shape[1])
            found.append(layout.flat(gate[:, :, None] * layout.by_site(difference)))
        return torch.cat(found, 1)

    def fields(self, subject: Subject) -> Dictionary:
        """Return the patches that take part."""
        return self._sets(subject)[0]

    def _sets(self, subject: Subject) -> tuple[Dictionary, Float[Tensor, " terms"]]:
        if self.action_fields is not None:
            values = numbers(self.interactions, "interactions")
            if values.ndim != 1:
                raise InputError(f"interactions are numbers [K], not {list(values.shape)}")
            fields = fields_of(self.action_fields, subject, len(values))
        else:
            fields, values = _by_patches(self.interactions, subject)
        kept = fields.any(1) & (values != 0)
        if not bool(kept.any()):
            raise InputError("there is no interaction of any patch")
        return fields[kept], values[kept]


def _by_patches(given: Any, subject: Subject) -> tuple[Tensor, Tensor]:
    """Read a mapping from patches to numbers, or the object of shapiq that holds one."""
    count = subject.regions.count
    players = getattr(given, "n_players", count)
    if players != count:
        raise InputError(f"the game has {players} players, the picture {count} patches")
    found = getattr(given, "dict_values", given)
    if not isinstance(found, Mapping):
        raise InputError(
            "interactions are shapiq's InteractionValues, {patches: number}, or numbers with "
            f"fields; not {type(given).__name__}"
        )
    fields, values = torch.zeros(len(found), count, dtype=torch.bool), torch.zeros(len(found))
    for row, (patches, value) in enumerate(found.items()):
        named = wholes("a patch of an interaction", patches)
        if not all(0 <= patch < count for patch in named):
            raise InputError(f"the interaction of {named} is of patches beyond 0 … {count - 1}")
        fields[row, list(named)] = True
        values[row] = real(f"the interaction of {named}", value)
    return fields, values
