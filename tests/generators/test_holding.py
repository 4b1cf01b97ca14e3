"""Normalisations held at the picture's statistics, against networks in which they are replaced."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import View, sample, sequential
from torch import nn
from torch.utils.checkpoint import checkpoint

import regional_primitives as rp
from regional_primitives.generators.recorded import RecordedTail
from regional_primitives.generators.tail import vector_jacobian

pytestmark = pytest.mark.filterwarnings("error::regional_primitives.errors.WholeRunWarning")

CHANNELS = 8
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
"""Float32 through five layers; means and variances are added up in another order."""


class ChannelsLast(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


KINDS = {
    "group": lambda: nn.GroupNorm(4, CHANNELS),
    "group, plain": lambda: nn.GroupNorm(2, CHANNELS, affine=False),
    "instance": lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    "layer, all": lambda: nn.LayerNorm([CHANNELS, 4, 4]),
    "layer, channels": lambda: ChannelsLast(nn.LayerNorm(CHANNELS, eps=1e-3)),
    "rms": lambda: ChannelsLast(nn.RMSNorm(CHANNELS)),
    "batch": lambda: nn.BatchNorm2d(CHANNELS, track_running_stats=False),
}


class Normed(nn.Module):
    """A normalisation before the cut at `cut` and two behind it, a skip around all of them."""

    def __init__(self, norm):
        super().__init__()
        self.start = nn.Sequential(nn.Linear(8, 16 * CHANNELS), View(CHANNELS, 4, 4))
        self.before = norm()
        self.cut = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.first, self.second = norm(), norm()
        self.middle = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.paint = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(CHANNELS, 3, 1))

    def forward(self, z):
        skip = self.start(z)
        h = self.middle(F.silu(self.first(self.cut(self.before(skip)))))
        normed = self.second(h)
        return torch.tanh(self.paint(F.silu(normed) + 0.1 * h + 0.5 * skip))


class Fixed(nn.Module):
    """A scale and a shift a value."""

    def __init__(self, scale, shift):
        super().__init__()
        self.register_buffer("scale", scale.float())
        self.register_buffer("shift", shift.float())

    def forward(self, x):
        return x * self.scale + self.shift


def _blocks(norm, x):
    """Yield which values of one item are normalised together: masks over [channels, …]."""
    everything = torch.zeros(x.shape, dtype=torch.bool)
    if isinstance(norm, nn.LayerNorm) and len(norm.normalized_shape) == 3:
        yield ~everything
    elif isinstance(norm, (nn.LayerNorm, nn.RMSNorm)):
        for y in range(x.shape[0]):
            for along in range(x.shape[1]):
                block = everything.clone()
                block[y, along] = True
                yield block
    else:
        groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else CHANNELS
        for channels in torch.arange(CHANNELS).chunk(groups):
            block = everything.clone()
            block[channels] = True
            yield block


def _fixed(norm, x):
    """Replace a normalisation by what it is for one item, block by block in double precision."""
    x = x.double()
    scale, shift = torch.ones_like(x), torch.zeros_like(x)
    eps = torch.finfo(torch.float32).eps if norm.eps is None else norm.eps
    for block in _blocks(norm, x):
        values = x[block]
        mean = 0.0 if isinstance(norm, nn.RMSNorm) else values.mean()
        scale[block] = 1 / ((values - mean).square().mean() + eps).sqrt()
        shift[block] = -mean * scale[block]
    weight, bias = (getattr(norm, name, None) for name in ("weight", "bias"))
    shaped = (-1,) if isinstance(norm, (nn.LayerNorm, nn.RMSNorm)) else (-1, 1, 1)
    if getattr(norm, "normalized_shape", None) == (CHANNELS, 4, 4):
        shaped = (CHANNELS, 4, 4)
    if weight is not None:
        scale, shift = (part * weight.detach().reshape(shaped) for part in (scale, shift))
    if bias is not None:
        shift = shift + bias.detach().reshape(shaped)
    return Fixed(scale, shift)


_NORMS = (nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm, nn.RMSNorm, nn.BatchNorm2d)


def _oracle(network, latents):
    """Copy a network with what is normalised replaced by hand, for one picture."""
    oracle = copy.deepcopy(network)
    norms = [(name, part) for name, part in oracle.named_modules() if isinstance(part, _NORMS)]
    inputs = {}
    for name, part in norms:
        part.register_forward_pre_hook(lambda _, x, name=name: inputs.update({name: x[0].clone()}))
    oracle(latents)
    for name, part in norms:
        parent, _, own = name.rpartition(".")
        setattr(oracle.get_submodule(parent), own, _fixed(part, inputs[name][0].detach()))
    return oracle


def _network(norm, kind=Normed):
    torch.manual_seed(0)
    network = kind(norm).eval()
    for name, weight in network.named_parameters():
        if "first" in name or "second" in name:
            nn.init.normal_(weight, 1.0)
    return network


def _cut(network, layer="cut", **settings):
    return rp.cut(network, layer, **{"sample_latents": sample, "hold": "normalisation", **settings})


@pytest.mark.parametrize("kind", KINDS)
def test_held_normalisations_are_the_fixed_ones_of_the_picture(kind):
    network = _network(KINDS[kind])
    generator = _cut(network)
    for seed in (3, 4):
        latents = generator.sample_latents(1, seed=seed)
        bound = generator.at(latents)
        assert isinstance(bound.behind, RecordedTail)
        assert not bound.behind.mixes
        oracle = rp.cut(_oracle(network, latents), "cut", sample_latents=sample).at(latents)
        feature = bound.head(latents)
        torch.testing.assert_close(bound.tail(feature), generator.image(latents), **CLOSE)
        torch.testing.assert_close(feature, network.cut(network.before(network.start(latents))))
        others = torch.cat([bound.head(generator.sample_latents(2, seed=8)), 0 * feature])
        images, gradient = vector_jacobian(bound.tail, others)
        expected, expected_gradient = vector_jacobian(oracle.tail, others)
        torch.testing.assert_close(images, expected, **CLOSE)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(bound.tail(others[1:2]), images[1:2], **CLOSE)
        # It is another network than the one that is given.
        as_it_is = generator.as_it_is.at(latents).tail(others)
        assert float((as_it_is - images).abs().max()) > 0.01


@pytest.mark.parametrize("kind", ["group", "batch"])
def test_what_flows_past_names_the_normalisations_behind_the_cut(kind):
    generator = _cut(_network(KINDS[kind]))
    bound = generator.at(generator.sample_latents(1))
    names = {side.origin for side in bound.side_inputs if side.held}
    assert names == {"statistics of first", "statistics of second"}
    assert not any(side.held for side in generator.as_it_is.at(bound.picture).side_inputs)


def _native(x, norm):
    batch, channels, *places = x.shape
    made, mean, deviation = torch.native_group_norm(
        x, norm.weight, norm.bias, batch, channels, places[0] * places[1], 4, norm.eps
    )
    assert mean.shape == deviation.shape == (batch, 4)
    return made


def _by_batch_norm(x, norm):
    """Normalise groups as batch normalisation of one item that has all channels of the batch."""
    flat = x.reshape(1, 4 * len(x), CHANNELS // 4, *x.shape[2:])
    normed = F.batch_norm(flat, None, None, training=True, eps=norm.eps).reshape(x.shape)
    return normed * norm.weight[:, None, None] + norm.bias[:, None, None]


def _by_instance_norm(x, norm):
    flat = x.reshape(len(x), 4, CHANNELS // 4, *x.shape[2:])
    normed = torch.instance_norm(flat, None, None, None, None, True, 0.1, norm.eps, False).reshape(
        x.shape
    )
    return normed * norm.weight[:, None, None] + norm.bias[:, None, None]


def _by_layer_norm(x, norm):
    flat = x.reshape(len(x), 4, CHANNELS // 4, *x.shape[2:])
    normed, *_ = torch.native_layer_norm(flat, flat.shape[2:], None, None, norm.eps)
    return normed.reshape(x.shape) * norm.weight[:, None, None] + norm.bias[:, None, None]


CALLS = {
    "F": lambda x, norm: F.group_norm(x, 4, norm.weight, bias=norm.bias, eps=norm.eps),
    "keywords": lambda x, norm: F.group_norm(
        input=x, num_groups=4, weight=norm.weight, bias=norm.bias
    ),
    "torch": lambda x, norm: torch.group_norm(x, 4, norm.weight, norm.bias, norm.eps),
    "native": _native,
    "as batch normalisation": _by_batch_norm,
    "as instance normalisation": _by_instance_norm,
    "as layer normalisation": _by_layer_norm,
}


class Called(nn.GroupNorm):
    call = None

    def forward(self, x):
        return type(self).call(x, self)


@pytest.mark.parametrize("call", CALLS)
def test_functions_are_held_however_they_are_called(call):
    expected = _cut(_network(KINDS["group"]))
    kind = type("Called", (Called,), {"call": staticmethod(CALLS[call])})
    generator = _cut(_network(lambda: kind(4, CHANNELS)))
    latents = generator.sample_latents(1, seed=3)
    others = generator.head(generator.sample_latents(3, seed=8))
    torch.testing.assert_close(
        generator.at(latents).tail(others), expected.at(latents).tail(others), **CLOSE
    )


class Guided(nn.Module):
    """Doubles the batch within, as guidance without a classifier does, and draws noise."""

    def __init__(self, norm):
        super().__init__()
        self.body = _network(norm)
        self.cut = self.body.start

    def forward(self, z):
        skip = self.cut(z)
        pair = torch.cat([skip + 0.1 * torch.randn_like(skip), 0.5 * skip.flip(-1)])
        h = self.body.middle(F.silu(self.body.first(pair)))
        one, other = self.body.second(h).chunk(2)
        return torch.tanh(self.body.paint(2 * one - other))


@pytest.mark.parametrize("kind", ["group", "batch"])
def test_a_batch_that_is_doubled_within_keeps_each_items_statistics(kind):
    generator = _cut(Guided(KINDS[kind]))
    latents = generator.sample_latents(1, seed=3)
    bound = generator.at(latents)
    torch.testing.assert_close(bound.tail(bound.head(latents)), generator.image(latents), **CLOSE)
    others = generator.head(generator.sample_latents(3, seed=8))
    alone = torch.cat([bound.tail(other[None]) for other in others])
    torch.testing.assert_close(bound.tail(others), alone, **CLOSE)
    assert not bound.behind.mixes


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_stay_what_they_are(dtype):
    class Narrow(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = _network(KINDS["group"]).to(dtype)
            self.cut = self.body.cut

        def forward(self, z):
            return self.body(z.to(dtype)).float()

    generator = _cut(Narrow(), "body.cut")
    latents = generator.sample_latents(1, seed=3)
    bound = generator.at(latents)
    image = generator.image(latents)
    gap = float((bound.tail(bound.head(latents)) - image).abs().max())
    assert gap <= (0.1 if dtype is torch.bfloat16 else 1e-6)


def test_a_generator_with_and_one_without_hold_are_told_apart():
    network = _network(KINDS["group"])
    held, plain = _cut(network), _cut(network, hold=None)
    assert (held.hold, plain.hold, held.as_it_is.hold) == ("normalisation", None, None)
    assert held.digest != plain.digest == held.as_it_is.digest
    latents = held.sample_latents(1)
    others = held.head(held.sample_latents(2, seed=5))
    first = held.at(latents).tail(others)
    assert torch.equal(held.as_it_is.at(latents).tail(others), plain.at(latents).tail(others))
    assert torch.equal(held.at(latents).tail(others), first)
    with pytest.raises(rp.GeneratorError, match="hold it for a picture"):
        held.tail(others)


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.eps = 1e-5

    def forward(self, x):
        variance, mean = torch.var_mean(x, (2, 3), keepdim=True)
        return (x - mean) / (variance + self.eps).sqrt()


class Watched(nn.GroupNorm):
    """Takes another path for bright features, which no recording can follow."""

    def forward(self, x):
        return super().forward(x) if float(x.mean()) < 1e3 else x


@pytest.mark.parametrize(
    ("network", "layer", "hold", "kind", "message"),
    [
        (lambda: _network(KINDS["group"]), "cut", "statistics", rp.InputError,
         "hold is 'normalisation' or None, not 'statistics'"),
        (lambda: _network(KINDS["group"]), "cut", True, rp.InputError, "not True"),
        (sequential, "3", "normalisation", rp.GeneratorError,
         "no normalisation to hold behind layer '3'"),
        (lambda: _network(KINDS["group"]), "second", "normalisation", rp.GeneratorError,
         "no normalisation to hold behind layer 'second'"),
        (lambda: _network(ByHand), "cut", "normalisation", rp.GeneratorError,
         "one that is written by hand is not recognised"),
        (lambda: _network(lambda: Watched(4, CHANNELS)), "cut", "normalisation",
         rp.GeneratorError, "behind layer 'cut' cannot be held, since .* cannot be recorded: "
         ".*Python reads numbers"),
    ],
)  # fmt: skip
def test_bad_input_what_cannot_be_held_is_refused(network, layer, hold, kind, message):
    with pytest.raises(kind, match=message):
        _cut(network(), layer, hold=hold)


def test_a_path_that_changes_with_the_feature_is_refused():
    class Longer(Normed):
        def forward(self, z):
            h = self.cut(self.start(z))
            # The disturbed features of the checks are larger than the picture's own.
            for _ in range(1 + int(h.square().mean() > self.limit)):
                h = self.first(h)
            return torch.tanh(self.paint(h))

    network = _network(KINDS["group"], Longer)
    latents = sample(1, torch.Generator().manual_seed(0))
    network.limit = 1.02 * network.cut(network.start(latents)).square().mean()
    with pytest.raises(rp.GeneratorError, match="the network takes another path"):
        _cut(network, baseline_latents=latents, sample_latents=None)


class Checkpointed(Normed):
    def forward(self, z):
        skip = self.start(z)
        h = self.cut(self.before(skip))
        run = lambda x: self.middle(F.silu(self.first(x)))  # noqa: E731
        h = checkpoint(run, h, use_reentrant=self.reentrant)
        return torch.tanh(self.paint(self.second(h) + skip))


@pytest.mark.parametrize("reentrant", [False, True])
def test_normalisations_within_checkpoints_are_held(reentrant):
    network = _network(KINDS["group"], Checkpointed)
    network.reentrant = reentrant
    bound = _cut(network).at(sample(1, torch.Generator()))
    assert len([side for side in bound.side_inputs if side.held]) == 4
