from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regional_primitives.errors import InputError
from regional_primitives.setfunctions import (
    MAX_DENSE_PATCHES,
    bitmask,
    bitmasks,
    membership,
    orders,
    patches_of,
)


def test_bit_i_is_patch_i():
    assert bitmask([]) == 0
    assert bitmask([0]) == 1
    assert bitmask([3, 1]) == 0b1010
    assert patches_of(0b1010) == (1, 3)
    assert patches_of(0) == ()


@given(st.sets(st.integers(0, 200)))
def test_patches_come_back_from_their_bitmask(patches):
    assert patches_of(bitmask(patches)) == tuple(sorted(patches))


def test_a_patch_named_twice_counts_once_and_integer_like_indices_count():
    assert bitmask([2, 2]) == 4
    assert bitmask(torch.tensor([0, 5])) == 33


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_membership_and_orders_agree_with_enumeration(n):
    rows, counts = membership(n), orders(n)
    assert rows.shape == (2**n, n)
    assert rows.dtype == torch.bool
    assert counts.shape == (2**n,)
    assert counts.dtype == torch.int64
    for size in range(n + 1):
        for subset in itertools.combinations(range(n), size):
            mask = sum(2**i for i in subset)
            assert rows[mask].nonzero().flatten().tolist() == list(subset)
            assert counts[mask] == size


def test_rows_give_back_their_bitmasks():
    assert bitmasks(membership(6)) == list(range(64))
    assert bitmasks(torch.zeros(0, 4, dtype=torch.bool)) == []


def test_rows_wider_than_a_machine_word():
    row = torch.zeros(1, 81, dtype=torch.bool)
    row[0, [0, 80]] = True
    assert bitmasks(row) == [2**80 + 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bitmask([1, -2]), "patch index -2 is not a whole number"),
        (lambda: bitmask([1.5]), "patch index 1.5 is not a whole number"),
        (lambda: bitmask([True, False]), "bitmasks takes bool rows"),
        (lambda: patches_of(-1), "bitmask -1 is negative"),
        (lambda: membership(MAX_DENSE_PATCHES + 1), "21 patches: .* from 0 to 20"),
        (lambda: membership(-1), "-1 patches"),
        (lambda: orders(36), "36 patches: .* from 0 to 20"),
        (lambda: bitmasks(torch.ones(2, 3)), r"\[rows, patches\], got torch.float32"),
        (lambda: bitmasks(torch.ones(3, dtype=torch.bool)), r"of shape \[3\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
