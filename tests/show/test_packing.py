import math

import pytest
import torch
from reading import unpack

from regional_primitives.show.packing import pack, quantum_of


@pytest.mark.parametrize("image_range", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
def test_what_is_unpacked_is_at_most_half_a_quantum_off(image_range):
    low, high = image_range
    change = (high - low) * (
        torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(1)) * 2 - 1
    )
    quantum = quantum_of(image_range, [change])
    assert quantum == pytest.approx((high - low) / 255 / 16)
    back = unpack(pack(change, quantum), (3, 7, 5), quantum)
    assert float((back - change).abs().max()) <= quantum / 2 * (1 + 1e-4)
    assert not torch.equal(back, change)


def test_a_sum_is_off_by_half_a_quantum_a_term_at_most():
    changes = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    quantum = quantum_of((-1.0, 1.0), [changes])
    total = sum(unpack(pack(change, quantum), (3, 8, 8), quantum) for change in changes)
    assert float((total - changes.sum(0)).abs().max()) <= 40 * quantum / 2 + 1e-5


def test_changes_far_beyond_the_image_range_get_a_coarser_quantum():
    change = torch.tensor([-5000.0, 1.0, 5000.0])
    quantum = quantum_of((-1.0, 1.0), [change])
    assert quantum == pytest.approx(5000 / 32767)
    assert float((unpack(pack(change, quantum), (3,), quantum) - change).abs().max()) <= quantum / 2


def test_whole_numbers_survive_as_they_are():
    numbers = torch.tensor([[-1.0, 0.0, 255.0], [256.0, 300.0, 32767.0]])
    assert torch.equal(unpack(pack(numbers, 1.0), (2, 3), 1.0), numbers)


def test_what_is_not_a_number_becomes_no_change():
    change = torch.tensor([math.nan, 0.5])
    quantum = quantum_of((-1.0, 1.0), [change])
    assert unpack(pack(change, quantum), (2,), quantum)[0] == 0


def test_small_changes_take_little_room():
    field = torch.zeros(3, 64, 64)
    field[:, 8:24, 8:24] = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(3))
    assert len(pack(field, quantum_of((-1.0, 1.0), [field]))) < 4 * 3 * 16 * 16
