from __future__ import annotations

import itertools

import pytest
import torch

from regional_primitives.errors import InputError
from regional_primitives.setfunctions import MAX_DENSE_PATCHES, membership, orders


def test_bit_i_is_patch_i():
    assert membership(4)[0b1010].tolist() == [False, True, False, True]


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: membership(MAX_DENSE_PATCHES + 1), "21 patches: .* from 0 to 20"),
        (lambda: membership(-1), "-1 patches"),
        (lambda: orders(36), "36 patches: .* from 0 to 20"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
