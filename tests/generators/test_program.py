"""The tail as a program: what it holds, what it refuses, and where the batch is."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Around, Picture, sample, sequential
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

import regional_primitives as rp
from regional_primitives.errors import WholeRunWarning
from regional_primitives.generators.layers import parse_layers
from regional_primitives.generators.layout import BatchAxis, UnrecordableError
from regional_primitives.generators.network import Network, find_image
from regional_primitives.generators.recorded import RecordedTail, tail_of
from regional_primitives.generators.recorded.program import tail_program
from regional_primitives.generators.recorded.recording import _Recorder, record
from regional_primitives.generators.tail import WholeRunTail
from regional_primitives.generators.twin import frozen_twin

pytestmark = pytest.mark.filterwarnings("error::regional_primitives.errors.WholeRunWarning")

LATENTS = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))


def _tail(behind, layer="early", **extra):
    """Make the tail of one picture of a network that is given by what lies behind `early`."""
    torch.manual_seed(0)
    network = Network(frozen_twin(Picture(behind, **extra)))
    return network, tail_of(network, parse_layers(layer, network.module), LATENTS)


def _others(network, tail, count=3, layer="early"):
    """Return other features, and what the network does with each in its middle."""
    layers = parse_layers(layer, network.module)
    ((own,),) = network.head(LATENTS, layers)
    rng = torch.Generator().manual_seed(1)
    features = own + own.std() * torch.randn(count, *own.shape[1:], generator=rng)
    whole = WholeRunTail(tail.parts, network, layers, LATENTS, 0, "")
    with torch.no_grad():
        return features, torch.cat([whole(feature) for feature in features.split(1)])


def _recorded(behind, layer="early", **extra):
    """Make a tail that must be recorded, and hold it against the whole network."""
    network, tail = _tail(behind, layer, **extra)
    assert isinstance(tail, RecordedTail), tail.why
    features, expected = _others(network, tail, layer=layer)
    before = features.clone()
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)
        one = torch.cat([tail(feature) for feature in features.split(1)])
        assert torch.allclose(one, expected, atol=1e-5)
    assert torch.equal(features, before)
    return network, tail


def _unrecorded(behind, why, **extra):
    """Make a tail that cannot be recorded, hold it against the network, and read the reason."""
    network, tail = _tail(behind, **extra)
    assert isinstance(tail, WholeRunTail)
    assert why in tail.why, tail.why
    features, expected = _others(network, tail)
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)
    assert tail.bytes_per_item > 0
    return network, tail


# Where the batch is


sizes = st.lists(st.integers(1, 4), max_size=3)


@st.composite
def layouts(draw):
    """Draw an axis, how many entries an item has on it, and the other sides."""
    rest = draw(sizes)
    return draw(st.integers(0, len(rest))), draw(st.integers(1, 3)), rest


def _laid_out(dim, multiple, rest, batch):
    """Make a tensor whose numbers are all different, and its items."""
    items = torch.arange(float(batch * multiple * torch.Size(rest).numel()))
    items = items.view(batch, multiple, *rest)
    merged = torch.cat(list(items))  # [batch · multiple, *rest], items outermost
    return merged.movedim(0, dim), items


@given(layouts())
@settings(deadline=None)
def test_axis_is_found_between_runs_of_one_more_item(layout):
    dim, multiple, rest = layout
    one, two, three = (_laid_out(dim, multiple, rest, batch)[0].shape for batch in (1, 2, 3))
    assert BatchAxis.between(one, two, 1) == BatchAxis(dim, multiple)
    assert BatchAxis.between(two, three, 2) == BatchAxis(dim, multiple)
    assert BatchAxis.between(two, two, 2) is None
    assert BatchAxis.between(three, three, 2) is None


@given(layouts(), st.integers(1, 5))
@settings(deadline=None)
def test_items_come_first_and_go_back(layout, batch):
    dim, multiple, rest = layout
    tensor, items = _laid_out(dim, multiple, rest, batch)
    axis = BatchAxis(dim, multiple)
    first = axis.items_first(tensor)
    assert first.shape[0] == batch
    for i in range(batch):
        # An item by itself is what it is in the batch.
        alone, _ = _laid_out(dim, multiple, rest, 1)
        alone = alone + items[i].min()
        assert torch.equal(axis.items_first(alone)[0], first[i])
    again = axis.as_found(first)
    assert again.shape == tensor.shape
    assert torch.equal(again, tensor)


@given(layouts(), st.integers(1, 5), st.integers(1, 5))
@settings(deadline=None)
def test_one_item_is_taken_and_repeated(layout, batch, count):
    dim, multiple, rest = layout
    tensor, items = _laid_out(dim, multiple, rest, batch)
    axis = BatchAxis(dim, multiple)
    one = axis.first_item(tensor)
    assert torch.equal(one, torch.cat(list(items[:1])).movedim(0, dim))
    repeated = axis.repeated(one, count)
    expected, _ = _laid_out(dim, multiple, rest, count)
    assert repeated.shape == expected.shape
    assert torch.equal(
        axis.items_first(repeated), axis.items_first(one).expand_as(axis.items_first(expected))
    )


def test_repeating_copies_nothing_where_the_batch_is_an_axis_of_its_own():
    one = torch.rand(4, 1, 3)
    assert BatchAxis(1, 1).repeated(one, 1000).data_ptr() == one.data_ptr()


@pytest.mark.parametrize(
    ("two", "three", "why"),
    [
        ((2, 3), (3, 3, 1), "another number of axes for another batch size"),
        ((), (1,), "another number of axes for another batch size"),
        ((2, 2), (3, 3), "mixes the items of a batch"),
        ((3, 5), (4, 5), "mixes the items of a batch"),
        ((4, 5), (9, 5), "mixes the items of a batch"),
        ((2, 4), (3, 6), "mixes the items of a batch"),
        ((3, 5), (2, 5), "mixes the items of a batch"),
        ((0, 5), (1, 5), "mixes the items of a batch"),
    ],
)
def test_shapes_that_show_no_batch(two, three, why):
    with pytest.raises(UnrecordableError, match=why):
        BatchAxis.between(two, three, 2)


# What is recorded


def test_program_holds_what_lies_behind_and_the_image_needs():
    def behind(self, h, z):
        self.gain(z).exp()  # not behind the cut
        h.sin().cos()  # leads nowhere
        return self.up(h)

    network, tail = _recorded(behind)
    program = tail.program
    assert program.operations == 4  # interpolation, two convolutions, the last function
    assert program.source.startswith("def tail(batch, features, sides):\n")
    lines = program.source.strip().split("\n")
    assert len(lines) == 3 + program.operations  # with the head, the feature's name, the return
    assert program.sides == ()
    assert not program.writes_into_feature
    assert not program.reads_latents
    values = {id(value) for value in program.run.__globals__.values()}
    module = network.module
    held = {name for name, weight in module.named_parameters() if id(weight) in values}
    assert held == {"up.1.weight", "up.1.bias", "paint.weight", "paint.bias"}


def test_side_inputs_are_of_the_picture_or_constant():
    def behind(self, h, z):
        late = self.up(h) * self.gain(z)[..., None, None]
        return late + self.memory.exp() + torch.randn(len(z), 4, 1, 1)

    _, tail = _recorded(behind)
    sides = {
        (side.of_the_picture, side.axis, tuple(side.value.shape)) for side in tail.program.sides
    }
    assert sides == {
        (True, BatchAxis(0, 1), (1, 4, 1, 1)),
        (False, None, (4, 1, 1)),
        (False, BatchAxis(0, 1), (1, 4, 1, 1)),
    }


def test_values_are_let_go_after_their_last_use():
    def behind(self, h, z):
        for _ in range(5):
            h = h.sin()
        return self.up(h)

    _, tail = _recorded(behind)
    lines = [line.strip() for line in tail.program.source.splitlines()[2:-1]]
    made = [line.split(" = ")[0] for line in lines]
    for value, (line, after) in zip(made, itertools.pairwise(lines), strict=False):
        assert f"; {value} = None" not in line
        assert f"({value}" in after
        assert f"{value} = None" in after


def test_memory_an_item_does_not_depend_on_the_picture_or_the_weights():
    _, tail = _recorded(lambda self, h, z: self.up(h))
    floats = 4 * 16 * 16 + 4 * 16 * 16 + 3 * 16 * 16 + 3 * 16 * 16
    assert tail.bytes_per_item == 4 * floats


def test_batch_size_in_arguments_follows_the_batch():
    def behind(self, h, z):
        batch = h.shape[0]
        h = h.reshape(batch * 4, 64).view(2 * batch, 2, 8, 8)[: 2 * batch]
        h = h.reshape([batch, -1, 8, 8]).expand(batch, 4, 8, 8)
        h = torch.cat([h, torch.zeros(batch, 1, 8, 8)], 1)[:, :4]
        h = h[None].expand(batch + 3, *h.shape)[batch + 2]
        return self.up(h)

    _recorded(behind)


def test_first_operation_may_be_the_last():
    _recorded(lambda self, h, z: self.up(h), layer="up")


@pytest.mark.parametrize(
    "change",
    [
        lambda h, z: torch.stack([row for row in h.transpose(0, 1)], 1),  # noqa: C416
        lambda h, z: h[..., torch.tensor([7, 6, 5, 4, 3, 2, 1, 0])],
        lambda h, z: h[:, [1, 0, 3, 2]],
        lambda h, z: h[:, ::2].repeat(1, 2, 1, 1)[..., None][:, slice(None), ..., 0],
        lambda h, z: h.masked_fill(h > 0.5, 0.1),
        lambda h, z: torch.where(h > 0, h, h.exp()),
        lambda h, z: torch.split(h, [1, 3], dim=1)[1][:, [0, 0, 1, 2]],
        lambda h, z: h.max(dim=1, keepdim=True).values * h,
        lambda h, z: h.topk(2, dim=1)[0].repeat(1, 2, 1, 1) + torch.sort(h, dim=1).values,
        lambda h, z: h.mT + h.transpose(2, 3).flatten(2).unflatten(2, (8, 8)),
        lambda h, z: torch.einsum("bchw,dc->bdhw", h, torch.ones(4, 4)),
        lambda h, z: F.pad(F.max_pool2d(h, 2, return_indices=True)[0], (2, 2, 2, 2)),
        lambda h, z: h * h.new_tensor([1.0, 2.0, 3.0, 4.0])[:, None, None],
        lambda h, z: (h.double() ** 2).to(h),
        lambda h, z: h / h.norm(dim=1, keepdim=True).clamp(min=1e-3, max=float("inf")),
        lambda h, z: h.to(z.dtype) * torch.tensor(0.5, dtype=torch.float64),
        lambda h, z: h - ((2.0 * -h) // 0.01 * 0.01).detach(),  # a quotient without a derivative
        lambda h, z: torch.view_as_real(torch.fft.ifft2(torch.fft.fft2(h)))[..., 0],
        lambda h, z: torch.utils.checkpoint.checkpoint(torch.sin, h, use_reentrant=False),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_functions_of_all_kinds(change):
    _recorded(lambda self, h, z: self.up(change(h, z)))


# Writing in place


def test_tail_that_writes_into_the_feature_leaves_the_callers_alone():
    def behind(self, h, z):
        return self.up(h.mul_(0.5).add_(1))

    network, tail = _recorded(behind)
    assert not tail.program.writes_into_feature  # new values are made in its place
    feature = network.head(LATENTS, parse_layers("early", network.module))[0][0]
    before = feature.clone()
    leaf = feature.clone().requires_grad_()
    tail(leaf).sum().backward()
    assert torch.equal(leaf, before)
    assert leaf.grad.abs().sum() > 0


def test_tail_that_writes_through_a_view_of_the_feature_leaves_the_callers_alone():
    def behind(self, h, z):
        h[:, 0, 2:4].zero_()
        h.view(len(h), -1)[:, :9] = 1
        return self.up(h)

    _, tail = _recorded(behind)
    assert tail.program.writes_into_feature


def test_side_input_that_is_written_into_between_two_uses_is_held_as_it_is_at_each():
    _, tail = _recorded(_written_after_use)
    assert len(tail.program.sides) == 2


def test_value_that_is_needed_for_the_gradient_may_be_written_into():
    """The network itself gives no gradient then; a tail that makes new values does."""

    def behind(self, h, z):
        h = h.exp()
        h += self.gain(z)[..., None, None]
        return self.up(F.relu(h.sigmoid().mul_(2), inplace=True))

    network, tail = _recorded(behind)
    leaf = network.head(LATENTS, parse_layers("early", network.module))[0][0].requires_grad_()
    tail(leaf).sum().backward()
    assert leaf.grad.abs().sum() > 0


def test_residual_that_is_added_in_place():
    _recorded(
        lambda self, h, z: self.up(self.gain(z)[..., None, None].mul(torch.ones(8, 8)).add_(h))
    )


def test_side_input_that_is_written_into_before_the_tail_uses_it():
    def behind(self, h, z):
        skip = self.gain(z)[..., None, None]
        skip.mul_(3).add_(1)
        return self.up(h) * skip

    _, tail = _recorded(behind)
    (side,) = tail.program.sides
    assert side.of_the_picture


def test_side_input_that_the_tail_writes_into_is_made_anew():
    def behind(self, h, z):
        canvas = self.gain(z)[..., None, None].repeat(1, 1, 16, 16)
        canvas += self.up(h)
        return canvas * 2

    _, tail = _recorded(behind)
    assert "repeat" not in tail.program.source
    _recorded(behind)  # a run leaves nothing behind for the next


def test_side_input_that_is_made_by_writing_through_a_view():
    def behind(self, h, z):
        canvas = torch.zeros(len(z), 4, 1, 1)
        canvas[:, :2].copy_(self.gain(z)[:, :2, None, None])
        return self.up(h) + canvas

    _, tail = _recorded(behind)
    (side,) = tail.program.sides
    assert side.of_the_picture


def test_picture_that_flows_past_through_a_view_is_held_whatever_there_is_to_compare():
    def behind(self, h, z):
        canvas = torch.zeros(len(z), 4, 1, 1)
        canvas[:, :2].copy_(self.gain(z)[:, :2, None, None])
        return self.up(h) + canvas

    generator = rp.cut(Picture(behind), "early", baseline_latents=LATENTS)
    other = 1 - LATENTS
    bound = generator.at(other)
    assert torch.allclose(bound.tail(bound.head(other)), generator.image(other), atol=1e-6)


# Another picture


def _bound_after(behind, first, second, layer="early", **extra):
    """Bind one picture, then another one, which the program of the first may serve."""
    torch.manual_seed(0)
    generator = rp.cut(Picture(behind, **extra), layer, baseline_latents=LATENTS)
    generator.at(first)
    return generator, generator.at(second)


def _same_as_whole_runs(generator, bound, latents):
    feature = bound.head(latents)
    other = feature - 0.5
    layers = bound.behind.parts.by_layer(other)
    expected = generator.network.substituted(latents, generator.layers, layers)
    assert torch.allclose(bound.tail(other), expected, atol=1e-5)
    assert torch.allclose(bound.tail(feature), generator.image(latents), atol=1e-5)


class _Rectified(nn.Module):
    def forward(self, x):
        return torch.relu(x) * 1.0


class _Leaky(nn.Module):
    def forward(self, x):
        return F.leaky_relu(x, 0.5) * 1.0


def _held_for_one_picture_alone(self, h, z):
    return self.up(h) + self.up((h.detach() * 0 if float(z[0, 0]) > 0 else h).sin())


def _written_for_one_picture_alone(self, h, z):
    x = self.gain(z)[..., None, None].sin() + torch.zeros(8, 8)
    x.add_(1.0 if float(z[0, 0]) > 0 else h)
    return self.up(h.cos() + x)


@pytest.mark.parametrize(
    "behind",
    [
        _held_for_one_picture_alone,
        _written_for_one_picture_alone,
        lambda self, h, z: self.up((self.one if float(z[0, 0]) > 0 else self.two)(h.sigmoid())),
        lambda self, h, z: self.up(h * float(z[0, 0])),
        lambda self, h, z: self.up(h) * torch.from_numpy(z.detach().numpy()[:, :1, None, None] + 3),
    ],
)
def test_another_picture_that_takes_another_path_has_a_tail_of_its_own(behind):
    scripts = {"one": torch.jit.script(_Rectified()), "two": torch.jit.script(_Leaky())}
    first = torch.ones(1, 8)
    generator, bound = _bound_after(behind, first, -first, **scripts)
    _same_as_whole_runs(generator, bound, -first)
    generator, bound = _bound_after(behind, -first, first, **scripts)
    _same_as_whole_runs(generator, bound, first)


def test_another_picture_of_another_size():
    class Sized(nn.Module):
        def __init__(self):
            super().__init__()
            self.early, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            return self.last(self.early(x).tanh() * x.mean((1, 2, 3), keepdim=True))

    small, large = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16)
    generator = rp.cut(Sized(), "early", baseline_latents=small)
    generator.at(small)
    bound = generator.at(large)
    assert bound.feature_shape == (4, 16, 16)
    _same_as_whole_runs(generator, bound, large)


def test_another_picture_leaves_what_is_held_for_the_first():
    def behind(self, h, z):
        self.canvas[:] = z[0, :4, None, None].numpy()
        return self.up(h) * torch.from_numpy(self.canvas)

    torch.manual_seed(0)
    network = Picture(behind)
    network.canvas = np.zeros((4, 1, 1), "f")
    bound = rp.cut(network, "early", baseline_latents=LATENTS).at(LATENTS)
    before = bound.tail(bound.head(LATENTS))
    bound.image(-LATENTS)
    assert torch.equal(bound.tail(bound.head(LATENTS)), before)


def test_function_that_takes_a_side_input():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h, gain):
            ctx.save_for_backward(gain)
            return h * gain

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.saved_tensors[0], None

    _, tail = _recorded(lambda self, h, z: self.up(Product.apply(h, self.gain(z)[..., None, None])))
    assert not tail.mixes


def test_layer_that_shares_its_memory_with_what_is_used_again_is_refused():
    def behind(self, h, z):
        h = h.sin()
        return self.up(h + F.relu(self.same(h), inplace=True))

    with pytest.raises(rp.GeneratorError, match="writes into memory that the layer shares"):
        rp.cut(Picture(behind, same=nn.Identity()), "same", baseline_latents=LATENTS)


def test_sampler_may_ask_the_network_for_an_embedding():
    network = Picture(lambda self, h, z: self.up(h))
    network.embed = nn.Embedding(5, 8)

    def sample(count, rng):
        return network.embed(torch.randint(5, (count,), generator=rng)).detach()

    generator = rp.cut(network, "early", sample_latents=sample)
    assert generator.at(generator.sample_latents(1)).feature_shape == (4, 8, 8)


# What cannot be recorded


class Pair(NamedTuple):
    first: Any
    second: Any


def _dictionary(value):
    """Be a torch function that returns a dictionary."""
    if has_torch_function((value,)):
        return handle_torch_function(_dictionary, (value,), value)
    return {"value": 2 * value}


def _other_path(self, h, z):
    return self.up(h.exp()) if len(h) == 3 else self.up(h) if len(h) == 2 else self.up(h.sin())


def _writes_before(self, h, z):
    self.memory.copy_(h[0, :, :1, :1] * 0 + 1)
    return self.up(h) * self.memory


def _written_after_use(self, h, z):
    skip = self.gain(z)[..., None, None]
    image = self.up(h) + skip
    skip.add_(1)
    return image + skip


@pytest.mark.parametrize(
    "behind",
    [
        _other_path,
        lambda self, h, z: self.up(h.exp() if len(h) == 2 else h.sin()),
        lambda self, h, z: self.up(torch.stack(h.unbind(0))),
        lambda self, h, z: self.up(torch.stack([h[i] / 2 + 0.5 for i in range(len(h))])),
        lambda self, h, z: self.up(h) + torch.from_numpy(np.ones((len(h), 1, 1, 1), "f")),
        lambda self, h, z: self.up(h * (1 / len(h)) * len(h)),
        lambda self, h, z: self.up(h + (torch.FloatTensor(len(h), 1, 1, 1).fill_(1))),
    ],
)
def test_what_a_batch_size_decides_is_recorded_for_one_item(behind):
    _, tail = _recorded(behind)
    assert tail.program.single
    assert tail.mixes


@pytest.mark.parametrize(
    "behind",
    [
        lambda self, h, z: self.up(h.exp() if len(h) == 3 else h.sin()),
        lambda self, h, z: self.up(h) + z.sum(),
    ],
    ids=["a path of batches of three", "a sum over the batch that flows past the cut"],
)
def test_each_image_of_a_batch_is_that_of_its_item_alone(behind):
    _, tail = _recorded(behind)
    assert not tail.mixes
    assert not tail.program.single


def test_what_a_batch_size_decides_outside_of_the_tail_is_no_matter():
    def behind(self, h, z):
        torch.tensor([float(i) for i in range(len(z))])
        [row.exp() for row in z]
        return self.up(h) * self.gain(z)[..., None, None]

    _, tail = _recorded(behind)
    assert tail.program.single  # items that are gone through make another number of operations

    def lists(self, h, z):
        torch.tensor([float(i) for i in range(len(z))])
        return self.up(h) * torch.tensor([0.5] * len(h))[:, None, None, None]

    _, tail = _recorded(lists)
    assert not tail.mixes


@pytest.mark.parametrize(
    ("behind", "why"),
    [
        (_writes_before, "the part behind the cut writes into what lies before it"),
        (
            lambda self, h, z: self.up(h if float(h.sum()) > 0 else -h),
            "Python reads numbers that depend on the feature (__float__)",
        ),
        (
            lambda self, h, z: self.up(h / h.amax().item()),
            "Python reads numbers that depend on the feature (item)",
        ),
        (
            lambda self, h, z: self.up(torch.from_numpy(h.detach().numpy()) + h),
            "Python reads numbers that depend on the feature (numpy)",
        ),
        (
            lambda self, h, z: self.up(h if (h.mean((1, 2, 3)) > 9).any() else 2 * h),
            "Python reads numbers that depend on the feature (__bool__)",
        ),
        (
            lambda self, h, z: self.up(_dictionary(h)["value"]),
            "an operation returns a dictionary of tensors",
        ),
        (
            lambda self, h, z: self.up(torch.cat(Pair(h[:, :2], h[:, :2]), 1)),
            "an argument is of the kind Pair",
        ),
    ],
)
def test_reasons_to_run_the_whole_network(behind, why):
    _unrecorded(behind, why)


def test_place_where_python_reads_is_named():
    class Reads(nn.Module):
        def forward(self, h):
            return h if float(h.exp().sum()) > 0 else -h

    line = Reads.forward.__code__.co_firstlineno + 1
    _unrecorded(
        lambda self, h, z: self.up(self.reads(h)),
        f"in 'reads' at test_program.py:{line} Python reads numbers that depend on the feature "
        "(__float__); keep such decisions in tensors",
        reads=Reads(),
    )


def test_precision_that_a_context_changes():
    def behind(self, h, z):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = self.up(h)
        return h.float()

    _, tail = _recorded(behind)
    assert not tail.mixes
    assert "autocast" not in tail.program.source.splitlines()[-2]  # the last line is outside of it


def test_gradient_in_the_forward_pass():
    """Guidance: what a recorded run cannot do again, the whole network can."""

    def behind(self, h, z):
        with torch.enable_grad():
            leaf = h.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.up(leaf).square().sum(), leaf)
        return self.up(h - 0.1 * gradient)

    _unrecorded(behind, "RuntimeError: ")


def test_items_that_mix_go_one_by_one():
    def behind(self, h, z):
        return self.up(h - 0.5 * h.mean(0, keepdim=True))

    network, tail = _tail(behind)
    assert isinstance(tail, RecordedTail)
    assert tail.mixes
    features, expected = _others(network, tail, 4)
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)


@pytest.mark.parametrize(
    "behind",
    [
        lambda self, h, z: self.up(torch.vmap(torch.sin)(h)),
        lambda self, h, z: self.up(
            torch.sparse.mm(torch.eye(8).to_sparse().t(), h.reshape(-1, 8).t()).t().view_as(h)
        ),
        lambda self, h, z: self.up(torch.func.grad(lambda x: x.square().sum())(h)),
    ],
    ids=["vmap", "sparse", "func.grad"],
)
def test_values_without_memory_of_their_own(behind):
    network, tail = _tail(behind)
    features, expected = _others(network, tail)
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)


def test_scripted_submodules():
    torch.manual_seed(0)
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 1), nn.SiLU()))
    network, tail = _tail(lambda self, h, z: self.up(self.scripted(h)), scripted=scripted)
    features, expected = _others(network, tail)
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)


def test_tail_that_is_not_finite_everywhere_is_recorded():
    """Elsewhere it may give NaN, as the network itself does there."""

    def behind(self, h, z):
        return self.up((h + 0.3).sqrt())  # SiLU gives no less than −0.28

    _, tail = _tail(behind)
    assert isinstance(tail, RecordedTail), tail.why
    assert not tail.mixes


@pytest.mark.parametrize("changed", [1, 2, 3])
def test_path_of_its_own_for_some_number_of_pictures(changed):
    """What a picture is by itself counts, whatever the network makes of two or three."""

    def behind(self, h, z):
        return self.up(0.5 * h if len(h) == changed else h)

    network, tail = _tail(behind)
    features, expected = _others(network, tail)
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)
        own = network.head(LATENTS, parse_layers("early", network.module))[0][0]
        assert torch.allclose(tail(own), network.run(LATENTS), atol=1e-6)


def test_statistics_of_the_batch_go_one_by_one():
    def behind(self, h, z):
        h = F.batch_norm(h, None, None, training=True)
        return self.up(h)

    network, tail = _tail(behind)
    assert tail.mixes
    features, expected = _others(network, tail)
    with torch.no_grad():
        assert torch.allclose(tail(features), expected, atol=1e-5)


# Layers and recordings that hold no tail


def _program(module, layer):
    network = Network(frozen_twin(module))
    layers = parse_layers(layer, network.module)
    return tail_program(*(record(network, LATENTS.repeat(n, 1), layers) for n in (2, 3)))


def test_picture_that_does_not_depend_on_the_feature():
    module = Picture(lambda self, h, z: (self.gain(z), self.up(h))[1])
    with pytest.raises(UnrecordableError, match="nothing of the picture depends on the feature"):
        _program(module, "gain")


def test_feature_without_a_batch_axis():
    module = Picture(lambda self, h, z: self.up(h + self.grid(torch.ones(4, 1, 1))), grid=nn.Tanh())
    with pytest.raises(UnrecordableError, match="the layer's output has no batch axis"):
        _program(module, "grid")


def test_feature_that_is_the_image():
    module = nn.Sequential(sequential(), nn.Identity())
    program = _program(module, "1")
    assert program.operations == 0
    feature = torch.rand(2, 3, 4, 4)
    assert program.run(2, [feature], []) is feature


# Batches that a network doubles, as guidance does


def _guided(self, h, z):
    uncond, cond = self.up(torch.cat([torch.zeros_like(h), h])).chunk(2)
    return uncond + 3 * (cond - uncond)


def test_batch_that_is_doubled_behind_the_cut():
    _, tail = _recorded(_guided)
    assert not tail.mixes


@pytest.mark.parametrize(
    "double",
    [
        lambda h: torch.cat([0.5 * h, h]),
        lambda h: torch.stack([0.5 * h, h]).flatten(0, 1),
        lambda h: torch.stack([0.5 * h, h], 1).flatten(0, 1),
        lambda h: h.repeat_interleave(2, 0),
        lambda h: h.repeat(2, 1, 1, 1),
    ],
    ids=["cat", "stack", "interleaved stack", "repeat_interleave", "repeat"],
)
def test_item_of_a_batch_that_is_doubled_before_the_cut_is_what_it_is_alone(double):
    def behind(self, h, z):
        h = self.inner(double(h))
        first = h[: len(z)] if double(torch.eye(2)[..., None, None])[1, 0] == 0 else h[::2]
        return self.up(first) + self.up(h).mean((2, 3), keepdim=True)[: len(z)]

    generator = rp.cut(Picture(behind, inner=nn.Tanh()), "inner", sample_latents=sample)
    latents = generator.sample_latents(3)
    together = generator.head(latents)
    alone = torch.cat([generator.head(one) for one in latents.split(1)])
    assert together.shape == alone.shape == (3, 2, 4, 8, 8)
    assert torch.allclose(together, alone, atol=1e-6)


def test_side_input_of_a_doubled_batch_can_be_recorded():
    def behind(self, h, z):
        both = torch.cat([torch.zeros_like(z), z])
        h = self.up(torch.cat([h, h])) * self.gain(both)[..., None, None]
        uncond, cond = h.chunk(2)
        return uncond + 3 * (cond - uncond)

    _recorded(behind)


# A number of the batch that is not proportional to it


@pytest.mark.parametrize(
    "number",
    [lambda batch: batch * batch, lambda batch: 60 // batch, lambda batch: min(batch, 4)],
    ids=["square", "divided", "at most four"],
)
def test_number_that_two_and_three_do_not_tell(number):
    """60 // batch is 30, then 20: no line through both tells that it is 12 for five pictures."""

    def behind(self, h, z):
        rows = torch.stack([h] * 60, 1)[:, : number(len(h))]
        return self.up(rows.sum(1) / rows.shape[1])

    def viewed(self, h, z):
        batch = len(h)
        rows = h.flatten(1)[:, :240].reshape(batch, number(batch), -1).flatten(1)
        return self.up(torch.cat([rows, h.flatten(1)[:, 240:]], 1).view_as(h))

    for change in (behind, viewed) if 240 % number(3) == 0 else (behind,):
        network, tail = _tail(change)
        for count in (1, 2, 3, 4, 5):
            features, expected = _others(network, tail, count)
            with torch.no_grad():
                assert torch.allclose(tail(features), expected, atol=1e-5), count


# The image among several outputs


IMAGE = torch.rand(2, 3, 4, 4)
DEPTH = torch.rand(2, 1, 4, 4)


@dataclasses.dataclass
class Output:
    sample: Any
    depth: Any


class Several(NamedTuple):
    image: Any
    latents: Any


@pytest.mark.parametrize(
    ("output", "image_of"),
    [
        (IMAGE, None),
        ((IMAGE,), None),
        ([torch.rand(2, 8), IMAGE], None),
        ({"rgb": IMAGE, "latents": torch.rand(2, 8)}, None),
        ({"a": {"b": [None, (IMAGE, 1.0)]}}, None),
        (Several(IMAGE, torch.rand(2, 8)), None),
        (Output(IMAGE, torch.rand(2, 1)), None),
        ((IMAGE, IMAGE[:1], IMAGE.long(), IMAGE > 0, IMAGE[0]), None),
        ((DEPTH, IMAGE), 1),
        ((DEPTH, IMAGE), -1),
        ([DEPTH, IMAGE], 1),
        ({"depth": DEPTH, "rgb": IMAGE}, "rgb"),
        ({0: DEPTH, 1: IMAGE}, 1),
        (Several(DEPTH, IMAGE), "latents"),
        (Several(DEPTH, IMAGE), 1),
        (Output(IMAGE, DEPTH), "sample"),
        ((DEPTH, IMAGE), lambda output: output[1]),
        ({"parts": [DEPTH, {"rgb": IMAGE}]}, lambda output: output["parts"][1]["rgb"]),
        (torch.cat([DEPTH, IMAGE], 1), lambda output: output[:, 1:]),
    ],
)
def test_image_that_is_found(output, image_of):
    found = find_image(output, 2, image_of)
    assert torch.equal(found, IMAGE)


@pytest.mark.parametrize(
    ("output", "listed"),
    [
        ((IMAGE, DEPTH), "[0] [2, 3, 4, 4], [1] [2, 1, 4, 4]"),
        (
            {"rgb": IMAGE, "depth": DEPTH, "n": 1},
            "['rgb'] [2, 3, 4, 4], ['depth'] [2, 1, 4, 4], ['n'] int",
        ),
        ({"a": [IMAGE, {"b": IMAGE}]}, "['a'][0] [2, 3, 4, 4], ['a'][1]['b'] [2, 3, 4, 4]"),
        (Output(IMAGE, DEPTH), ".sample [2, 3, 4, 4], .depth [2, 1, 4, 4]"),
    ],
)
def test_several_images_are_listed(output, listed):
    with pytest.raises(rp.GeneratorError) as error:
        find_image(output, 2)
    assert str(error.value) == (
        f"several outputs of the network could be the image: {listed}; "
        "say which, as image=0, image='name' or image=function"
    )


@pytest.mark.parametrize(
    ("output", "image_of", "listed"),
    [
        ((DEPTH, IMAGE), 2, "[0] [2, 1, 4, 4], [1] [2, 3, 4, 4]"),
        ((DEPTH, IMAGE), "rgb", "[0] [2, 1, 4, 4], [1] [2, 3, 4, 4]"),
        ({"rgb": IMAGE}, 0, "['rgb'] [2, 3, 4, 4]"),
        ({"rgb": IMAGE}, "image", "['rgb'] [2, 3, 4, 4]"),
        (Output(IMAGE, "words"), "rgb", ".sample [2, 3, 4, 4], .depth str"),
        (Output(IMAGE, None), 0, ".sample [2, 3, 4, 4], .depth NoneType"),
        (None, 0, " NoneType"),
    ],
)
def test_image_that_is_not_there(output, image_of, listed):
    with pytest.raises(rp.GeneratorError) as error:
        find_image(output, 2, image_of)
    assert str(error.value) == (f"image={image_of!r} is not in what the network returns: {listed}")


@pytest.mark.parametrize(
    ("output", "image_of", "kind"),
    [
        (None, None, "NoneType"),
        ((IMAGE[0], IMAGE.long()), None, "tuple"),
        ({"rgb": IMAGE[:1]}, None, "dict"),
        ({"rgb": {"deep": IMAGE}}, "rgb", "dict"),
        ((IMAGE, "words"), 1, "str"),
        (IMAGE, lambda output: output.tolist(), "list"),
    ],
)
def test_what_is_no_image(output, image_of, kind):
    with pytest.raises(rp.GeneratorError) as error:
        find_image(output, 2, image_of)
    assert str(error.value) == f"the network gives no image but a {kind}"


class TwoPictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = sequential()

    def forward(self, z):
        image = self.body(z)
        return {"day": image, "night": -image}


@pytest.mark.parametrize(
    ("image", "sign"), [("day", 1), ("night", -1), (lambda output: -output["night"], 1)]
)
def test_image_that_is_chosen_goes_through_the_cut(image, sign):
    network = TwoPictures().eval()
    generator = rp.cut(network, "body.3", sample_latents=sample, image=image)
    latents = generator.sample_latents(2)
    with torch.no_grad():
        expected = sign * network.body(latents)
    assert torch.allclose(generator.image(latents), expected, atol=1e-6)
    assert torch.allclose(generator.tail(generator.head(latents)), expected, atol=1e-6)


def test_image_that_is_not_chosen_is_asked_for():
    with pytest.raises(rp.GeneratorError, match=r"could be the image: \['day'\] \[1, 3, 16, 16\]"):
        rp.cut(TwoPictures(), "body.3", sample_latents=sample)
    with pytest.raises(rp.GeneratorError, match="image='noon' is not in what the network returns"):
        rp.cut(TwoPictures(), "body.3", sample_latents=sample, image="noon")


# Arguments that are the same for every picture


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = sequential()

    def forward(self, z, *, gain=None, power=1, names=None, extra=None):
        image = self.body(z)
        return image if gain is None else image * gain + 0.1 * power


def _fixed(**settings):
    return rp.cut(Scaled(), "body.3", sample_latents=sample, **settings)


def _digest(**settings):
    return rp.cut(Scaled(), "body.3", baseline=torch.zeros(6, 8, 8), **settings).digest


@pytest.mark.usefixtures("unchecked")
def test_fixed_arguments_reach_the_network_and_the_tail():
    gain = torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1)
    plain, fixed = _fixed(), _fixed(fixed={"gain": gain, "power": 2})
    latents = plain.sample_latents(2)
    expected = plain.image(latents) * gain + 0.2
    assert torch.allclose(fixed.image(latents), expected, atol=1e-6)
    assert torch.allclose(fixed.tail(fixed.head(latents)), expected, atol=1e-6)
    assert torch.allclose(fixed.head(latents), plain.head(latents), atol=1e-6)
    assert fixed.behind.program.sides == ()  # nothing of the picture


@pytest.mark.usefixtures("unchecked")
def test_digest_names_all_that_is_fixed():
    long = torch.zeros(5000)
    other = long.clone()
    other[2500] = 1
    settings = [
        {},
        {"fixed": {"power": 1}},
        {"fixed": {"power": 2}},
        {"fixed": {"gain": torch.ones(3, 1, 1)}},
        {"fixed": {"gain": torch.ones(1, 1)}},
        {"fixed": {"gain": torch.full((3, 1, 1), 2.0)}},
        {"fixed": {"gain": torch.ones(3, 1, 1), "power": 2}},
        {"fixed": {"extra": torch.ones(3, 1, 1)}},
        {"fixed": {"extra": long}},
        {"fixed": {"extra": other}},
        {"fixed": {"names": ("a", "b")}},
        {"noise_seed": 1},
        {"noise_seed": 1, "fixed": {"power": 2}},
    ]
    digests = [_digest(**one) for one in settings]
    assert len(set(digests)) == len(settings)
    assert [_digest(**one) for one in settings] == digests
    assert _digest(fixed={}, noise_seed=0) == digests[0]
    assert _digest(fixed={"power": 2, "gain": torch.ones(3, 1, 1)}) == digests[6]


@pytest.mark.usefixtures("unchecked")
def test_digest_names_tensors_in_lists_that_are_fixed():
    long = torch.zeros(5000)
    other = long.clone()
    other[2500] = 1
    one, two = (_digest(fixed={"extra": [tensor]}) for tensor in (long, other))
    assert one != two


@pytest.mark.usefixtures("unchecked")
def test_digest_is_the_same_in_another_process_whatever_is_fixed():
    """The address of a function is none of what images depend on."""
    one, two = (_digest(fixed={"extra": [lambda: 0, object()]}) for _ in range(2))
    assert one == two


def test_digest_does_not_depend_on_the_layer_or_the_latents():
    one = rp.cut(Scaled(), "body.3", sample_latents=sample)
    two = rp.cut(Scaled(), "body.5", baseline_latents=torch.zeros(2, 8))
    assert one.digest == two.digest


# Refusals on the way to a tail


def test_forward_pass_that_checks_its_arguments():
    """An assertion, as published networks have them, is a refusal of the latents as well."""

    def forward(self, z):
        assert z.shape[1] == 9, "expected nine numbers"
        return self.body(z)

    with pytest.raises(rp.InputError, match=r"rejects latents \[1, 8\]: expected nine numbers"):
        rp.cut(Around(forward), "body.3", sample_latents=sample)


def test_layers_that_have_no_weights_yet():
    network = nn.Sequential(nn.LazyLinear(8), sequential())
    with pytest.raises(rp.GeneratorError, match=r"'0\.weight'"):
        rp.cut(network, "1.3", sample_latents=sample)


@pytest.mark.parametrize(
    "behind",
    [
        lambda self, h, z: self.up(torch.mul(h, 2, out=torch.empty_like(h))),
        lambda self, h, z: torch.inference_mode()(self.up)(h),
    ],
    ids=["out=", "inference mode behind"],
)
def test_networks_that_no_gradient_can_go_through_work_or_say_so(behind):
    try:
        network, tail = _tail(behind)
        generator = rp.cut(Picture(behind), "early", baseline_latents=LATENTS)
    except rp.GeneratorError as error:
        assert "gradient" in str(error)  # noqa: PT017
    else:
        _, expected = _others(network, tail)
        assert isinstance(expected, Tensor)
        feature = generator.head(LATENTS).requires_grad_()
        generator.tail(feature).sum().backward()
        assert feature.grad.abs().sum() > 0


def test_network_in_inference_mode_works_or_says_so():
    network = Around(lambda self, z: torch.inference_mode()(self.body)(z))
    try:
        generator = rp.cut(network, "body.3", sample_latents=sample)
    except rp.GeneratorError as error:
        assert "gradient" in str(error) or "inference" in str(error)  # noqa: PT017
    else:
        latents = generator.sample_latents(1)
        feature = generator.head(latents).requires_grad_()
        image = generator.tail(feature)
        assert torch.allclose(image, generator.image(latents), atol=1e-6)
        image.sum().backward()
        assert feature.grad.abs().sum() > 0


def test_scripted_network_is_refused_with_a_reason():
    scripted = torch.jit.script(sequential())
    with pytest.raises(rp.GeneratorError, match="ScriptModule"):
        rp.cut(scripted, "3", sample_latents=sample)


def test_warning_says_what_runs_and_why():
    with pytest.warns(WholeRunWarning) as caught:
        rp.cut(Picture(_writes_before), "early", baseline_latents=LATENTS)
    (warning,) = caught
    assert str(warning.message) == (
        "Picture cannot be recorded behind 'early': the part behind the cut writes into what lies "
        "before it; the whole network runs instead, which is slower and gives the same images"
    )


def test_a_recorder_lets_go_of_all_memory_but_what_is_in_use():
    recorder = _Recorder(1, ())
    with recorder:
        kept = torch.ones(3)
        for _ in range(5):
            kept = (kept + 1).contiguous().contiguous()  # one tensor, by a number a call
    assert len(recorder.recording.operations) == 16
    assert len(recorder.storages) == len(recorder.numbers) == 1
    del kept
    assert not recorder.storages
