import itertools
import json
from collections import Counter
from dataclasses import replace
from math import comb

import pytest
import torch

import regional_primitives as rp
from regional_primitives.compare.transfer import transfer


def transfer_share(first, second, a, b):
    known = {tuple(row) for row in second[:b].tolist()}
    return sum(tuple(row) in known for row in first[:a].tolist()) / a


def reordered(decomposition, seed):
    order = torch.randperm(decomposition.count, generator=torch.Generator().manual_seed(seed))
    return decomposition.select(order.tolist())


def test_one_picture_transfers_wholly_to_itself(truth):
    found = transfer([truth, truth], a=3, b=3, draws=2)
    assert found.summary["transfer"].mean == 1.0
    assert found.found.curves.tolist() == [[1.0] * 10] * 2


def test_shares_and_curves_against_a_slow_reading(result):
    several = [reordered(result, seed) for seed in range(3)]
    found = transfer(several, a=4, b=9, draws=1)
    for i, j in itertools.permutations(range(3), 2):
        first, second = ({tuple(r.tolist()) for r in several[p].action_fields[:c]}
                         for p, c in ((i, 4), (j, 9)))  # fmt: skip
        assert float(found.found.strongest[i, j]) == pytest.approx(len(first & second) / 4)
        share = transfer_share(several[i].action_fields, several[j].action_fields, 4, 9)
        assert share == pytest.approx(len(first & second) / 4)
    for i, a in itertools.product(range(3), (1, 2, 5, result.count)):
        others = [
            transfer_share(several[i].action_fields, several[j].action_fields, a, a)
            for j in range(3)
            if j != i
        ]
        assert float(found.found.curves[i, a - 1]) == pytest.approx(sum(others) / 2, abs=1e-5)
    assert found.found.strongest.isnan().tolist() == torch.eye(3).bool().tolist()


def test_random_fields_meet_as_often_as_chance_says(result):
    # At a = b = K every field counts, and drawing without repetition gives hypergeometric means.
    count = result.count
    found = transfer([result, reordered(result, 1)], a=count, b=count, draws=15)
    sizes = Counter(result.action_fields.sum(1).tolist())
    rectangles = Counter(result.regions.rectangles().sum(1).tolist())
    expected = {
        "transfer_connected_fields": sum(n * n / rectangles[s] for s, n in sizes.items()) / count,
        "transfer_random_subsets": sum(n * n / comb(16, s) for s, n in sizes.items()) / count,
    }
    for name, share in expected.items():
        assert found.summary[name].mean == pytest.approx(share, abs=0.03)


def test_more_than_all_components_is_all_of_them(truth, other_truth):
    found = transfer([truth, other_truth], draws=1)
    assert (found.a, found.b) == (10, 10)
    assert found.summary["transfer"].mean == 1.0


def test_a_field_that_one_picture_lacks_is_not_common(truth):
    found = transfer([truth.without(0), truth.without(1)], a=9, b=9, draws=1)
    # Eight fields of nine are common: each side lacks one of the other's.
    assert found.summary["transfer"].mean == pytest.approx(8 / 9)


def test_regions_of_a_label_map_transfer_if_they_are_the_same(truth):
    labels = truth.regions.label_map(32, 32)
    mapped = replace(truth, regions=rp.Regions.from_labels(labels))
    found = transfer([mapped, mapped], a=5, b=5, draws=2)
    assert found.summary["transfer"].mean == 1.0
    turned = replace(truth, regions=rp.Regions.from_labels(labels.T.contiguous()))
    with pytest.raises(rp.InputError, match=r"of 16 regions and label map.*label maps must be"):
        transfer([mapped, turned])
    with pytest.raises(rp.InputError, match="4 × 4 grid and label map of 16 regions"):
        transfer([truth, mapped])


def test_it_can_be_told_in_json(truth, other_truth):
    told = json.loads(
        json.dumps(transfer([truth, other_truth], draws=1).to_dict(), allow_nan=False)
    )
    assert told["paper_share"] == [0.76, 0.88]
    assert told["found"]["strongest"][0][0] is None
    assert told["summary"]["transfer"]["pictures"] == 2


def test_bad_input(truth):
    with pytest.raises(rp.InputError, match="at least two pictures; got 1"):
        transfer([truth])
    with pytest.raises(rp.InputError, match="draws must be a whole number of at least 1"):
        transfer([truth, truth], draws=0)
