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


def change_shares(
    subject: Subject, terms: Float[Tensor, "terms units"]
) -> Float[Tensor, "terms patches"]:
    """Return each patch's share of what a term alone changes in the baseline picture."""
    errors = subject.errors
    images = subject.generator.render(subject.baseline_units.cpu() + terms)
    changed = errors.per_patch(images.to(errors.image.device), errors.baseline_image)
    changed = changed[:, : errors.count].cpu()
    return changed / changed.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


def smallest_fields(shares: Float[Tensor, "terms patches"], held: float) -> Dictionary:
    """Return each term's fewest patches that hold the share `held`; all, of one without change."""
    values, order = shares.sort(dim=1, descending=True)
    kept = values.cumsum(1) - values < held
    return torch.zeros_like(kept).scatter(1, order, kept)
