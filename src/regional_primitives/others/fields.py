"""The action field of a component that has none: the fewest patches that hold what it changes.

Ours, and the one rule for every method that knows of no patches. A component alone changes the
baseline picture by Δx = G(f0 + Δf) − x0; its field is the fewest patches that together hold a given
share of ‖Δx‖². The share is the method's knob: larger fields answer more demands and leak more.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.subject import Subject

SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""The knob's values where a frontier is drawn."""
_ROWS = 64
"""Pictures that are held at once."""


def change_shares(
    subject: Subject, terms: Float[Tensor, "terms units"]
) -> Float[Tensor, "terms patches"]:
    """Return each patch's share of what a term alone changes in the baseline picture."""
    errors, generator, baseline = subject.errors, subject.generator, subject.baseline_units.cpu()
    found = []
    for rows in terms.split(min(generator.chunk, _ROWS)):
        images = generator.render(baseline + rows).to(errors.image.device)
        found.append(errors.per_patch(images, errors.baseline_image)[:, : errors.count].cpu())
    changed = torch.cat(found)
    return changed / changed.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


def smallest_fields(shares: Float[Tensor, "terms patches"], held: float) -> Dictionary:
    """Return each term's fewest patches that hold the share `held`; all, of one without change."""
    values, order = shares.sort(dim=1, descending=True)
    kept = values.cumsum(1) - values < held
    return torch.zeros_like(kept).scatter(1, order, kept)
