"""Directions in feature space, as GANSpace (Härkönen et al. 2020) and LOCO Edit (Chen et al. 2024)
find them; a direction says which way, not how far, so how much of it a picture has is defined here.

Ours: the coefficients a minimise ‖f − f0 − Σ a_k v_k‖ (of equally good ones, the shortest), and
Δf_k = a_k v_k. Of orthogonal directions that is each one's own projection coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.others.answer import Answer, numbers, rows_of

_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Directions(Answer):
    """Directions of the feature, of any length, and the masks that they are to act in."""

    directions: Any
    """v_k, [K, *feature]."""
    masks: Any = None
    """[K, height, width] of the picture's pixels, bool or 0 and 1; a direction's field is the
    patches of which at least half lies in its mask, or the one of which most does. None where the
    method has none, see `fields`."""

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return what of f − f0 lies along each direction."""
        rows = rows_of(self.directions, subject, "directions").double()
        lengths = rows.norm(dim=1)
        if not bool((lengths > 0).all()):
            raise InputError(f"direction {int(lengths.argmin())} is zero, so it points nowhere")
        unit = rows / lengths[:, None]
        along = torch.linalg.pinv(unit @ unit.T, hermitian=True) @ (
            unit @ subject.difference.cpu().double()
        )
        return (along[:, None] * unit).float()

    def fields(self, subject: Subject) -> Dictionary | None:
        """Return the patches that lie in each direction's mask."""
        if self.masks is None:
            return None
        count = len(rows_of(self.directions, subject, "directions"))
        return fields_of_masks(self.masks, subject, count)


def fields_of_masks(masks: Any, subject: Subject, count: int) -> Dictionary:
    """Return the patches of which at least half lies in each mask, or the one of which most does.

    Raises:
        InputError: not `count` masks of the picture's pixels, or one that no patch has a pixel of.
    """
    found = numbers(masks, "masks")
    expected = (count, *subject.image.shape[-2:])
    if tuple(found.shape) != expected or not bool(((found == 0) | (found == 1)).all()):
        raise InputError(
            f"masks are {list(expected)}, a mask a component, each pixel true or false; not "
            f"{list(found.shape)} from {float(found.min()) if found.numel() else 0:g} to "
            f"{float(found.max()) if found.numel() else 0:g}"
        )
    pixels = subject.regions.masks(*expected[1:]).float()
    held = torch.einsum("khw,nhw->kn", found, pixels) / pixels.sum((1, 2))
    nowhere = (held == 0).all(1).nonzero().flatten().tolist()
    if nowhere:
        raise InputError(f"mask {nowhere[0]} holds no pixel of any patch")
    most = held.amax(1, keepdim=True)
    return held >= most.clamp_max(_HALF)
