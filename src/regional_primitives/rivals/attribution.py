"""Masks by attribution: switch on the units that matter for the demand, by two measures."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from regional_primitives.axes import Demands, Units
from regional_primitives.rivals.rival import Scene, Way, rival

_LEAST_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
_KEPT_SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
_BATCH = 48


@rival(
    "influence alone",
    "switches on the units that the demand's patches depend on, by vector–Jacobian products, "
    "without a fit",
    "ours",
    "least share of a unit's influence",
    place=2,
)
def influence_masks(scene: Scene) -> Iterator[Way]:
    """Yield units by measured influence alone, without any fit: a unit serves several patches."""
    for least in _LEAST_SHARES:

        def answer(demands: Tensor, least: float = least) -> Units:
            share = scene.influence_share
            # No unit may serve nothing, or the whole picture would not be generated.
            serves = (share > least) | (share == share.amax(0))
            return scene.switched((demands.float() @ serves.float() > 0).float())

        yield Way(f"a unit serves patches with over {least:.0%} of its influence", answer)


@rival(
    "gradient × activation",
    "keeps the units to which the demanded change is attributed, one gradient a demand",
    "Shrikumar et al. 2016",
    "share of the attribution",
    place=3,
)
def gradient_masks(scene: Scene) -> Iterator[Way]:
    """Yield masks by gradient × activation, an evaluation a demand.

    With the gradient of ½ ‖M_S(G(u) − x0)‖² at f, the units whose products with f − f0 are largest
    in size are kept, as many as hold a share of the sum. (The positive ones alone overshoot: on
    `faces` they generate worse than the baseline picture.)
    """
    known: dict[bytes, Tensor] = {}

    def attributions(demands: Demands) -> Units:
        # Every setting asks for the same demands; they are evaluated once.
        key = demands.numpy().tobytes()
        if key not in known:
            together = min(_BATCH, scene.generator.chunk)
            known[key] = torch.cat([_attribution(scene, some) for some in demands.split(together)])
        return known[key]

    for kept in _KEPT_SHARES:

        def answer(demands: Tensor, kept: float = kept) -> Units:
            some = attributions(demands).abs().split(_BATCH)
            return torch.cat([scene.switched(_largest(products, kept)) for products in some])

        yield Way(f"the units with {kept:.0%} of the attribution", answer)


def _largest(products: Units, kept: float) -> Units:
    """Mark the largest, as many as hold a share of each row's sum."""
    values, order = products.sort(dim=1, descending=True)
    before = values.cumsum(1) - values
    on = (before < kept * values.sum(1, keepdim=True)) & (values > 0)
    return torch.zeros_like(products).scatter(1, order, on.float())


def _attribution(scene: Scene, demands: Demands) -> Units:
    subject = scene.subject
    height, width = subject.image.shape[-2:]
    pixels = subject.regions.masks(height, width).float()
    masks = torch.einsum("bn,nhw->bhw", demands.float(), pixels).to(subject.image)

    def slope(images: Tensor) -> tuple[Tensor, None]:
        """Return that of ½ ‖M_S(G(u) − x0)‖²."""
        return (images - subject.baseline_image) * masks[:, None], None

    units = subject.units.expand(len(demands), -1).contiguous()
    gradient, _ = scene.evaluations.pulled_back(units, slope)
    return (gradient * subject.difference).cpu()
