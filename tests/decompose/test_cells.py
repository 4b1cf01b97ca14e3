"""Which cells lie in a demand, against a count of pixels one by one."""

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.cells import and_neighbours, mostly, touching, units_under


@pytest.fixture(scope="module")
def found():
    """4 × 4 cells of two channels under 8 × 8 pixels, in 3 × 3 patches that cut through cells."""
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (2, 4, 4)), torch.nn.Identity(), torch.nn.Upsample(scale_factor=2)
    )
    generator = rp.cut(
        module, "1", sample_latents=lambda n, rng: torch.randn(n, 32, generator=rng),
        image_range=(-4.0, 4.0),
    )  # fmt: skip
    settings = rp.Structured(steps=1, batch=2, probes=1, baseline_count=16)
    return rp.explain(
        generator, generator.sample_latents(1, seed=0), rp.Regions.grid(3, 3), settings
    )


def shares(found, patches):
    labels = found.regions.label_map(8, 8).tolist()
    return [
        [
            sum(labels[2 * y + i][2 * x + j] in patches for i in (0, 1) for j in (0, 1)) / 4
            for x in range(4)
        ]
        for y in range(4)
    ]


@pytest.mark.parametrize("patches", [[0], [4], [1, 2], [0, 4, 8], range(9)])
def test_cells_count_by_their_share_of_pixels(found, patches):
    demand = found.regions.demand(list(patches))[None]
    held = shares(found, patches)
    touched = [(y, x) for y in range(4) for x in range(4) if held[y][x] > 0]
    expected = {
        mostly: {(y, x) for y in range(4) for x in range(4) if held[y][x] >= 0.5},
        touching: set(touched),
        and_neighbours: {
            (y, x)
            for y in range(4)
            for x in range(4)
            if any(abs(y - a) <= 1 and abs(x - b) <= 1 for a, b in touched)
        },
    }
    for choose, cells in expected.items():
        units = units_under(found, choose)(demand).view(2, 4, 4)
        assert torch.equal(units[0], units[1])
        assert {tuple(cell) for cell in units[0].nonzero().tolist()} == cells


def test_the_patches_do_cut_through_cells(found):
    assert {share for row in shares(found, [0]) for share in row} == {0.0, 0.25, 0.5, 1.0}
