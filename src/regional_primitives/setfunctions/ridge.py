"""Ridge regression in the OR basis, (A² + t)⁻¹ b, without the 2ⁿ × 2ⁿ matrix A. Ours.

A[S, T] = 1 where S ∩ T ≠ ∅, so A = 11ᵀ − B with B[S, T] = 1 where S ∩ T = ∅. B is the n-fold
Kronecker product of [[1, 1], [1, 0]], whose eigenvalues are the golden ratio φ and −1/φ and whose
eigenvectors form a symmetric rotation Q: B = QΛQ with Λ_T = φ^{n−|T|} (−1/φ)^{|T|}. And

    A² = B² + 2ⁿ 11ᵀ − 1(B1)ᵀ − (B1)1ᵀ = B² + U C Uᵀ,    U = [1, B1],  C = [[2ⁿ, −1], [−1, 0]],

so that (A² + t)⁻¹ is diagonal in Q's basis but for a correction of rank 2 (Woodbury). Q itself is
applied as two dense factors of about 2^{n/2} rows each.
"""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import BySubset
from regional_primitives.setfunctions.subsets import orders

_GOLDEN = (1 + 5**0.5) / 2


class OrRidge:
    """Solves (A² + t) x = b for the OR matrix of all 2ⁿ subsets, indexed by bitmask."""

    def __init__(self, patches: int) -> None:
        self.patches = patches

    @cached_property
    def _eigenvalues(self) -> Float[Tensor, " subsets"]:
        order = orders(self.patches).double()
        return _GOLDEN ** (self.patches - 2 * order) * (1 - 2 * (order % 2))

    @cached_property
    def _factors(self) -> tuple[Float[Tensor, "high high"], Float[Tensor, "low low"]]:
        """Q of the upper half of the patches and of the lower; their Kronecker product is Q."""
        cosine, sine = torch.tensor([_GOLDEN, 1.0], dtype=torch.float64) / (_GOLDEN**2 + 1) ** 0.5
        one = torch.stack([torch.stack([cosine, sine]), torch.stack([sine, -cosine])])
        halves = []
        for count in (self.patches - self.patches // 2, self.patches // 2):
            whole = torch.ones(1, 1, dtype=torch.float64)
            for _ in range(count):
                whole = torch.kron(whole, one)
            halves.append(whole)
        return halves[0], halves[1]

    @cached_property
    def _update(self) -> Float[Tensor, "subsets 2"]:
        """Q U."""
        ones = self._rotated(torch.ones(2**self.patches, 1, dtype=torch.float64))[:, 0]
        return torch.stack([ones, self._eigenvalues * ones], 1)

    def solve(self, targets: BySubset, tie: float) -> BySubset:
        """Return (A² + tie)⁻¹ targets.

        Args:
            targets: one row a subset, indexed by bitmask; A has nothing in the row of ∅.
            tie: t, above 0.
        """
        update, diagonal = self._update, 1 / (self._eigenvalues.square() + tie)
        core_inverse = update.new_tensor([[0.0, -1.0], [-1.0, -(2.0**self.patches)]])
        small = core_inverse + update.T @ (diagonal[:, None] * update)
        # [2, subsets]: what is to be taken off along U for every row of what D⁻¹ leaves.
        taken = torch.linalg.solve(small, update.T)
        correction = (diagonal[:, None] * update).to(targets)
        rotated = self._rotated(targets) * diagonal.to(targets)[:, None]
        rotated -= correction @ (taken.to(targets) @ rotated)
        return self._rotated(rotated)

    def _rotated(self, values: BySubset) -> BySubset:
        """Return Q values; twice is the identity."""
        high, low = (factor.to(values) for factor in self._factors)
        within = low @ values.unflatten(0, (len(high), len(low)))
        return (high @ within.flatten(1)).view(values.shape)
