import itertools
import json

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import consistency
from regional_primitives.scores.components import measure_components


def test_planted_components_are_the_same_in_every_context(planted, truth):
    numbers = consistency(truth, planted, contexts=4).numbers()
    assert numbers["consistency"] == pytest.approx(1.0, abs=1e-3)
    assert numbers["inconsistency"] == pytest.approx(0.0, abs=1e-2)
    assert numbers["least_consistency"] > 0.999


def test_scores_are_those_of_evaluate(saturating, saturated, saturated_scores):
    numbers = consistency(saturated, saturating, components=6, contexts=4).numbers()
    assert numbers["consistency"] == pytest.approx(saturated_scores.consistency, rel=1e-5)
    assert numbers["inconsistency"] == pytest.approx(saturated_scores.inconsistency, rel=1e-5)


def test_the_pictures_are_those_that_were_scored(saturating, saturated):
    found = consistency(saturated, saturating, components=4, contexts=5)
    changes = ((found.together - found.without) * found.shown_field).flatten(1)
    pairs = [
        float(torch.nn.functional.cosine_similarity(changes[a], changes[b], dim=0))
        for a, b in itertools.combinations(range(5), 2)
    ]
    assert found.shown_cosine == pytest.approx(sum(pairs) / len(pairs), abs=1e-4)
    assert found.shown_cosine == pytest.approx(float(found.cosine[found.shown]))


def test_no_more_than_six_contexts_are_kept(planted, truth):
    found = consistency(truth, planted, components=1, contexts=9)
    assert found.without.shape == found.together.shape == (6, 3, 32, 32)
    assert found.contexts == 9


def test_a_typical_local_component_is_shown(saturating, saturated):
    found = consistency(saturated, saturating, components=50, contexts=5)
    sizes = saturated.action_fields[:50].sum(1)
    mean = found.numbers()["consistency"]
    order = sorted(range(50), key=lambda k: abs(float(found.cosine[k]) - mean))
    assert int(sizes[order[0]]) > 4  # the nearest of all is not local, and is passed over
    assert found.shown == next(k for k in order if int(sizes[k]) <= 4)


def test_the_remainder_is_company_only(planted, exact):
    found = consistency(exact, planted, components=3, contexts=2)
    others = [k for k in range(exact.count) if k != exact.remainder]
    assert found.components.tolist() == others[:3]
    assert found.energy.tolist() == pytest.approx(exact.strengths[others[:3]].square().tolist())
    assert found.shown in others[:3]
    # Contexts may hold the remainder, which stands last.
    ordered = exact.select([*others, exact.remainder])
    effects = measure_components(rp.Picture.of(ordered, planted), 3, contexts=2)
    assert found.cosine.tolist() == pytest.approx(effects.consistency.tolist(), rel=1e-4)


def test_it_can_be_told_in_json(planted, truth):
    told = json.dumps(consistency(truth, planted, contexts=2).to_dict(), allow_nan=False)
    assert json.loads(told)["contexts"] == 2


def test_bad_input(planted, truth):
    with pytest.raises(rp.InputError, match="contexts must be a whole number of at least 2"):
        consistency(truth, planted, contexts=1)
