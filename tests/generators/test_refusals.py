"""Networks and arguments that cannot be explained, and the message that each meets."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import View, sample, sequential
from torch import nn

import regional_primitives as rp


class Around(nn.Module):
    """A network with `body`, whose forward is given."""

    def __init__(self, forward, **extra):
        super().__init__()
        self.body = sequential()
        for name, part in extra.items():
            setattr(self, name, part)
        self._forward = forward

    def forward(self, z):
        return self._forward(self, z)


def _cut(network, layer="body.3", **settings):
    return rp.cut(network, layer, **{"sample_latents": sample, **settings})


def _refused(network, layer="body.3", **settings):
    with pytest.raises(rp.RegionalPrimitivesError) as error:
        _cut(network, layer, **settings)
    return type(error.value), str(error.value)


# Layers


@pytest.mark.parametrize("layer", ["main.99", "body.33", "Body.3", "body.3.weight", " body.3"])
def test_unknown_layer_lists_the_cut_points(layer):
    kind, message = _refused(Around(lambda self, z: self.body(z)), layer)
    assert kind is rp.GeneratorError
    points = ", ".join(f"body.{i}" for i in range(7))
    assert message == f"layer {layer!r} is not in this network; cut points: {points}"


def test_many_cut_points_are_listed_in_part():
    network = nn.Sequential(nn.Linear(8, 64), *(nn.Tanh() for _ in range(40)), View(1, 8, 8))
    _, message = _refused(network, "nothing")
    assert message.endswith("22, 23, …")


def test_layer_that_is_never_called():
    _, message = _refused(Around(lambda self, z: self.body(z), spare=nn.Linear(8, 8)), "spare")
    assert message.startswith("layer 'spare' is never called; cut points: body.0, body.1")


def test_container_that_is_never_called_as_such():
    network = Around(
        lambda self, z: self.paint(self.parts[0](z)),
        parts=nn.ModuleList([nn.Linear(8, 768)]),
        paint=View(3, 16, 16),
    )
    _, message = _refused(network, "parts")
    assert message == "layer 'parts' is never called; cut points: parts.0"


def test_layer_that_is_called_twice():
    twice = nn.Linear(8, 8)
    network = Around(lambda self, z: self.body(self.twice(self.twice(z))), twice=twice)
    _, message = _refused(network, "twice")
    assert message.startswith("layer 'twice' is called 2 times in a forward pass; cut points: body")


def test_layer_that_is_shared_under_two_names():
    shared = nn.Linear(8, 8)
    network = Around(lambda self, z: self.body(self.b(self.a(z))), a=shared, b=shared)
    _, message = _refused(network, "a")
    assert "layer 'a' is called 2 times" in message


def test_layer_that_returns_two_tensors():
    class Two(nn.Module):
        def forward(self, z):
            return z, z + 1

    network = Around(lambda self, z: self.body(sum(self.two(z))), two=Two())
    _, message = _refused(network, "two")
    assert message.startswith("layer 'two' does not return one tensor; cut points: body.0")


@pytest.mark.parametrize("layer", ["body", "body.7"])
def test_layer_with_nothing_behind(layer):
    _, message = _refused(Around(lambda self, z: self.body(z)), layer)
    assert message.startswith(f"nothing is computed behind layer '{layer}'; cut points: ")


def test_layer_with_nothing_before():
    class Same(nn.Module):
        def forward(self, z):
            return z

    _, message = _refused(Around(lambda self, z: self.body(self.same(z)), same=Same()), "same")
    assert message.startswith("nothing is computed before layer 'same'; cut points: body.0")


def test_latent_that_flows_past_the_layer():
    gain = nn.Linear(8, 1)
    network = Around(lambda self, z: self.body(z) * self.gain(z)[:, :, None, None], gain=gain)
    kind, message = _refused(network)
    assert kind is rp.GeneratorError
    assert message == (
        "the picture does not come from layer 'body.3' alone: gain flows past it; cut points: none"
    )


def test_skip_connection_past_the_layer():
    def forward(self, z):
        x = self.early(z)
        return self.late(self.middle(x) + x)

    parts = {
        "early": nn.Sequential(nn.Linear(8, 1024), View(4, 16, 16)),
        "middle": nn.Conv2d(4, 4, 1),
        "late": nn.Conv2d(4, 3, 1),
    }
    _, message = _refused(Around(forward, **parts), "middle")
    assert message.startswith(
        "the picture does not come from layer 'middle' alone: early.0 flows past it; cut points: "
    )
    assert message.endswith("cut points: early.0, early, early.1")


def test_functions_that_flow_past_are_named_by_where_their_values_come_from():
    def forward(self, z):
        x = F.relu(self.early(z)) + z[:, :1, None, None]
        return self.late(self.middle(x) + torch.cos(x))

    parts = {
        "early": nn.Sequential(nn.Linear(8, 1024), View(4, 16, 16)),
        "middle": nn.Conv2d(4, 4, 1),
        "late": nn.Conv2d(4, 3, 1),
    }
    _, message = _refused(Around(forward, **parts), "middle")
    assert "alone: early.0, z flows past it" in message


def test_layer_that_the_picture_does_not_come_from():
    def forward(self, z):
        self.spare(z)
        return self.body(z)

    _, message = _refused(Around(forward, spare=nn.Linear(8, 8)), "spare")
    assert "layer 'spare' alone: the picture itself flows past it" in message


# Networks


def test_python_control_flow_on_values():
    def forward(self, z):
        return self.body(z) if z.sum() > 0 else -self.body(z)

    kind, message = _refused(Around(forward))
    assert kind is rp.GeneratorError
    assert message.startswith("Around cannot be traced into a sequence of layers: symbolically ")
    assert "\n" not in message


def test_network_that_cannot_be_copied():
    class Uncopied(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()
            self.progress = (i for i in range(3))

        def forward(self, z):
            return self.body(z)

    kind, message = _refused(Uncopied())
    assert kind is rp.GeneratorError
    assert message.startswith("Uncopied cannot be copied: cannot pickle 'generator' object")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_weights(value):
    network = sequential()
    with torch.no_grad():
        network[3].weight[0, 0, 0, :2] = value
    kind, message = _refused(network, "3")
    assert kind is rp.GeneratorError
    assert message == "weight '3.weight' holds NaN or infinite values (2 of 384)"


def test_broken_running_statistics():
    network = sequential()
    network[4].running_mean[1] = math.nan
    _, message = _refused(network, "3")
    assert message == "weight '4.running_mean' holds NaN or infinite values (1 of 6)"


class Noise(nn.Module):
    """Adds noise as some published generators do: drawn by shape, in place, or like its input."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, x):
        return x + 0.1 * self.draw(x)


@pytest.mark.parametrize(
    "draw",
    [
        torch.randn_like,
        lambda x: torch.randn(x.shape),
        lambda x: torch.randn(x.shape[0], 1, 1, 1),
        lambda x: torch.randn(1, 1, 1, 1),
        lambda x: torch.empty_like(x).normal_(),
        lambda x: F.dropout(x, 0.5, training=True),
    ],
    ids=["like", "shape", "batch", "constant", "in place", "dropout"],
)
@pytest.mark.parametrize("place", ["head", "tail"])
def test_network_that_draws_random_numbers(draw, place):
    network = sequential()
    where = 3 if place == "head" else 6
    network = nn.Sequential(*network[:where], Noise(draw), *network[where:])
    kind, message = _refused(network, "4")
    assert kind is rp.GeneratorError
    assert message.startswith("this network gives a different image for the same latent (largest ")
    assert "draws random numbers of its own; make them an input" in message


@pytest.mark.parametrize(
    ("forward", "got"),
    [
        (lambda self, z: self.body(z).flatten(1), "got float32 [2, 768]"),
        (lambda self, z: (self.body(z) * 127).to(torch.int32), "got int32 [2, 3, 16, 16]"),
        (lambda self, z: self.body(z)[0], "got float32 [3, 16, 16]"),
        (lambda self, z: self.body(z)[:1], "got float32 [1, 3, 16, 16]"),
        (lambda self, z: (self.body(z), z), "no image but a tuple"),
        (lambda self, z: {"image": self.body(z)}, "no image but a dict"),
        (lambda self, z: None, "no image but a NoneType"),
        (lambda self, z: self.body(z).log() * 0, "an image with NaN or infinite pixels"),
        (lambda self, z: 1 / (self.body(z) * 0), "an image with NaN or infinite pixels"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_output_that_is_no_image(forward, got):
    kind, message = _refused(Around(forward))
    assert kind is rp.GeneratorError
    assert message.startswith("the network gives ")
    assert got in message


def test_in_place_change_that_a_graph_cannot_show_is_caught():
    def forward(self, z):
        x = self.early(z)
        x.clamp_(-0.1, 0.1)  # the result is not used, only its effect
        return self.body(x)

    kind, message = _refused(Around(forward, early=nn.Linear(8, 8)), "early")
    assert kind is rp.GeneratorError
    assert message.startswith("cut at 'early', the tail gives another image than the whole")


# Arguments


@pytest.mark.parametrize("module", [None, "faces", torch.relu, nn.ReLU])
def test_bad_input_module(module):
    with pytest.raises(rp.InputError, match=r"cut needs a torch\.nn\.Module, not "):
        _cut(module)


@pytest.mark.parametrize("layer", ["", [], ["1", "2"], 5, None, [3], {"1"}])
def test_bad_input_layer(layer):
    with pytest.raises(rp.InputError, match=r"give the name of one layer, such as 'main.5', not"):
        _cut(sequential(), layer)


@pytest.mark.parametrize(
    "image_range",
    [(1, -1), (0, 0), (0, math.nan), (-math.inf, 0), (0,), (0, 1, 2), 1.0, "01x", None, ("a", "b")],
)
def test_bad_input_image_range(image_range):
    with pytest.raises(rp.InputError, match=r"image_range is \(black, white\) with black < white"):
        _cut(sequential(), "3", image_range=image_range)


def test_nothing_to_take_the_baseline_from():
    with pytest.raises(rp.InputError, match="pass sample_latents=, baseline_latents= or baseline="):
        rp.cut(sequential(), "3")


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (lambda n, rng: torch.randn(3, 8, generator=rng), r"gave 3 items: \[3, 8\]"),
        (lambda n, rng: torch.zeros(0, 8), r"gave 0 items: \[0, 8\]"),
        (lambda n, rng: torch.randn(8, generator=rng), r"gave 8 items: \[8\]"),
        (lambda n, rng: torch.tensor(1.0), r"one common batch axis first; got \[\]"),
        (lambda n, rng: (torch.zeros(1, 8), torch.zeros(2)), r"one common batch axis first; got 0"),
        (lambda n, rng: torch.randn(n, 8), "must draw from rng and nothing else"),
        (lambda n, rng: [0.0] * 8, "latents are a tensor, or a tuple .* not list"),
        (lambda n, rng: None, "not NoneType"),
        (lambda n, rng: (), "latents are a tensor, or a tuple or dictionary of tensors, not tuple"),
        (lambda n, rng: {"z": 1.0}, "dictionary of tensors, not dict"),
        (
            lambda n, rng: torch.randn(n, 9, generator=rng),
            r"rejects latents \[2, 9\]: mat1 and mat2",
        ),
        (lambda n, rng: {"y": torch.randn(n, 8, generator=rng)}, r"rejects latents y \[2, 8\]"),
        (lambda n, rng: (torch.zeros(n, 8),) * 2, r"rejects latents 0 \[2, 8\], 1 \[2, 8\]"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_sampler(sampler, message):
    with pytest.raises(rp.RegionalPrimitivesError, match=message):
        _cut(sequential(), "3", sample_latents=sampler)


@pytest.mark.parametrize("method", ["head", "image"])
@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (torch.zeros(2, 9), r"latents \[2, 9\] do not fit; this generator takes \[batch, 8\]"),
        (torch.zeros(8), r"latents \[8\] do not fit"),
        ((torch.zeros(1, 8), torch.zeros(1)), "do not fit"),
        ({"input": torch.zeros(1, 8)}, "do not fit"),
        (torch.zeros(2, 8).long(), r"rejects latents \[2, 8\]: "),
        ([[0.0] * 8], "latents are a tensor, or a tuple or dictionary of tensors, not list"),
        (torch.zeros(2, 8).numpy(), "not ndarray"),
        (None, "not NoneType"),
    ],
)
def test_bad_input_latents(method, latents, message):
    generator = _cut(sequential(), "3")
    with pytest.raises(rp.InputError, match=message):
        getattr(generator, method)(latents)


def test_latents_that_do_not_fit_a_generator_without_sampler():
    generator = rp.cut(sequential(), "3", baseline_latents=torch.zeros(3, 8))
    with pytest.raises(rp.InputError, match=r"rejects latents \[1, 9\]"):
        generator.head(torch.zeros(1, 9))


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_latent(count):
    with pytest.raises(rp.InputError, match=f"at least one latent must be drawn, not {count}"):
        _cut(sequential(), "3").sample_latents(count)


def test_drawing_without_a_sampler():
    generator = rp.cut(sequential(), "3", baseline_latents=torch.zeros(3, 8))
    with pytest.raises(rp.GeneratorError, match="cut without sample_latents=; pass it"):
        generator.sample_latents(1)
