import pytest
import torch

import regional_primitives as rp


@pytest.fixture(scope="module")
def result(planted):
    settings = rp.Structured(steps=5, batch=8, probes=1, baseline_count=64)
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), settings)


def test_no_change_gives_the_picture(planted, result):
    torch.testing.assert_close(rp.edit(result, planted, {})[0], result.image, rtol=1e-4, atol=1e-5)


def test_scales_act_on_the_named_components_only(planted, result):
    edited = rp.edit(result, planted, {0: 0.0, 4: 1.5})
    feature = result.feature - result.component(0) + 0.5 * result.component(4)
    torch.testing.assert_close(edited, planted.tail(feature), rtol=1e-4, atol=1e-5)
    assert not edited.requires_grad


def test_bad_input_edits(planted, result):
    with pytest.raises(rp.InputError, match="component 9999 does not exist"):
        rp.edit(result, planted, {9999: 0.0})
    with pytest.raises(rp.InputError, match="cannot be scaled by inf"):
        rp.edit(result, planted, {0: float("inf")})
