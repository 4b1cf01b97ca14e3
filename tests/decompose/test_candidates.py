import itertools

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.structured.candidates import Layout, _grown, candidate_fields


def test_layouts_put_the_channels_of_a_place_together():
    feature = torch.arange(2 * 3 * 4 * 5).view(2, 3 * 4 * 5).float()
    layout = Layout((3, 4, 5))
    by_site = layout.by_site(feature)
    assert (layout.sites, layout.channels) == (20, 3)
    assert torch.equal(by_site[0, 7], feature[0].view(3, 20)[:, 7])
    assert torch.equal(layout.flat(by_site), feature)


def test_tokens_are_sites_and_vectors_are_one_site():
    tokens, vector = Layout((7, 5)), Layout((11,))
    assert (tokens.sites, tokens.channels) == (7, 5)
    assert (vector.sites, vector.channels) == (1, 11)
    units = torch.randn(2, 35)
    assert torch.equal(tokens.by_site(units)[1, 3], units[1, 15:20])
    assert torch.equal(tokens.flat(tokens.by_site(units)), units)


@pytest.mark.parametrize("shape", [(3, 4, 5), (7, 5), (11,)])
def test_sites_come_first_and_go_back(shape):
    layout = Layout(shape, start=4)
    units = torch.randn(2, 4 + layout.units + 3)
    first = layout.sites_first(units)
    assert torch.equal(first, layout.by_site(units).transpose(0, 1))
    assert torch.equal(layout.flat_of_sites(first), units[:, 4 : 4 + layout.units])


def test_a_site_gets_exactly_the_rectangles_within_its_reach():
    regions = rp.Regions.grid(3, 3)
    influence = torch.zeros(9, 2)
    influence[[0, 1, 3, 4], 0] = 1.0  # the top left 2 × 2 cells: 9 rectangles
    influence[8, 1] = 1.0  # one corner: 1 rectangle
    found = candidate_fields(regions, influence, threshold=1e-3, most=99)
    assert found.valid.sum(1).tolist() == [9, 1]
    reach = influence.T > 0
    for site in range(2):
        fields = found.fields[found.index[site][found.valid[site]]]
        assert not (fields & ~reach[site]).any()
        assert len({row.numpy().tobytes() for row in fields}) == len(fields)


def test_a_tiny_share_of_influence_is_not_reach():
    influence = torch.tensor([[1.0], [1e-5]])
    found = candidate_fields(rp.Regions.grid(1, 2), influence, threshold=1e-3, most=99)
    assert found.fields[found.index[0][found.valid[0]]].tolist() == [[True, False]]


def test_a_dead_site_may_serve_any_patch():
    found = candidate_fields(rp.Regions.grid(2, 2), torch.zeros(4, 1), threshold=1e-3, most=99)
    assert found.valid.sum() == 9


def test_the_limit_keeps_the_fields_that_hold_most_influence():
    influence = torch.full((16, 1), 0.01)
    influence[[5, 6], 0] = 1.0
    found = candidate_fields(rp.Regions.grid(4, 4), influence, threshold=1e-4, most=5)
    fields = found.fields[found.index[0][found.valid[0]]]
    assert len(fields) == 5
    assert fields[:, [5, 6]].all()


def test_fields_on_a_label_map_are_connected_and_within_reach():
    labels = torch.arange(6).view(2, 3).repeat_interleave(2, 0).repeat_interleave(2, 1)
    regions = rp.Regions.from_labels(labels)
    influence = torch.tensor([[4.0], [2.0], [0.0], [1.0], [0.5], [0.0]])
    found = candidate_fields(regions, influence, threshold=1e-3, most=99)
    fields = found.fields[found.index[0][found.valid[0]]]
    assert not fields[:, [2, 5]].any()
    neighbours = regions.neighbours()
    for row in fields:
        grown = torch.zeros(6, dtype=torch.bool)
        grown[int(row.nonzero()[0])] = True
        for _ in range(6):
            grown |= neighbours[grown].any(0) & row
        assert torch.equal(grown, row)
    whole = torch.tensor([True, True, False, True, True, False])
    assert (fields == whole).all(1).any()


def test_regions_that_do_not_touch_can_be_one_field():
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[0, :2], masks[1, 3:5], masks[2, 6:] = True, True, True
    regions = rp.Regions.from_masks(masks)
    assert not regions.neighbours().any()
    found = candidate_fields(regions, torch.tensor([[1.0], [3.0], [2.0]]), 1e-3, 99)
    fields = {tuple(row.nonzero().flatten().tolist()) for row in found.fields}
    assert fields == {(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)}


@pytest.mark.parametrize("price", [0, 3, 40, 10**6])
def test_sites_with_about_as_many_candidates_go_together_at_the_least_price(price):
    generator = torch.Generator().manual_seed(0)
    influence = torch.rand(16, 40, generator=generator) ** 12  # reaches of all sizes
    found = candidate_fields(rp.Regions.grid(4, 4), influence, threshold=1e-2, most=20)
    groups = found.alike(price)
    places = torch.cat([places for places, _ in groups])
    assert places.sort().values.tolist() == list(range(40))
    for places, some in groups:
        assert torch.equal(some.index[some.valid], found.index[places][found.valid[places]])
        assert int(some.valid.sum(1).max()) == some.index.shape[1]
    paid = sum(price + some.index.numel() for _, some in groups)
    counts = found.valid.sum(1)
    sizes = counts.unique().tolist()
    assert 4 < len(sizes) < 15
    # Every way to cut the ascending sizes into groups, as a set of places after which one ends.
    ways = itertools.chain.from_iterable(
        itertools.combinations(sizes[:-1], ends) for ends in range(len(sizes))
    )
    prices = []
    for ends in ways:
        tops = torch.tensor([*ends, sizes[-1]])
        prices.append(len(tops) * price + int(tops[torch.searchsorted(tops, counts)].sum()))
    assert paid == min(prices)


def _grown_one_by_one(reach, share, neighbours):
    found = set()
    for seed in reach.nonzero().flatten().tolist():
        row = {seed}
        while True:
            found.add(frozenset(row))
            beside = {
                patch
                for patch in reach.nonzero().flatten().tolist()
                if patch not in row and any(neighbours[patch, other] for other in row)
            }
            if not beside:  # the island is full: on with the strongest elsewhere
                beside = set(reach.nonzero().flatten().tolist()) - row
            if not beside:
                break
            row.add(max(sorted(beside), key=lambda patch: float(share[patch])))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_fields_that_grow_together_are_those_that_grow_one_by_one(seed):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(30).view(5, 6)
    neighbours = rp.Regions.from_labels(labels).neighbours()
    reach = torch.rand(30, generator=rng) < 0.5
    share = torch.rand(30, generator=rng)
    rows = _grown(reach, share, neighbours)
    fields = [frozenset(row.nonzero().flatten().tolist()) for row in rows]
    assert len(set(fields)) == len(fields)
    assert set(fields) == _grown_one_by_one(reach, share, neighbours)
