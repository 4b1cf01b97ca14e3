import importlib.util
import itertools
import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

import regional_primitives as rp
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.generators.zoo.toy import planted_fields
from regional_primitives.scores.relations import acting_together, field_overlap

PROVENANCE = Provenance(
    generator="made up",
    layer="layer",
    weights_digest="0" * 64,
    image_range=(-1.0, 1.0),
    method="made up",
    settings={},
    picture_seed=None,
    evaluations=0,
    wall_seconds=1.0,
    tail_seconds=1.0,
    converged=True,
    versions={},
)


def made(sets, strengths=None, patches=6, changes=None):
    """A decomposition with these fields; component k moves unit k alone unless told."""
    count = len(sets)
    fields = torch.zeros(count, patches, dtype=torch.bool)
    for field, chosen in zip(fields, sets, strict=True):
        field[sorted(chosen)] = True
    if changes is None:
        strengths = strengths or [float(count - k) for k in range(count)]
        changes = torch.diag(torch.tensor(strengths))
    units = max(changes.shape[-1] if count else 1, 1)
    changes = changes.reshape(count, units).float()
    image = torch.zeros(3, 4, patches)
    return rp.Decomposition(
        feature=changes.sum(0, keepdim=True),
        baseline=torch.zeros(1, units),
        image=image,
        baseline_image=image,
        regions=rp.Regions.grid(1, patches),
        action_fields=fields,
        strengths=changes.norm(dim=1),
        offsets=torch.arange(count + 1) * units,
        units=torch.arange(units).repeat(count).int(),
        values=changes.flatten(),
        history=torch.zeros(0, 3),
        latents=torch.zeros(1, 1),
        provenance=PROVENANCE,
    )


several_sets = st.lists(st.frozensets(st.integers(0, 4)), max_size=8)


@given(several_sets)
@settings(max_examples=60, deadline=None)
def test_the_partial_order_is_that_of_sets(sets):
    found = rp.relations(made(sets, patches=5))
    numbers = range(len(sets))
    assert found.contains.tolist() == [[sets[k] > sets[m] for m in numbers] for k in numbers]
    covers = [
        (k, m)
        for k in numbers
        for m in numbers
        if sets[k] > sets[m] and not any(sets[k] > between > sets[m] for between in sets)
    ]
    assert found.covers == covers

    def level(k):
        return max((1 + level(m) for m in numbers if sets[k] > sets[m]), default=0)

    assert found.levels.tolist() == [level(k) for k in numbers]


@given(several_sets)
@settings(max_examples=40, deadline=None)
def test_overlap_is_shared_patches_over_all_patches(sets):
    found = rp.relations(made(sets, patches=5))
    strengths = found.decomposition.strengths.tolist()
    weighted = weights = 0.0
    for k, m in itertools.product(range(len(sets)), repeat=2):
        union = sets[k] | sets[m]
        iou = len(sets[k] & sets[m]) / len(union) if union else 0.0
        assert float(found.overlap[k, m]) == pytest.approx(iou)
        if k != m:
            weighted += strengths[k] * strengths[m] * iou
            weights += strengths[k] * strengths[m]
    assert found.mean_overlap == pytest.approx(weighted / weights if weights else 0.0)


def test_planted_fields_are_ordered_as_they_were_planted(truth):
    found = rp.relations(truth)
    planted = planted_fields().tolist()
    name = {k: planted.index(field) for k, field in enumerate(truth.action_fields.tolist())}
    covers = {(name[larger], name[smaller]) for larger, smaller in found.covers}
    # By number of the planted field; 9 is the whole grid, 0 lies in 1, 5 in 4, 8 in 7.
    assert covers == {(1, 0), (4, 5), (7, 8), (9, 1), (9, 2), (9, 3), (9, 4), (9, 6), (9, 7)}
    levels = {name[k]: level for k, level in enumerate(found.levels.tolist())}
    assert levels == {0: 0, 1: 1, 2: 0, 3: 0, 4: 1, 5: 0, 6: 0, 7: 1, 8: 0, 9: 2}


def test_mean_overlap_is_the_score(result, scores):
    assert rp.relations(result).mean_overlap == scores.overlap


FIELDS = [{0}, {1}, {0, 1}, {0, 1, 2}, {3, 4}, {2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}]


def chance_of(demand, asked_share, patches=6):
    """P(S) with p integrated out: p is Beta(1, θ), S has s of the n patches."""
    theta = (1 - asked_share) / asked_share
    s = len(demand)
    return special.beta(1 + s, theta + patches - s) / special.beta(1, theta)


@pytest.mark.parametrize("asked_share", [0.5, 0.1, 0.8])
def test_togetherness_is_that_of_all_demands(asked_share):
    demands = [set(s) for r in range(7) for s in itertools.combinations(range(6), r)]
    chances = [chance_of(demand, asked_share) for demand in demands]
    assert sum(chances) == pytest.approx(1)
    found = acting_together(made(FIELDS).action_fields, asked_share)
    for (k, one), (m, other) in itertools.product(enumerate(FIELDS), repeat=2):
        both = sum(p for s, p in zip(demands, chances, strict=True) if s & one and s & other)
        either = sum(p for s, p in zip(demands, chances, strict=True) if s & (one | other))
        assert float(found[k, m]) == pytest.approx(both / either)


def test_togetherness_is_what_random_demands_show():
    rng = torch.Generator().manual_seed(0)
    probability = torch.rand(100_000, 1, generator=rng)
    demands = torch.rand(100_000, 6, generator=rng) < probability
    fields = made(FIELDS).action_fields
    found = acting_together(fields, 0.5)
    awake = demands.float() @ fields.float().T > 0
    for k, m in itertools.combinations(range(len(FIELDS)), 2):
        both = (awake[:, k] & awake[:, m]).sum() / (awake[:, k] | awake[:, m]).sum()
        assert float(found[k, m]) == pytest.approx(float(both), abs=0.01)


def test_a_tenth_of_the_patches_is_asked_for():
    found = rp.relations(made(FIELDS))
    torch.testing.assert_close(found.togetherness, acting_together(made(FIELDS).action_fields, 0.1))
    assert found.to_dict()["asked_share"] == 0.1


def test_demands_of_single_patches_make_togetherness_the_overlap():
    fields = made(FIELDS).action_fields
    torch.testing.assert_close(acting_together(fields, 0.0), field_overlap(fields))


def slow_average_linkage(distance, count):
    """Heights of merges: the two groups with the least mean distance, again and again."""
    groups, heights = [[k] for k in range(count)], []
    while len(groups) > 1:
        means = {
            (a, b): sum(distance(k, m) for k in groups[a] for m in groups[b])
            / (len(groups[a]) * len(groups[b]))
            for a, b in itertools.combinations(range(len(groups)), 2)
        }
        a, b = min(means, key=means.get)
        heights.append(means[a, b])
        groups = [g for i, g in enumerate(groups) if i not in (a, b)] + [groups[a] + groups[b]]
    return heights


@pytest.fixture
def random_relations():
    rng = torch.Generator().manual_seed(3)
    rows = torch.rand(14, 9, generator=rng) < torch.rand(14, 1, generator=rng)
    sets = [set(row.nonzero().flatten().tolist()) for row in rows]
    return rp.relations(made(sets, patches=9), 12)


def test_the_hierarchy_is_average_linkage_of_the_strongest(random_relations):
    together = random_relations.togetherness
    assert together.shape == (12, 12)
    heights = slow_average_linkage(lambda k, m: 1 - float(together[k, m]), 12)
    assert random_relations.merges[:, 2].tolist() == pytest.approx(heights)
    assert sorted(random_relations.order) == list(range(12))


@pytest.mark.parametrize("togetherness", [0.0, 0.3, 0.55, 0.62, 0.7, 0.75, 0.8, 0.9, 1.0])
def test_groups_are_those_of_scipy(random_relations, togetherness):
    flat = hierarchy.fcluster(
        random_relations.merges.numpy(), 1 - togetherness + 1e-9, criterion="distance"
    )
    expected = [[k for k in range(12) if flat[k] == number] for number in set(flat)]
    assert random_relations.groups(togetherness) == sorted(expected)


def test_groups_of_two_clusters_and_of_equal_fields():
    found = rp.relations(made([{0, 1}, {4, 5}, {0}, {5}, {0, 1}]))
    assert found.groups(0.0) == [[0, 1, 2, 3, 4]]
    assert found.groups(0.4) == [[0, 2, 4], [1, 3]]
    assert found.groups(1.0) == [[0, 4], [1], [2], [3]]
    # Neighbours in the order belong together.
    assert {frozenset(found.order[:3]), frozenset(found.order[:2])} & {
        frozenset({0, 2, 4}),
        frozenset({1, 3}),
    }


def test_the_order_is_one_of_the_tree_with_like_beside_like(random_relations):
    order, together = random_relations.order, random_relations.togetherness
    members = [[k] for k in range(12)]
    for one, other, _, size in random_relations.merges.tolist():
        members.append(members[int(one)] + members[int(other)])
        places = sorted(map(order.index, members[-1]))
        assert places == list(range(places[0], places[0] + int(size)))

    def alike(leaves):
        return sum(float(together[k, m]) for k, m in itertools.pairwise(leaves))

    distances = squareform(1 - together.numpy(), checks=False)
    assert alike(order) > alike(hierarchy.leaves_list(hierarchy.average(distances)))


def shapley_by_permutations(value, patches):
    """Each patch's mean contribution over all orders of arrival."""
    total = [0.0] * patches
    for order in itertools.permutations(range(patches)):
        present = set()
        for patch in order:
            before = value(present)
            present.add(patch)
            total[patch] += value(present) - before
    return [t / math.factorial(patches) for t in total]


@given(sets=st.lists(st.frozensets(st.integers(0, 4)), max_size=5), data=st.data())
@settings(max_examples=8, deadline=None)
def test_credit_is_the_shapley_value(sets, data):
    strengths = data.draw(
        st.lists(st.floats(0.125, 4, width=32), min_size=len(sets), max_size=len(sets))
    )
    found = rp.relations(made(sets, strengths, patches=5))

    def value(demand):
        return sum(w for w, field in zip(strengths, sets, strict=True) if field & demand)

    assert found.patch_totals.tolist() == pytest.approx(shapley_by_permutations(value, 5))
    # Efficiency, and that of each component's own game.
    assert float(found.credit.sum()) == pytest.approx(value(set(range(5))))
    for k, (w, field) in enumerate(zip(strengths, sets, strict=True)):
        alone = shapley_by_permutations(lambda s, w=w, field=field: w * bool(field & s), 5)
        assert found.credit[k].tolist() == pytest.approx(alone)


def test_a_patchs_credit_is_divided_among_those_that_serve_it():
    found = rp.relations(made([{0, 1, 2, 3}, {0}, {1}], [8.0, 6.0, 1.0]))
    assert found.credit_of_patch(0) == [(1, 0.75), (0, 0.25)]
    assert found.credit_of_patch(1) == [(0, pytest.approx(2 / 3)), (2, pytest.approx(1 / 3))]
    assert found.credit_of_patch(3) == [(0, 1.0)]
    assert found.credit_of_patch(5) == []


def test_rows_of_credit_add_up_to_the_strengths(result):
    found = rp.relations(result)
    torch.testing.assert_close(found.credit.sum(1).float(), result.strengths)
    assert (found.credit > 0).equal(result.action_fields)


@pytest.mark.parametrize(
    ("sets", "groups"),
    [
        ([], []),
        ([{2}], [[0]]),
        ([set()], [[0]]),
        ([set(range(6))] * 2, [[0, 1]]),
        ([set(), {1}, set()], [[0], [1], [2]]),
    ],
)
def test_few_full_and_empty_fields(sets, groups):
    found = rp.relations(made(sets))
    assert found.groups(0.9) == groups
    assert found.merges.shape == (max(len(sets) - 1, 0), 4)
    assert sorted(found.order) == list(range(len(sets)))
    for name in ("overlap", "togetherness", "credit"):
        assert getattr(found, name).isfinite().all(), name
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


def test_what_an_empty_field_is():
    found = rp.relations(made([set(), {1, 2}]))
    assert found.contains.tolist() == [[False, False], [True, False]]
    assert float(found.overlap[0].sum()) == float(found.togetherness[0].sum()) == 0.0
    assert float(found.credit[0].sum()) == 0.0


def test_all_components_may_join_the_hierarchy(result):
    found = rp.relations(result, None)
    assert found.strongest == result.count > 40
    assert rp.relations(result).strongest == 40


def test_the_dictionary_implies_containment(random_relations):
    told = random_relations.to_dict()
    reach = torch.zeros(14, 14, dtype=torch.bool)
    for larger, smaller in told["covers"]:
        reach[larger, smaller] = True
    for _ in range(14):
        reach |= reach.float() @ reach.float() > 0
    assert reach.equal(random_relations.contains)
    field = random_relations.decomposition.action_fields[0]
    assert told["action_fields"][0] == field.nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"strongest": 0}, "strongest must be a whole number of at least 1, not 0"),
        ({"strongest": 2.5}, "strongest must be a whole number of at least 1, not 2.5"),
        ({"strongest": True}, "strongest must be a whole number of at least 1, not True"),
    ],
)
def test_bad_input_settings(how, message):
    with pytest.raises(rp.InputError, match=message):
        rp.relations(made([{0}]), **how)


def test_bad_input_no_decomposition():
    with pytest.raises(rp.InputError, match=r"as rp\.explain gives it, not Tensor"):
        rp.relations(torch.ones(3, 4, dtype=torch.bool))


def test_bad_input_questions():
    found = rp.relations(made([{0}, {1}]))
    with pytest.raises(rp.InputError, match="patch 6 does not exist; patches run 0 … 5"):
        found.credit_of_patch(6)
    for share in (1.5, -0.1, float("nan")):
        with pytest.raises(rp.InputError, match=r"togetherness must be a number from 0 to 1, not"):
            found.groups(share)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "scipy" else find(name)
    )
    with pytest.raises(rp.MissingExtraError, match=r"pip install .*\[report\]"):
        rp.relations(made([{0}, {1}]))


def test_relations_do_not_change(truth):
    found = rp.relations(truth)
    with pytest.raises(AttributeError):
        found.levels = found.levels + 1
    assert replace(found, order=[]).levels is found.levels
