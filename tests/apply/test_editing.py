import pytest
import torch

import regional_primitives as rp


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
    with pytest.raises(rp.InputError, match="component 0 must be a finite number, not inf"):
        rp.edit(result, planted, {0: float("inf")})
    with pytest.raises(rp.InputError, match="scales name components"):
        rp.edit(result, planted, [0.0])
