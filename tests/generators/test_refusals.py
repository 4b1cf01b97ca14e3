"""Networks and arguments that cannot be explained, and the message that each meets.

Beside them stand their neighbours that can: what flows past the cut, what is random, and what takes
its own path through Python.
"""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import Around, Picture, View, sample, sequential
from torch import nn

import regional_primitives as rp
from regional_primitives.errors import WholeRunWarning
from regional_primitives.generators.recorded import RecordedTail
from regional_primitives.generators.tail import WholeRunTail

pytestmark = pytest.mark.filterwarnings("error::regional_primitives.errors.WholeRunWarning")


def _cut(network, layer="body.3", **settings):
    return rp.cut(network, layer, **{"sample_latents": sample, **settings})


def _refused(network, layer="body.3", **settings):
    with pytest.raises(rp.RegionalPrimitivesError) as error:
        _cut(network, layer, **settings)
    return type(error.value), str(error.value)


def _substituted(generator, latents, feature):
    """Return what a tail means: the whole network with the layer's output replaced."""
    given = generator.at(latents).behind.parts.by_layer(feature)
    return generator.network.substituted(latents, generator.layers, given)


def _works(network, layer="body.3", *, free=False, recorded=True, **settings):
    """Cut, compare with the whole network on features of its own and of others; return both."""
    with warnings.catch_warnings():
        if not recorded:
            warnings.simplefilter("ignore", WholeRunWarning)
        generator = _cut(network, layer, **settings)
        bounds = []
        for seed in (3, 4):
            latents = generator.sample_latents(1, seed=seed)
            bound = generator.at(latents)
            assert isinstance(bound.behind, RecordedTail if recorded else WholeRunTail)
            assert bound.runs_whole_network == (not recorded)
            assert (bound is generator) == free
            feature, image = bound.head(latents), generator.image(latents)
            assert torch.allclose(bound.tail(feature), image, atol=1e-6)
            several = isinstance(feature, tuple)
            other = tuple(1.5 * t + 0.1 for t in feature) if several else 1.5 * feature + 0.1
            expected = _substituted(generator, latents, other)
            assert torch.allclose(bound.tail(other), expected, atol=1e-5)
            assert not torch.allclose(expected, image, atol=1e-4)
            bounds.append(bound)
    if not free:
        with pytest.raises(
            rp.GeneratorError, match=r"hold it for a picture: generator\.at\(latents"
        ):
            generator.tail(feature)
    return generator, bounds[0]


# Layers


@pytest.mark.parametrize("layer", ["main.99", "body.33", "Body.3", "body.3.weight", "body 3"])
def test_unknown_layer_lists_the_cut_points(layer):
    kind, message = _refused(Around(lambda self, z: self.body(z)), layer)
    assert kind is rp.GeneratorError
    points = ", ".join(["body", *(f"body.{i}" for i in range(8))])
    assert message == f"layer {layer!r} is not in this network; cut points: {points}"


def test_many_cut_points_are_listed_in_part():
    network = nn.Sequential(nn.Linear(8, 64), *(nn.Tanh() for _ in range(40)), View(1, 8, 8))
    _, message = _refused(network, "nothing")
    assert message.endswith("cut points: " + ", ".join(map(str, range(24))) + ", …")


def test_of_many_cut_points_the_nearest_come_first():
    network = nn.Sequential(nn.Linear(8, 64), *(nn.Tanh() for _ in range(40)), View(1, 8, 8))
    _, message = _refused(nn.Sequential(network), "0,37")
    assert "cut points: 0.37, " in message


def test_layer_that_is_never_called():
    kind, message = _refused(Around(lambda self, z: self.body(z), spare=nn.Linear(8, 8)), "spare")
    assert kind is rp.GeneratorError
    assert message == "layer 'spare' is never called"


def test_container_that_is_never_called_as_such():
    network = Around(
        lambda self, z: self.paint(self.parts[1](z)),
        parts=nn.ModuleList([nn.Tanh(), nn.Sequential(nn.Linear(8, 768)), nn.Tanh()]),
        paint=View(3, 16, 16),
    )
    _, message = _refused(network, "parts")
    assert message == "layer 'parts' is never called; called within it: parts.1"


@pytest.mark.usefixtures("unchecked")
def test_layer_that_is_called_twice():
    twice = nn.Linear(8, 8)
    network = Around(lambda self, z: self.body(self.twice(self.twice(z))), twice=twice)
    kind, message = _refused(network, "twice")
    assert kind is rp.GeneratorError
    assert message == (
        "layer 'twice' is called 2 times in a forward pass; say which: twice#1 … twice#2"
    )
    for call in ("twice#1", "twice#2"):
        _works(network, call, free=True)
    _, message = _refused(network, "twice#3")
    assert message == "layer 'twice' is called 2 times in a forward pass; there is no call 3"


@pytest.mark.usefixtures("unchecked")
def test_layer_that_is_shared_under_two_names():
    shared = nn.Linear(8, 8)
    network = Around(lambda self, z: self.body(self.b(self.a(z))), a=shared, b=shared)
    for name in "ab":
        _, message = _refused(network, name)
        assert message.startswith(f"layer {name!r} is called 2 times in a forward pass; say which")
    first, _ = _works(network, "a#1", free=True)
    same, _ = _works(network, "b#1", free=True)
    second, _ = _works(network, "b#2", free=True)
    latents = first.sample_latents(2)
    assert torch.equal(first.head(latents), same.head(latents))
    assert not torch.equal(first.head(latents), second.head(latents))


@pytest.mark.usefixtures("unchecked")
def test_layer_that_returns_two_tensors():
    class Two(nn.Module):
        def forward(self, z):
            return z, z.square()

    network = Around(lambda self, z: self.body(torch.sub(*self.two(z))), two=Two())
    both, _ = _works(network, "two", free=True)
    assert both.feature_shape == ((8,), (8,))
    for output in ("two[0]", "two[1]"):
        _, bound = _works(network, output)
        assert bound.feature_shape == (8,)
        assert [side.origin for side in bound.side_inputs] == (
            ["two"] if output == "two[0]" else ["input latents"]
        )
    _, message = _refused(network, "two[2]")
    assert message == "layer 'two[2]': it returns 2 tensors, numbered from 0"


@pytest.mark.parametrize("layer", ["body", "body.7"])
def test_layer_with_nothing_behind(layer):
    kind, message = _refused(Around(lambda self, z: self.body(z)), layer)
    assert kind is rp.GeneratorError
    assert message == f"nothing is computed behind layer '{layer}'"


def test_layer_with_nothing_before():
    class Same(nn.Module):
        def forward(self, z):
            return z

    network = Around(lambda self, z: self.body(self.same(z)), same=Same())
    generator, _ = _works(network, "same", free=True)
    latents = generator.sample_latents(2)
    assert torch.equal(generator.head(latents), latents)
    assert torch.allclose(generator.tail(latents), generator.image(latents), atol=1e-6)


def test_latent_that_flows_past_the_layer():
    gain = nn.Sequential(nn.Linear(8, 1), View(1, 1, 1))
    network = Around(lambda self, z: self.body(z) * self.gain(z), gain=gain)
    _, bound = _works(network)
    assert [side.origin for side in bound.side_inputs] == ["gain.1"]
    assert bound.side_inputs[0].of_the_picture
    assert bound.side_inputs[0].value.shape[0] == 1


@pytest.mark.usefixtures("unchecked")
def test_skip_connection_past_the_layer():
    def forward(self, z):
        x = self.early(z)
        return self.late(self.middle(x) + x)

    parts = {
        "early": nn.Sequential(nn.Linear(8, 1024), View(4, 16, 16)),
        "middle": nn.Conv2d(4, 4, 1),
        "late": nn.Conv2d(4, 3, 1),
    }
    _, bound = _works(Around(forward, **parts), "middle")
    assert [side.origin for side in bound.side_inputs] == ["early.1"]
    assert bound.behind.program.operations == 2  # the sum and the last convolution
    for layer in ("early", "early.0", "early.1"):
        _works(Around(forward, **parts), layer, free=True)


@pytest.mark.usefixtures("unchecked")
def test_functions_that_flow_past_are_named_by_where_their_values_come_from():
    def forward(self, z):
        x = F.relu(self.early(z)) + z[:, :1, None, None]
        return self.late((self.middle(x) + torch.cos(x)) * z[:, 1:2, None, None]) + z.mean()

    parts = {
        "early": nn.Sequential(nn.Linear(8, 1024), View(4, 16, 16)),
        "middle": nn.Conv2d(4, 4, 1),
        "late": nn.Conv2d(4, 3, 1),
    }
    _, bound = _works(Around(forward, **parts), "middle")
    assert {side.origin for side in bound.side_inputs} == {"the network itself"}
    assert len(bound.side_inputs) == 3


@pytest.mark.usefixtures("unchecked")
def test_latents_that_the_tail_reads_are_named():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()

        def forward(self, z, gain):
            return self.body(z) * gain

    def drawn(count, rng):
        return {"z": sample(count, rng), "gain": torch.rand(count, 1, 1, 1, generator=rng) + 1}

    _, bound = _works(Two(), sample_latents=drawn)
    assert [side.origin for side in bound.side_inputs] == ["input gain"]


def test_layer_that_the_picture_does_not_come_from():
    def forward(self, z):
        self.spare(z)
        return self.body(z)

    kind, message = _refused(Around(forward, spare=nn.Linear(8, 8)), "spare")
    assert kind is rp.GeneratorError
    assert message == "nothing of the picture depends on layer 'spare'"


def test_layer_whose_gradient_is_cut_off():
    network = Picture(lambda self, h, z: self.up(h.detach()))
    kind, message = _refused(network, "early")
    assert kind is rp.GeneratorError
    assert message == (
        "no gradient flows from the picture back to 'early': the network detaches its values or "
        "runs under torch.no_grad()"
    )


def test_network_that_runs_without_gradient_gets_one():
    network = Picture(lambda self, h, z: torch.no_grad()(self.up)(h))
    generator, _ = _works(network, "early", free=True)
    feature = generator.head(generator.sample_latents(1)).requires_grad_()
    generator.tail(feature).sum().backward()
    assert feature.grad.abs().sum() > 0


def test_layer_without_a_batch_axis():
    class Grid(nn.Module):
        def forward(self, z):
            return torch.linspace(0, 1, 16).view(1, 1, 1, 16)

    network = Around(lambda self, z: self.body(z) * self.grid(z), grid=Grid())
    kind, message = _refused(network, "grid")
    assert kind is rp.GeneratorError
    assert message == (
        "layer 'grid' gives [1, 1, 1, 16] for any number of pictures: it has no batch axis"
    )


def test_layer_whose_shape_mixes_the_items_of_a_batch():
    class Pairs(nn.Module):
        def forward(self, z):
            return z @ z.T

    network = Around(lambda self, z: self.body(self.pairs(z) @ z), pairs=Pairs())
    kind, message = _refused(network, "pairs")
    assert kind is rp.GeneratorError
    assert message == "layer 'pairs': a tensor's shape mixes the items of a batch"


# Networks


@pytest.mark.usefixtures("unchecked")
def test_python_control_flow_on_latents():
    def forward(self, z):
        return self.body(z) if z.sum() > 0 else -self.body(z)

    network = Around(forward)
    generator, _ = _works(network)
    sums = [float(generator.sample_latents(1, seed=seed).sum()) for seed in range(6)]
    assert min(sums) < 0 < max(sums)  # both paths
    for seed in range(6):
        latents = generator.sample_latents(1, seed=seed)
        bound = generator.at(latents)
        assert bound.behind.program.reads_latents
        assert torch.allclose(bound.tail(bound.head(latents)), generator.image(latents), atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_python_control_flow_on_the_feature_runs_the_whole_network():
    def behind(self, h, z):
        return self.up(h) if float(h.mean()) > 0 else self.up(3 * h)

    line = behind.__code__.co_firstlineno + 1
    network = Picture(behind)
    with pytest.warns(WholeRunWarning, match=r"Picture cannot be recorded behind 'early': .*"):
        generator = _cut(network, "early")
    with pytest.warns(WholeRunWarning) as caught:
        bound = generator.at(generator.sample_latents(1, seed=7))
    (warning,) = caught
    assert str(warning.message) == (
        f"Picture cannot be recorded behind 'early': at test_refusals.py:{line} Python reads "
        "numbers that depend on the feature (__float__); keep such decisions in tensors, as torch."
        "where does; the whole network runs instead, which is slower and gives the same images"
    )
    assert bound.side_inputs == ()
    _works(network, "early", recorded=False)


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
        lambda x: F.dropout2d(x, 0.5, training=True) if x.ndim == 4 else F.dropout1d(x, 0.5),
    ],
    ids=["like", "shape", "batch", "constant", "in place", "dropout", "channel dropout"],
)
@pytest.mark.parametrize("place", ["head", "tail"])
@pytest.mark.usefixtures("unchecked")
def test_network_that_draws_random_numbers(draw, place):
    torch.manual_seed(0)
    network = sequential()
    where = 3 if place == "head" else 6
    network = nn.Sequential(*network[:where], Noise(draw), *network[where:])
    state = torch.get_rng_state()
    generator, _ = _works(network, "4", free=True)
    latents = generator.sample_latents(1, seed=1)
    image = generator.image(latents)
    feature = generator.head(latents)
    assert torch.equal(generator.image(latents), image)
    many = latents.expand(4, -1)
    assert torch.allclose(generator.image(many), image.expand(4, -1, -1, -1), atol=1e-6)
    assert torch.allclose(generator.head(many), feature.expand(4, -1, -1, -1), atol=1e-6)
    assert torch.allclose(
        generator.tail(feature.repeat(4, 1, 1, 1)), image.expand(4, -1, -1, -1), atol=1e-6
    )
    other = _cut(network, "4", noise_seed=1)
    assert other.digest != generator.digest
    assert not torch.allclose(other.image(latents), image, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: torch.from_numpy(np.random.default_rng().standard_normal(x.shape)).float(),
        lambda x: x.new_tensor(random.SystemRandom().random()),
    ],
    ids=["a generator of NumPy", "the system"],
)
@pytest.mark.parametrize("place", [3, 6])
def test_network_that_draws_what_cannot_be_frozen(draw, place):
    network = sequential()
    network = nn.Sequential(*network[:place], Noise(draw), *network[place:])
    kind, message = _refused(network, "4")
    assert kind is rp.GeneratorError
    assert message.startswith("this network gives a different image for the same latent (largest ")
    assert message.endswith(
        "): it draws random numbers that cannot be frozen, such as those of a NumPy generator "
        "(np.random.default_rng()); seed it anew in each run, draw with torch or np.random, or "
        "make what it draws an argument: an input, or fixed="
    )


def test_network_that_remembers_is_refused_as_one_that_differs_between_runs():
    def behind(self, h, z):
        self.memory.add_(1)
        return self.up(h) * self.memory

    kind, message = _refused(Picture(behind), "early")
    assert kind is rp.GeneratorError
    assert message.startswith("this network gives a different image for the same latent (largest ")


@pytest.mark.parametrize(
    ("forward", "got"),
    [
        (lambda self, z: self.body(z).flatten(1), "got float32 [1, 768]"),
        (lambda self, z: (self.body(z) * 127).to(torch.int32), "got int32 [1, 3, 16, 16]"),
        (lambda self, z: self.body(z)[0], "got float32 [3, 16, 16]"),
        (lambda self, z: self.body(z).repeat(2, 1, 1, 1), "got float32 [2, 3, 16, 16]"),
        (lambda self, z: (self.body(z)[0], z), "no image but a tuple"),
        (lambda self, z: {"image": self.body(z).flatten(1)}, "no image but a dict"),
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


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, z: (self.body(z), z),
        lambda self, z: {"image": self.body(z), "latents": z},
        lambda self, z: [z, {"image": [None, self.body(z)]}],
        lambda self, z: (lambda x: (x, "words", 3, x.long(), x.flatten(1)))(self.body(z)),
    ],
)
def test_only_output_that_is_shaped_like_an_image_is_the_image(forward):
    network = Around(forward).eval()
    generator = _cut(network)
    latents = generator.sample_latents(2)
    with torch.no_grad():
        # The frozen twin's kernels may round otherwise than the network's.
        torch.testing.assert_close(
            generator.image(latents), network.body(latents), rtol=1e-5, atol=1e-6
        )


def test_in_place_change_whose_result_is_not_used():
    def forward(self, z):
        x = self.early(z)
        x.clamp_(-0.1, 0.1)  # the result is not used, only its effect
        return self.body(x)

    generator = _cut(Around(forward, early=nn.Linear(8, 8)), "early")
    latents = generator.sample_latents(2)
    feature = generator.head(latents)
    image = generator.tail(feature)
    assert torch.allclose(image, generator.image(latents), atol=1e-6)
    assert feature.abs().max() > 0.1
    assert torch.equal(generator.tail(feature.clamp(-0.1, 0.1)), image)
    assert not torch.allclose(generator.tail(0.1 * feature), image, atol=1e-4)


# Arguments


@pytest.mark.parametrize("module", [None, "faces", torch.relu, nn.ReLU])
def test_bad_input_module(module):
    with pytest.raises(rp.InputError, match=r"a torch\.nn\.Module is cut, not "):
        _cut(module)


@pytest.mark.parametrize("layer", ["", [], ["1", ""], (), 5, None, [3], {"1"}, ["1", None]])
def test_bad_input_layer(layer):
    with pytest.raises(
        rp.InputError, match=r"give a layer's name, such as 'main\.5', or several, not"
    ):
        _cut(sequential(), layer)


@pytest.mark.parametrize("feature", [None, "3", [1.0], (torch.zeros(1, 6, 8, 8), "3"), [], 5])
def test_bad_input_feature(feature):
    with pytest.raises(rp.InputError, match="a feature is a tensor or a tuple of tensors, not "):
        _cut(sequential(), "3").tail(feature)


@pytest.mark.parametrize(
    ("feature", "found"),
    [
        (torch.zeros(2, 6, 8, 9), "6 × 8 × 9"),
        (torch.zeros(6, 8, 8), "8 × 8"),
        (torch.zeros(2), "1"),
        (torch.tensor(1.0), "1"),
        ((torch.zeros(1, 6, 8, 8),), "6 × 8 × 8"),
        ((torch.zeros(1, 6, 8, 8), torch.zeros(1, 3)), "6 × 8 × 8 + 3"),
    ],
)
def test_bad_input_feature_of_another_shape(feature, found):
    message = f"of shape batch × {found} does not fit behind '3'; expected batch × 6 × 8 × 8"
    with pytest.raises(rp.InputError, match=message.replace("+", r"\+")):
        _cut(sequential(), "3").tail(feature)


def test_tensors_of_a_bundle_of_different_lengths():
    network = Around(
        lambda self, z: self.body(self.a(z) + self.b(z)), a=nn.Linear(8, 8), b=nn.Tanh()
    )
    generator = _cut(network, ["a", "b"])
    assert generator.feature_shape == ((8,), (8,))
    generator.tail((torch.zeros(2, 8), torch.zeros(2, 8)))
    with pytest.raises(rp.InputError, match=r"a feature of shape batch × 8 \+ 8 does not fit"):
        generator.tail((torch.zeros(2, 8), torch.zeros(3, 8)))


@pytest.mark.parametrize("fixed", [{"nonsense": 1}, {"input": torch.zeros(1, 8)}])
def test_fixed_arguments_that_the_network_does_not_take(fixed):
    with pytest.raises(rp.InputError, match=f"argument.*'{next(iter(fixed))}'"):
        _cut(sequential(), "3", fixed=fixed)


@pytest.mark.parametrize("call", ["nonsense", "training", "__dict__"])
def test_method_that_is_none(call):
    with pytest.raises(rp.InputError, match=f"call='{call}' is no method of Sequential"):
        _cut(sequential(), "3", call=call)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_bad_input_baseline_count(count):
    with pytest.raises(
        rp.InputError, match=rf"baseline_count must be a whole number of at least 1, not {count}"
    ):
        _cut(sequential(), "3", baseline_count=count)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_more_or_fewer_than_one_picture(count):
    generator = _cut(sequential(), "3")
    with pytest.raises(rp.InputError, match=f"one picture at a time; got {count} latents"):
        generator.at(torch.zeros(count, 8))
    with pytest.raises(rp.InputError, match="one picture at a time"):
        rp.explain(generator, torch.zeros(count, 8))


@pytest.mark.parametrize(
    "image_range",
    [(1, -1), (0, 0), (0, math.nan), (-math.inf, 0), (0,), (0, 1, 2), 1.0, "01x", ("a", "b")],
)
def test_bad_input_image_range(image_range):
    with pytest.raises(rp.InputError, match=r"image_range is \(black, white\) with black < white"):
        _cut(sequential(), "3", image_range=image_range)


def test_image_range_is_that_of_tanh_unless_given():
    assert _cut(sequential(), "3").image_range == (-1.0, 1.0)
    assert _cut(sequential(), "3", image_range=(0.0, 255.0)).image_range == (0.0, 255.0)


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
        (lambda n, rng: torch.full((n, 8), torch.nan), "latents hold NaN or infinite values"),
        (lambda n, rng: [0.0] * 8, "latents are a tensor, or a tuple .* not list"),
        (lambda n, rng: None, "not NoneType"),
        (lambda n, rng: (), "latents are a tensor, or a tuple or dictionary of tensors, not tuple"),
        (lambda n, rng: {"z": 1.0}, "dictionary of tensors, not dict"),
        (
            lambda n, rng: torch.randn(n, 9, generator=rng),
            r"rejects latents \[1, 9\]: mat1 and mat2",
        ),
        (lambda n, rng: {"y": torch.randn(n, 8, generator=rng)}, r"rejects latents y \[1, 8\]"),
        (lambda n, rng: (torch.zeros(n, 8),) * 2, r"rejects latents 0 \[1, 8\], 1 \[1, 8\]"),
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
        (torch.full((1, 8), math.nan), "latents hold NaN or infinite values"),
        (torch.tensor([[0.0] * 7 + [math.inf]]), "latents hold NaN or infinite values"),
    ],
)
def test_bad_input_latents(method, latents, message):
    generator = _cut(sequential(), "3")
    with pytest.raises(rp.InputError, match=message):
        getattr(generator, method)(latents)


class Encoded(nn.Module):
    """Quantised photographs, which hide a NaN, within a mask."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 3, 2, 2)

    def forward(self, photograph, mask):
        seen = self.encode(photograph.nan_to_num()) * mask.softmax(1)[:, 0, None, None, None]
        return self.decode(seen.tanh())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_photographs_that_a_network_encodes_itself(value):
    mask = torch.tensor([[0.0, -math.inf]])
    given = {"photograph": torch.rand(2, 3, 8, 8), "mask": mask.repeat(2, 1)}
    generator = rp.cut(Encoded(), "encode", baseline_latents=given)
    good = {"photograph": torch.rand(1, 3, 8, 8), "mask": mask}
    assert generator.at(good).image(good).shape == (1, 3, 8, 8)
    bad = {"photograph": torch.rand(1, 3, 8, 8), "mask": mask}
    bad["photograph"][0, 0, 0, 0] = value
    uses = [
        generator.at,
        generator.image,
        lambda bad: rp.explain(generator, bad, rp.Regions.grid(2, 2)),
        lambda bad: rp.layers(Encoded(), bad),
        lambda bad: rp.cut(Encoded(), "encode", baseline_latents=bad),
    ]
    for use in uses:
        with pytest.raises(rp.InputError, match="latents 'photograph' hold NaN or infinite values"):
            use(bad)


def test_latents_that_do_not_fit_a_generator_without_sampler():
    generator = rp.cut(sequential(), "3", baseline_latents=torch.zeros(3, 8))
    with pytest.raises(rp.InputError, match=r"rejects latents \[1, 9\]"):
        generator.head(torch.zeros(1, 9))


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_latent(count):
    with pytest.raises(rp.InputError, match=f"whole number of at least 1, not {count}"):
        _cut(sequential(), "3").sample_latents(count)


def test_drawing_without_a_sampler():
    generator = rp.cut(sequential(), "3", baseline_latents=torch.zeros(3, 8))
    with pytest.raises(rp.GeneratorError, match="cut without sample_latents=; pass it"):
        generator.sample_latents(1)
