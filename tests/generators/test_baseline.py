from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import Picture, View, sample, sequential
from torch import nn

import regional_primitives as rp
from regional_primitives.generators import baseline, baseline_feature
from regional_primitives.generators import generator as generator_module


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIONAL_PRIMITIVES_CACHE", str(tmp_path))
    return tmp_path


def _network(seed=0, slope=0.1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(8, 64), nn.LeakyReLU(slope), View(4, 4, 4), nn.ConvTranspose2d(4, 3, 4, 4)
    )


class Branches(nn.Module):
    """Layers "0" and "2" lie side by side, so that the picture depends on both."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        parts = (nn.Linear(8, 64), nn.Linear(8, 64), View(4, 4, 4), nn.ConvTranspose2d(4, 3, 4, 4))
        for i, part in enumerate(parts):
            self.add_module(str(i), part)

    def forward(self, z):
        parts = dict(self.named_children())
        right = parts["2"](parts["1"](z))
        return parts["3"](parts["0"](z).view_as(right) + right)


def _cut(network=None, layer="2", **settings):
    if network is None and isinstance(layer, list):
        network = Branches()
    settings = settings or {"sample_latents": sample}
    return rp.cut(_network() if network is None else network, layer, **settings)


def _counted(generator):
    """Count the latents that the head is run on."""
    seen = []
    generator.network.module.register_forward_pre_hook(lambda m, given: seen.append(len(given[0])))
    return seen


_KEY = [16]
"""Batches that the head is run on before the cache is asked, of 16 latents or more."""


@pytest.mark.parametrize("count", [1, 7, 256, 600])
def test_is_the_mean_feature_of_latents_drawn_one_stream_an_item(count):
    generator = _cut()
    latents = torch.cat(list(generator.stream_latents(count, 3, "baseline", 1)))
    expected = generator.head(latents).double().mean(0, keepdim=True).float()
    found = baseline_feature(generator, count, seed=3)
    assert found.shape == (1, 4, 4, 4)
    assert torch.allclose(found, expected, atol=1e-6)


def test_does_not_depend_on_the_batch_beyond_rounding(monkeypatch, own_cache):
    results = []
    for batch in (1, 16, 1000):
        monkeypatch.setattr(baseline, "_BATCH", batch)
        monkeypatch.setenv("REGIONAL_PRIMITIVES_CACHE", str(own_cache / str(batch)))
        generator = _cut()
        seen = _counted(generator)
        results.append(baseline_feature(generator, 50))
        assert seen[:1] == _KEY
        assert max(seen[1:]) == min(batch, 50)
        assert sum(seen[1:]) == 50
    assert torch.allclose(results[0], results[1], atol=1e-6)
    assert torch.allclose(results[0], results[2], atol=1e-6)


def test_other_seeds_are_other_latents():
    generator = _cut()
    assert not torch.equal(baseline_feature(generator, 9, 0), baseline_feature(generator, 9, 1))


def test_second_call_runs_the_head_for_the_key_alone():
    generator = _cut()
    first = baseline_feature(generator, 20)
    seen = _counted(generator)
    assert torch.equal(baseline_feature(generator, 20), first)
    assert seen == _KEY


def test_batches_are_no_larger_than_what_the_tail_takes_at_once(monkeypatch):
    generator = _cut()
    monkeypatch.setitem(generator_module._MEMORY_BUDGET, "cpu", 3 * generator.behind.bytes_per_item)
    seen = _counted(generator)
    baseline_feature(generator, 20)
    assert seen == [*_KEY, 3, 3, 3, 3, 3, 3, 2]


def test_same_weights_in_a_new_object_share_the_entry():
    first = baseline_feature(_cut(_network()), 20)
    again = _cut(_network())
    seen = _counted(again)
    assert torch.equal(baseline_feature(again, 20), first)
    assert seen == _KEY


@pytest.mark.parametrize(
    "other",
    [
        lambda: (_cut(_network(seed=1)), 20, 0),
        lambda: (_cut(_network(slope=0.3)), 20, 0),
        lambda: (_cut(layer="0"), 20, 0),
        lambda: (_cut(sample_latents=lambda n, rng: 2 * sample(n, rng)), 20, 0),
        lambda: (_cut(layer=["0", "2"]), 20, 0),
        lambda: (_cut(), 21, 0),
        lambda: (_cut(), 20, 1),
        lambda: (_cut(noise_seed=1, sample_latents=sample), 20, 0),
    ],
    ids=[
        *("weights", "a setting of a layer", "layer", "latents", "layers", "count", "seed"),
        "seed of the noise",
    ],
)
def test_whatever_the_result_depends_on_makes_another_entry(other, own_cache):
    baseline_feature(_cut(), 20)
    generator, count, seed = other()
    seen = _counted(generator)
    baseline_feature(generator, count, seed)
    assert sum(seen) == 16 + count
    assert len(list(own_cache.rglob("*.safetensors"))) == 2


def test_constants_and_weights_changed_after_the_cut_make_another_entry(own_cache):
    class Shifted(nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.body = _network()
            self.shift = torch.tensor(shift)  # neither parameter nor buffer

        def forward(self, z):
            return self.body(z + self.shift)

    one, other = (_cut(Shifted(shift), "body.2") for shift in (0.0, 1.0))
    assert not torch.equal(baseline_feature(one, 20), baseline_feature(other, 20))
    network = _network()
    generator = _cut(network)
    before = baseline_feature(generator, 20)
    with torch.no_grad():
        network[0].weight.mul_(2)
    assert not torch.equal(baseline_feature(generator, 20), before)
    assert len(list(own_cache.rglob("*.safetensors"))) == 4


def test_a_number_in_the_forward_makes_another_entry(own_cache):
    class Scaled(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.body = _network()
            self.scale = scale

        def forward(self, z):
            return self.body(z * self.scale)

    one, other = (_cut(Scaled(scale), "body.2") for scale in (1.0, 2.0))
    assert not torch.equal(baseline_feature(one, 20), baseline_feature(other, 20))


def test_what_lies_behind_the_cut_does_not_matter():
    network = _network()
    first = baseline_feature(_cut(network), 20)
    with torch.no_grad():
        network[3].weight.mul_(2)
    assert torch.equal(baseline_feature(_cut(network), 20), first)


def test_noise_in_the_head_is_frozen():
    def network():
        torch.manual_seed(0)
        noisy = nn.Dropout(0.5)
        noisy.forward = lambda x: F.dropout(x, 0.5, training=True)
        return nn.Sequential(*_network()[:2], noisy, *_network()[2:])

    one, same = (_cut(network(), "3") for _ in range(2))
    other = _cut(network(), "3", sample_latents=sample, noise_seed=1)
    assert torch.equal(baseline_feature(one, 20), baseline_feature(same, 20))
    assert not torch.allclose(baseline_feature(one, 20), baseline_feature(other, 20))


def test_of_a_bundle_is_the_mean_of_each_tensor():
    generator = _cut(layer=["0", "2"])
    latents = torch.cat(list(generator.stream_latents(40, 0, "baseline", 1)))
    expected = tuple(t.double().mean(0, keepdim=True).float() for t in generator.head(latents))
    first = baseline_feature(generator, 40)
    seen = _counted(generator)
    second = baseline_feature(generator, 40)
    assert seen == _KEY
    for found in (first, second):
        assert isinstance(found, tuple)
        assert [tuple(t.shape) for t in found] == [(1, 64), (1, 4, 4, 4)]
        for tensor, mean in zip(found, expected, strict=True):
            assert torch.allclose(tensor, mean, atol=1e-6)


def test_is_the_same_for_every_picture_and_for_none():
    generator = _cut(
        Picture(lambda self, h, z: self.up(h) * self.gain(z)[..., None, None]), "early"
    )
    assert generator.behind is None
    bounds = [generator.at(generator.sample_latents(1, seed=seed)) for seed in (1, 2)]
    found = baseline_feature(generator, 20)
    assert found.shape == (1, 4, 8, 8)
    for bound in bounds:
        assert torch.equal(baseline_feature(bound, 20), found)


def test_count_is_the_generators_own_unless_given():
    generator = _cut(sample_latents=sample, baseline_count=18)
    seen = _counted(generator)
    found = baseline_feature(generator)
    assert seen == [*_KEY, 18]
    assert torch.equal(found, baseline_feature(_cut(), 18))
    assert _cut().baseline_count == 4096


def test_progress_is_reported_to_the_end():
    reports = []

    def progress(stage, done, total, note=""):
        reports.append((stage, done, total))

    baseline_feature(_cut(), 300, progress=progress)
    assert reports == [("baseline", 256, 300), ("baseline", 300, 300)]


def test_latents_given_for_it(own_cache):
    latents = torch.randn(300, 8)
    generator = _cut(baseline_latents=latents)
    assert generator.feature_shape == (4, 4, 4)
    expected = generator.head(latents).double().mean(0, keepdim=True).float()
    assert torch.allclose(baseline_feature(generator), expected, atol=1e-6)
    assert list(own_cache.iterdir()) == []


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("sources", ["baseline alone", "latents too", "sampler too"])
def test_feature_given_for_it(batched, sources):
    feature = torch.randn(1, 4, 4, 4).requires_grad_()
    settings = {
        "baseline alone": {},
        "latents too": {"baseline_latents": torch.zeros(2, 8)},
        "sampler too": {"sample_latents": sample},
    }[sources]
    generator = _cut(baseline=feature if batched else feature[0], **settings)
    if sources == "baseline alone":  # nothing could be tried yet
        assert generator.behind is None
        generator = generator.at(torch.zeros(1, 8))
    seen = _counted(generator)
    found = baseline_feature(generator)
    assert seen == []
    assert torch.equal(found, feature)
    assert not found.requires_grad
    assert generator.feature_shape == (4, 4, 4)
    assert generator.tail(found).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(1, 4, 4, 5), r"baseline has shape \[1, 4, 4, 5\]; expected \[1, 4, 4, 4\]"),
        (torch.zeros(2, 4, 4, 4), r"baseline has shape \[2, 4, 4, 4\]; expected"),
        (torch.zeros(64), r"baseline has shape \[64\]; expected"),
        (torch.tensor(0.0), r"baseline has shape \[\]; expected"),
        (torch.zeros(1, 4, 4, 4).long(), "a tensor of real numbers, not torch.int64"),
        ([0.0] * 64, "a tensor of real numbers, not float"),
        ("zeros", "a tensor of real numbers, not str"),
        ([], "a feature is a tensor or a tuple of tensors"),
        (
            (torch.zeros(1, 4, 4, 4),) * 2,
            r"\[1, 4, 4, 4\], \[1, 4, 4, 4\]; expected \[1, 4, 4, 4\]",
        ),
        (torch.full((1, 4, 4, 4), torch.nan), "baseline holds NaN or infinite values"),
    ],
)
def test_bad_input_baseline(wrong, message):
    with pytest.raises(rp.InputError, match=message):
        _cut(baseline=wrong, sample_latents=sample)


@pytest.mark.parametrize("shape", [(2, 4, 4, 4), (64,), (), (1, 3, 4, 4), (4, 4, 4, 5)])
def test_baseline_that_no_latents_can_be_held_against_is_checked_when_there_are_some(shape):
    generator = _cut(baseline=torch.zeros(shape))
    latents = torch.randn(1, 8)
    message = re.escape(f"baseline has shape {list(shape)}; expected [1, 4, 4, 4]")
    with pytest.raises(rp.InputError, match=message):
        baseline_feature(generator.at(latents))
    with pytest.raises(rp.InputError, match=message):
        rp.explain(generator, latents, rp.Regions.grid(2, 2))


def test_baseline_alone_says_what_it_lacks_before_there_is_a_picture():
    generator = _cut(baseline=torch.zeros(4, 4, 4))
    for ask in (baseline_feature, lambda generator: generator.feature_shape):
        with pytest.raises(rp.GeneratorError, match=r"cut without sample_latents=.*give latents"):
            ask(generator)
    with pytest.raises(rp.GeneratorError, match=r"generator\.at\(latents\)\.tail\(feature\)"):
        generator.tail(torch.zeros(1, 4, 4, 4))


@pytest.mark.parametrize("batched", [True, False])
def test_feature_of_a_bundle_given_for_it(batched):
    given = (torch.randn(1, 64), torch.randn(1, 4, 4, 4))
    generator = _cut(
        layer=["0", "2"],
        sample_latents=sample,
        baseline=given if batched else tuple(tensor[0] for tensor in given),
    )
    found = baseline_feature(generator)
    assert isinstance(found, tuple)
    assert all(torch.equal(a, b) for a, b in zip(found, given, strict=True))
    with pytest.raises(rp.InputError, match=r"has shape \[1, 64\]; expected \[1, 64\], \[1, 4, 4"):
        _cut(layer=["0", "2"], sample_latents=sample, baseline=given[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(4, 9), r"rejects latents \[1, 9\]"),
        (torch.zeros(0, 8), "baseline_latents is empty"),
        (torch.tensor(0.0), "one common batch axis"),
        ([0.0] * 8, "latents are a tensor, or a tuple or dictionary of tensors, not list"),
        ((torch.zeros(3, 8), torch.zeros(2)), "one common batch axis"),
    ],
)
def test_bad_input_baseline_latents(wrong, message):
    with pytest.raises(rp.InputError, match=message):
        _cut(baseline_latents=wrong)


def test_bad_input_baseline_latents_that_differ_from_the_sampler():
    with pytest.raises(rp.InputError, match=r"latents \[4, 9\] do not fit; .* takes \[batch, 8\]"):
        _cut(baseline_latents=torch.zeros(4, 9), sample_latents=sample)


@pytest.mark.parametrize("count", [0, -4])
def test_fewer_than_one_latent(count):
    with pytest.raises(rp.InputError, match=f"whole number of at least 1, not {count}"):
        baseline_feature(_cut(), count)


def test_mean_that_is_not_finite():
    def rarely_huge(count, rng):
        # The first pictures are fine, so only the mean can show it.
        return sample(count, rng) + (torch.rand(count, 1, generator=rng) > 0.9) * 3e38

    generator = rp.cut(sequential(), "0", sample_latents=rarely_huge)
    with pytest.raises(rp.GeneratorError, match="the baseline feature is not finite"):
        baseline_feature(generator, 100)
