from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import Picture, sample
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import regional_primitives as rp
from regional_primitives.generators import noise
from regional_primitives.generators.calls import calls_seen_by
from regional_primitives.generators.network import Network
from regional_primitives.generators.noise import FrozenNoise
from regional_primitives.generators.recorded import RecordedTail
from regional_primitives.generators.twin import frozen_twin
from regional_primitives.runtime.streams import stream


def _own():
    return torch.Generator().manual_seed(7)


def _values(batch, *rest, dtype=torch.float32):
    return torch.full((batch, *(rest or (64,))), 0.5, dtype=dtype)


# Each draws for a batch, its axis first.
SIZED = {
    "randn": lambda b: torch.randn(b, 64),
    "randn of a list": lambda b: torch.randn([b, 64]),
    "randn of a tuple": lambda b: torch.randn((b, 64)),
    "randn of a torch.Size": lambda b: torch.randn(_values(b).shape),
    "randn of an unpacked torch.Size": lambda b: torch.randn(*_values(b).shape),
    "randn by keyword": lambda b: torch.randn(size=(b, 64)),
    "randn of one size": lambda b: torch.randn(b, 4, 1, 16),
    "randn with dtype": lambda b: torch.randn(b, 64, dtype=torch.float64),
    "randn with generator": lambda b: torch.randn(b, 64, generator=_own()),
    "randn with no device": lambda b: torch.randn((b, 64), device=None),
    "randn with device": lambda b: torch.randn((b, 64), device=torch.device("cpu")),
    "rand": lambda b: torch.rand(b, 64),
    "rand by keyword": lambda b: torch.rand(size=(b, 64), dtype=torch.float64),
    "rand with generator": lambda b: torch.rand((b, 64), generator=_own()),
    "randint": lambda b: torch.randint(1000, (b, 64)),
    "randint between": lambda b: torch.randint(-1000, 1000, (b, 64)),
    "randint by keyword": lambda b: torch.randint(low=-1000, high=1000, size=(b, 64)),
    "randint by keyword reversed": lambda b: torch.randint(high=1000, low=-1000, size=(b, 64)),
    "randint size by keyword": lambda b: torch.randint(1000, size=(b, 64)),
    "randint between, size by keyword": lambda b: torch.randint(-1000, 1000, size=(b, 64)),
    "randint high by keyword": lambda b: torch.randint(high=1000, size=(b, 64)),
    "randint high alone by keyword": lambda b: torch.randint(-1000, high=1000, size=(b, 64)),
    "randint with generator": lambda b: torch.randint(1000, (b, 64), generator=_own()),
    "randint with dtype": lambda b: torch.randint(1000, (b, 64), dtype=torch.int32),
}
LIKE = {
    "randn_like": lambda b: torch.randn_like(_values(b)),
    "randn_like by keyword": lambda b: torch.randn_like(input=_values(b)),
    "randn_like with dtype": lambda b: torch.randn_like(_values(b), dtype=torch.float64),
    "rand_like": lambda b: torch.rand_like(_values(b)),
    "rand_like of four axes": lambda b: torch.rand_like(_values(b, 4, 4, 4)),
    "randint_like": lambda b: torch.randint_like(_values(b), 1000),
    "randint_like between": lambda b: torch.randint_like(_values(b), -1000, 1000),
    "randint_like by keyword": lambda b: torch.randint_like(_values(b), low=-1000, high=1000),
}
IN_PLACE = {
    "normal_": lambda b: torch.empty(b, 64).normal_(),
    "normal_ with mean and deviation": lambda b: torch.empty(b, 64).normal_(5, 0.1),
    "normal_ by keyword": lambda b: torch.empty(b, 64).normal_(std=0.1, mean=5),
    "normal_ with generator": lambda b: torch.empty(b, 64).normal_(generator=_own()),
    "normal_ of a view": lambda b: torch.zeros(b, 80)[:, 16:].normal_(),
    "uniform_": lambda b: torch.empty(b, 64).uniform_(),
    "uniform_ between": lambda b: torch.empty(b, 64).uniform_(2, 3),
    "bernoulli_": lambda b: torch.empty(b, 64).bernoulli_(),
    "bernoulli_ of a number": lambda b: torch.empty(b, 64).bernoulli_(0.3),
    "bernoulli_ of a tensor": lambda b: torch.empty(b, 64).bernoulli_(_values(b)),
    "exponential_": lambda b: torch.empty(b, 64).exponential_(2.0),
    "cauchy_": lambda b: torch.empty(b, 64).cauchy_(),
    "log_normal_": lambda b: torch.empty(b, 64).log_normal_(),
    "geometric_": lambda b: torch.empty(b, 64).geometric_(0.1),
    "random_": lambda b: torch.empty(b, 64).random_(),
    "random_ to": lambda b: torch.empty(b, 64).random_(1000),
    "random_ between": lambda b: torch.empty(b, 64, dtype=torch.int64).random_(-1000, 1000),
    "a distribution": lambda b: torch.distributions.Normal(_values(b), 1.0).rsample(),
}
DROPOUT = {
    "dropout": lambda b: F.dropout(_values(b), 0.5, True),
    "dropout by keyword": lambda b: F.dropout(input=_values(b), p=0.5, training=True),
    "dropout by default": lambda b: F.dropout(_values(b)),
    "dropout of a module": lambda b: nn.Dropout(0.5)(_values(b)),
    "dropout in place": lambda b: F.dropout(_values(b), 0.5, True, True),
    "torch.dropout": lambda b: torch.dropout(_values(b), 0.5, True),
    "torch.dropout by keyword": lambda b: torch.dropout(_values(b), p=0.5, train=True),
    "dropout1d": lambda b: F.dropout1d(_values(b, 64, 3), 0.5, True),
    "dropout2d": lambda b: F.dropout2d(_values(b, 64, 3, 2), 0.5, True),
    "dropout3d": lambda b: F.dropout3d(_values(b, 64, 1, 2, 3), 0.5, True),
    "dropout2d of a module": lambda b: nn.Dropout2d(0.5)(_values(b, 64, 3, 2)),
}
DRAWS = {**SIZED, **LIKE, **IN_PLACE, **DROPOUT}
EACH = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def _frozen(draw, batch, seed=0):
    with FrozenNoise(batch, seed):
        return draw(batch)


def test_every_known_function_is_tried():
    """Collect the functions that the draws above call."""
    called = set()

    class Noting(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            called.add(func)
            return func(*args, **(kwargs or {}))

    with Noting():
        for draw in (*DRAWS.values(), *OTHERS.values()):
            draw(2)
    known = (
        *(noise._SIZED, noise._LIKE, noise._IN_PLACE, noise._DROPOUT),
        *(noise._DEPENDING, noise._RRELU, noise._ALPHA_DROPOUT),
    )
    for functions in known:
        assert set(functions) <= called, set(functions) - called


@EACH
def test_same_draw_for_every_item_and_any_batch(draw):
    one = _frozen(draw, 1)
    assert one.unique().numel() > 1
    for batch in (2, 3, 7):
        many = _frozen(draw, batch)
        assert many.shape == (batch, *one.shape[1:])
        assert many.dtype == one.dtype
        assert torch.equal(many, one.expand_as(many))


@EACH
def test_result_is_what_the_function_gives(draw):
    """Shape, kind, strides and range as without freezing, and a result of its own to write in."""
    plain, frozen = draw(3), _frozen(draw, 3)
    assert frozen.shape == plain.shape
    assert frozen.dtype == plain.dtype
    assert frozen.device == plain.device
    assert frozen.is_contiguous() == plain.is_contiguous()
    frozen[0] += 1
    assert not torch.equal(frozen[0], frozen[1])


@EACH
def test_other_draw_each_time_within_a_run_and_the_same_in_the_next(draw):
    def two():
        with FrozenNoise(3):
            return draw(3), draw(3)

    first, second = two()
    assert not torch.equal(first, second)
    again = two()
    assert torch.equal(again[0], first)
    assert torch.equal(again[1], second)


@EACH
def test_other_seed_other_draw(draw):
    assert torch.equal(_frozen(draw, 3, 5), _frozen(draw, 3, 5))
    assert not torch.equal(_frozen(draw, 3, 5), _frozen(draw, 3, 6))


@EACH
def test_torchs_random_state_is_neither_read_nor_changed(draw):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = _frozen(draw, 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(_frozen(draw, 3), first)


@pytest.mark.parametrize("name", [name for name in DRAWS if "generator" in name])
def test_generator_of_the_networks_own_is_neither_read_nor_changed(name, monkeypatch):
    own = torch.Generator().manual_seed(11)
    monkeypatch.setattr(__import__(__name__), "_own", lambda: own)
    before = own.get_state()
    first = _frozen(DRAWS[name], 3)
    assert torch.equal(own.get_state(), before)
    own.manual_seed(12)
    assert torch.equal(_frozen(DRAWS[name], 3), first)


def test_draws_are_of_the_distribution_that_is_asked_for():
    with FrozenNoise(2):
        normal = torch.randn(2, 20000)[0]
        shifted = torch.empty(2, 20000).normal_(5, 0.1)[0]
        uniform = torch.empty(2, 20000).uniform_(2, 3)[0]
        like = torch.rand_like(torch.empty(2, 20000))[0]
        whole = torch.randint(-3, 4, (2, 20000))[0]
        coin = torch.empty(2, 20000).bernoulli_(0.3)[0]
        exponential = torch.empty(2, 20000).exponential_(2.0)[0]
        geometric = torch.empty(2, 20000).geometric_(0.5)[0]
        random = torch.empty(2, 20000).random_(3, 10)[0]
    assert normal.mean().abs() < 0.05
    assert normal.std() == pytest.approx(1, abs=0.05)
    assert shifted.mean() == pytest.approx(5, abs=0.01)
    assert shifted.std() == pytest.approx(0.1, abs=0.01)
    assert uniform.aminmax() == pytest.approx((2, 3), abs=0.01)
    assert like.aminmax() == pytest.approx((0, 1), abs=0.01)
    assert whole.unique().tolist() == list(range(-3, 4))
    assert coin.mean() == pytest.approx(0.3, abs=0.02)
    assert exponential.mean() == pytest.approx(0.5, abs=0.02)
    assert geometric.mean() == pytest.approx(2, abs=0.1)
    assert random.unique().tolist() == list(range(3, 10))


@pytest.mark.parametrize("size", [(), (0,), (1,), (3,), (3, 0), (1, 1)])
def test_sizes_of_few_numbers(size):
    with FrozenNoise(3):
        for draw in (torch.randn, torch.rand):
            assert draw(size).shape == size
            assert draw(*size).shape == size if size else True
        assert torch.randint(9, size).shape == size
        assert torch.randn_like(torch.zeros(size)).shape == size
        assert torch.zeros(size).normal_().shape == size


def test_tensor_without_a_batch_axis_is_drawn_as_it_is():
    """Such as one grain of noise for all pictures: as many rows as it has, each another."""
    with FrozenNoise(3):
        grain = torch.randn(5, 8)
    assert len(grain.unique(dim=0)) == 5


def _image(draw, batch):
    """Run a network that draws, on one picture `batch` times."""
    torch.manual_seed(0)
    network = Network(frozen_twin(Picture(lambda self, h, z: self.up(h) + draw(h))))
    return network.run(torch.ones(batch, 8))


@pytest.mark.parametrize(
    "draw",
    [
        lambda h: torch.randn(len(h), 4, 16, 16),
        lambda h: torch.randn(4, len(h), 16, 16).transpose(0, 1),
        lambda h: torch.rand_like(h.new_empty(4, 16, 16, len(h))).permute(3, 0, 1, 2),
        lambda h: torch.randn(2 * len(h), 4, 16, 16).unflatten(0, (-1, 2)).sum(1),
        lambda h: F.dropout(torch.ones(4, len(h), 16, 16), training=True).transpose(0, 1),
        lambda h: torch.randn(4, 1, 1),
        lambda h: torch.randn(1, 4, 16, 16),
        lambda h: torch.rand_like(h.new_empty(5, 3, 4, 16, 16)).sum((0, 1)),
        lambda h: torch.randn(3, 4, 1, 1).sum(0),
    ],
    ids=[
        *("batch first", "batch second", "batch last", "several an item", "dropout, batch second"),
        *("a channel", "one for all", "like a constant", "constant"),
    ],
)
@torch.no_grad()
def test_picture_does_not_depend_on_how_many_there_are(draw):
    one = _image(draw, 1)
    for batch in (2, 3, 4, 5):
        assert torch.allclose(_image(draw, batch), one.expand(batch, -1, -1, -1), atol=1e-6), batch


# Dropout


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_keeps_and_scales(probability):
    value = torch.linspace(1, 2, 20000).repeat(2, 1)
    with FrozenNoise(2):
        dropped = F.dropout(value, probability, True)
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(1 - probability, abs=0.02)
    assert torch.equal(kept[0], kept[1])
    assert torch.allclose(dropped[kept], value[kept] / max(1 - probability, 1e-9))


@pytest.mark.parametrize(
    ("drop", "shape"),
    [(F.dropout1d, (2, 500, 3)), (F.dropout2d, (2, 500, 3, 2)), (F.dropout3d, (2, 500, 1, 3, 2))],
)
def test_dropout_of_channels_drops_whole_channels(drop, shape):
    with FrozenNoise(2):
        dropped = drop(torch.ones(shape), 0.3, True).flatten(2)
    assert torch.equal(dropped.amin(2), dropped.amax(2))
    assert (dropped[0, :, 0] != 0).float().mean() == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize(
    "drop",
    [
        lambda x: F.dropout(x, 0.5, False),
        lambda x: F.dropout(x, training=False),
        lambda x: F.dropout(x, p=0.5, training=False, inplace=True),
        lambda x: torch.dropout(x, 0.5, False),
        lambda x: torch.dropout(x, p=0.5, train=False),
        lambda x: F.dropout2d(x, 0.5, False),
        lambda x: nn.Dropout(0.5).eval()(x),
        lambda x: F.alpha_dropout(x, 0.5, False),
        lambda x: F.rrelu(x, training=False),
    ],
)
def test_dropout_that_is_off_changes_nothing_and_counts_as_no_draw(drop):
    value = torch.rand(2, 5, 4, 4)
    before = value.clone()
    with FrozenNoise(2):
        assert torch.equal(drop(value), before)
    assert torch.equal(value, before)


def test_dropout_that_is_off_is_no_draw():
    def drawn(drop):
        with FrozenNoise(2):
            if drop:
                F.dropout(torch.ones(2, 3), 0.5, False)
            return torch.randn(2, 3)

    assert torch.equal(drawn(True), drawn(False))


def test_dropout_lets_the_gradient_through_where_it_keeps():
    value = torch.ones(2, 50, requires_grad=True)
    with FrozenNoise(2):
        dropped = F.dropout(value, 0.5, True)
    dropped.sum().backward()
    assert torch.equal(value.grad, dropped.detach())


def test_dropout_leaves_its_input_alone_unless_it_is_in_place():
    value = torch.ones(2, 50)
    with FrozenNoise(2):
        F.dropout(value, 0.5, True)
        assert torch.equal(value, torch.ones(2, 50))
        result = F.dropout(value, 0.5, True, inplace=True)
    assert torch.equal(value, result)
    assert set(value.unique().tolist()) == {0.0, 2.0}


def test_dropout_of_a_wrong_probability_meets_its_own_message():
    with FrozenNoise(2), pytest.raises(ValueError, match="probability has to be between 0 and 1"):
        F.dropout(torch.ones(2, 3), 1.5, True)


# Draws that mix with their arguments


OTHERS = {
    "normal": lambda b: torch.normal(torch.zeros(b, 64), torch.ones(b, 64)),
    "bernoulli": lambda b: torch.bernoulli(_values(b)),
    "bernoulli method": lambda b: _values(b).bernoulli(),
    "multinomial": lambda b: torch.multinomial(_values(b), 9),
    "multinomial method": lambda b: _values(b).multinomial(9),
    "poisson": lambda b: torch.poisson(9 * _values(b)),
    "binomial": lambda b: torch.binomial(18 * _values(b), _values(b)),
    "gamma": lambda b: torch.distributions.Gamma(_values(b), 1.0).rsample(),
    "dirichlet": lambda b: torch.distributions.Dirichlet(_values(b)).rsample(),
    "bernoulli in place": lambda b: torch.empty(b, 64).bernoulli_(p=_values(b)),
    "bernoulli into": lambda b: torch.bernoulli(_values(b), out=torch.empty(b, 64)),
    "normal of a mean": lambda b: torch.normal(_values(b), 2.0),
    "normal of a deviation": lambda b: torch.normal(0.5, _values(64)),
    "randperm": lambda b: torch.randperm(64),
    "rrelu": lambda b: torch.rrelu(-_values(b), training=True),
    "rrelu_": lambda b: torch.rrelu_(-_values(b), training=True),
    "F.rrelu": lambda b: F.rrelu(-_values(b), training=True),
    "F.rrelu in place": lambda b: F.rrelu(-_values(b), 0.1, 0.2, True, True),
    "alpha dropout": lambda b: F.alpha_dropout(_values(b), 0.5, True),
    "alpha dropout in place": lambda b: F.alpha_dropout(_values(b), 0.5, True, True),
    "torch.alpha_dropout": lambda b: torch.alpha_dropout(_values(b), 0.5, True),
    "feature alpha dropout": lambda b: F.feature_alpha_dropout(_values(b, 64, 2), 0.5, True),
    "torch.feature_alpha": lambda b: torch.feature_alpha_dropout(_values(b, 64, 2), 0.5, True),
    "gumbel softmax": lambda b: F.gumbel_softmax(_values(b)),
    "hard gumbel softmax": lambda b: F.gumbel_softmax(_values(b), hard=True),
}


@pytest.mark.parametrize("draw", OTHERS.values(), ids=OTHERS)
def test_others_are_the_same_between_runs_and_touch_no_state(draw):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with FrozenNoise(3):
        first, second = draw(3), draw(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with FrozenNoise(3):
        assert torch.equal(draw(3), first)
        assert torch.equal(draw(3), second)
    assert not torch.equal(first, second)
    assert not torch.equal(_frozen(draw, 3, 1), first)


@pytest.mark.parametrize(
    "draw", [d for name, d in OTHERS.items() if name not in ("randperm", "normal of a deviation")]
)
def test_others_are_the_same_for_every_item_and_any_batch(draw):
    one = _frozen(draw, 1)
    for batch in (2, 3):
        many = _frozen(draw, batch)
        assert many.dtype == one.dtype
        assert torch.equal(many, one.expand_as(many))


DIFFERENTIABLE = {
    "alpha dropout": lambda x: F.alpha_dropout(x, 0.3, True),
    "alpha dropout in place": lambda x: F.alpha_dropout(2 * x, 0.3, True, inplace=True),
    "feature alpha dropout": lambda x: F.feature_alpha_dropout(x, 0.3, True),
    "gumbel softmax": lambda x: F.gumbel_softmax(x, 0.7, dim=1),
    "hard gumbel softmax": lambda x: F.gumbel_softmax(x, hard=True),
    "gamma": lambda x: torch.distributions.Gamma(-x, 1.0, validate_args=False).rsample(),
    "bernoulli": lambda x: x * torch.bernoulli(x.exp()),
    "poisson": lambda x: x * torch.poisson(-x),
}


@pytest.mark.parametrize("draw", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_others_are_torchs_after_seeding_and_so_is_their_gradient(draw):
    value = (-0.1 - torch.rand(1, 6, 4, 4, generator=_own())).requires_grad_()
    weight = torch.randn(1, 6, 4, 4, generator=_own())
    with torch.random.fork_rng():
        torch.manual_seed(stream(0, "noise", 1).initial_seed())
        expected = draw(value)
        gradient = torch.autograd.grad((expected * weight).sum(), value)[0]
    assert gradient.any()
    with FrozenNoise(1):
        drawn = draw(value)
    assert torch.equal(drawn, expected)
    torch.testing.assert_close(torch.autograd.grad((drawn * weight).sum(), value)[0], gradient)


NORMALS = {
    "of tensors": lambda x: torch.normal(x, -x),
    "of a mean": lambda x: torch.normal(x, 0.7),
    "of a deviation": lambda x: torch.normal(mean=0.2, std=-x),
    "of unlike sizes": lambda x: torch.normal(x.mean(3, keepdim=True), -x),
    "in place": lambda x: torch.normal(x, -x, out=torch.empty_like(x)),
    "of a distribution": lambda x: torch.distributions.Normal(x, -x).sample(),
}


@pytest.mark.parametrize("draw", NORMALS.values(), ids=NORMALS)
def test_normals_are_torchs_after_seeding(draw):
    value = -0.1 - torch.rand(1, 6, 4, 4, generator=_own())
    with torch.random.fork_rng():
        torch.manual_seed(stream(0, "noise", 1).initial_seed())
        expected = draw(value)
    with FrozenNoise(1):
        assert torch.equal(draw(value), expected)


def test_normals_have_the_gradient_of_what_scales_and_shifts_them():
    """Their noise is held, so that the draw is a function of mean and deviation."""
    mean, deviation = torch.randn(1, 6), torch.rand(1, 6) + 0.1
    mean.requires_grad_()
    deviation.requires_grad_()
    with FrozenNoise(1):
        drawn = torch.normal(mean, deviation)
    by_mean, by_deviation = torch.autograd.grad(drawn.sum(), (mean, deviation))
    assert torch.equal(by_mean, torch.ones(1, 6))
    torch.testing.assert_close(by_deviation, ((drawn - mean) / deviation).detach())


@pytest.mark.parametrize("in_place", [False, True])
def test_rrelu_has_the_gradient_of_torchs_with_the_same_slopes(in_place):
    value = torch.randn(1, 64, generator=_own())
    value[0, :2] = torch.tensor([0.0, float("nan")])
    value.requires_grad_()
    bounds = 0.2, 0.7, True
    with FrozenNoise(1):
        made = F.rrelu(1 * value, *bounds, inplace=in_place)
    with FrozenNoise(1):
        slopes = -F.rrelu(-torch.ones(1, 64), *bounds)
    assert ((slopes >= 0.2) & (slopes <= 0.7)).all()
    expected = torch.where(value > 0, value, value * slopes)
    torch.testing.assert_close(made[0, 2:], expected[0, 2:])
    assert made[0, 0] == 0
    assert made[0, 1].isnan()
    noise = torch.where(value > 0, 1.0, slopes)
    weight = torch.randn(1, 64, generator=_own())
    rule = torch.ops.aten.rrelu_with_noise_backward(weight, value, noise, *bounds, False)
    (gradient,) = torch.autograd.grad((made * weight).sum(), value)
    torch.testing.assert_close(gradient[value == value], rule[value == value])


BEHIND_A_CUT = {
    **DIFFERENTIABLE,
    "normal": lambda x: torch.normal(x, -x),
    "normal of a deviation": lambda x: torch.normal(0.0, -x),
    "rrelu": lambda x: F.rrelu(x + 0.2, training=True),
    "rrelu in place": lambda x: F.rrelu(x + 0.2, training=True, inplace=True),
    "multinomial": lambda x: x + torch.multinomial(x.flatten(1).exp(), 1)[..., None, None] / 64,
    "bernoulli, batch second": lambda x: (
        x + torch.bernoulli(x.exp().transpose(0, 1)).transpose(0, 1)
    ),
    "bernoulli in place": lambda x: x + torch.empty_like(x).bernoulli_(x.exp()),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("draw", BEHIND_A_CUT.values(), ids=BEHIND_A_CUT)
def test_others_behind_a_cut_are_recorded(draw):
    torch.manual_seed(0)
    network = Picture(lambda self, h, z: self.up(draw(-0.1 - h.abs())))
    generator = rp.cut(network, "early", sample_latents=sample)
    latents = generator.sample_latents(3)
    bound = generator.at(latents[:1])
    assert isinstance(bound.behind, RecordedTail)
    assert not bound.behind.mixes
    features = generator.head(latents)
    images = generator.image(latents)
    assert torch.allclose(bound.tail(features), images, atol=1e-6)
    for i in range(3):
        alone = generator.image(latents[i : i + 1])
        assert torch.allclose(images[i : i + 1], alone, atol=1e-6)


def _softplus(x):
    return F.softplus(x) + 0.1


def _channels_last(draw):
    return lambda x: draw(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


DISTRIBUTIONS = {
    "Normal": lambda x, d: d.Normal(x, _softplus(x)).rsample(),
    "Normal, sampled": lambda x, d: d.Normal(x, _softplus(x)).sample(),
    "Independent": lambda x, d: d.Independent(d.Normal(x, _softplus(x)), 3).rsample(),
    "Laplace": lambda x, d: d.Laplace(x, _softplus(x)).rsample(),
    "Uniform": lambda x, d: d.Uniform(x, x + _softplus(x)).rsample(),
    "Gumbel": lambda x, d: d.Gumbel(x, _softplus(x)).rsample(),
    "LogNormal": lambda x, d: d.LogNormal(x, _softplus(x)).rsample(),
    "Gamma": lambda x, d: d.Gamma(_softplus(x), 2.0).rsample(),
    "Bernoulli": lambda x, d: x * d.Bernoulli(logits=x).sample(),
    "RelaxedBernoulli": lambda x, d: d.RelaxedBernoulli(torch.tensor(0.5), logits=x).rsample(),
    "OneHotCategoricalStraightThrough": lambda x, d: _channels_last(
        lambda x: d.OneHotCategoricalStraightThrough(logits=x).rsample()
    )(x),
    "MultivariateNormal": lambda x, d: _channels_last(
        lambda x: d.MultivariateNormal(x, scale_tril=torch.diag_embed(_softplus(x))).rsample()
    )(x),
    "a density": lambda x, d: d.Normal(x, _softplus(x), validate_args=True).log_prob(x.square()),
}


@pytest.mark.filterwarnings("error::regional_primitives.errors.WholeRunWarning")
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("draw", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_distributions_of_the_feature_are_recorded(draw):
    torch.manual_seed(0)
    network = Picture(lambda self, h, z: self.up(draw(h, torch.distributions)))
    generator = rp.cut(network, "early", sample_latents=sample)
    latents = generator.sample_latents(2)
    bound = generator.at(latents[:1])
    assert isinstance(bound.behind, RecordedTail)
    other = 1.5 * bound.head(latents[:1]) + 0.1
    layers = bound.behind.parts.by_layer(other)
    expected = generator.network.substituted(latents[:1], generator.layers, layers)
    assert torch.allclose(bound.tail(other), expected, atol=1e-6)
    images = generator.image(latents)
    assert torch.allclose(images[:1], generator.image(latents[:1]), atol=1e-6)


def test_distributions_check_their_arguments_wherever_no_network_runs():
    made = []
    draw = lambda x: torch.distributions.Normal(x, _softplus(x))  # noqa: E731
    network = Picture(lambda self, h, z: self.up(made.append(draw(h)) or made[-1].rsample()))
    generator = rp.cut(network, "early", sample_latents=sample)
    assert not made[-1]._validate_args
    own = draw(torch.zeros(2))
    assert own._validate_args
    with pytest.raises(ValueError, match="invalid values"):
        torch.distributions.Normal(0.0, torch.tensor(-1.0))
    with pytest.raises(ValueError, match="within the support"):
        own.log_prob(torch.tensor(float("nan")))
    with calls_seen_by(lambda called, args, kwargs: called(*args, **kwargs)):  # as in a run
        torch.distributions.Normal(0.0, torch.tensor(-1.0))
        refused = []

        def elsewhere():
            try:
                torch.distributions.Normal(0.0, torch.tensor(-1.0))
            except ValueError as error:
                refused.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert refused
    network(generator.sample_latents(1))
    assert made[-1]._validate_args


def test_normal_of_a_size_is_the_same_for_every_item():
    """It mixes with no argument that could differ between items."""
    with FrozenNoise(3):
        drawn = torch.normal(0.0, 1.0, (3, 64))
    assert torch.equal(drawn, drawn[:1].expand(3, -1))


# Beside it


def test_functions_that_draw_nothing_are_left_alone():
    value = torch.rand(2, 3, generator=_own())
    with FrozenNoise(2) as frozen:
        assert torch.equal(value.exp(), torch.exp(value))
        assert torch.equal(F.relu(value, inplace=True), value)
        assert frozen.draws == 0


def test_default_device_holds_for_draws_too():
    with torch.device("meta"), FrozenNoise(2):
        assert torch.randn(2, 3).device.type == "meta"


def test_nested_runs_do_not_meet():
    with FrozenNoise(2):
        first = torch.randn(2, 3)
        second = torch.randn(2, 3)
    with FrozenNoise(2):
        torch.randn(2, 3)
        with FrozenNoise(2):
            assert torch.equal(torch.randn(2, 3), first)
        assert torch.equal(torch.randn(2, 3), second)


def test_draw_does_not_require_a_gradient():
    with FrozenNoise(2):
        value = torch.ones(2, 3, requires_grad=True)
        assert not torch.randn_like(value).requires_grad
        assert isinstance(torch.randn_like(value), Tensor)


@pytest.mark.parametrize(
    "draw", [d for name, d in DRAWS.items() if "generator" not in name and "dropout" not in name]
)
def test_draws_are_those_of_torch_after_seeding_and_leave_its_state_alone(draw):
    seed = stream(0, "noise", 1).initial_seed()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = draw(1)
    before = torch.get_rng_state()
    assert torch.equal(_frozen(draw, 1), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dropout", [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d])
def test_dropout_is_that_of_torch_after_seeding(dropout):
    shape = {F.dropout1d: (1, 64, 3), F.dropout2d: (1, 64, 3, 2)}.get(dropout, (1, 64, 3, 2, 2))
    for probability in (0.0, 0.3, 1.0):
        with torch.random.fork_rng():
            torch.manual_seed(stream(0, "noise", 1).initial_seed())
            expected = dropout(torch.ones(shape), probability, True)
        with FrozenNoise(1):
            assert torch.equal(dropout(torch.ones(shape), probability, True), expected)
