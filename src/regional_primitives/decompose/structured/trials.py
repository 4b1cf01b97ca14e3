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
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.runtime.streams import stream

_SMALLEST = 1e-12
"""A pattern of no energy divides by this."""
_SHORTEST = _SMALLEST**0.5
"""And one of no length by this."""
_GOLDEN = (5**0.5 - 1) / 2


def turns(count: int, steps: int, seed: int) -> Float64[Tensor, "steps trials"]:
    """Return where in (0, 1) each step's trials fall, of all components laid end to end.

    One golden ratio sequence with a random beginning, so that every component has its turn
    regularly.
    """
    begin = torch.rand((), generator=stream(seed, "trials"), dtype=torch.float64)
    numbers = torch.arange(steps * count, dtype=torch.float64)
    return (begin + numbers * _GOLDEN).frac().view(steps, count)


@dataclass(frozen=True, eq=False)
class Trials:
    """Some fields of a dictionary, each to be tried alone and left out; of one picture, or several.

    Several have a first axis of pictures in all tensors, as many trials each.
    """

    chosen: Float[Tensor, "*pictures trials fields"]
    """One row a trial, with a one at its field."""
    action_fields: Bool[Tensor, "*pictures trials patches"]

    @staticmethod
    def draw(
        fields: Bool[Tensor, "*pictures fields patches"],
        energies: Float[Tensor, "*pictures fields"],
        places: Float64[Tensor, " trials"],
        counts: Int[Tensor, "*pictures 1"] | None = None,
    ) -> Trials:
        """Draw components in proportion to their energy, which is how scores weight them.

        `places` are a row of `turns`. The field of no patch has no pattern of its own. Of several
        pictures `counts` tells how many fields each has; the others stand for none.
        """
        energies = (energies * fields.any(-1)).detach().double()
        total = energies.clamp_min(_SMALLEST).cumsum(-1)
        drawn = torch.searchsorted(total, places * total[..., -1:], right=True)
        drawn = drawn.clamp_max(energies.shape[-1] - 1 if counts is None else counts - 1)
        chosen = torch.nn.functional.one_hot(drawn, energies.shape[-1]).float()
        return Trials(chosen, fields.take_along_dim(drawn[..., None], -2))

    def __len__(self) -> int:
        return self.chosen.shape[-2]

    def __getitem__(self, some: slice) -> Trials:
        return Trials(self.chosen[..., some, :], self.action_fields[..., some, :])

    def of(self, pictures: slice) -> Trials:
        """Take some of several pictures."""
        return Trials(self.chosen[pictures], self.action_fields[pictures])

    @property
    def on(self) -> Float[Tensor, "*pictures twice_trials fields"]:
        """Which fields are on: in the first half of the rows each alone, then all but it."""
        return torch.cat([self.chosen, 1 - self.chosen], -2)

    def slope(
        self,
        images: Float[Tensor, "*pictures twice_trials channels height width"],
        errors: PatchErrors,
        boundedness_weight: float,
        consistency_weight: float,
    ) -> Float[Tensor, "*pictures twice_trials channels height width"]:
        """Return the slope along the images of the weighted sum of both losses of all trials."""
        patterns, inside = self._patterns(images, errors)
        within = (patterns * inside).flatten(-3)
        energy = patterns.flatten(-3).square().sum(-1)
        kept = within.square().sum(-1)
        # stray = 1 − kept / energy of each of the two patterns, and the mean of both counts.
        share, scale = kept / energy.clamp_min(_SMALLEST), 1 / energy.clamp_min(_SMALLEST)
        share, scale = (figure[..., None, None, None] for figure in (share, scale))
        slope = (share - inside) * patterns * scale
        slope.mul_(boundedness_weight)
        # cos = ⟨a, b⟩ / (‖a‖ ‖b‖): its slope along a is (b/‖b‖ − cos · a/‖a‖) / ‖a‖.
        lengths = kept.sqrt().clamp_min(_SHORTEST)[..., None]
        directions = within / lengths
        alone, without = directions.unbind(-3)
        cosine = (alone * without).sum(-1, keepdim=True).unsqueeze(-3)
        turn = (directions.flip(-3) - cosine * directions) / lengths
        slope.sub_(turn.view_as(slope), alpha=consistency_weight)
        # Δx grows with the image of the component alone, Δx' falls with that of all but it.
        slope.select(-5, 1).neg_()
        return slope.flatten(-5, -4)

    def _patterns(
        self,
        images: Float[Tensor, "*pictures twice_trials channels height width"],
        errors: PatchErrors,
    ) -> tuple[
        Float[Tensor, "*pictures 2 trials channels height width"],
        Float[Tensor, "*pictures 1 trials 1 height width"],
    ]:
        """Return both patterns of each trial, and the pixels of its action field."""
        alone, without = images.chunk(2, -4)
        baseline_image, image = (x.unsqueeze(-4) for x in (errors.baseline_image, errors.image))
        patterns = torch.stack([alone - baseline_image, image - without], -5)
        inside = errors.picked(torch.nn.functional.pad(self.action_fields.to(images), (0, 1)))
        return patterns, inside.unsqueeze(-3).unsqueeze(-5)
