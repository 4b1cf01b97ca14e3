"""Checks compute in full precision, and leave torch's switches as they were."""

import pytest
import torch

from regional_primitives.generators.precision import full_precision

CUDNN, MATMUL = torch.backends.cudnn, torch.backends.cuda.matmul


@full_precision()
def _fail():
    assert not CUDNN.allow_tf32
    assert not MATMUL.allow_tf32
    raise ZeroDivisionError


@pytest.mark.parametrize("chosen", [True, False])
def test_a_choice_stands_again_also_after_an_error(chosen):
    before = CUDNN.allow_tf32
    CUDNN.allow_tf32 = chosen
    try:
        with pytest.raises(ZeroDivisionError):
            _fail()
        assert CUDNN.allow_tf32 is chosen
    finally:
        CUDNN.allow_tf32 = before


def test_a_choice_by_the_newer_switches_is_met():
    if not hasattr(CUDNN, "conv"):  # torch below 2.9 has the older ones alone, tested above
        return
    CUDNN.conv.fp32_precision = "ieee"  # torch refuses to tell the older switch now
    try:
        with full_precision():
            assert MATMUL.fp32_precision == CUDNN.rnn.fp32_precision == "ieee"
        assert CUDNN.conv.fp32_precision == "ieee"
        assert CUDNN.rnn.fp32_precision == "tf32"
    finally:
        CUDNN.conv.fp32_precision = "tf32"
    assert CUDNN.allow_tf32
