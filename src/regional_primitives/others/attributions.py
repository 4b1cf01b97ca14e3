"""Attributions to single units, such as captum's: each a gate of what it credits.

An attribution of one score says how much every unit of the feature does for it. Several, one a
score, divide the units among them (`gates`); where a score is that of a region, its field is the
region. `region_scores` are such scores of this picture, for captum or anything else that wants a
number to differentiate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.division import division
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.generators.feature import feature_of
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.others.answer import Answer, fields_of, rows_of
from regional_primitives.others.gates import gates
from regional_primitives.regions import Regions
from regional_primitives.runtime.modes import ordinary


@dataclass(frozen=True, eq=False)
class Attributions(Answer):
    """Attributions of several scores to the units of the feature."""

    attributions: Any
    """[K, *feature], as captum's layer and input methods return them; of a bundle, a tuple."""
    action_fields: Any = None
    """Bool [K, n]: the patches whose score each is of; None leaves them to the one rule."""
    normalise: str = "share"
    """See `gates`."""

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return what each attribution's gate lets through of f − f0."""
        found = rows_of(self.attributions, subject, "attributions")
        return gates(found, self.normalise) * subject.difference.cpu()

    def fields(self, subject: Subject) -> Dictionary | None:
        """Return the patches that the scores are of, where they are told."""
        if self.action_fields is None:
            return None
        count = len(rows_of(self.attributions, subject, "attributions"))
        return fields_of(self.action_fields, subject, count)


@ordinary()
def region_scores(
    generator: Generator,
    latents: Latents,
    regions: Regions | str | PathLike[str] | None = None,
    *,
    baseline_count: int | None = None,
) -> tuple[Callable[..., Float[Tensor, "batch patches"]], Tensor, Tensor]:
    """Return a score of every patch as a function of the feature, with f and f0 to start from.

    The score of patch i is ⟨M_i (G(u) − x0), M_i (x − x0)⟩ / ‖M_i (x − x0)‖²: 0 at the baseline
    feature and 1 at the picture's own, linear in the picture. Ours. It follows gradients, and takes
    one tensor, or several of a bundle; f and f0 are then tuples.

    Raises:
        InputError, GeneratorError: what `rp.explain` raises.
    """
    subject = prepare(
        generator, latents, division(regions, generator, latents), baseline_count=baseline_count
    )
    change = subject.image - subject.baseline_image
    each = torch.eye(subject.regions.count, dtype=torch.bool, device=change.device)
    whole = subject.errors.wholes(each)[0]
    masks = subject.regions.masks(*change.shape[-2:]).to(change)

    def scores(*tensors: Tensor) -> Float[Tensor, "batch patches"]:
        images = subject.generator.tail(feature_of(tensors)).float()
        along = ((images - subject.baseline_image) * change).sum(1)
        return torch.einsum("bhw,nhw->bn", along, masks) / whole

    return scores, subject.feature, subject.baseline  # type: ignore[return-value]
