from __future__ import annotations

import warnings

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from networks import NETWORKS, OptionalLabels, Residual, View, sample, sequential
from torch import Tensor, nn

import regional_primitives as rp
from regional_primitives.generators.trace import frozen_twin, trace

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")

CASES = [(name, layer) for name, (_, layers) in NETWORKS.items() for layer in layers]


def _network(name, seed=0):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = NETWORKS[name][0]()
    # Some training behind it, so that running statistics and power iterations are not at rest.
    for _ in range(3):
        network(torch.randn(6, 8))
    return network


def _cut(network, layer, **settings):
    return rp.cut(network, layer, **{"sample_latents": sample, **settings})


def _state(network):
    """Copy all that a cut might disturb."""
    return {
        "values": {name: value.clone() for name, value in network.state_dict().items()},
        "flags": [(name, p.requires_grad, p.grad) for name, p in network.named_parameters()],
        "modes": [(name, m.training) for name, m in network.named_modules()],
        "hooks": [
            (name, list(m._forward_hooks.items()), list(m._forward_pre_hooks.items()))
            for name, m in network.named_modules()
        ],
        "names": [(name, type(m), sorted(vars(m))) for name, m in network.named_modules()],
    }


def _assert_as_found(network, before):
    after = _state(network)
    assert after["values"].keys() == before["values"].keys()
    for name, value in before["values"].items():
        assert torch.equal(after["values"][name], value), name
    for key in ("flags", "modes", "hooks", "names"):
        assert after[key] == before[key], key


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_tail_of_head_is_the_network_in_eval_mode(name, layer):
    network = _network(name)
    generator = _cut(network, layer)
    latents = generator.sample_latents(3, seed=7)
    image = generator.tail(generator.head(latents))
    with torch.no_grad():
        expected = network.eval()(latents)
    assert image.shape == (3, 3, 16, 16)
    assert torch.equal(image, expected)
    assert torch.equal(generator.image(latents), expected)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_head_is_what_the_layer_returns(name, layer):
    network = _network(name).eval()
    generator = _cut(network, layer)
    latents = generator.sample_latents(2)
    seen = []
    hook = network.get_submodule(layer).register_forward_hook(
        # A clone: an in-place layer behind this one would write into what the hook sees.
        lambda module, inputs, output: seen.append(output.detach().clone())
    )
    network(latents)
    hook.remove()
    assert torch.equal(generator.head(latents), seen[0])
    assert generator.feature_shape == tuple(seen[0].shape[1:])


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_network_in_training_is_left_as_found(name, layer):
    network = _network(name).train()
    next(network.parameters()).requires_grad_(False)
    network.register_forward_hook(lambda module, inputs, output: output)
    before = _state(network)
    generator = _cut(network, layer)
    feature = generator.head(generator.sample_latents(4)).requires_grad_()
    generator.tail(feature).square().sum().backward()
    generator.image(generator.sample_latents(2))
    _assert_as_found(network, before)
    assert feature.grad is not None
    assert feature.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in generator.network.parameters())
    assert all(weight.grad is None for weight in generator.tail_module.parameters())


@pytest.mark.parametrize("layer", ["nonsense", "7"])
def test_network_is_left_as_found_by_a_failed_cut(layer):
    network = _network("sequential").train()
    network[0].weight.requires_grad_(False)
    before = _state(network)
    with pytest.raises(rp.GeneratorError):
        _cut(network, layer)
    _assert_as_found(network, before)


def test_network_is_left_as_found_when_its_forward_fails():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()

        def forward(self, z):
            self.body(z)
            raise RuntimeError("no such kernel")

    network = Fails().train()
    before = _state(network)
    with pytest.raises(rp.InputError, match=r"rejects latents \[2, 8\]: no such kernel"):
        _cut(network, "body.3")
    _assert_as_found(network, before)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_tail_leaves_the_feature_alone(name, layer):
    generator = _cut(_network(name), layer)
    feature = generator.head(generator.sample_latents(2))
    before = feature.clone()
    generator.tail(feature)
    assert torch.equal(feature, before)


def test_weights_are_shared_not_copied():
    network = _network("sequential")
    generator = _cut(network, "3")
    for (name, weight), (other_name, other) in zip(
        network.state_dict().items(), generator.network.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert weight.data_ptr() == other.data_ptr()


# The tail runs only what lies behind the cut


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_tail_holds_no_layer_from_before_the_cut(name, layer):
    network = _network(name)
    generator = _cut(network, layer)

    def called(half):
        return {str(node.target) for node in half.graph.nodes if node.op == "call_module"}

    head, tail = called(generator.head_module), called(generator.tail_module)
    assert not head & tail
    assert layer not in tail
    assert head | tail == called(_cut_at_the_end(network))


def _cut_at_the_end(network):
    twin = frozen_twin(network)
    traced = trace(twin, torch.zeros(1, 8))
    return torch.fx.GraphModule(twin, traced.graph)


def test_tail_runs_no_layer_from_before_the_cut():
    network = _network("sequential")
    generator = _cut(network, "3")
    feature = generator.head(generator.sample_latents(2))
    calls = []
    for name, part in generator.network.named_children():
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
    for name, part in generator.tail_module.named_modules():
        if name:
            part.register_forward_hook(lambda *_, name=name: calls.append(name))
    generator.tail(feature)
    assert set(calls) == {"4", "5", "6", "7"}


def test_early_weights_do_not_matter_to_the_tail_and_late_ones_do():
    network = _network("sequential")
    generator = _cut(network, "3")
    feature = generator.head(generator.sample_latents(2))
    image = generator.tail(feature)
    with torch.no_grad():
        network[0].weight.zero_()
        network[3].weight.zero_()
    assert torch.equal(generator.tail(feature), image)
    assert not torch.equal(generator.head(generator.sample_latents(2)), feature)
    with torch.no_grad():
        network[6].weight.zero_()
    assert not torch.equal(generator.tail(feature), image)


def test_head_tracks_no_gradient_and_tail_does():
    generator = _cut(_network("sequential"), "3")
    latents = generator.sample_latents(2).requires_grad_()
    feature = generator.head(latents)
    assert not feature.requires_grad
    assert generator.tail(feature.requires_grad_()).requires_grad


# Cut points


@pytest.mark.parametrize("name", NETWORKS)
def test_listed_cut_points_are_those_that_work(name):
    network = _network(name)
    listed = trace(frozen_twin(network), torch.zeros(1, 8)).cut_points()
    assert set(NETWORKS[name][1]) <= set(listed)
    for layer, _ in network.named_modules():
        if layer in listed:
            _cut(network, layer)
        elif layer:
            with pytest.raises(rp.GeneratorError, match="cut points: "):
                _cut(network, layer)


def test_cut_points_come_in_order_of_execution():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(4, 3, 1)
            self.first = nn.Linear(8, 64)

        def forward(self, z):
            return self.last(self.first(z).view(-1, 4, 4, 4)).tanh()

    assert trace(Backwards()).cut_points() == ["first", "last"]


def test_a_cut_may_be_named_as_a_list_of_one():
    assert _cut(_network("sequential"), ["3"]).layer == "3"


def test_names():
    assert _cut(_network("nested"), "embed").name == "Nested"
    assert _cut(_network("nested"), "embed", name="mine").name == "mine"


# What may be given


def _two_inputs(layer="body.3"):
    class TwoInputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(5, 8)
            self.body = sequential()

        def forward(self, noise, label):
            return self.body(noise + self.table(label))

    torch.manual_seed(0)
    return TwoInputs(), layer


def test_latents_in_a_tuple():
    network, layer = _two_inputs()
    generator = rp.cut(
        network,
        layer,
        sample_latents=lambda count, rng: (
            torch.randn(count, 8, generator=rng),
            torch.randint(5, (count,), generator=rng),
        ),
    )
    latents = generator.sample_latents(6, seed=1)
    assert [part.shape for part in latents] == [(6, 8), (6,)]
    assert len(latents[1].unique()) > 1
    with torch.no_grad():
        expected = network.eval()(*latents)
    assert torch.equal(generator.tail(generator.head(latents)), expected)
    one = generator.sample_latents(1, seed=4)
    assert torch.equal(one[0], latents[0][3:4])
    assert torch.equal(one[1], latents[1][3:4])


def test_latents_in_a_dictionary():
    network, layer = _two_inputs()
    generator = rp.cut(
        network,
        layer,
        sample_latents=lambda count, rng: {
            "label": torch.randint(5, (count,), generator=rng),
            "noise": torch.randn(count, 8, generator=rng),
        },
    )
    latents = generator.sample_latents(6)
    with torch.no_grad():
        expected = network.eval()(**latents)
    assert torch.equal(generator.tail(generator.head(latents)), expected)
    assert torch.equal(generator.sample_latents(1, seed=5)["noise"], latents["noise"][5:6])


def test_inputs_that_latents_leave_out_keep_their_defaults():
    network = OptionalLabels().eval()
    without = _cut(network, "body.3")
    z = sample(4, torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(without.tail(without.head(z)), network(z))

    def with_labels(count, rng):
        return {"z": sample(count, rng), "labels": torch.randint(5, (count,), generator=rng)}

    given = _cut(network, "body.3", sample_latents=with_labels)
    latents = given.sample_latents(4)
    with torch.no_grad():
        expected = network(**latents)
        assert not torch.equal(expected, network(latents["z"]))
    assert torch.equal(given.tail(given.head(latents)), expected)


def test_networks_that_check_their_own_annotations():
    class Annotated(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()

        @jaxtyping.jaxtyped(typechecker=beartype)
        def forward(self, z: Float[Tensor, "batch 8"]) -> Float[Tensor, "batch 3 16 16"]:
            return self.body(z)

    generator = _cut(Annotated(), "body.3")
    assert generator.image(generator.sample_latents(1)).shape == (1, 3, 16, 16)
    with pytest.raises(jaxtyping.TypeCheckError):
        generator.network(torch.zeros(1, 9))


def test_double_precision_and_features_in_float():
    network = sequential().double()
    generator = _cut(network, "3", sample_latents=lambda n, rng: sample(n, rng).double())
    feature = generator.head(generator.sample_latents(1))
    assert feature.dtype == torch.float64
    image = generator.tail(feature)
    assert torch.allclose(generator.tail(feature.float()), image, atol=1e-6)


def test_masks_of_minus_infinity_are_no_broken_weights():
    network = sequential()
    network.register_buffer("mask", torch.full((2, 2), -torch.inf))
    _cut(network, "3")


# Latents


@pytest.fixture(scope="module")
def generator():
    return _cut(_network("sequential"), "3")


@pytest.mark.parametrize("count", [1, 2, 9])
def test_item_i_does_not_depend_on_count(generator, count):
    many = generator.sample_latents(12, seed=100)
    assert torch.equal(generator.sample_latents(count, seed=100), many[:count])


def test_item_i_is_the_seeds_own_latent(generator):
    many = generator.sample_latents(40, seed=0)
    assert len(many.unique(dim=0)) == 40
    assert torch.equal(generator.sample_latents(1, seed=8), many[8:9])
    assert torch.equal(sample(1, torch.Generator().manual_seed(8)), many[8:9])


def test_streamed_latents_do_not_depend_on_the_batch_and_are_not_the_pictures_own(generator):
    def stream(batch):
        return torch.cat(list(generator.stream_latents(10, 0, "baseline", batch)))

    assert torch.equal(stream(1), stream(4))
    assert torch.equal(stream(10), stream(4))
    assert len(torch.cat((stream(4), generator.sample_latents(10))).unique(dim=0)) == 20


def test_drawing_leaves_torchs_global_state_alone(generator):
    before = torch.get_rng_state()
    generator.sample_latents(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_render_is_the_tail_in_chunks(generator):
    feature = generator.head(generator.sample_latents(5))
    units = feature.flatten(1)
    assert torch.equal(units.unflatten(1, generator.feature_shape), feature)
    images = generator.render(units, generator.feature_shape, batch=2)
    assert torch.allclose(images, generator.tail(feature), atol=1e-6)
    assert not images.requires_grad


def test_blocks_with_a_skip_inside_can_be_cut_around_it():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 1024), View(4, 16, 16), Residual(4), nn.Conv2d(4, 3, 1))
    points = trace(frozen_twin(network)).cut_points()
    assert points == ["0", "1", "2"]
    generator = _cut(network, "2")
    assert generator.feature_shape == (4, 16, 16)
