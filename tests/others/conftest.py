"""A network whose cells are seen one by one: 4 × 4 cells of 2 channels under 8 × 8 pixels."""

from __future__ import annotations

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.subject import prepare


@pytest.fixture(scope="session")
def cells():
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (2, 4, 4)), torch.nn.Identity(), torch.nn.Upsample(scale_factor=2)
    )
    return rp.cut(
        module, "1", sample_latents=lambda n, rng: torch.randn(n, 32, generator=rng),
        image_range=(-4.0, 4.0),
    )  # fmt: skip


@pytest.fixture(scope="session")
def quarters():
    """A grid of 2 × 2 patches, each over 2 × 2 cells."""
    return rp.Regions.grid(2, 2)


@pytest.fixture(scope="session")
def subject(cells, quarters):
    """The picture of seed 0."""
    return prepare(cells, cells.sample_latents(1, seed=0), quarters, baseline_count=64)


@pytest.fixture(scope="session")
def made(cells, subject, quarters):
    """Make a decomposition of the picture of any answer."""

    def make(answer, **settings):
        settings = {"baseline_count": 64} | settings
        return rp.components(answer, cells, subject.latents, quarters, **settings)

    return make


@pytest.fixture(scope="session")
def by_quarter(subject):
    """What of f − f0 lies under each patch, [4, 2, 4, 4]."""
    masks = torch.zeros(4, 1, 4, 4)
    for patch in range(4):
        top, left = 2 * (patch // 2), 2 * (patch % 2)
        masks[patch, :, top : top + 2, left : left + 2] = 1
    return masks * subject.difference.view(2, 4, 4)


@pytest.fixture(scope="session")
def component_of():
    """Find the component whose field is these patches alone."""

    def find(found, patches):
        field = found.regions.demand(patches)
        (k,) = (found.action_fields == field).all(1).nonzero().flatten().tolist()
        return found.component(k)[0]

    return find
