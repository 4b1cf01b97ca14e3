"""Parts and appearances, as PandA (Oldfield et al. 2022) factorises features.

A part is a pattern over sites, an appearance one over channels. With f − f0 as a matrix
[sites, channels], the core C minimises ‖f − f0 − P C A‖, least squares for factors that need not be
orthogonal; PandA's own core is that of orthogonal ones. Component r is P_r (C A)_r.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.others.answer import Answer, afford, numbers, one_layout


@dataclass(frozen=True, eq=False)
class Parts(Answer):
    """Spatial factors, and channel factors where the method has them."""

    parts: Any
    """[R, *sites]."""
    appearances: Any = None
    """[Q, channels]; None leaves a part's channels free."""
    pairs: bool = False
    """Whether each appearance of each part is a component, and not each part."""

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return a component a part, or a pair."""
        layout = one_layout(subject, "parts")
        parts = numbers(self.parts, "parts")
        parts = parts.flatten(1) if parts.ndim > 1 else parts[None]
        if parts.shape[1] != layout.sites or not len(parts):
            raise InputError(
                f"parts are [R, *sites] of {layout.sites} sites, not {list(parts.shape)}"
            )
        departure = layout.by_site(subject.difference.cpu()).double()
        core = torch.linalg.pinv(parts.T.double()) @ departure  # [R, channels]
        appearances = torch.eye(layout.channels, dtype=torch.float64)
        if self.appearances is not None:
            appearances = numbers(self.appearances, "appearances").double()
            if appearances.ndim != 2 or appearances.shape[1] != layout.channels:
                raise InputError(
                    f"appearances are [Q, channels] of {layout.channels} channels, not "
                    f"{list(appearances.shape)}"
                )
            core = core @ torch.linalg.pinv(appearances)  # [R, Q]
        elif self.pairs:
            raise InputError("pairs need appearances beside the parts")
        if self.pairs:
            afford(core.numel(), subject, "pairs")
            found = torch.einsum("rs,rq,qc->rqsc", parts.double(), core, appearances).flatten(0, 1)
        else:
            found = torch.einsum("rs,rc->rsc", parts.double(), core @ appearances)
        return layout.flat(found).float()
