import importlib.util
import itertools
import json
import math

import pytest

import regional_primitives as rp
from regional_primitives.compare.across import AcrossPictures
from regional_primitives.compare.relatedness import relatedness
from regional_primitives.scores.spread import Spread


def sets_of(decomposition):
    return [frozenset(field.nonzero().flatten().tolist()) for field in decomposition.action_fields]


def slow_groups(sets, merges, asked_share=0.1, least=0.5):
    """Merge the two groups of highest mean togetherness until that is below the least.

    Togetherness is by inclusion and exclusion, from the chance that a set of a patches is missed:
    the product over its patches of one more being missed, under p ~ Beta(1, θ). Of pairs that tie,
    which can end in another number of groups, the one in `merges` is taken.
    """
    theta = (1 - asked_share) / asked_share

    def hit(patches):
        return 1 - math.prod((theta + i) / (1 + theta + i) for i in range(len(patches)))

    def together(one, other):
        either = hit(one | other)
        return (hit(one) + hit(other) - either) / either

    groups = {k: [k] for k in range(len(sets))}
    for row, (one, other, *_) in enumerate(merges):
        means = {
            (a, b): sum(together(sets[k], sets[m]) for k in groups[a] for m in groups[b])
            / (len(groups[a]) * len(groups[b]))
            for a, b in itertools.combinations(sorted(groups), 2)
        }
        if max(means.values()) < least:
            break
        pair = tuple(sorted((int(one), int(other))))
        assert means[pair] == pytest.approx(max(means.values()), abs=1e-6)
        groups[len(sets) + row] = sorted(groups.pop(pair[0]) + groups.pop(pair[1]))
    return sorted(groups.values())


def slow_leading_share(sets, strengths, patches):
    shares = []
    for patch in range(patches):
        parts = [s / len(field) for s, field in zip(strengths, sets, strict=True) if patch in field]
        if parts:
            shares.append(max(parts) / sum(parts))
    return sum(shares) / len(shares)


def slow_chain(sets):
    return 1 + max((slow_chain_below(sets, field) for field in sets), default=0)


def slow_chain_below(sets, field):
    return max((1 + slow_chain_below(sets, inner) for inner in sets if inner < field), default=0)


def test_what_was_planted(truth):
    found = relatedness(truth)
    numbers = found.numbers()
    # Nine fields lie in the whole grid; besides, one in the block at the top left, one in the
    # block at the middle, and one in the row at the bottom. See toy.py.
    assert numbers["contained_pairs"] == pytest.approx(12 / 45)
    assert numbers["longest_chain"] == 3
    assert numbers["grouped"] == 10
    groups = slow_groups(sets_of(truth), found.relations.merges.tolist())
    assert found.groups == groups
    assert 1 < len(groups) < 10
    assert numbers["groups"] == len(groups)
    assert numbers["largest_group"] == max(map(len, groups))
    assert numbers["leading_share"] == pytest.approx(
        slow_leading_share(sets_of(truth), truth.strengths.tolist(), 16)
    )


def test_a_real_fit_against_slow_readings(result, scores):
    found = relatedness(result)
    sets, numbers = sets_of(result), found.numbers()
    pairs = list(itertools.combinations(sets, 2))
    nested = sum(one < other or other < one for one, other in pairs)
    assert numbers["contained_pairs"] == pytest.approx(nested / len(pairs))
    assert numbers["longest_chain"] == slow_chain(sets)
    assert numbers["mean_overlap"] == pytest.approx(scores.overlap)
    assert numbers["grouped"] == 40 < result.count
    groups = slow_groups(sets[:40], found.relations.merges.tolist())
    assert numbers["groups"] == len(groups)
    assert numbers["largest_group"] == max(map(len, groups))
    assert numbers["leading_share"] == pytest.approx(
        slow_leading_share(sets, result.strengths.tolist(), 16)
    )


def test_patches_without_a_field_have_no_leading_share(truth):
    small = [k for k, field in enumerate(sets_of(truth)) if len(field) == 1]
    few = truth.select(small)
    found = relatedness(few)
    assert int(found.leading_share.isnan().sum()) == 16 - len(small)
    assert found.numbers()["leading_share"] == 1.0
    assert found.numbers()["contained_pairs"] == 0.0
    assert found.numbers()["longest_chain"] == 1


def test_components_that_are_not_there_are_not_related(truth):
    whole = int(truth.action_fields.all(1).nonzero()[0, 0])
    found = relatedness(truth.without(whole))
    # Without the whole grid, only the three nested pairs are left.
    assert found.numbers()["contained_pairs"] == pytest.approx(3 / 36)
    assert found.numbers()["longest_chain"] == 2


def test_a_single_component_has_no_pairs(truth):
    numbers = relatedness(truth.select([0])).numbers()
    assert numbers == {
        "longest_chain": 1.0,
        "grouped": 1.0,
        "groups": 1.0,
        "largest_group": 1.0,
        "leading_share": 1.0,
    }


def test_over_pictures_and_in_json(truth, other_truth):
    several = AcrossPictures.of([relatedness(truth), relatedness(other_truth)])
    shares = [result.numbers()["leading_share"] for result in several.results]
    assert several.summary["leading_share"] == Spread.over(shares)
    told = json.loads(json.dumps(several.to_dict(), allow_nan=False))
    picture = told["pictures"][0]
    assert sorted(k for group in picture["members"] for k in group) == list(range(10))
    assert sum(picture["leading_share_of_each_patch"]) / 16 == pytest.approx(shares[0])


def test_without_scipy_it_says_how_to_get_it(truth, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "scipy" else found(name)
    )
    with pytest.raises(rp.MissingExtraError, match=r"pip install .*\[report\]"):
        relatedness(truth)


def test_bad_input(truth):
    with pytest.raises(rp.InputError, match="at least one must be counted"):
        relatedness(truth.select([]))
