import json
from dataclasses import replace

import pytest
import torch
from scipy import stats

import regional_primitives as rp
from regional_primitives.scores import boundedness
from regional_primitives.scores.boundedness import _auc
from regional_primitives.scores.components import (
    in_contexts,
    measure_components,
)


def test_planted_components_are_bounded(planted, truth):
    found = boundedness(truth, planted, contexts=3)
    numbers = found.numbers()
    for name in ("boundedness", "boundedness_in_context", "auc", "auc_in_context"):
        assert numbers[name] == pytest.approx(1.0, abs=2e-3)
    assert numbers["iou"] > 0.98
    assert numbers["boundedness_chance"] < 0.7
    # Every pixel lies in the field of all patches, so that none is outside to compare with.
    whole = truth.action_fields.all(1)
    assert found.alone.auc.isnan().tolist() == whole.tolist()


def test_fields_in_the_wrong_place_are_seen(planted, truth):
    wrong = replace(truth, action_fields=~truth.action_fields | truth.action_fields.all(1)[:, None])
    numbers = boundedness(wrong, planted, contexts=3).numbers()
    assert numbers["auc"] < 0.5
    assert numbers["boundedness"] < 0.5


def test_shares_are_those_of_evaluate(saturating, saturated, saturated_scores):
    found = boundedness(saturated, saturating, components=6, contexts=4)
    assert found.numbers()["boundedness"] == pytest.approx(saturated_scores.boundedness, rel=1e-5)
    in_context = found.numbers()["boundedness_in_context"]
    assert in_context == pytest.approx(saturated_scores.boundedness_in_context, rel=1e-4)


def test_auc_and_iou_against_the_slow_definitions(saturating, saturated):
    found = boundedness(saturated, saturating, components=1, contexts=2)
    patterns = rp.Picture.of(saturated, saturating).patterns(range(saturated.count))
    for k in range(0, saturated.count, 7):
        size = patterns[k].square().sum(0).double()
        mask = saturated.regions.pixel_mask(saturated.action_fields[k], *size.shape)
        if bool(mask.all()):
            continue
        statistic = stats.mannwhitneyu(size[mask].numpy(), size[~mask].numpy()).statistic
        pairs = int(mask.sum()) * int((~mask).sum())
        assert float(found.alone.auc[k]) == pytest.approx(statistic / pairs, abs=1e-5)
        order = sorted(range(size.numel()), key=lambda i: -float(size.flatten()[i]))
        taken = {i for i in order[: int(mask.sum())] if float(size.flatten()[i]) > 0}
        own = set(mask.flatten().nonzero().flatten().tolist())
        assert float(found.alone.iou[k]) == pytest.approx(len(taken & own) / len(taken | own))
        within = float((size * mask).sum() / size.sum())
        assert float(found.alone.share_inside[k]) == pytest.approx(within, rel=1e-4)
        change = (saturated.image - saturated.baseline_image).square().sum(0).double()
        expected = float((change * mask).sum() / change.sum())
        assert float(found.chance[k]) == pytest.approx(expected, rel=1e-4)


def test_ties_count_half():
    size = torch.tensor([[0.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
    mask = torch.tensor([[True, False, True], [False, False, False]])
    # 0 against 0, 0, 1, 2: two ties; 2 against them: three won and a tie.
    assert _auc(size, mask) == pytest.approx((2 * 0.5 + 3 + 0.5) / 8)


def test_patch_shares_and_maps_belong_to_the_patterns(saturating, saturated):
    found = boundedness(saturated, saturating, components=4, contexts=2, shown=3)
    assert found.patch_shares.sum(1).tolist() == pytest.approx([1.0] * saturated.count, abs=1e-4)
    inside = (found.patch_shares * saturated.action_fields).sum(1)
    assert inside.tolist() == pytest.approx(found.alone.share_inside.tolist(), abs=1e-5)
    patterns = rp.Picture.of(saturated, saturating).patterns([0, 1, 2])
    assert torch.allclose(found.real_fields, patterns.norm(dim=1), atol=1e-5)
    assert found.shown_fields.shape == found.real_fields.shape == (3, 32, 32)
    assert found.real_fields_in_context.shape == (3, 32, 32)
    # Root mean square over contexts: their energies, not their sizes, are averaged.
    changes = in_contexts(rp.Picture.of(saturated, saturating), 1, contexts=2, seed=0).changes
    mean = (changes[0].double().square().sum(0) + changes[1].double().square().sum(0)) / 2
    assert torch.allclose(found.real_fields_in_context[1].double(), mean.sqrt(), atol=1e-5)
    assert len(found.in_context.auc) == 4


def test_the_remainder_is_company_only(planted, exact):
    found = boundedness(exact, planted, components=3, contexts=2)
    others = [k for k in range(exact.count) if k != exact.remainder]
    assert found.components.tolist() == others
    assert torch.equal(found.energy, exact.strengths[found.components].square())
    # Contexts may hold the remainder, which stands last.
    ordered = exact.select([*others, exact.remainder])
    effects = measure_components(rp.Picture.of(ordered, planted), 3, contexts=2)
    assert found.in_context.share_inside.tolist() == pytest.approx(
        effects.boundedness_in_context.tolist(), rel=1e-4
    )


def test_contexts_are_those_of_the_scores(saturating, saturated):
    picture = rp.Picture.of(saturated, saturating)
    effects = measure_components(picture, 3, contexts=4, seed=5)
    found = boundedness(saturated, saturating, components=3, contexts=4, seed=5)
    assert found.in_context.share_inside.tolist() == pytest.approx(
        effects.boundedness_in_context.tolist(), rel=1e-4
    )


def test_it_can_be_told_in_json(planted, truth):
    found = boundedness(truth, planted, components=2, contexts=2)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert None in told["auc_alone"]
    assert len(told["share_inside_in_context_of_each"]) == 2


@pytest.mark.parametrize("name", ["components", "contexts", "shown"])
def test_bad_input_counts(planted, truth, name):
    with pytest.raises(rp.InputError, match=f"{name} must be a whole number of at least 1, not 0"):
        boundedness(truth, planted, **{name: 0})


def test_bad_input_another_generator(faces, truth):
    with pytest.raises(rp.GeneratorError, match="other weights"):
        boundedness(truth, faces)
