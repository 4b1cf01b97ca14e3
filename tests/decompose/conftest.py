import pytest

import regional_primitives as rp

QUICK = rp.Structured(steps=40, batch=16, probes=2, baseline_count=256)


@pytest.fixture(scope="session")
def quick():
    """Settings that run in a moment, for tests that do not look at quality."""
    return QUICK


@pytest.fixture(scope="session")
def planted_result(planted):
    """A decomposition of one planted picture, quickly made."""
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), QUICK)
