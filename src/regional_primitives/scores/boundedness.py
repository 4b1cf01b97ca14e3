"""Spatial boundedness: the real action field of each component beside its action field A_k.

The real action field is the paper's (arXiv 2410.04421): the pixel-wise difference that a component
makes, |Δx_k| with the norm over channels. The numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.axes import Image, Images, PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.arguments import whole
from regional_primitives.scores.alone import bounded_share, field_masks
from regional_primitives.scores.components import (
    chance_share,
    counted_first,
    energy_mean,
    in_contexts,
)
from regional_primitives.scores.measured import Measured, listed


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well real action fields fit A_k, one number a component."""

    share_inside: PerComponent
    """Share of ‖Δx_k‖² that lies in A_k: the score `boundedness`."""
    auc: PerComponent
    """How often a pixel inside A_k changes more than one outside, ties half; NaN without either."""
    iou: PerComponent
    """Intersection over union of A_k and as many pixels as it has, those that change most."""

    def means(self, energy: PerComponent) -> dict[str, float]:
        """Return the energy-weighted means that exist."""
        found = {name: energy_mean(values, energy) for name, values in vars(self).items()}
        found["boundedness"] = found.pop("share_inside")
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, eq=False)
class Boundedness(Measured):
    """Real action fields of one picture's components, strongest first."""

    told = ("components", "energy", "field_sizes", "chance", "patch_shares")
    components: Int[Tensor, " components"]
    """Their numbers in the decomposition."""
    energy: PerComponent
    """‖Δf_k‖², the weight in means."""
    field_sizes: Int[Tensor, " components"]
    """Patches in A_k."""
    alone: Agreement
    """Of Δx_k = G(f0 + Δf_k) − G(f0)."""
    in_context: Agreement
    """Of the strongest components against random sets of others, mean over contexts."""
    chance: PerComponent
    """Share of ‖x − x0‖² that lies in A_k: what a component scores that changes a little of all."""
    patch_shares: Float[Tensor, "components patches"]
    """Share of ‖Δx_k‖² in each patch."""
    image: Image
    """x."""
    image_range: tuple[float, float]
    shown_fields: Bool[Tensor, "shown height width"]
    """Pixels of A_k of the components that a figure shows, the strongest."""
    real_fields: Float[Tensor, "shown height width"]
    """|Δx_k|, norm over channels, in the units of the picture."""
    real_fields_in_context: Float[Tensor, "shown height width"]
    """The same, root mean square over contexts."""

    def numbers(self) -> dict[str, float]:
        """Return the energy-weighted means, by name."""
        in_context = self.in_context.means(self.energy)
        chance = energy_mean(self.chance, self.energy)
        return {
            **self.alone.means(self.energy),
            **{f"{name}_in_context": value for name, value in in_context.items()},
            **({} if chance is None else {"boundedness_chance": chance}),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON; pictures are left out."""
        kinds = {"alone": self.alone, "in_context_of_each": self.in_context}
        of_each = {
            f"{name}_{kind}": listed(values)
            for kind, agreement in kinds.items()
            for name, values in vars(agreement).items()
        }
        return super().to_dict() | of_each


def boundedness(
    decomposition: Decomposition,
    generator: Generator,
    *,
    components: int = 40,
    contexts: int = 16,
    shown: int = 6,
    seed: int = 0,
) -> Boundedness:
    """Compare what each component really changes with its action field.

    The exact form's remainder is not counted, but may be part of a context.

    Args:
        decomposition: one picture's.
        generator: the one that it was made with.
        components: how many of the strongest are also measured in contexts.
        contexts: random sets of other components for each.
        shown: how many of the strongest a figure shows.
        seed: random stream of the contexts.

    Raises:
        InputError: no component to count, or counts below 1.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    for name, value in {"components": components, "contexts": contexts, "shown": shown}.items():
        whole(name, value, 1)
    picture = Picture.of(decomposition, generator)
    kept, ordered = counted_first(decomposition)
    picture, count, measured = picture.showing(ordered), len(kept), min(components, len(kept))
    shown = min(shown, measured)
    masks = field_masks(ordered)[:count].bool()
    patterns = picture.patterns(range(count))
    by_patch = picture.errors.per_patch(patterns, torch.zeros_like(picture.image))
    rows, maps = [], []
    for k in range(measured):
        changes = in_contexts(picture, k, contexts=contexts, seed=seed).changes
        row = _agreement(changes, masks[k].expand(contexts, -1, -1))
        # An action field of all pixels has no AUC in any context.
        rows.append([float(value.mean()) for value in (row.share_inside, row.auc, row.iou)])
        if k < shown:
            maps.append(changes.square().sum(1).mean(0).sqrt())
    return Boundedness(
        components=torch.tensor(kept),
        energy=ordered.strengths[:count].square(),
        field_sizes=ordered.action_fields[:count].sum(1),
        alone=_agreement(patterns, masks),
        in_context=Agreement(*torch.tensor(rows).T),
        chance=chance_share(ordered)[:count],
        patch_shares=by_patch[:, :-1] / by_patch.sum(1, keepdim=True).clamp_min(1e-20),
        image=picture.image,
        image_range=ordered.provenance.image_range,
        shown_fields=masks[:shown],
        real_fields=patterns[:shown].norm(dim=1),
        real_fields_in_context=torch.stack(maps),
    )


def _agreement(changes: Images, masks: Bool[Tensor, "batch height width"]) -> Agreement:
    sizes = changes.square().sum(1)
    pairs = list(zip(sizes, masks, strict=True))
    return Agreement(
        share_inside=bounded_share(changes, masks.float()),
        auc=torch.tensor([_auc(size, mask) for size, mask in pairs]),
        iou=torch.tensor([_matched_iou(size, mask) for size, mask in pairs]),
    )


def _auc(size: Float[Tensor, "height width"], mask: Bool[Tensor, "height width"]) -> float:
    inside, outside = size[mask], size[~mask].sort().values
    if len(inside) == 0 or len(outside) == 0:
        return float("nan")
    below = torch.searchsorted(outside, inside)
    level = torch.searchsorted(outside, inside, right=True)
    return float((below + level).double().mean()) / (2 * len(outside))


def _matched_iou(size: Float[Tensor, "height width"], mask: Bool[Tensor, "height width"]) -> float:
    """Return the IoU; pixels that do not change at all are never taken."""
    strongest = size.flatten().topk(int(mask.sum()))
    taken = strongest.indices[strongest.values > 0]
    both = int(mask.flatten()[taken].sum())
    return both / (int(mask.sum()) + len(taken) - both)
