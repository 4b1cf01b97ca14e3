from __future__ import annotations

import contextlib
import dataclasses
import functools
import warnings

import jaxtyping
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from beartype import beartype
from jaxtyping import Float
from networks import NETWORKS, OptionalLabels, Picture, Residual, View, sample, sequential
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import regional_primitives as rp
from regional_primitives.errors import WholeRunWarning
from regional_primitives.generators import generator as generator_module
from regional_primitives.generators.recorded import RecordedTail, recording

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("error::regional_primitives.errors.WholeRunWarning"),
]

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
"""Float32, a few layers: the frozen twin, a cut and another grad mode may choose other kernels."""
CASES = [(name, layer) for name, (_, layers, _) in NETWORKS.items() for layer in layers]


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


@functools.cache
def _shared(name, layer):
    """Return a network in eval mode and its generator, for tests that leave both alone.

    Annotations are checked in the tests that use it; here that would take half a minute.
    """
    network = _network(name).eval()
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return network, _cut(network, layer)
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def _state(network):
    """Copy all that a cut might disturb."""
    values = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {
        "values": {name: value.detach().clone() for name, value in values.items()},
        "flags": [(name, p.requires_grad, p.grad) for name, p in network.named_parameters()],
        "objects": [(name, id(p), p.data_ptr()) for name, p in values.items()],
        "modes": [(name, m.training) for name, m in network.named_modules()],
        "hooks": _hooks(network),
        "names": [(name, type(m), sorted(vars(m))) for name, m in network.named_modules()],
    }


def _hooks(network):
    return [
        (name, kind, list(hooks.items()))
        for name, part in network.named_modules()
        for kind, hooks in vars(part).items()
        if "_hooks" in kind and hooks
    ]


def _assert_as_found(network, before):
    after = _state(network)
    assert after["values"].keys() == before["values"].keys()
    for name, value in before["values"].items():
        assert torch.equal(after["values"][name], value), name
    for key in ("flags", "objects", "modes", "hooks", "names"):
        assert after[key] == before[key], key


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_tail_of_head_is_the_network_in_eval_mode(name, layer):
    network, generator = _shared(name, layer)
    latents = generator.sample_latents(3, seed=7)
    image = generator.tail(generator.head(latents))
    with torch.no_grad():
        expected = network(latents)
    assert image.shape == (3, 3, 16, 16)
    torch.testing.assert_close(image, expected, **CLOSE)
    torch.testing.assert_close(generator.image(latents), expected, **CLOSE)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_head_is_what_the_layer_returns(name, layer):
    network, generator = _shared(name, layer)
    latents = generator.sample_latents(2)
    seen = []
    hook = network.get_submodule(layer).register_forward_hook(
        # A clone: an in-place layer behind this one would write into what the hook sees.
        lambda module, inputs, output: seen.append(output.detach().clone())
    )
    network(latents)
    hook.remove()
    torch.testing.assert_close(generator.head(latents), seen[0], **CLOSE)
    assert generator.feature_shape == tuple(seen[0].shape[1:])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "layer"), CASES)
def test_network_in_training_is_left_as_found(name, layer):
    network = _network(name).train()
    next(network.parameters()).requires_grad_(False)
    network.register_forward_hook(lambda module, inputs, output: output)
    before, random = _state(network), torch.get_rng_state()
    generator = _cut(network, layer)
    feature = generator.head(generator.sample_latents(4)).requires_grad_()
    generator.tail(feature).square().sum().backward()
    generator.image(generator.sample_latents(2))
    _assert_as_found(network, before)
    assert torch.equal(torch.get_rng_state(), random)
    assert feature.grad is not None
    assert feature.grad.abs().sum() > 0
    twin = generator.network.module
    assert twin is not network
    assert not any(part.training for part in twin.modules())
    assert all(w.grad is None and not w.requires_grad for w in twin.parameters())
    users = _hooks(network)
    assert [(name, kind, len(hooks)) for name, kind, hooks in _hooks(twin)] == [
        (name, kind, len(hooks)) for name, kind, hooks in users
    ]


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
    before, random = _state(network), torch.get_rng_state()
    with pytest.raises(rp.InputError, match=r"rejects latents \[1, 8\]: no such kernel"):
        _cut(network, "body.3")
    _assert_as_found(network, before)
    assert torch.equal(torch.get_rng_state(), random)


class _Interrupted(BaseException):
    pass


class Stops(nn.Module):
    """Stops in the middle of a run when it is told to, before or behind layer `body.3`."""

    def __init__(self):
        super().__init__()
        self.body = sequential()
        self.error = None
        self.place = 0

    def forward(self, z):
        for i, part in enumerate(self.body):
            if self.error is not None and i == self.place:
                raise self.error
            z = part(z)
        return z


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("error", [RuntimeError("no such kernel"), _Interrupted()])
@pytest.mark.parametrize(
    ("run", "places"),
    [
        (lambda generator, z: generator.head(z), [2]),
        (lambda generator, z: generator.image(z), [2, 5]),
        (lambda generator, z: generator.at(z), [2, 5]),
        (lambda generator, z: generator.network.substituted(z, generator.layers, [[z]]), [2, 5]),
        (lambda generator, z: recording.record(generator.network, z, generator.layers), [2, 5]),
    ],
    ids=["head", "image", "at", "substituted", "record"],
)
def test_twin_has_no_hook_left_after_an_exception_in_the_middle_of_a_run(run, places, error):
    torch.manual_seed(0)
    generator = rp.cut(Stops(), "body.3", baseline=torch.zeros(6, 8, 8))
    latents = torch.randn(1, 8)
    bound = generator.at(latents)
    twin, random = generator.network.module, torch.get_rng_state()
    for place in places:
        twin.error, twin.place = error, place
        with pytest.raises((rp.InputError, _Interrupted)):
            run(generator, latents + place)  # another picture, whose tail is not at hand
        assert _hooks(twin) == []
        assert torch.overrides._get_current_function_mode() is None
        assert torch.equal(torch.get_rng_state(), random)
        twin.error = None
        image = generator.image(latents)
        assert torch.allclose(generator.at(latents).tail(bound.head(latents)), image, atol=1e-6)


def test_random_state_is_left_as_found_by_a_network_that_draws():
    def behind(self, h, z):
        h = F.dropout(self.up(h), 0.5, training=True) + torch.randn(len(z), 1, 1, 1)
        return h + torch.rand_like(h) + torch.empty_like(h).normal_()

    network = Picture(behind)
    random = torch.get_rng_state()
    generator = _cut(network, "early")
    latents = generator.sample_latents(2)
    generator.tail(generator.head(latents))
    generator.image(latents)
    assert torch.equal(torch.get_rng_state(), random)


def test_random_state_is_left_as_found_by_a_network_that_seeds_it():
    def behind(self, h, z):
        torch.manual_seed(3)
        return self.up(h) + torch.randn(len(z), 1, 1, 1)

    network = Picture(behind)
    random = torch.get_rng_state()
    generator = _cut(network, "early")
    generator.image(generator.sample_latents(2))
    assert torch.equal(torch.get_rng_state(), random)


def test_buffers_that_the_network_writes_are_left_alone():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()
            self.register_buffer("runs", torch.tensor(0))
            self.register_buffer("last", torch.zeros(1, 8), persistent=False)
            self.kept = torch.zeros(3)  # neither parameter nor buffer
            self.history = [torch.zeros(2)]

        def forward(self, z):
            self.runs += 1
            self.last.copy_(z[:1])
            self.kept.add_(1)
            self.history[0].sub_(1)
            self.history.append(z)
            return self.body(z)

    network = Counts()
    before = _state(network)
    generator = _cut(network, "body.3")
    latents = generator.sample_latents(2)
    assert torch.allclose(
        generator.tail(generator.head(latents)), generator.image(latents), atol=1e-6
    )
    _assert_as_found(network, before)
    assert torch.equal(network.kept, torch.zeros(3))
    assert len(network.history) == 1
    assert torch.equal(network.history[0], torch.zeros(2))
    assert generator.network.module.runs > 0  # the twin did run


def test_latents_that_the_network_writes_into_are_left_alone():
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()

        def forward(self, z):
            return self.body(z.mul_(0.5))

    generator = _cut(Halves(), "body.3")
    latents = generator.sample_latents(2)
    before = latents.clone()
    image = generator.image(latents)
    feature = generator.head(latents)
    assert torch.equal(latents, before)
    assert torch.allclose(generator.tail(feature), image, atol=1e-6)


def test_fixed_arguments_that_the_network_writes_into_are_left_alone():
    class Fades(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()

        def forward(self, z, gain):
            return self.body(z) * gain.mul_(0.5)

    gain = torch.tensor(2.0)
    generator = _cut(Fades(), "body.3", fixed={"gain": gain})
    generator.image(generator.sample_latents(2))
    assert float(gain) == 2.0


def test_picture_that_is_held_does_not_change_with_the_callers_latents():
    def behind(self, h, z):
        h = h / max(float(h.abs().amax()), 1.0)  # so that the whole network runs
        return self.up(h) * z[:, :4, None, None]

    latents = torch.randn(1, 8)
    with pytest.warns(WholeRunWarning):
        bound = _cut(Picture(behind), "early", baseline=torch.zeros(4, 8, 8)).at(latents)
    feature = bound.head(latents)
    image = bound.tail(feature)
    latents.mul_(3)
    assert torch.equal(bound.tail(feature), image)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_tail_leaves_the_feature_alone(name, layer):
    _, generator = _shared(name, layer)
    feature = generator.head(generator.sample_latents(2))
    before = feature.clone()
    generator.tail(feature)
    assert torch.equal(feature, before)
    generator.tail(feature.requires_grad_()).sum().backward()
    assert torch.equal(feature, before)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_shared_and_buffers_are_copied(name):
    network, generator = _shared(name, NETWORKS[name][1][0])
    twin = generator.network.module
    for kind in ("named_parameters", "named_buffers"):
        mine, others = dict(getattr(network, kind)()), dict(getattr(twin, kind)())
        assert mine.keys() == others.keys()
        for key, value in mine.items():
            assert torch.equal(value, others[key])
            shared = value.data_ptr() == others[key].data_ptr()
            assert shared == (kind == "named_parameters"), key


def test_weights_that_are_tied_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = sequential()
            self.first = nn.Linear(8, 8)
            self.second = nn.Linear(8, 8)
            self.second.weight = self.first.weight
            self.alias = self.first

        def forward(self, z):
            return self.body(self.second(self.first(z)))

    network = Tied()
    twin = _cut(network, "body.3").network.module
    assert twin.second.weight is twin.first.weight
    assert twin.alias is twin.first
    assert len(list(twin.parameters())) == len(list(network.parameters()))


@pytest.mark.parametrize("latents", [1, 2])
def test_generator_is_of_no_picture_only_where_nothing_of_one_flows_past(latents):
    """However few latents there are to try it on."""

    def past(self, h, z):
        return self.up(h) * self.gain(z)[..., None, None]

    def not_past(self, h, z):
        return self.up(h) * self.gain(torch.ones(len(z), 8))[..., None, None]

    given = torch.randn(latents, 8)
    assert _cut(Picture(past), "early", baseline_latents=given, sample_latents=None).behind is None
    free = _cut(Picture(not_past), "early", baseline_latents=given, sample_latents=None)
    assert free.behind is not None
    assert free.at(torch.randn(1, 8)) is free


def test_picture_that_flows_past_unseen_shows_on_another_picture():
    """Written through a view, which plain data flow does not show."""

    def behind(self, h, z):
        canvas = torch.zeros(len(z), 4, 1, 1)
        canvas[:, :2].copy_(self.gain(z)[:, :2, None, None])
        return self.up(h) + canvas

    generator = _cut(Picture(behind), "early")
    assert generator.behind is None
    for seed in (1, 2):
        latents = generator.sample_latents(1, seed=seed)
        bound = generator.at(latents)
        assert torch.allclose(bound.tail(bound.head(latents)), generator.image(latents), atol=1e-6)


def test_generator_of_a_picture_is_the_same_but_for_its_tail():
    network = Picture(lambda self, h, z: self.up(h) * self.gain(z)[..., None, None])
    generator = dataclasses.replace(_cut(network, "early"), name="mine", options={"size": 64})
    for seed in (0, 1):  # the first is what the network was tried on
        bound = generator.at(generator.sample_latents(1, seed=seed))
        assert bound.name == "mine"
        assert bound.options == {"size": 64}
        assert bound.digest == generator.digest


@pytest.mark.usefixtures("unchecked")
def test_each_picture_has_its_own_tail_whatever_was_asked_for_before():
    def behind(self, h, z):
        return self.up(h) * self.gain(z)[..., None, None]

    generator = _cut(Picture(behind), "early")
    latents = [generator.sample_latents(1, seed=seed) for seed in (1, 2, 1, 3, 2)]
    bounds = [generator.at(one) for one in latents]
    for bound, one in zip(bounds, latents, strict=True):
        image = generator.image(one)
        assert torch.allclose(bound.tail(bound.head(one)), image, atol=1e-6)
        assert bound.at(one) is bound
        other = bound.at(1 - one)
        assert torch.allclose(other.tail(other.head(1 - one)), generator.image(1 - one), atol=1e-6)
        assert torch.allclose(bound.tail(bound.head(one)), image, atol=1e-6)
    assert generator.behind is None
    assert generator.picture is None


# The tail runs only what lies behind the cut


def _order(network):
    """List the submodules in the order in which they end in a forward pass, the network last."""
    order = []
    hooks = [
        part.register_forward_hook(lambda *_, name=name: order.append(name))
        for name, part in network.named_modules()
    ]
    network(torch.zeros(2, 8))
    for hook in hooks:
        hook.remove()
    return order


def _weights(network, names):
    """Return the parameters that lie directly in the submodules that are named."""
    return [
        weight
        for name in names
        for weight in network.get_submodule(name).parameters(recurse=False)
        if weight.is_floating_point()
    ]


@contextlib.contextmanager
def _broken(weights):
    """Fill weights with NaN for a while."""
    kept = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.fill_(torch.nan)
        yield
        for weight, value in zip(weights, kept, strict=True):
            weight.copy_(value)


class _Counting(TorchFunctionMode):
    """Notes every torch function that is called, and the tensors that each is given."""

    def __init__(self):
        super().__init__()
        self.functions = []
        self.storages = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.functions.append(func)
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor):
                self.storages.add(value.data_ptr())
        return func(*args, **kwargs)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_tail_uses_no_weight_from_before_the_cut(name, layer):
    network, generator = _shared(name, layer)
    assert isinstance(generator.behind, RecordedTail)
    order = _order(network)
    early = _weights(network, order[: order.index(layer) + 1])
    late = _weights(network, order[order.index(layer) + 1 :])
    assert early or layer == "body.low"
    feature = generator.head(generator.sample_latents(2))
    image = generator.tail(feature)
    with _broken(early):
        assert torch.equal(generator.tail(feature), image)  # the same operations once more
        assert not torch.equal(generator.image(generator.sample_latents(2)), image)
    with _Counting() as counting:
        generator.tail(feature)
    assert not counting.storages & {weight.data_ptr() for weight in early}
    if "norm" not in name:  # normed weights are calculated ahead and held
        assert counting.storages >= {weight.data_ptr() for weight in late}
    assert len(counting.functions) >= generator.behind.program.operations


@pytest.mark.parametrize("name", NETWORKS)
def test_the_later_the_cut_the_fewer_operations_lie_behind(name):
    counts = [
        _shared(name, layer)[1].behind.program.operations
        for layer in sorted(
            NETWORKS[name][1], key=_order(_shared(name, NETWORKS[name][1][0])[0]).index
        )
    ]
    assert counts == sorted(set(counts), reverse=True)


def test_tail_runs_no_layer_from_before_the_cut():
    _, generator = _shared("sequential", "3")
    feature = generator.head(generator.sample_latents(2))
    program = generator.behind.program
    calls = []
    hooks = [
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, part in generator.network.module.named_children()
    ]
    with _Counting() as counting:
        generator.tail(feature)
    for hook in hooks:
        hook.remove()
    assert calls == []  # functions, no modules
    behind = [F.batch_norm, F.relu, torch.conv_transpose2d, torch.tanh]
    assert [function for function in counting.functions if function in behind] == behind
    assert F.linear not in counting.functions
    assert program.operations == len(behind)
    assert program.sides == ()
    assert program.source.count(" = c") == len(behind)


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


REFUSALS = "is never called|nothing is computed behind|it has no batch axis"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_other_layer_can_be_cut_at_or_is_refused_for_a_reason(name):
    network = _network(name)
    _, layers, others = NETWORKS[name]
    for layer, _ in network.named_modules():
        if layer in others:
            generator = _cut(network, layer)
            latents = generator.sample_latents(1, seed=3)
            bound = generator.at(latents)
            image = generator.image(latents)
            assert torch.allclose(bound.tail(bound.head(latents)), image, atol=1e-6)
        elif layer and layer not in layers:
            with pytest.raises(rp.GeneratorError, match=REFUSALS):
                _cut(network, layer)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", NETWORKS)
def test_listed_cut_points_are_those_that_work(name):
    network = _network(name)
    listed = [point.name for point in rp.layers(network, torch.zeros(1, 8))]
    assert listed == sorted(listed, key=_order(network).index)
    works = {*NETWORKS[name][1], *NETWORKS[name][2]}
    assert set(listed) <= works
    for layer in works - set(listed):  # as a container and its last layer give the same value
        assert any(layer.startswith(f"{other}.") for other in listed), layer


def test_cut_points_come_in_order_of_execution():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(4, 3, 1)
            self.first = nn.Linear(8, 64)

        def forward(self, z):
            return self.last(self.first(z).view(-1, 4, 4, 4)).tanh()

    points = rp.layers(Backwards(), torch.zeros(1, 8))
    assert [point.name for point in points] == ["first", "last"]


def test_layer_that_only_an_in_place_function_follows_is_listed():
    network = nn.Sequential(nn.Linear(8, 48), View(3, 4, 4), nn.Conv2d(3, 3, 1), nn.ReLU(True))
    listed = [point.name for point in rp.layers(network, torch.zeros(1, 8))]
    assert listed == ["0", "1", "2"]


def test_tail_that_happens_to_change_nothing_is_no_reason_to_refuse():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 48), View(3, 4, 4), nn.Conv2d(3, 3, 1), nn.Hardtanh(-9, 9))
    generator = _cut(network, "2")
    latents = generator.sample_latents(1)
    feature = 100 * generator.head(latents)
    assert feature.abs().max() > 9
    assert torch.equal(generator.tail(feature), feature.clamp(-9, 9))


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
    torch.testing.assert_close(generator.tail(generator.head(latents)), expected, **CLOSE)
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
    torch.testing.assert_close(generator.tail(generator.head(latents)), expected, **CLOSE)
    assert torch.equal(generator.sample_latents(1, seed=5)["noise"], latents["noise"][5:6])


def test_inputs_that_latents_leave_out_keep_their_defaults():
    network = OptionalLabels().eval()
    without = _cut(network, "body.3")
    z = sample(4, torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(without.tail(without.head(z)), network(z), **CLOSE)

    def with_labels(count, rng):
        return {"z": sample(count, rng), "labels": torch.randint(5, (count,), generator=rng)}

    given = _cut(network, "body.3", sample_latents=with_labels)
    latents = given.sample_latents(4)
    with torch.no_grad():
        expected = network(**latents)
        assert (expected - network(latents["z"])).abs().max() > 1e-3
    torch.testing.assert_close(given.tail(given.head(latents)), expected, **CLOSE)


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
        generator.network.module(torch.zeros(1, 9))


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)]
)
def test_features_are_in_float_whatever_the_networks_precision(dtype, atol):
    torch.manual_seed(0)
    network = sequential().to(dtype)
    generator = _cut(network, "3", sample_latents=lambda n, rng: sample(n, rng).to(dtype))
    latents = generator.sample_latents(1)
    feature = generator.head(latents)
    assert feature.dtype == torch.float32
    image = generator.tail(feature)
    assert image.dtype == dtype
    assert torch.allclose(image, generator.image(latents), atol=atol)
    assert torch.equal(generator.tail(feature.double()), image)
    assert generator.render(feature.flatten(1)).dtype == torch.float32


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


def test_render_is_the_tail_in_chunks(generator, monkeypatch):
    feature = generator.head(generator.sample_latents(5))
    units = feature.flatten(1)
    assert torch.equal(units.unflatten(1, generator.feature_shape), feature)
    size = generator.behind.bytes_per_item
    assert size >= 4 * (6 * 8 * 8 + 3 * 16 * 16)  # at least what the two convolutions give
    monkeypatch.setitem(generator_module._MEMORY_BUDGET, "cpu", 2 * size + 1)
    assert generator.chunk == 2
    batches = []
    run = type(generator.behind).__call__
    monkeypatch.setattr(
        type(generator.behind),
        "__call__",
        lambda self, feature: [batches.append(len(feature)), run(self, feature)][1],
    )
    images = generator.render(units)
    assert batches == [2, 2, 1]
    assert torch.allclose(images, generator.tail(feature), atol=1e-6)
    assert not images.requires_grad


def test_a_batch_that_exceeds_memory_still_goes_one_by_one(generator, monkeypatch):
    monkeypatch.setitem(generator_module._MEMORY_BUDGET, "cpu", 1)
    assert generator.chunk == 1


def test_blocks_with_a_skip_inside_can_be_cut_around_and_in_the_middle():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 1024), View(4, 16, 16), Residual(4), nn.Conv2d(4, 3, 1))
    points = rp.layers(network, torch.zeros(1, 8))
    past = {point.name: point.flows_past for point in points}
    inside = ("2.first", "2.second")
    assert [name for name, flows in past.items() if not flows] == ["0", "1", "2"]
    assert [name for name, flows in past.items() if flows] == [*inside]
    generator = _cut(network, "2")
    assert generator.feature_shape == (4, 16, 16)
    assert generator.behind is not None
    for layer in inside:
        generator = _cut(network, layer)
        assert generator.behind is None
        latents = generator.sample_latents(1)
        bound = generator.at(latents)
        assert [side.origin for side in bound.side_inputs] == ["1"]
        assert torch.allclose(bound.tail(bound.head(latents)), generator.image(latents), atol=1e-6)


@pytest.mark.parametrize("silent", [False, True])
def test_a_layer_of_one_unit_or_without_any_spread_is_cut(silent):
    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.narrow = torch.nn.Linear(4, 1)
            self.out = torch.nn.Linear(1, 192)

        def forward(self, latent):
            return torch.tanh(self.out(self.narrow(latent))).view(-1, 3, 8, 8)

    module = One()
    if silent:
        torch.nn.init.zeros_(module.narrow.weight)
        torch.nn.init.zeros_(module.narrow.bias)
    generator = rp.cut(
        module, "narrow", image_range=(-1.0, 1.0),
        sample_latents=lambda count, rng: torch.randn(count, 4, generator=rng),
    )  # fmt: skip
    latents = generator.sample_latents(2, seed=0)
    with torch.no_grad():
        made = generator.tail(generator.head(latents))
        assert torch.allclose(made, module(latents), atol=1e-6)
