"""All experiments take the exact form, whose remainder does not count unless asked for."""

import pytest
import torch

import regional_primitives as rp
from regional_primitives import experiments
from regional_primitives.experiments.counted import counted_components, selected

PATCHES, OTHER_PATCHES = [0, 1, 5, 6], [1, 5, 6, 10]


@pytest.fixture(scope="module")
def draws(planted):
    """Two draws of patches of one picture."""
    latents = planted.sample_latents(1, seed=3)
    return [
        rp.explain(
            planted,
            latents,
            rp.Regions.grid(4, 4),
            rp.Exact(patches=tuple(patches), steps=20, baseline_count=64),
        )
        for patches in (PATCHES, OTHER_PATCHES)
    ]


def test_the_remainder_does_not_count_unless_asked_for(draws):
    exact = draws[0]
    assert exact.remainder is not None
    assert exact.remainder not in counted_components(exact)
    assert len(counted_components(exact)) == exact.count - 1
    assert len(counted_components(exact, ())) == exact.count
    assert experiments.sparsity(exact).patches == 4
    assert experiments.sparsity(exact, leave_out=()).patches == 16


def test_noise_goes_with_its_component(draws):
    exact = draws[0]
    few = selected(exact, [2, 0])
    assert (few.noise is None) == (exact.noise is None)
    if exact.noise is not None:
        assert torch.equal(few.noise, exact.noise[[2, 0]])


def test_every_experiment_takes_it(planted, draws):
    exact, other = draws
    few = {"components": 3, "contexts": 2}
    count = exact.count - 1
    assert len(experiments.boundedness(exact, planted, **few).energy) == count
    assert exact.remainder not in experiments.consistency(exact, planted, **few).components
    found = experiments.superposition(exact, planted)
    assert found.patches.nonzero().flatten().tolist() == PATCHES
    assert found.numbers()["inside_error"] < 0.05
    for region in experiments.control(exact, planted, draws=1).regions:
        assert set(region) <= set(PATCHES)
    assert experiments.transfer([exact, exact], a=5, b=5, draws=1).numbers()["transfer"] == 1.0
    redrawn = experiments.redraw(exact, other)
    assert redrawn.common == (1, 5, 6)
    assert redrawn.found.cosine > redrawn.shuffled.cosine
