from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regional_primitives as rp
from regional_primitives.runtime.streams import stream
from regional_primitives.scores.random_fields import grow, random_connected, random_subsets


def is_connected(row, neighbours):
    inside = set(row.nonzero().flatten().tolist())
    reached, fresh = set(), {min(inside)}
    while fresh:
        reached |= fresh
        near = {j for i in fresh for j in neighbours[i].nonzero().flatten().tolist()}
        fresh = (near & inside) - reached
    return reached == inside


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(0, 99), st.booleans())
def test_sizes_are_kept_and_fields_are_connected(sizes, seed, rectangles):
    regions = rp.Regions.grid(3, 4)
    wanted, everything = torch.tensor(sizes), torch.ones(12, dtype=torch.bool)
    rng = stream(seed)
    connected = random_connected(wanted, everything, regions, rng, rectangles=rectangles)
    subsets = random_subsets(wanted, everything, rng)
    assert connected.sum(1).tolist() == subsets.sum(1).tolist() == sizes
    assert all(is_connected(row, regions.neighbours()) for row in connected)


def test_fields_stay_within_the_patches():
    regions = rp.Regions.grid(4, 4)
    patches = regions.demand([0, 1, 4, 5, 10, 15])
    sizes = torch.tensor([1, 2, 2, 3, 4, 6])
    for rectangles in (True, False):
        fields = random_connected(sizes, patches, regions, stream(1), rectangles=rectangles)
        assert not bool((fields & ~patches).any())
        assert fields.sum(1).tolist() == sizes.tolist()
    assert not bool((random_subsets(sizes, patches, stream(1)) & ~patches).any())


@pytest.mark.parametrize("size", [1, 2, 15])
def test_no_field_is_drawn_twice_while_others_are_left(size):
    everything = torch.ones(16, dtype=torch.bool)
    sizes = torch.full((comb(16, 1),), size)
    assert len(random_subsets(sizes, everything, stream(0)).unique(dim=0)) == 16
    regions = rp.Regions.grid(4, 4)
    connected = random_connected(sizes, everything, regions, stream(0), rectangles=False)
    assert len(connected.unique(dim=0)) == 16


def test_rectangles_are_drawn_first_and_grown_fields_after():
    regions = rp.Regions.grid(2, 2)
    everything = torch.ones(4, dtype=torch.bool)
    # There are 4 rectangles of 2 patches and none of 3.
    sizes = torch.tensor([2, 2, 2, 2, 3])
    fields = random_connected(sizes, everything, regions, stream(3), rectangles=True)
    known = {tuple(row.tolist()) for row in regions.rectangles()}
    assert {tuple(row.tolist()) for row in fields[:4]} <= known
    assert len(fields[:4].unique(dim=0)) == 4
    assert int(fields[4].sum()) == 3


def test_growth_goes_on_where_no_neighbour_is_left():
    regions = rp.Regions.grid(1, 5)
    patches = regions.demand([0, 2, 4])
    row = grow(3, patches, regions.neighbours(), stream(0))
    assert torch.equal(row, patches)


def test_the_same_stream_gives_the_same_fields():
    sizes, everything = torch.tensor([1, 3, 5]), torch.ones(9, dtype=torch.bool)
    one, same = (random_subsets(sizes, everything, stream(7)) for _ in range(2))
    assert torch.equal(one, same)
