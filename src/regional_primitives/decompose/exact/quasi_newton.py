"""Many minimisations at once: limited-memory BFGS with bounds, each problem on its own.

Two-loop recursion and scaling follow Nocedal (1980) and Liu & Nocedal (1989); bounds are kept by
projection, with units held where the gradient pushes against their bound (Bertsekas 1982).
Libraries minimise one function a call; a tail is only fast with a batch of demands, so all problems
step together, and those that are done leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_HISTORY = 10
"""Pairs of step and gradient change that are remembered."""
_TRIES = 6
_SUFFICIENT = 1e-4
"""Armijo's constant: the share of the promised decrease that a step must keep."""
_FIRST_STEP = 0.05
"""The first step's length, in units of `length`."""

Evaluate = Callable[
    [Int[Tensor, " rows"], Float[Tensor, "rows units"]],
    tuple[Float[Tensor, " rows"], Float[Tensor, "rows units"]],
]
"""Maps problem numbers and points to values and gradients."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the problems ended."""

    units: Float[Tensor, "problems units"]
    value: Float[Tensor, " problems"]
    residual: Float[Tensor, " problems"]
    """‖projected gradient‖ × length."""
    converged: Bool[Tensor, " problems"]
    """Whether the residual fell to the tolerance."""

    @staticmethod
    def memory_bytes(units: int) -> int:
        """Return what one problem takes while it is being minimised, the objective's own aside."""
        return 4 * units * (2 * _HISTORY + 8)


def minimise(
    evaluate: Evaluate,
    start: Float[Tensor, "problems units"],
    *,
    length: float,
    steps: int,
    tolerance: float,
    lower: Float[Tensor, "1 units"] | float = -torch.inf,
    upper: Float[Tensor, "1 units"] | float = torch.inf,
) -> Minimum:
    """Minimise every problem from its start, a row a problem.

    `evaluate` gives the objectives of those that are still running; `length` is that of a natural
    step. A problem is done after `steps`, or when its residual, the gradient times that length, is
    no larger than `tolerance`. No unit goes below `lower` or above `upper`.
    """
    state = _State.start(evaluate, start, lower, upper, length)
    found = Minimum(
        state.units.clone(),
        state.value.clone(),
        state.residual(),
        torch.zeros(len(start), dtype=torch.bool, device=start.device),
    )
    for _ in range(steps):
        done = state.residual() <= tolerance
        found.converged[state.rows[done]] = True
        state.leave(done | state.stuck)
        if not len(state.rows):
            break
        state.step(evaluate)
        found.units[state.rows] = state.units
        found.value[state.rows] = state.value
        found.residual[state.rows] = state.residual()
    found.converged[found.residual <= tolerance] = True
    return found


@dataclass(eq=False)
class _State:
    """The problems that are still running, and what is remembered of their curvature."""

    lower: Any
    upper: Any
    length: float
    rows: Int[Tensor, " running"]
    units: Float[Tensor, "running units"]
    value: Float[Tensor, " running"]
    gradient: Float[Tensor, "running units"]
    projected: Float[Tensor, "running units"]
    """The gradient, but nothing where descent would leave the box."""
    scale: Float[Tensor, " running"]
    """Of the inverse curvature, as the last valid pair tells."""
    failed: Bool[Tensor, " running"]
    """The last line search found nothing; the next starts from the gradient alone."""
    stuck: Bool[Tensor, " running"]
    """Two line searches in a row found nothing: that is as far as the numbers' precision goes."""
    pairs: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    """Steps, gradient changes, and 1 / their product (0: a problem's pair is void)."""

    @staticmethod
    def start(evaluate: Evaluate, units: Tensor, lower: Any, upper: Any, length: float) -> _State:
        rows, units = torch.arange(len(units), device=units.device), units.clamp(lower, upper)
        nothing = torch.zeros_like(rows, dtype=torch.bool)
        value, slope = evaluate(rows, units)
        state = _State(
            lower, upper, length, rows, units, value, slope, slope, value, nothing, nothing
        )
        state.project()
        state.scale = state.first_step()
        return state

    def project(self) -> None:
        inward = (self.units <= self.lower) & (self.gradient > 0)
        outward = (self.units >= self.upper) & (self.gradient < 0)
        self.projected = self.gradient.masked_fill(inward, 0.0).masked_fill(outward, 0.0)

    def first_step(self) -> Float[Tensor, " running"]:
        return _FIRST_STEP * self.length / self.projected.norm(dim=1).clamp_min(1e-30)

    def residual(self) -> Float[Tensor, " running"]:
        return self.projected.norm(dim=1) * self.length

    def leave(self, gone: Bool[Tensor, " running"]) -> None:
        """Take problems out of the batch."""
        if not bool(gone.any()):
            return
        stay = ~gone
        for name in ("rows", "units", "value", "gradient", "projected", "scale", "failed", "stuck"):
            setattr(self, name, getattr(self, name)[stay])
        self.pairs = [(s[stay], y[stay], r[stay]) for s, y, r in self.pairs]

    def direction(self) -> Float[Tensor, "running units"]:
        """Return −H·∇E by the two-loop recursion, with nothing where the box holds a unit."""
        # Back through the pairs, scale, and forth again.
        q = self.projected.clone()
        weights = []
        for s, y, r in reversed(self.pairs):
            weight = r * (s * q).sum(1)
            q.sub_(weight[:, None] * y)
            weights.append(weight)
        q.mul_(self.scale[:, None])
        for (s, y, r), weight in zip(self.pairs, reversed(weights), strict=True):
            q.add_((weight - r * (y * q).sum(1))[:, None] * s)
        q.masked_fill_((self.projected == 0) & (self.gradient != 0), 0.0)
        # Where that leads uphill, or has just failed, go down the gradient itself.
        uphill = (self.projected * q).sum(1) <= 0
        steepest = uphill | self.failed
        first = self.first_step()
        # After a failure the step is tiny: what failed was too long for the objective's kinks.
        shrunk = torch.where(self.failed, 0.01 * first, first)
        return -torch.where(steepest[:, None], shrunk[:, None] * self.projected, q)

    def step(self, evaluate: Evaluate) -> None:
        """Move every problem to a point of sufficient decrease, if its direction has one."""
        direction = self.direction()
        units, value, gradient = self.units.clone(), self.value.clone(), self.gradient.clone()
        length = torch.ones_like(self.value)
        todo = torch.arange(len(self.rows), device=self.rows.device)
        for _ in range(_TRIES):
            # Try a step; a problem whose value falls as far as its slope promises keeps it.
            tried = self.units[todo] + length[todo, None] * direction[todo]
            tried = tried.clamp(self.lower, self.upper)
            moved = ((tried - self.units[todo]) * self.gradient[todo]).sum(1)
            found, slope = evaluate(self.rows[todo], tried)
            good = (found <= self.value[todo] + _SUFFICIENT * moved) & (moved < 0)
            kept = todo[good]
            units[kept], value[kept], gradient[kept] = tried[good], found[good], slope[good]
            # The parabola through value, slope and the failed value tells where to try next.
            excess = (found - self.value[todo] - moved).clamp_min(1e-30)
            factor = (-0.5 * moved / excess).nan_to_num(0.1).clamp(0.1, 0.5)
            length[todo] *= factor
            todo = todo[~good]
            if not len(todo):
                break
        # A problem that fails twice in a row is stuck.
        missed = torch.zeros_like(self.failed)
        missed[todo] = True
        self.stuck, self.failed = missed & self.failed, missed
        self._remember(units - self.units, gradient - self.gradient)
        self.units, self.value, self.gradient = units, value, gradient
        self.project()

    def _remember(self, step: Tensor, change: Tensor) -> None:
        product, size = (step * change).sum(1), change.square().sum(1)
        valid = product > 1e-10 * size
        # A failed search says that what is remembered is wrong.
        self.pairs = [(s, y, r.masked_fill(self.failed, 0.0)) for s, y, r in self.pairs]
        inverse = torch.where(valid, 1 / product.clamp_min(1e-30), 0.0)
        self.pairs = [*self.pairs, (step, change, inverse)][-_HISTORY:]
        self.scale = torch.where(valid, product / size.clamp_min(1e-30), self.scale)
