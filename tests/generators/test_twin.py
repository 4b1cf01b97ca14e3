"""The frozen twin: nothing of the user's network is run or changed, whatever its modules keep."""

from __future__ import annotations

import functools
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import regional_primitives as rp


class Picture(nn.Module):
    """A latent [B, 8] becomes a picture [B, 3, 8, 8]; its batch norm counts calls."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.bn, self.act = nn.Linear(8, 96), nn.BatchNorm2d(6), nn.ReLU()
        self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 3, 3, padding=1)

    def head(self, z):
        return self.act(self.bn(self.a(self.fc(z).view(-1, 6, 4, 4))))

    def end(self, x):
        return torch.tanh(self.b(F.interpolate(x, scale_factor=2)))

    def forward(self, z):
        return self.end(self.head(z))


def _cut(network, layer="act", **options):
    def sample(count, rng):
        return torch.randn(count, 8, generator=rng)

    return rp.cut(network, layer, sample_latents=sample, baseline_count=32, **options)


def _feature(network, layer="act"):
    generator = _cut(network, layer)
    return generator.head(generator.sample_latents(1, seed=1))


@pytest.fixture(scope="module")
def expected():
    return _feature(Picture())


def replaced_by_a_closure():
    network = Picture()
    original = network.bn.forward
    network.bn.forward = lambda x: original(x)
    return network


GLOBAL = Picture()
_original = GLOBAL.bn.forward
GLOBAL.bn.forward = lambda x: _original(x)


def replaced_by_what_a_script_defines():
    return GLOBAL


def replaced_by_a_wrapper():
    network = Picture()
    original = network.bn.forward

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        return original(*args, **kwargs)

    network.bn.forward = wrapper
    return network


def replaced_by_a_partial():
    network = Picture()
    network.bn.forward = functools.partial(nn.BatchNorm2d.forward, network.bn)
    return network


def replaced_by_a_default():
    network = Picture()
    network.bn.forward = lambda x, own=network.bn, kind=nn.BatchNorm2d: kind.forward(own, x)
    return network


def a_hook_that_calls_another():
    network = Picture()
    network.a.register_forward_hook(lambda module, inputs, out: out + 0 * network.bn(out))
    return network


def layers_in_a_list_of_functions():
    class Listed(Picture):
        def __init__(self):
            super().__init__()
            self.steps = [lambda x: self.a(x), [lambda x: self.bn(x)], {"act": self.act.forward}]

        def head(self, z):
            first, (second,), third = self.steps
            return third["act"](second(first(self.fc(z).view(-1, 6, 4, 4))))

    return Listed()


@pytest.mark.parametrize(
    "make",
    [
        replaced_by_a_closure,
        replaced_by_what_a_script_defines,
        replaced_by_a_wrapper,
        replaced_by_a_partial,
        replaced_by_a_default,
        a_hook_that_calls_another,
    ],
)
def test_functions_that_modules_keep_are_the_twins(make, expected):
    network = make().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kept = dict(vars(network.bn))
    assert torch.equal(_feature(network), expected)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(part.training for part in network.modules())
    assert vars(network.bn)["_forward_hooks"] == kept["_forward_hooks"]
    assert vars(network.bn).get("forward") is kept.get("forward")


def test_layers_in_lists_of_functions_are_the_twins(expected):
    network = layers_in_a_list_of_functions().train()
    assert torch.equal(_feature(network, "bn").relu(), expected)
    assert int(network.bn.num_batches_tracked) == 0


ELSEWHERE = {}


@pytest.mark.parametrize("call", [lambda bn, x: bn(x), lambda bn, x: bn.forward(x)])
def test_what_cannot_be_followed_is_refused_and_undone(call):
    class Global(Picture):
        def head(self, z):
            return self.act(call(ELSEWHERE["bn"], self.a(self.fc(z).view(-1, 6, 4, 4))))

    network = Global().train()
    ELSEWHERE["bn"] = network.bn
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(rp.GeneratorError, match=r"a copy of this network would run 'bn.*follow"):
        _cut(network)
    with pytest.raises(rp.GeneratorError, match="a copy of this network would run"):
        rp.layers(network, torch.randn(1, 8))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.bn.training
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_modes_are_set_without_the_networks_own_methods(expected):
    class Stubborn(Picture):
        def train(self, mode=True):
            raise AssertionError("this trains")

        def eval(self):
            return None

    network = Stubborn()
    assert torch.equal(_feature(network), expected)
    assert network.training


def test_compiled_networks_are_cut_as_what_they_were_made_from(expected):
    compiled = torch.compile(Picture())
    inside = Picture()
    inside.act = torch.compile(inside.act)
    in_place = Picture()
    in_place.compile()
    for network in (compiled, inside, in_place):
        assert torch.equal(_feature(network), expected)
    assert torch.equal(_feature(compiled, "_orig_mod.act"), expected)
    assert torch.equal(_feature(inside, "act._orig_mod"), expected)
    assert [point.name for point in rp.layers(compiled, torch.randn(1, 8))] == [
        point.name for point in rp.layers(inside, torch.randn(1, 8))
    ]
    assert isinstance(inside.act, torch._dynamo.eval_frame.OptimizedModule)


def test_weights_without_numbers_are_refused():
    with pytest.raises(rp.GeneratorError, match=r"weight 'fc.weight' is on the device 'meta'"):
        _cut(Picture().to("meta"))


def test_weights_made_in_inference_mode_serve(expected):
    with torch.inference_mode():
        network = Picture()
    generator = _cut(network)
    feature = generator.head(generator.sample_latents(1, seed=1))
    assert torch.equal(feature, expected)
    generator.tail(feature.requires_grad_()).sum().backward()
    assert feature.grad.abs().sum() > 0


# What layers return


class Returned(OrderedDict):
    """Like the outputs of many libraries: a dictionary whose keys are attributes too."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.__dict__[key] = value


@dataclass(frozen=True)
class Frozen:
    sample: torch.Tensor
    scale: float


Named = namedtuple("Named", "sample scale")


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (lambda x: Returned(sample=x, scale=2.0), lambda out: out.sample * out["scale"]),
        (lambda x: Frozen(x, 2.0), lambda out: out.sample * out.scale),
        (lambda x: SimpleNamespace(sample=x, scale=2.0), lambda out: out.sample * out.scale),
        (lambda x: Named(x, 2.0), lambda out: out.sample * out.scale),
        (lambda x: UserDict(sample=x, scale=2.0), lambda out: out["sample"] * out["scale"]),
        (lambda x: {"of": [Frozen(x, 2.0)]}, lambda out: out["of"][0].sample * out["of"][0].scale),
    ],
    ids=["dictionary class", "dataclass", "namespace", "named tuple", "mapping", "nested"],
)
def test_what_is_listed_can_be_cut_whatever_a_layer_returns(pack, unpack):
    class Packs(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Conv2d(6, 6, 3, padding=1)

        def forward(self, x):
            return pack(self.inner(x))

    class Packed(Picture):
        def __init__(self):
            super().__init__()
            self.act = Packs()

        def forward(self, z):
            return self.end(unpack(self.head(z)))

    network = Packed()
    assert "act" in {point.name for point in rp.layers(network, torch.randn(1, 8))}
    generator = _cut(network)
    assert not generator.runs_whole_network
    latents = generator.sample_latents(2)
    # The same functions on the same shapes, so that no rounding differs.
    assert torch.equal(generator.tail(generator.head(latents)), generator.image(latents))


# Pictures of another layout or range


class Shaped(nn.Module):
    def __init__(self, shape, change=torch.tanh):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(8, 32)
        self.paint = nn.Linear(32, int(torch.Size(shape).numel()))
        self.shape, self.change = shape, change

    def forward(self, z):
        return self.change(self.paint(self.embed(z))).view(-1, *self.shape)


@pytest.mark.parametrize("shape", [(16, 16, 3), (8, 16, 1), (9, 8, 4)])
def test_channels_that_come_last_are_refused_with_what_to_do(shape):
    with pytest.raises(rp.GeneratorError, match=r"image=lambda out: out\.permute\(0, 3, 1, 2\)"):
        _cut(Shaped(shape), "embed")
    generator = _cut(Shaped(shape), "embed", image=lambda out: out.permute(0, 3, 1, 2))
    assert generator.image(generator.sample_latents(1)).shape == (1, shape[2], *shape[:2])


@pytest.mark.parametrize("shape", [(3, 16, 3), (1, 8, 4), (4, 4, 4), (3, 16, 16), (8, 4, 4)])
def test_small_pictures_with_channels_first_pass(shape):
    _cut(Shaped(shape), "embed")


def test_another_range_is_told():
    bright = Shaped((3, 8, 8), torch.sigmoid)
    with pytest.warns(
        rp.ImageRangeWarning, match=r"no pixel is below 0; pass image_range=\(0, 1\)"
    ):
        _cut(bright, "embed")
    large = Shaped((3, 8, 8), lambda x: 255 * torch.sigmoid(x))
    with pytest.warns(rp.ImageRangeWarning, match=r"most lie far outside; pass image_range"):
        _cut(large, "embed", image_range=(0.0, 1.0))


@pytest.mark.filterwarnings("error::regional_primitives.ImageRangeWarning")
def test_a_range_that_fits_is_not_spoken_of():
    _cut(Shaped((3, 8, 8)), "embed")
    _cut(Shaped((3, 8, 8), torch.sigmoid), "embed", image_range=(0.0, 1.0))
    rp.load_generator("faces")
