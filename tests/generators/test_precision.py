"""Checks compute in full precision, and leave torch's switches as they were."""

import threading

import pytest
import torch

from regional_primitives.generators.precision import full_precision

CUDNN, MATMUL = torch.backends.cudnn, torch.backends.cuda.matmul
NEWER = (CUDNN.conv, CUDNN.rnn, MATMUL) if hasattr(CUDNN, "conv") else ()
"""torch below 2.9 has the older switches alone."""


@pytest.fixture(params=[True, False])
def chosen(request):
    before = CUDNN.allow_tf32
    CUDNN.allow_tf32 = request.param
    yield request.param
    CUDNN.allow_tf32 = before


@full_precision()
def _fail():
    assert not CUDNN.allow_tf32
    assert not MATMUL.allow_tf32
    raise ZeroDivisionError


def test_a_choice_stands_again_also_after_an_error(chosen):
    newer = [place.fp32_precision for place in NEWER]
    with pytest.raises(ZeroDivisionError):
        _fail()
    assert CUDNN.allow_tf32 is chosen
    assert [place.fp32_precision for place in NEWER] == newer


def test_a_choice_by_the_newer_switches_is_met(chosen):
    before = [place.fp32_precision for place in NEWER]
    for place in NEWER[:1]:
        place.fp32_precision = "tf32" if before[0] != "tf32" else "ieee"
    changed = [place.fp32_precision for place in NEWER]
    try:
        with full_precision():
            assert all(place.fp32_precision in ("ieee", "none") for place in NEWER)
        assert [place.fp32_precision for place in NEWER] == changed
    finally:
        for place, value in zip(NEWER, before, strict=True):
            place.fp32_precision = value


def test_checks_in_several_threads_leave_no_trace(chosen):
    entered, leave = threading.Event(), threading.Event()

    def check():
        with full_precision():
            entered.set()
            leave.wait(10)
            assert not CUDNN.allow_tf32

    with full_precision():
        thread = threading.Thread(target=check)
        thread.start()
        assert entered.wait(10)
    assert not CUDNN.allow_tf32  # the other is still at it
    leave.set()
    thread.join()
    assert CUDNN.allow_tf32 is chosen
