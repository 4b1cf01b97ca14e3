from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import regional_primitives as rp
from regional_primitives.generators.feature import (
    as_units,
    describe_shape,
    shape_of,
    tensor_shapes,
    tensors_of,
    unit_count,
    units_as,
)

shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)
bundles = st.lists(shapes, min_size=1, max_size=4).map(tuple)


def _feature(shape, batch, dtype=torch.float32, start=0):
    """Make a feature whose numbers are all different."""
    bundle = bool(shape) and isinstance(shape[0], tuple)
    made = []
    for one in shape if bundle else (shape,):
        count = batch * torch.Size(one).numel()
        made.append((start + torch.arange(count)).to(dtype).view(batch, *one))
        start += count
    return tuple(made) if bundle else made[0]


@given(st.one_of(shapes, bundles), st.integers(1, 5))
def test_round_trip_from_a_feature_through_units(shape, batch):
    feature = _feature(shape, batch)
    units = as_units(feature)
    assert units.shape == (batch, unit_count(shape))
    assert shape_of(feature) == shape
    again = units_as(units, shape)
    assert type(again) is type(feature)
    for one, other in zip(tensors_of(again), tensors_of(feature), strict=True):
        assert torch.equal(one, other)


@given(st.one_of(shapes, bundles), st.integers(0, 5))
def test_round_trip_from_units_through_a_feature(shape, batch):
    count = unit_count(shape)
    units = torch.arange(float(batch * count)).view(batch, count)
    feature = units_as(units, shape)
    assert shape_of(feature) == shape
    assert all(len(tensor) == batch for tensor in tensors_of(feature))
    assert torch.equal(as_units(feature), units)


@given(bundles, st.integers(1, 3))
def test_units_of_a_bundle_stand_one_tensor_after_the_other(shape, batch):
    feature = _feature(shape, batch)
    units = as_units(feature)
    at = 0
    for tensor in feature:
        width = tensor[0].numel()
        assert torch.equal(units[:, at : at + width], tensor.reshape(batch, -1))
        at += width
    assert at == unit_count(shape)


@given(st.one_of(shapes, bundles), st.integers(1, 4), st.integers(0, 3))
def test_item_of_a_batch_is_what_it_is_alone(shape, batch, item):
    item = min(item, batch - 1)
    feature = _feature(shape, batch)
    alone = tuple(tensor[item : item + 1] for tensor in tensors_of(feature))
    alone = alone if isinstance(feature, tuple) else alone[0]
    assert torch.equal(as_units(alone), as_units(feature)[item : item + 1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_units_are_in_single_precision(dtype):
    assert as_units(_feature((2, 3), 2, dtype)).dtype == torch.float32
    mixed = (torch.zeros(2, 3, dtype=dtype), torch.ones(2, 1))
    assert as_units(mixed).dtype == torch.float32


def test_units_of_a_view_that_is_not_contiguous():
    feature = torch.arange(24.0).view(2, 3, 4).transpose(1, 2)
    assert torch.equal(as_units(feature), feature.reshape(2, 12))
    assert torch.equal(units_as(as_units(feature), (4, 3)), feature)


def test_gradient_flows_through_units():
    units = torch.arange(10.0).view(1, 10).requires_grad_()
    first, second = units_as(units, ((2, 2), (6,)))
    (first.sum() + 2 * second.sum()).backward()
    assert torch.equal(units.grad, torch.tensor([[1.0] * 4 + [2.0] * 6]))


@given(st.one_of(shapes, bundles))
def test_shapes_one_a_tensor(shape):
    listed = tensor_shapes(shape)
    assert len(listed) == len(tensors_of(_feature(shape, 1)))
    assert all(isinstance(one, tuple) for one in listed)
    assert sum(torch.Size(one).numel() for one in listed) == unit_count(shape)


@pytest.mark.parametrize(
    ("shape", "text", "count"),
    [
        ((256, 8, 8), "256 × 8 × 8", 16384),
        ((5,), "5", 5),
        ((), "1", 1),
        (((256, 8, 8), (64,)), "256 × 8 × 8 + 64", 16448),
        (((3,),), "3", 3),
        (((), (2, 2)), "1 + 2 × 2", 5),
    ],
)
def test_shapes_as_people_write_them(shape, text, count):
    assert describe_shape(shape) == text
    assert unit_count(shape) == count


@pytest.mark.usefixtures("unchecked")
def test_lists_are_bundles_too():
    one, other = torch.zeros(2, 3), torch.ones(2, 4)
    assert tensors_of([one, other]) == (one, other)
    assert shape_of((one, other)) == ((3,), (4,))
    assert tensors_of(one) == (one,)


def test_bundle_of_one_is_not_a_tensor():
    feature = (torch.zeros(2, 3),)
    assert shape_of(feature) == ((3,),)
    assert isinstance(units_as(torch.zeros(2, 3), ((3,),)), tuple)
    assert isinstance(units_as(torch.zeros(2, 3), (3,)), torch.Tensor)


@pytest.mark.parametrize("wrong", [None, 1.0, "x", [1.0], (torch.zeros(1), None), {"a": 1}, set()])
def test_bad_input_feature(wrong):
    with pytest.raises(rp.InputError) as error:
        tensors_of(wrong)
    assert str(error.value) == (
        f"a feature is a tensor or a tuple of tensors, not {type(wrong).__name__}"
    )


@pytest.mark.parametrize("wrong", [(), []])
def test_bad_input_empty_bundle(wrong):
    with pytest.raises(rp.InputError) as error:
        tensors_of(wrong)
    assert (
        str(error.value)
        == f"a feature is a tensor or a tuple of tensors, not an empty {type(wrong).__name__}"
    )


def test_no_items_at_all_are_units_too():
    assert as_units(torch.zeros(0, 3, 4)).shape == (0, 12)
    assert as_units((torch.zeros(0, 3), torch.zeros(0, 2, 2))).shape == (0, 7)
