import itertools
import json
import math
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.compare.transfer import transfer


@pytest.fixture(scope="module")
def fitted(saturating):
    """Three real fits of different pictures, whose fields are partly the same."""
    settings = rp.Structured(steps=15, batch=8, probes=2, baseline_count=64)
    regions = rp.Regions.grid(4, 4)
    return [
        rp.explain(saturating, saturating.sample_latents(1, seed=seed), regions, settings,
                   picture_seed=seed)
        for seed in (3, 4, 5)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def found(fitted):
    return rp.compare(fitted, a=5, b=12, draws=3)


def patch_sets(decomposition, count=None):
    rows = decomposition.action_fields[:count]
    return [frozenset(row.nonzero().flatten().tolist()) for row in rows]


def test_planted_pictures_share_what_was_planted(truth, other_truth):
    found = rp.compare([truth, other_truth], draws=2)
    (pair,) = found.pairs
    assert found.transfer[0, 1] == found.transfer[1, 0] == pair.transfer == 1.0
    assert len(pair.shared) == truth.count == 10
    assert {frozenset(field.patches) for field in pair.shared} == set(patch_sets(truth))
    # Planted components change the same units in every picture, by amounts that differ.
    assert all(field.likeness.unit_overlap == 1.0 for field in pair.shared)
    assert all(field.likeness.cosine != 0 for field in pair.shared)
    assert found.names == ("picture 1", "picture 2")


def test_different_questions_are_told(fitted, saturating):
    assert rp.compare(fitted, draws=1).remark == ""
    settings = rp.Structured(purpose="isolate", steps=2, probes=1, baseline_count=64)
    other = rp.explain(saturating, fitted[0].latents, fitted[0].regions, settings)
    found = rp.compare([fitted[0], other], names=["one", "other"], draws=1)
    assert found.remark.endswith("(one: generate, other: isolate)")
    assert [p["purpose"] for p in found.to_dict()["pictures"]] == ["generate", "isolate"]


def test_a_picture_shares_everything_with_itself(fitted):
    found = rp.compare([fitted[0], fitted[0]], draws=1)
    (pair,) = found.pairs
    assert pair.strength_overlap == pytest.approx(1.0)
    assert pair.curve.tolist() == [1.0] * fitted[0].count
    assert [field.ranks for field in pair.shared] == [
        (rank, rank) for rank in range(1, fitted[0].count + 1)
    ]
    assert pair.cosine == pytest.approx(1.0)
    assert pair.departure_cosine == pytest.approx(1.0)
    assert pair.unit_overlap == 1.0
    assert abs(pair.other_cosine) < 1


def test_pairs_against_a_slow_reading(fitted, found):
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    for pair in found.pairs:
        one, other = fitted[pair.first], fitted[pair.second]
        there = len(set(patch_sets(one, 5)) & set(patch_sets(other, 12))) / 5
        back = len(set(patch_sets(other, 5)) & set(patch_sets(one, 12))) / 5
        assert (pair.transfer_there, pair.transfer_back) == pytest.approx((there, back))
        assert pair.transfer == pytest.approx((there + back) / 2)
        for a in (1, 3, len(pair.curve)):
            both = set(patch_sets(one, a)) & set(patch_sets(other, a))
            assert float(pair.curve[a - 1]) == pytest.approx(len(both) / a)
        shares = [
            dict(zip(patch_sets(d), (d.strengths / d.strengths.sum()).tolist(), strict=True))
            for d in (one, other)
        ]
        fields = shares[0].keys() | shares[1].keys()
        pairs = [[share.get(field, 0.0) for share in shares] for field in fields]
        expected = sum(map(min, pairs)) / sum(map(max, pairs))
        assert pair.strength_overlap == pytest.approx(expected, rel=1e-5)
        assert 0 < pair.strength_overlap < 1
        departures = [(d.feature - d.baseline).flatten() for d in (one, other)]
        whole = float(torch.cosine_similarity(*departures, dim=0))
        assert pair.departure_cosine == pytest.approx(whole, abs=1e-5)


def test_shared_fields_against_dense_components(fitted, found):
    for pair in found.pairs:
        one, other = fitted[pair.first], fitted[pair.second]
        assert len(pair.shared) == len(set(patch_sets(one)) & set(patch_sets(other)))
        weaker = [min(field.strength_shares) for field in pair.shared]
        assert weaker == sorted(weaker, reverse=True)
        cosines = []
        for field in pair.shared:
            k, m = field.components
            assert patch_sets(one)[k] == patch_sets(other)[m] == set(field.patches)
            assert field.ranks == (k + 1, m + 1)
            assert field.strengths == (float(one.strengths[k]), float(other.strengths[m]))
            mine, theirs = (d.component(c).flatten() for d, c in ((one, k), (other, m)))
            cosines.append(float(torch.cosine_similarity(mine, theirs, dim=0)))
            assert field.likeness.cosine == pytest.approx(cosines[-1], abs=1e-5)
            either = int(((mine != 0) | (theirs != 0)).sum())
            both = int(((mine != 0) & (theirs != 0)).sum())
            assert field.likeness.unit_overlap == pytest.approx(both / either)
            # The nearest other field: the largest IoU below 1, of several the strongest.
            overlaps = [
                len(patches & set(field.patches)) / len(patches | set(field.patches))
                for patches in patch_sets(other)
            ]
            overlaps[m] = 0.0
            near = overlaps.index(max(overlaps))
            beside = torch.cosine_similarity(mine, other.component(near).flatten(), dim=0)
            assert field.likeness.other_cosine == pytest.approx(float(beside), abs=1e-5)
        mean = sum(c * w for c, w in zip(cosines, weaker, strict=True)) / sum(weaker)
        assert pair.cosine == pytest.approx(mean, abs=1e-5)


def test_random_fields_and_transfer_are_those_of_the_paper_s_experiment(fitted, found):
    other = transfer(fitted, a=5, b=12, draws=3)
    for name in ("transfer", "transfer_connected_fields", "transfer_random_subsets"):
        # Both ways in one, one way in the other: the mean over all pictures is the same.
        assert found.summary[name].mean == pytest.approx(other.summary[name].mean)
    curves = torch.stack([pair.curve for pair in found.pairs]).mean(0)
    torch.testing.assert_close(curves, other.found.curves.mean(0))
    for pair in found.pairs:
        for chance in (pair.connected, pair.subsets):
            assert chance.transfer.least <= chance.transfer.mean <= chance.transfer.most
            assert bool((chance.least <= chance.curve + 1e-6).all())
            assert bool((chance.curve <= chance.most + 1e-6).all())


def test_fields_that_several_pictures_have(fitted, found):
    counts = {}
    for patches in itertools.chain(*map(patch_sets, fitted)):
        counts[patches] = counts.get(patches, 0) + 1
    expected = {patches: count for patches, count in counts.items() if count >= 2}
    assert {frozenset(f.patches): f.pictures for f in found.common} == expected
    assert 3 in expected.values()
    ordered = [(-field.pictures, -field.strength_share) for field in found.common]
    assert ordered == sorted(ordered)
    for field in found.common:
        for d, k, rank, strength in zip(
            fitted, field.components, field.ranks, field.strengths, strict=True
        ):
            if k is None:
                assert rank is strength is None
                assert set(field.patches) not in patch_sets(d)
            else:
                assert patch_sets(d)[k] == set(field.patches)
                assert (rank, strength) == (k + 1, float(d.strengths[k]))


def test_pictures_that_share_nothing(truth):
    (pair,) = rp.compare([truth.select([0, 1]), truth.select([2, 3])], draws=1).pairs
    assert pair.shared == ()
    assert pair.strength_overlap == pair.transfer == 0.0
    assert pair.cosine is pair.other_cosine is pair.unit_overlap is None
    assert "cosine" not in pair.numbers()


def test_it_can_be_told_in_json(found):
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [picture["name"] for picture in told["pictures"]] == [
        "picture seed 3", "picture seed 4", "picture seed 5",
    ]  # fmt: skip
    assert told["transfer"][0][0] is None
    assert len(told["pairs"]) == 3
    assert told["pairs"][0]["shared"][0]["likeness"].keys() == {
        "cosine", "unit_overlap", "other_cosine",
    }  # fmt: skip
    assert told["summary"]["transfer"]["pictures"] == 3
    assert all(math.isfinite(row["strength_share"]) for row in told["common"])
    assert repr(found).startswith("<PictureComparison of 3 pictures: t(5, 12)")


def elsewhere(decomposition, **changes):
    return replace(decomposition, provenance=replace(decomposition.provenance, **changes))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: [d], "at least two pictures; got 1"),
        (lambda d: [], "at least two pictures; got 0"),
        (lambda d: [d, "runs/face"], "decompositions are needed.*not str"),
        (lambda d: [d, elsewhere(d, generator="faces")], "generators differ: .* and faces"),
        (lambda d: [d, elsewhere(d, weights_digest="f" * 64)], "weights differ: planted"),
        (lambda d: [d, elsewhere(d, layer="other")], "layers differ: express and other"),
        (
            lambda d: [d, replace(d, feature=torch.zeros(1, 3), baseline=torch.zeros(1, 3))],
            "feature shapes differ",
        ),
        (
            lambda d: [d, replace(d, regions=rp.Regions.grid(2, 8))],
            "patches differ: 4 × 4 grid and 2 × 8 grid",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused(truth, spoil, message):
    with pytest.raises(rp.InputError, match=message):
        rp.compare(spoil(truth))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": 0}, "a must be a whole number of at least 1, not 0"),
        ({"draws": 0}, "draws must be"),
        ({"names": ["one"]}, "2 pictures take as many names, not 1"),
        ({"names": "ab"}, "2 pictures take as many names, not a single str"),
    ],
)
def test_bad_input_options_are_refused(truth, options, message):
    with pytest.raises(rp.InputError, match=message):
        rp.compare([truth, truth], **options)
