"""Ridge regression in the OR basis against the dense matrix."""

import pytest
import torch

from regional_primitives.setfunctions import OrRidge, or_values


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("tie", [0.01, 3.0, 1e4])
def test_it_solves_what_the_dense_matrix_solves(n, tie):
    masks = torch.arange(2**n)
    matrix = ((masks[:, None] & masks) > 0).double()
    targets = torch.randn(2**n, 5, generator=torch.Generator().manual_seed(n)).double()
    dense = matrix @ matrix + tie * torch.eye(2**n, dtype=torch.float64)
    expected = torch.linalg.solve(dense, targets)
    found = OrRidge(n).solve(targets, tie)
    assert torch.allclose(found, expected, rtol=1e-8, atol=1e-9 * float(expected.abs().max()))


def test_single_precision_is_enough_for_the_ties_in_use():
    targets = torch.randn(512, 7, generator=torch.Generator().manual_seed(0))
    targets[0] = 0
    precise = OrRidge(9).solve(targets.double(), 128.0)
    assert float((OrRidge(9).solve(targets, 128.0) - precise).norm() / precise.norm()) < 1e-5


def test_a_small_tie_undoes_the_or_sum():
    components = torch.randn(32, 3, generator=torch.Generator().manual_seed(1)).double()
    components[0] = 0
    values = or_values(components)
    found = OrRidge(5).solve(or_values(values), 1e-6)
    assert torch.allclose(found, components, atol=1e-3)
