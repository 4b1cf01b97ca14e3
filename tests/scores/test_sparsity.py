import json

import pytest

from regional_primitives.scores import sparsity


def test_counts_are_those_of_evaluate(result, scores):
    found = sparsity(result)
    assert (found.n50, found.n90, found.n95) == (scores.n50, scores.n90, scores.n95)
    assert found.orders == pytest.approx(scores.field_sizes)
    assert found.numbers()["components"] == result.count


def test_strengths_and_near_zero_shares_by_hand(result):
    found = sparsity(result)
    strengths = result.strengths.tolist()
    assert found.strengths.tolist() == pytest.approx([s / strengths[0] for s in strengths])
    for limit in (0.01, 0.05):
        under = sum(strength < limit * strengths[0] for strength in strengths)
        assert found.under[limit] == pytest.approx(under / len(strengths))


def test_the_mean_order_by_hand(truth):
    energy = (truth.strengths.double() ** 2).tolist()
    sizes = truth.action_fields.sum(1).tolist()
    expected = sum(e * s for e, s in zip(energy, sizes, strict=True)) / sum(energy)
    assert sparsity(truth).numbers()["mean_order"] == pytest.approx(expected)


def test_the_remainder_does_not_count(exact):
    found = sparsity(exact)
    assert found.to_dict() == sparsity(exact.without(exact.remainder)).to_dict()
    assert found.patches == 4


def test_it_can_be_told_in_json(truth):
    told = json.loads(json.dumps(sparsity(truth).to_dict(), allow_nan=False))
    assert len(told["strengths"]) == 10
    assert sum(told["orders"].values()) == pytest.approx(1.0)
