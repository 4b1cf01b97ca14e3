import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regional_primitives.scores.relations import (
    chain_levels,
    covering_pairs,
    strictly_contains,
)
from regional_primitives.show.hasse import lay_out


def diagram(sets, patches=5):
    fields = torch.zeros(len(sets), patches, dtype=torch.bool)
    for field, chosen in zip(fields, sets, strict=True):
        field[sorted(chosen)] = True
    contains = strictly_contains(fields)
    levels, pairs = chain_levels(contains).tolist(), covering_pairs(contains)
    return levels, pairs, lay_out(levels, pairs)


@given(st.lists(st.frozensets(st.integers(0, 4)), max_size=14))
@settings(max_examples=80, deadline=None)
def test_nodes_stand_apart_inside_the_frame_and_arrows_join_them(sets):
    levels, pairs, layout = diagram(sets)
    assert set(layout.places) == set(range(len(sets)))
    assert set(layout.routes) == set(pairs)
    assert set(layout.alone) == set(range(len(sets))) - {k for pair in pairs for k in pair}
    for x, y in layout.places.values():
        assert -1e-9 <= x <= layout.columns - 1 + 1e-9
        assert 0 <= y <= layout.rows - 1
    for one, other in itertools.combinations(layout.places.values(), 2):
        assert one[1] != other[1] or abs(one[0] - other[0]) > 1 - 1e-9
    for (larger, smaller), route in layout.routes.items():
        assert route[0] == layout.places[larger]
        assert route[-1] == layout.places[smaller]
        # One step a level, so that it meets the other nodes' rows at known places …
        assert [y for _, y in route] == list(range(levels[larger], levels[smaller] - 1, -1))
        for (x, y), place in itertools.product(route[1:-1], layout.places.values()):
            # … and there it keeps clear of them.
            assert y != place[1] or abs(x - place[0]) > 0.6


def test_levels_are_rows():
    _, _, layout = diagram([{0}, {0, 1}, {0, 1, 2}, {4}])
    assert [layout.places[k][1] for k in range(3)] == [0, 1, 2]
    assert layout.alone == [3]
    # A chain is a straight column, and who is alone stands to its right.
    assert len({layout.places[k][0] for k in range(3)}) == 1
    assert layout.places[3][0] > layout.places[0][0]
    assert (layout.columns, layout.rows) == (2, 3)


def test_crossings_that_can_be_avoided_are():
    # In the given order {1, 3} stands between two fields round {0}, and its arrow crosses one.
    sets = [{0}, {1}, {0, 2}, {1, 3}, {0, 4}, {0, 1, 2, 3, 4}]
    _, pairs, layout = diagram(sets)
    links = [(layout.places[k][0], layout.places[m][0]) for k, m in pairs if k < 5]
    assert len(links) == 3
    for (upper, lower), (other_upper, other_lower) in itertools.combinations(links, 2):
        assert (upper - other_upper) * (lower - other_lower) >= 0


@pytest.mark.parametrize("count", [0, 1, 16])
def test_unrelated_nodes_fill_a_block(count):
    layout = lay_out([0] * count, [])
    assert len(set(layout.places.values())) == count
    assert layout.columns * layout.rows >= count
    assert layout.rows <= max(layout.columns, 1)
