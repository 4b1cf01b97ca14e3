"""Adam (Kingma and Ba, arXiv 1412.6980) with a step size that falls linearly to zero.

This is torch's own kernel without the optimiser class around it, which imports torch's compiler:
a second at the first fit of every process, for nothing that is used here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

_DECAYS = (0.6, 0.75)
"""Both moments remember few steps: slopes of random demands have heavy tails, and what one demand
says should not slow a unit down for a hundred steps (docs/research/structured-form.md)."""
_SMALLEST = 1e-8


class Descent:
    """Moves unknowns down the slopes in their `grad`."""

    def __init__(self, unknowns: Sequence[Tensor], learning_rate: float, steps: int) -> None:
        self.unknowns = list(unknowns)
        self.learning_rate = learning_rate
        self.steps = steps
        self.taken = 0
        self._means = [torch.zeros_like(one) for one in self.unknowns]
        self._squares = [torch.zeros_like(one) for one in self.unknowns]
        # The fused kernel counts steps on the unknowns' device.
        self._counts = [torch.zeros((), device=one.device) for one in self.unknowns]

    @property
    def rate(self) -> float:
        """The next step's size."""
        return self.learning_rate * (1 - self.taken / self.steps)

    def step(self) -> None:
        """Take the next of `steps` steps."""
        self.move(self.rate)
        self.taken += 1

    @torch.no_grad()
    def move(self, rate: float | Tensor) -> None:
        """Move as far as a step of this size does; a tensor is read when the device gets there."""
        slopes = [_laid_out_like(one) for one in self.unknowns]
        adam(
            self.unknowns,
            slopes,
            self._means,
            self._squares,
            [],
            self._counts,
            fused=True,
            amsgrad=False,
            beta1=_DECAYS[0],
            beta2=_DECAYS[1],
            lr=rate,
            weight_decay=0.0,
            eps=_SMALLEST,
            maximize=False,
        )

    def only(self, unknowns: Sequence[Tensor], rows: Sequence[Tensor]) -> Descent:
        """Go on with some entries of each unknown, along its second axis.

        `unknowns` are what is left of them, without those of which nothing is.
        """
        going_on = Descent(unknowns, self.learning_rate, self.steps)
        going_on.taken = self.taken
        states = self._means, self._squares
        going_on._means, going_on._squares = (
            [one[:, some] for one, some in zip(state, rows, strict=True) if len(some)]
            for state in states
        )
        pairs = zip(self._counts, rows, strict=True)
        going_on._counts = [one for one, some in pairs if len(some)]
        return going_on


def _laid_out_like(unknown: Tensor) -> Tensor:
    """Return the slope with the unknown's strides: the kernel goes through memory, not places."""
    slope = unknown.grad
    assert slope is not None
    if slope.stride() == unknown.stride():
        return slope
    return torch.empty_like(unknown).copy_(slope)
