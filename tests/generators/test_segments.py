"""Gradients in less memory: the same bits, from a fraction of the values."""

from __future__ import annotations

import warnings
from dataclasses import replace

import diffusers
import pytest
import torch
from torch import nn
from varied import CASES

import regional_primitives as rp
from regional_primitives.generators.feature import Feature, map_feature
from regional_primitives.generators.recorded import RecordedTail, tail
from regional_primitives.generators.recorded.segments import Memory, split
from regional_primitives.generators.tail import WholeRunTail, vector_jacobian

ALL = [(name, layer) for name, case in CASES.items() for layer in case.layers if case.recorded]


def _step(line, size=10, reach=1, written=None):
    return Memory(line, line + reach, line if written is None else written, size)


def test_a_chain_is_split_into_its_root():
    stops, size = split(16, [_step(line) for line in range(16)])
    assert 2 <= len(stops) <= 5
    assert size <= 80  # of 160: a value at each stop, and those between two of them


def test_stops_where_least_is_kept():
    narrow = {3, 7, 11}
    steps = [_step(line, 1 if line in narrow else 50) for line in range(16)]
    stops, size = split(16, steps)
    assert narrow <= set(stops)
    assert size <= 210  # of 603


def test_nothing_written_into_is_kept_at_a_stop():
    accumulated = Memory(0, 15, 12, 5)
    stops, _ = split(16, [accumulated, *(_step(line) for line in range(1, 16))])
    assert all(stop >= 12 for stop in stops)
    assert split(16, [Memory(0, 15, 15, 5), *(_step(line) for line in range(1, 16))])[0] == []


@pytest.mark.parametrize("memories", [[], [_step(0)], [_step(0, 0), _step(1, 0)]])
def test_short_programs_run_at_once(memories):
    assert split(len(memories), memories) == ([], 10 * (len(memories) == 1))


def _bound(name: str, layer: str) -> tuple[rp.Generator, Feature]:
    case = CASES[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator = rp.cut(case.make(), layer, sample_latents=case.sampler, **case.settings)
        latents = generator.sample_latents(1, seed=5)
        return generator.at(latents), generator.head(latents)


@pytest.mark.parametrize(("name", "layer"), ALL)
def test_segments_give_the_same_bits(name, layer):
    bound, feature = _bound(name, layer)
    known = bound.behind
    three = map_feature(lambda one: torch.cat([one, 2 * one, -one]), feature)
    plain = vector_jacobian(known, three)
    assert known.program.bytes_in_segments <= known.program.bytes_per_item
    for before, after in zip(plain, vector_jacobian(replace(known, at_once=0), three), strict=True):
        assert torch.equal(before, after)


def test_torch_func_differentiates_what_would_run_in_segments():
    bound, feature = _bound(*ALL[0])
    divided = replace(bound.behind, at_once=0)
    assert divided.program.segments
    gradients = [
        torch.func.grad(lambda one, tail=tail: tail(one).square().sum())(feature)
        for tail in (bound.behind, divided)
    ]
    assert torch.equal(*gradients)


def test_most_programs_can_be_split():
    split_up = [bool(_bound(*one)[0].behind.program.segments) for one in ALL]
    assert sum(split_up) > len(ALL) / 2


def test_a_sampler_takes_the_memory_of_a_step():
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        8, block_out_channels=(8,), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), add_attention=False,
    ).eval()  # fmt: skip
    generator = rp.cut((unet, diffusers.DDIMScheduler()), "unet.mid_block#1", steps=12)
    known = generator.at(generator.sample_latents(1)).behind
    assert known.program.bytes_in_segments < known.program.bytes_per_item / 5
    assert known.bytes_per_item == known.program.bytes_per_item
    assert replace(known, at_once=0).bytes_per_item == known.program.bytes_in_segments


# Whole networks


class Counting(nn.Module):
    def __init__(self, change=torch.tanh):
        super().__init__()
        self.change, self.runs = change, 0

    def forward(self, x):
        self.runs += 1
        return self.change(x)


class Straight(torch.autograd.Function):
    """Rounds, with a gradient as if it did not."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return 3 * gradient


def _cut(*parts):
    network = nn.Sequential(nn.Linear(8, 48), nn.Unflatten(1, (3, 4, 4)), *parts)
    generator = rp.cut(network, "1", sample_latents=lambda n, rng: torch.randn(n, 8, generator=rng))
    return generator.at(generator.sample_latents(1))


def test_submodules_run_again_for_the_gradient():
    bound = _cut(nn.Conv2d(3, 3, 1), Counting(), Counting(Straight.apply))
    latents = bound.sample_latents(1)
    feature, known = bound.head(latents), bound.behind
    whole = WholeRunTail(known.parts, bound.network, bound.layers, latents, 0, "")
    image, gradient = vector_jacobian(whole, feature)
    counting = bound.network.module[3]
    before = counting.runs
    found = vector_jacobian(replace(whole, again=True), feature)
    assert counting.runs == before + 2
    assert torch.equal(found[0], image)
    assert torch.equal(found[1], gradient)
    assert torch.equal(vector_jacobian(known, feature)[1], gradient)
    assert not any("forward" in vars(part) for part in bound.network.module.modules())


class Restless(nn.Module):
    """Whose every other run is another, where it follows gradients."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += x.requires_grad
        return x * x.sigmoid() if self.runs % 2 else nn.functional.silu(x)


@pytest.mark.parametrize("part", [Restless, lambda: nn.Dropout(0.5)])
def test_a_network_that_cannot_run_again_is_held_against_plain_runs(part, monkeypatch):
    monkeypatch.setattr(tail, "_CHECKED_AT_ONCE", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", rp.WholeRunWarning)
        bound = _cut(nn.Conv2d(3, 3, 1), part().train(), Counting())
    assert isinstance(bound.behind, RecordedTail)
