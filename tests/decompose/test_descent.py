import pytest
import torch

from regional_primitives.decompose.structured.descent import Descent


@pytest.mark.parametrize("turned", [False, True])
def test_steps_are_those_of_torchs_optimiser_however_the_unknowns_lie_in_memory(turned):
    rng = torch.Generator().manual_seed(0)
    start = torch.randn(5, 3, generator=rng)
    target = torch.randn(5, 3, generator=rng)
    mine = start.T.contiguous().T if turned else start.clone()
    theirs = start.clone().requires_grad_(True)
    descent = Descent([mine], 0.1, steps=20)
    optimizer = torch.optim.Adam([theirs], lr=0.1, betas=(0.6, 0.75))
    for step in range(20):
        mine.grad = (2 * (mine - target)).contiguous()
        descent.step()
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 20)
        theirs.grad = 2 * (theirs.detach() - target)
        optimizer.step()
    torch.testing.assert_close(mine, theirs.detach())
    assert not torch.equal(mine, start)
