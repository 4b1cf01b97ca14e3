"""Checks compute in full precision, and leave torch's switches as they were."""

import threading

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.subject import prepare
from regional_primitives.generators.generator import _memory_budget
from regional_primitives.generators.network import Network
from regional_primitives.generators.precision import full_precision
from regional_primitives.generators.recorded import RecordedTail

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


def test_checks_and_pictures_are_in_full_precision_and_fits_as_chosen(monkeypatch):
    monkeypatch.setattr(CUDNN, "allow_tf32", True)
    seen = []

    def told(kind, name):
        run = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda *given: [seen.append(CUDNN.allow_tf32), run(*given)][1]
        )

    for kind, name in ((RecordedTail, "__call__"), (Network, "run")):
        told(kind, name)
    planted = rp.load_generator("planted")
    assert seen  # a tail is checked as it is recorded
    latents = planted.sample_latents(1, seed=1)
    planted.verify_network(latents)
    subject = prepare(planted, latents, rp.Regions.grid(4, 4), baseline_count=16)
    planted.at(latents).render(subject.units)
    assert len(seen) > 4
    assert not any(seen)
    subject.generator.tail(subject.feature)
    assert seen[-1]


@pytest.mark.parametrize(("total", "budget"), [(2**32, 512 * 2**20), (2**37, 2**33)])
def test_a_gpu_takes_a_sixteenth_of_its_memory_or_half_a_gibibyte(total, budget, monkeypatch):
    class Properties:
        total_memory = total

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert _memory_budget(torch.device("cuda")) == budget
    assert _memory_budget(torch.device("cpu")) == 128 * 2**20
