import pytest

import regional_primitives as rp

SETTINGS = rp.Structured(steps=5, batch=8, probes=1, baseline_count=64)


@pytest.fixture(scope="session")
def result(planted):
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), SETTINGS)


@pytest.fixture(scope="session")
def other(planted):
    return rp.explain(planted, planted.sample_latents(1, seed=4), rp.Regions.grid(4, 4), SETTINGS)
