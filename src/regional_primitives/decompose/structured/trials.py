"""Components tried by themselves: axioms two and three of the paper as terms of the loss.

A tried component k is switched on alone and off alone, two evaluations, which give two patterns:

    Δx = G(f0 + Δf_k) − x0   and   Δx' = x − G(f − Δf_k).

Spatial boundedness (arXiv 2410.04421) asks that neither changes anything outside A_k, consistency
that both are the same inside it. As losses, ours: the share of the pattern's energy outside A_k,
mean of both, and 1 − cos(M_A Δx, M_A Δx').
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.axes import Dictionary, PerField
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.runtime.streams import stream

_SMALLEST = 1e-12
"""A pattern of no energy divides by this."""
_SHORTEST = _SMALLEST**0.5
"""And one of no length by this."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class Trials:
    """Some fields of a dictionary, each to be tried alone and left out."""

    chosen: Float[Tensor, "trials fields"]
    """One row a trial, with a one at its field."""
    action_fields: Bool[Tensor, "trials patches"]

    @staticmethod
    def draw(fields: Dictionary, energies: PerField, count: int, *, seed: int, step: int) -> Trials:
        """Draw components in proportion to their energy, which is how scores weight them.

        The draws of all steps are one golden ratio sequence with a random beginning, so that every
        component has its turn regularly. The field of no patch has no pattern of its own.
        """
        if count == 0:
            return Trials(energies.new_zeros(0, len(fields)), fields[:0])
        energies = (energies * fields.any(1)).detach().double().cpu()
        total = energies.clamp_min(_SMALLEST).cumsum(0)
        begin = torch.rand((), generator=stream(seed, "trials"), dtype=torch.float64)
        turns = step * count + torch.arange(count, dtype=torch.float64)
        places = (begin + turns * _GOLDEN).frac() * total[-1]
        drawn = torch.searchsorted(total, places, right=True).clamp_max(len(fields) - 1)
        drawn = drawn.to(fields.device)
        chosen = torch.nn.functional.one_hot(drawn, len(fields)).float()
        return Trials(chosen, fields[drawn])

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, some: slice) -> Trials:
        return Trials(self.chosen[some], self.action_fields[some])

    @property
    def on(self) -> Float[Tensor, "twice_trials fields"]:
        """Which fields are on: in the first half of the rows each alone, then all but it."""
        return torch.cat([self.chosen, 1 - self.chosen])

    def slope(
        self,
        images: Float[Tensor, "twice_trials channels height width"],
        errors: PatchErrors,
        boundedness_weight: float,
        consistency_weight: float,
    ) -> Float[Tensor, "twice_trials channels height width"]:
        """Return the slope along the images of the weighted sum of both losses of all trials."""
        patterns, inside = self._patterns(images, errors)
        within = (patterns * inside).flatten(2)
        energy = patterns.flatten(2).square().sum(2)
        kept = within.square().sum(2)
        # stray = 1 − kept / energy of each of the two patterns, and the mean of both counts.
        share, scale = kept / energy.clamp_min(_SMALLEST), 1 / energy.clamp_min(_SMALLEST)
        share, scale = (figure[..., None, None, None] for figure in (share, scale))
        slope = (share - inside) * patterns * scale
        slope.mul_(boundedness_weight)
        # cos = ⟨a, b⟩ / (‖a‖ ‖b‖): its slope along a is (b/‖b‖ − cos · a/‖a‖) / ‖a‖.
        lengths = kept.sqrt().clamp_min(_SHORTEST)[..., None]
        directions = within / lengths
        cosine = (directions[0] * directions[1]).sum(1, keepdim=True)
        turn = (directions.flip(0) - cosine * directions) / lengths
        slope.sub_(turn.view_as(slope), alpha=consistency_weight)
        # Δx grows with the image of the component alone, Δx' falls with that of all but it.
        slope[1].neg_()
        return slope.flatten(0, 1)

    def _patterns(
        self, images: Float[Tensor, "twice_trials channels height width"], errors: PatchErrors
    ) -> tuple[
        Float[Tensor, "2 trials channels height width"], Float[Tensor, "trials 1 height width"]
    ]:
        """Return both patterns of each trial, and the pixels of its action field."""
        alone, without = images.chunk(2)
        patterns = torch.stack([alone - errors.baseline_image, errors.image - without])
        inside = torch.nn.functional.pad(self.action_fields.to(images), (0, 1))
        inside = inside.index_select(1, errors.labels)
        return patterns, inside.unflatten(1, images.shape[-2:])[:, None]
