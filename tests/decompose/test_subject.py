import torch

import regional_primitives as rp
from regional_primitives.decompose.subject import PatchErrors


def test_the_slope_of_demands_is_that_of_autograd_through_their_errors():
    rng = torch.Generator().manual_seed(0)
    image, baseline = torch.randn(2, 3, 6, 8, generator=rng)
    labels = torch.arange(6)[:, None].expand(6, 8) // 2
    labels = labels.where(torch.arange(8) > 1, -1)  # some pixels are of no patch
    errors = PatchErrors.of(image, baseline, rp.Regions.from_labels(labels))
    demands = torch.tensor([[1, 0, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1]]).bool()
    images = torch.randn(4, 3, 6, 8, generator=rng).requires_grad_(True)
    inside, leak = errors.of_demands(images, demands)
    (wanted,) = torch.autograd.grad((inside + 0.3 * leak).sum(), images)
    slope, *found = errors.slope_of_demands(images.detach(), demands, 0.3)
    torch.testing.assert_close(slope, wanted, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found, [inside.detach(), leak.detach()])
