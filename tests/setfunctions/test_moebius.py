from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regional_primitives.errors import InputError
from regional_primitives.setfunctions import (
    and_harsanyi,
    and_values,
    moebius,
    or_harsanyi,
    or_values,
)

ALL = [and_harsanyi, and_values, or_harsanyi, or_values]
# A game of ten patches takes a while on a busy machine, which is no failure.
some = settings(deadline=None, max_examples=15)

PAIRS = [(and_harsanyi, and_values), (or_harsanyi, or_values)]


# The slow oracle: Python sets and the formulas as printed, no bitmask arithmetic, no recursion.


def subsets_of(patches):
    return [
        frozenset(c)
        for size in range(len(patches) + 1)
        for c in itertools.combinations(sorted(patches), size)
    ]


def row(subset):
    return sum(2**i for i in subset)


def by_enumeration(name, array):
    n = round(np.log2(len(array)))
    everything = frozenset(range(n))
    result = torch.zeros_like(array)
    for S in subsets_of(everything):
        if name == "and_harsanyi":
            total = sum((-1) ** (len(S) - len(L)) * array[row(L)] for L in subsets_of(S))
        elif name == "and_values":
            total = sum(array[row(T)] for T in subsets_of(S))
        elif name == "or_harsanyi" and S:
            total = -sum(
                (-1) ** (len(S) - len(L)) * array[row(everything - L)] for L in subsets_of(S)
            )
        elif name == "or_values":
            total = array[0] + sum(array[row(T)] for T in subsets_of(everything) if T & S)
        else:
            total = array[0]
        result[row(S)] = total
    return result


def random_game(n, *shape, seed=0, dtype=torch.float64):
    return torch.randn(2**n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def whole_game(n, *shape, seed=0, dtype=torch.float32):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(-9, 10, (2**n, *shape), generator=rng).to(dtype)


@st.composite
def games(draw, smallest=1):
    """A random vector-valued game of up to ten patches, and a generator to draw more from."""
    n = draw(st.integers(smallest, 10))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return n, torch.randn(2**n, 3, generator=rng, dtype=torch.float64), rng


@pytest.fixture(params=["one block", "many blocks", "accelerator"])
def blocks(request, monkeypatch):
    """Run a test as small inputs run, as large ones do (blocks of rows and bits), as on a GPU."""
    if request.param == "accelerator":
        monkeypatch.setattr(moebius, "_sweep_blocks", moebius._sweep_whole)
    if request.param == "many blocks":
        monkeypatch.setattr(moebius, "_BLOCK_BYTES", 128)
        monkeypatch.setattr(moebius, "_GROUP_BITS", 2)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("transform", ALL)
def test_equals_enumeration(transform, n):
    values = random_game(n, 3)
    expected = by_enumeration(transform.__name__, values)
    torch.testing.assert_close(transform(values), expected, rtol=0, atol=1e-11)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("transform", ALL)
def test_whole_numbers_come_out_exact_in_float32(transform):
    values = whole_game(7, 5)
    assert torch.equal(transform(values), by_enumeration(transform.__name__, values))


@pytest.mark.parametrize(("shape", "seed"), [((300, 350), 0), ((9, 1, 31), 1)])
@pytest.mark.parametrize("transform", ALL)
def test_blocks_of_the_real_size_agree_with_single_columns(transform, shape, seed):
    values = whole_game(5, *shape, seed=seed)
    result = transform(values)
    assert result.shape == values.shape
    column = values.flatten(1)[:, -2]
    assert torch.equal(result.flatten(1)[:, -2], by_enumeration(transform.__name__, column))


@pytest.mark.parametrize("transform", ALL)
def test_tall_and_narrow_arrays_agree_with_wide_ones(transform):
    # 2 ** 20 subsets exceed one block with a width of one; nesting 10 + 10 patches gives the
    # same numbers as a product game, whose AND transform is the product of the factors'.
    a, b = whole_game(10, seed=1, dtype=torch.float64), whole_game(10, seed=2, dtype=torch.float64)
    product = (b[:, None] * a[None, :]).flatten()
    if transform in (and_harsanyi, and_values):
        expected = (transform(b)[:, None] * transform(a)[None, :]).flatten()
    elif transform is or_harsanyi:
        expected = -(and_harsanyi(b.flip(0))[:, None] * and_harsanyi(a.flip(0))).flatten()
        expected[0] = product[0]
    else:
        missed = (and_values(b)[:, None] * and_values(a)).flatten().flip(0)
        expected = product[0] + missed[0] - missed
    assert torch.equal(transform(product), expected)


@pytest.mark.parametrize(("there", "back"), PAIRS)
@some
@given(game=games(smallest=0))
def test_round_trips(there, back, game):
    _, values, _ = game
    torch.testing.assert_close(back(there(values)), values, rtol=0, atol=1e-9)
    torch.testing.assert_close(there(back(values)), values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("transform", [and_harsanyi, or_harsanyi])
@some
@given(game=games(), data=st.data())
def test_dummy_patch_is_in_no_component(transform, game, data):
    n, values, _ = game
    patch = data.draw(st.integers(0, n - 1))
    masks = torch.arange(2**n)
    holding = masks >> patch & 1 == 1
    interactions = transform(values[masks & ~(1 << patch)])
    assert interactions[holding].abs().max() < 1e-9
    assert interactions[~holding].abs().max() > 1e-3
    assert transform(values)[holding].abs().max() > 1e-3


@pytest.mark.parametrize("transform", ALL)
@some
@given(game=games(smallest=2), data=st.data())
def test_interchangeable_patches_are_treated_alike(transform, game, data):
    n, values, _ = game
    i, j = data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True))
    masks = torch.arange(2**n)
    differ = (masks >> i ^ masks >> j) & 1
    swapped = masks ^ (differ << i) ^ (differ << j)
    result = transform(values + values[swapped])
    torch.testing.assert_close(result[swapped], result, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        transform(values[swapped]), transform(values)[swapped], rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("transform", ALL)
@some
@given(game=games(smallest=0))
def test_linear(transform, game):
    _, values, rng = game
    others = torch.randn(values.shape, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(
        transform(2.5 * values - others),
        2.5 * transform(values) - transform(others),
        rtol=0,
        atol=1e-9,
    )


@some
@given(game=games(), data=st.data())
def test_planted_or_components_are_recovered_exactly(game, data):
    n, _, rng = game
    planted = torch.zeros(2**n, 3)
    fields = data.draw(st.lists(st.integers(1, 2**n - 1), max_size=6, unique=True))
    planted[0] = torch.randint(-9, 10, (3,), generator=rng)
    values = planted[0].expand(2**n, 3).clone()
    for T in fields:
        planted[T] = torch.randint(1, 10, (3,), generator=rng)
        values[torch.arange(2**n) & T != 0] += planted[T]
    assert torch.equal(or_harsanyi(values), planted)
    assert torch.equal(or_values(planted), values)


@some
@given(game=games(), data=st.data())
def test_what_a_patch_shares_shows_when_nobody_asks_for_it(game, data):
    n, values, _ = game
    patch = data.draw(st.integers(0, n - 1))
    masks = torch.arange(2**n)
    without = masks[masks >> patch & 1 == 0]  # in order, they number the subsets of the others
    never_demanded = or_harsanyi(values[without])
    shared = never_demanded - or_harsanyi(values)[without]
    torch.testing.assert_close(
        or_harsanyi(values)[without | 1 << patch][1:], shared[1:], rtol=0, atol=1e-9
    )


@some
@given(game=games())
def test_or_is_the_and_transform_of_the_dual_game(game):
    _, values, _ = game
    freed = values[-1] - values.flip(0)
    for dual in (freed, -values.flip(0)):
        torch.testing.assert_close(
            or_harsanyi(values)[1:], and_harsanyi(dual)[1:], rtol=0, atol=1e-9
        )
    assert torch.equal(or_harsanyi(values)[0], values[0])


def test_the_three_patch_example_of_the_docstring():
    v = random_game(3)
    w = v[7] - v.flip(0)
    components = or_harsanyi(v)
    torch.testing.assert_close(components[0b001], w[0b001])
    torch.testing.assert_close(components[0b011], w[0b011] - w[0b001] - w[0b010])
    pairs = w[0b011] + w[0b101] + w[0b110]
    singles = w[0b001] + w[0b010] + w[0b100]
    torch.testing.assert_close(components[0b111], w[0b111] - pairs + singles)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 2, 2), (0,), (3, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transform", ALL)
def test_shape_and_dtype_stay_and_columns_are_independent(transform, dtype, shape):
    values = random_game(4, *shape, dtype=dtype)
    result = transform(values)
    assert result.shape == values.shape
    assert result.dtype == dtype
    columns = values.reshape(16, -1) if values.numel() else values.reshape(16, 0)
    for got, column in zip(result.reshape(columns.shape).unbind(1), columns.unbind(1), strict=True):
        assert torch.equal(got, transform(column))


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("transform", ALL)
def test_memory_layout_does_not_matter_and_the_input_is_untouched(transform):
    plain = random_game(6, 8, 3)
    expected = transform(plain)
    strided = torch.zeros(128, 8, 6, dtype=torch.float64)[::2, :, ::2].copy_(plain)
    turned = plain.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    for values in (plain, strided, turned):
        before = values.clone()
        result = transform(values)
        assert torch.equal(result, expected)
        assert torch.equal(values, before)
        result.zero_()
        assert torch.equal(values, before)
    one = plain[:1, 0].expand(64, 3)
    assert torch.equal(transform(one), transform(one.contiguous()))


@pytest.mark.parametrize("transform", ALL)
def test_a_lazily_negated_view_is_read_as_what_it_is(transform):
    pairs = torch.view_as_complex(random_game(4, 3, 2))
    values = pairs.conj().imag
    assert values.is_neg()
    assert torch.equal(transform(values), transform(-pairs.imag))


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("transform", [or_harsanyi, or_values])
def test_the_value_of_nothing_is_kept_to_the_last_bit(transform):
    values = random_game(6, 50, dtype=torch.float32)
    assert torch.equal(transform(values)[0], values[0])
    values[5] = float("nan")
    assert torch.equal(transform(values)[0], values[0])


@pytest.mark.parametrize("transform", ALL)
def test_one_subset_only(transform):
    values = torch.tensor([3.0])
    result = transform(values)
    assert torch.equal(result, values)
    assert result.data_ptr() != values.data_ptr()


@pytest.mark.parametrize("transform", ALL)
def test_float32_is_as_accurate_as_it_can_be(transform):
    values = random_game(10, 20)
    exact = transform(values)
    rough = transform(values.float()).double()
    # 1024 terms of size one at unit roundoff 6e-8: their errors add like a random walk.
    assert (rough - exact).abs().max() < 1024**0.5 * 6e-8 * exact.abs().max()


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("n", [0, 1, 2, 4])
@pytest.mark.parametrize("transform", ALL)
def test_gradients(transform, n):
    values = random_game(n, 2).requires_grad_()
    assert torch.autograd.gradcheck(transform, values, fast_mode=True)
    assert torch.autograd.gradgradcheck(transform, values, fast_mode=True)


@pytest.mark.parametrize("transform", ALL)
def test_gradients_come_through_layouts_and_broadcasts(transform):
    values = random_game(3, 4, 2).requires_grad_()
    weights = random_game(3, 2, 4, seed=1)
    (transform(values.transpose(1, 2)) * weights).sum().backward()
    (transform(values).sum()).backward()  # its gradient arrives expanded, with stride zero
    expected = torch.func.grad(
        lambda v: (
            (dense(transform, 3) @ v.transpose(1, 2).flatten(1) * weights.flatten(1)).sum()
            + (dense(transform, 3) @ v.flatten(1)).sum()
        )
    )(values.detach())
    torch.testing.assert_close(values.grad, expected)


def dense(transform, n):
    return by_enumeration(transform.__name__, torch.eye(2**n, dtype=torch.float64))


@pytest.mark.parametrize("transform", ALL)
def test_what_is_not_finite_propagates(transform):
    values = random_game(4)
    values[0b0101] = float("nan")
    affected = by_enumeration(transform.__name__, values).isnan()
    assert transform(values)[affected].isnan().all()
    if transform in (and_harsanyi, and_values):
        assert not transform(values)[~affected].isnan().any()


@pytest.mark.usefixtures("blocks")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("transform", ALL)
def test_infinity_makes_no_noise(transform):
    values = random_game(6)
    values[3:20] = float("inf")
    assert not transform(values).isfinite().all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], "has to be a torch tensor .* got list; torch.as_tensor"),
        (np.ones(4, dtype=np.float32), "got ndarray"),
        (torch.ones(4, dtype=torch.int64), r"got torch.int64; convert it with .float\(\)"),
        (torch.ones(4, dtype=torch.float16), "float32 or float64, got torch.float16"),
        (torch.ones(4, dtype=torch.bfloat16), "got torch.bfloat16"),
        (torch.ones(4, dtype=torch.complex64), "got torch.complex64"),
        (torch.ones(4, dtype=torch.bool), "got torch.bool"),
        (torch.ones(3), r"2\*\*n values along its first axis, got shape \[3\]"),
        (torch.ones(6, 4), r"got shape \[6, 4\]"),
        (torch.ones(0), r"got shape \[0\]"),
        (torch.ones(0, 2), r"got shape \[0, 2\]"),
        (torch.tensor(1.0), r"got shape \[\]"),
    ],
)
@pytest.mark.parametrize("transform", ALL)
def test_bad_input_is_named(transform, values, message):
    with pytest.raises(InputError, match=message):
        transform(values)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_agrees_with_shapiq(n):
    shapiq = pytest.importorskip("shapiq")
    values = random_game(n, seed=n)
    array = values.numpy()
    bits = 2 ** np.arange(n)

    def moebius_by_shapiq(game):
        found = shapiq.ExactComputer(game, n)("Moebius")
        peer = torch.zeros(2**n, dtype=torch.float64)
        for players, position in found.interaction_lookup.items():
            peer[row(players)] = found.values[position]
        return peer

    peer_and = moebius_by_shapiq(lambda coalitions: array[coalitions @ bits])
    torch.testing.assert_close(and_harsanyi(values), peer_and, rtol=0, atol=1e-11)
    # shapiq has no OR transform; the dual game v(N) − v(N∖S) turns it into an AND.
    peer_or = moebius_by_shapiq(lambda coalitions: array[-1] - array[~coalitions @ bits])
    torch.testing.assert_close(or_harsanyi(values)[1:], peer_or[1:], rtol=0, atol=1e-11)
