import json
import math

import pytest
import torch

import regional_primitives as rp
from regional_primitives.compare.across import AcrossPictures
from regional_primitives.scores import sparsity
from regional_primitives.scores.components import counted_components, energy_mean
from regional_primitives.scores.measured import listed
from regional_primitives.scores.spread import Spread, spreads


def test_the_summary_is_the_spread_over_pictures(truth, other_truth):
    results = [sparsity(truth), sparsity(other_truth)]
    several = AcrossPictures.of(results)
    assert several.results == tuple(results)
    n50 = [float(result.n50) for result in results]
    assert several.summary["n50"] == Spread.over(n50)
    told = json.loads(json.dumps(several.to_dict(), allow_nan=False))
    assert told["summary"]["n50"]["mean"] == pytest.approx(sum(n50) / 2)
    assert [picture["n50"] for picture in told["pictures"]] == n50


def test_what_one_picture_lacks_is_averaged_over_the_others():
    found = spreads([{"a": 1.0, "b": 4.0}, {"a": 3.0}])
    assert found["a"] == Spread.over([1.0, 3.0])
    assert found["b"] == Spread.over([4.0])


def test_nothing_cannot_be_averaged():
    with pytest.raises(rp.InputError, match="at least one"):
        AcrossPictures.of([])


def test_json_has_null_for_what_is_no_number():
    assert listed(torch.tensor([[1.0, math.nan], [math.inf, 2.0]])) == [[1.0, None], [None, 2.0]]
    assert listed((1, 2)) == [1, 2]


def test_selected_components_are_the_same_vectors_and_fields(result):
    chosen = [5, 0, 3]
    few = result.select(chosen)
    assert few.count == 3
    for place, k in enumerate(chosen):
        assert torch.equal(few.component(place), result.component(k))
        assert torch.equal(few.action_fields[place], result.action_fields[k])
        assert few.strengths[place] == result.strengths[k]
    assert result.select([]).count == 0


def test_without_a_remainder_all_components_count(truth):
    assert counted_components(truth) == list(range(10))


def test_the_energy_mean_knows_numbers_only():
    values = torch.tensor([1.0, math.nan, 4.0])
    assert energy_mean(values, torch.tensor([1.0, 100.0, 2.0])) == pytest.approx(3.0)
    assert energy_mean(torch.full((2,), math.nan), torch.ones(2)) is None


def test_patches_are_the_same_only_if_every_pixel_is():
    labels = torch.tensor([[0, 0, 1], [2, 2, 1]])
    moved = torch.tensor([[0, 1, 1], [2, 2, 1]])
    assert rp.Regions.grid(2, 3) == rp.Regions.grid(2, 3)
    assert rp.Regions.grid(2, 3) != rp.Regions.grid(3, 2)
    assert rp.Regions.from_labels(labels) == rp.Regions.from_labels(labels.clone())
    assert rp.Regions.from_labels(labels) != rp.Regions.from_labels(moved)
    assert rp.Regions.from_labels(labels) != rp.Regions.grid(3, 1)
