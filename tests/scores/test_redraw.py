import json
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import redraw
from regional_primitives.scores.redraw import restricted

Q = [1, 5, 6, 9]


def test_restriction_is_the_or_transform_of_the_demands_within(saturated):
    # u(S) for all S ⊆ Q, transformed, must give the very components.
    n = len(Q)
    demands = torch.zeros(2**n, 16, dtype=torch.bool)
    for code in range(2**n):
        demands[code, [Q[i] for i in range(n) if code >> i & 1]] = True
    expected = rp.or_harsanyi(saturated.minimal_units(demands).double())
    fields, vectors = restricted(saturated, Q)
    codes = (fields.long() * (2 ** torch.arange(n))).sum(1)
    found = torch.zeros(2**n, saturated.unit_count, dtype=torch.float64)
    found[codes] = vectors.double()
    assert torch.allclose(found[1:], expected[1:], atol=1e-4)
    assert len(fields.unique(dim=0)) == len(fields)


def test_the_same_decomposition_is_the_same(saturating, saturated):
    found = redraw(saturated, saturated, [0, *Q], [*Q, 15])
    assert found.common == tuple(Q)
    assert found.found.overlap == pytest.approx(1.0)
    assert found.found.cosine == pytest.approx(1.0, abs=1e-5)
    assert found.found.common_fields == found.found.fields
    assert found.shuffled.overlap < 0.9
    assert found.shuffled.cosine < 0.9


def test_likeness_by_hand(truth):
    # All components halved but for one, which turns round: overlap ½, cosine of energies' shares.
    factor = torch.full((10,), 0.5)
    factor[2] = -0.5
    scaled = replace(
        truth,
        values=truth.values * factor.repeat_interleave(truth.offsets.diff()),
        strengths=truth.strengths / 2,
    )
    chosen = list(range(16))
    found = redraw(truth, scaled, chosen, chosen)
    energy = truth.strengths.double().square()
    assert found.found.overlap == pytest.approx(0.5, rel=1e-5)
    turned = float(energy[2] / energy.sum())
    assert found.found.cosine == pytest.approx(1 - 2 * turned, rel=1e-4)


def test_a_field_that_one_side_lacks_counts_as_nothing(truth):
    chosen = list(range(16))
    less = truth.select(list(range(1, 10)))
    found = redraw(truth, less, chosen, chosen).found
    energy, strength = truth.strengths.double().square(), truth.strengths.double()
    # Common fields weigh twice, since both sides bring their energy.
    both = 2 * energy[1:].sum()
    assert found.cosine == pytest.approx(float(both / (both + energy[0])), rel=1e-4)
    assert found.overlap == pytest.approx(float(strength[1:].sum() / strength.sum()), rel=1e-4)
    assert (found.common_fields, found.fields) == (9, 10)


def test_one_common_patch_cannot_be_shuffled(truth):
    found = redraw(truth, truth, [0, 3], [3, 9])
    assert found.common == (3,)
    assert found.shuffled is None
    assert "shuffled_overlap" not in found.numbers()


def test_it_can_be_told_in_json(truth):
    told = json.loads(json.dumps(redraw(truth, truth, Q, Q).to_dict(), allow_nan=False))
    assert told["common"] == Q


def test_bad_input(truth, other_picture):
    with pytest.raises(rp.InputError, match=r"\[0, 1\] and \[2\] have no patch in common"):
        redraw(truth, truth, [1, 0], [2])
    with pytest.raises(rp.InputError, match=r"two decompositions of one picture.*differ by"):
        redraw(truth, other_picture, Q, Q)
    with pytest.raises(rp.InputError, match="patches differ: 4 × 4 grid and 2 × 8 grid"):
        redraw(truth, replace(truth, regions=rp.Regions.grid(2, 8)), Q, Q)
    with pytest.raises(rp.InputError, match="patch 16 does not exist"):
        redraw(truth, truth, [16], Q)
