"""Components measured each by itself: blocks, and samples of very many."""

import json
from dataclasses import replace
from importlib import import_module

import pytest
import torch

import regional_primitives as rp
from regional_primitives.errors import StorageError
from regional_primitives.runtime.streams import stream
from regional_primitives.scores import Exhibits, alone, exhibit, relations
from regional_primitives.scores.alone import drawn_by_energy, measured_alone
from regional_primitives.scores.relations import field_overlap, mean_field_overlap

FEW = rp.Evaluation(demands=4, components=2, contexts=2, free_demands=0)


def silent(*_):
    pass


@pytest.fixture
def picture(planted, result):
    return rp.Picture.of(result, planted)


def heavy_tailed(count=500):
    return torch.arange(1, count + 1).float().pow(-1.2)


def test_all_are_drawn_where_there_are_no_more_than_asked_for():
    energy = heavy_tailed(20)
    drawn, weights = drawn_by_energy(energy, 20, stream(0))
    assert drawn.tolist() == list(range(20))
    assert weights is energy


def test_a_sample_estimates_the_weighted_mean_without_bias():
    energy = heavy_tailed()
    values = torch.linspace(1, 0, len(energy), dtype=torch.float64)  # the strong have the most
    truth = float((energy * values).sum() / energy.sum())
    found = []
    for seed in range(400):
        drawn, weights = drawn_by_energy(energy, 40, stream(seed))
        found.append(float((weights * values[drawn]).sum() / weights.sum()))
    found = torch.tensor(found)
    # Four standard errors of the mean; the 40 strongest alone are further off than that.
    margin = 4 * float(found.std()) / len(found) ** 0.5
    strongest = float((energy * values)[:40].sum() / energy[:40].sum())
    assert float(found.mean()) == pytest.approx(truth, abs=margin)
    assert strongest - truth > margin


def test_each_component_is_drawn_as_often_as_its_share_and_the_strong_always():
    energy, draws = heavy_tailed(60), 2000
    drawn = [drawn_by_energy(energy, 10, stream(seed)) for seed in range(draws)]
    often = torch.bincount(torch.cat([numbers for numbers, _ in drawn]), minlength=60) / draws
    numbers, weights = drawn[0]
    certain = int((often == 1).sum())
    assert 0 < certain < 10
    assert weights[:certain].equal(energy[:certain])
    expected = (10 - certain) * energy[certain:] / energy[certain:].sum()
    # Five standard deviations of a frequency.
    assert torch.all((often[certain:] - expected).abs() <= 5 * (expected / draws).sqrt())
    for numbers, weights in drawn[:50]:
        assert numbers.diff().min() > 0
        assert float(weights.sum()) == pytest.approx(float(energy.sum()), rel=1e-5)


@pytest.mark.parametrize("energy", [torch.ones(9), torch.tensor([1.0] + 8 * [1e-20])])
def test_equal_energies_and_energies_of_nearly_nothing_can_be_drawn_from(energy):
    drawn, weights = drawn_by_energy(energy, 4, stream(3))
    assert drawn.unique().tolist() == drawn.tolist()
    assert len(drawn) == 4
    assert float(weights.sum()) == pytest.approx(float(energy.sum()), rel=1e-6)


def test_blocks_give_what_all_at_once_give(monkeypatch, picture):
    whole = measured_alone(picture, 1000, 0, silent)
    count = picture.decomposition.count
    patterns = picture.patterns(range(count))
    assert whole.components.tolist() == list(range(count))
    assert whole.total.equal(patterns.sum(0))
    masks = alone.field_masks(picture.decomposition)
    inside = (patterns.square().sum(1) * masks).sum((1, 2)) / patterns.square().sum((1, 2, 3))
    torch.testing.assert_close(whole.boundedness, inside)
    monkeypatch.setattr(alone, "BLOCK", 3)
    # Batches of other sizes go through other kernels.
    fewer = measured_alone(picture, 1000, 0, silent)
    torch.testing.assert_close(fewer.boundedness, whole.boundedness, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fewer.total, whole.total, rtol=1e-5, atol=1e-5)


def test_sums_of_blocks_are_the_sum_of_all_to_the_last_digit():
    rows = torch.randn(1500, 3, 8, 8, generator=stream(0))
    total = torch.zeros(3, 8, 8)
    for block in rows.split(alone.BLOCK):
        total += block.sum(0)
    assert total.equal(rows.sum(0))


def test_no_more_than_a_block_of_pictures_is_ever_held(monkeypatch, picture):
    monkeypatch.setattr(alone, "BLOCK", 4)
    asked = []

    class Watched(rp.Picture):
        def patterns(self, components):
            asked.append(len(components))
            return super().patterns(components)

    watched = Watched(picture.decomposition, picture.generator)
    measured_alone(watched, 1000, 0, silent)
    assert max(asked) == 4
    assert sum(asked) == picture.decomposition.count


def test_a_sample_is_told_and_changes_no_other_score(planted, result):
    whole = rp.evaluate(result, planted, FEW)
    part = rp.evaluate(result, planted, replace(FEW, patterns=5))
    assert (whole.patterns, whole.patterns_share, whole.sampled) == (result.count, 1.0, False)
    assert part.patterns == 5 < result.count
    assert part.sampled
    assert 0 < part.patterns_share < 1
    assert part.superposition_error is None
    assert whole.superposition_error is not None
    differ = {name for name, value in whole.to_dict().items() if part.to_dict()[name] != value}
    assert differ == {"boundedness", "superposition_error", "patterns", "patterns_share"}


def test_a_sample_weighs_what_it_stands_for(planted, result, picture):
    part = rp.evaluate(result, planted, replace(FEW, patterns=5))
    drawn, weights = drawn_by_energy(result.strengths.square(), 5, stream(0, "patterns"))
    shares = measured_alone(picture, 1000, 0, silent).boundedness[drawn]
    expected = float((shares * weights).sum() / weights.sum())
    assert part.boundedness == pytest.approx(expected, rel=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(rp.InputError, match="patterns must be a whole number of at least 1, not 0"):
        rp.Evaluation(patterns=0)


def test_overlap_in_blocks_is_the_mean_over_all_pairs(monkeypatch, result):
    module = import_module("regional_primitives.scores.relations")
    monkeypatch.setattr(module, "_PAIRS", 7)
    weights = result.strengths.double()[:, None] * result.strengths.double()
    weights.fill_diagonal_(0.0)
    expected = float((weights * field_overlap(result.action_fields)).sum() / weights.sum())
    found = mean_field_overlap(result.action_fields, result.strengths)
    assert found == pytest.approx(expected, rel=1e-12)
    assert relations(result).mean_overlap == pytest.approx(expected, rel=1e-12)


def test_exhibits_look_at_the_strongest_alone_and_say_so(planted, result, tmp_path):
    whole = exhibit(result, planted, FEW, most=3)
    part = exhibit(result, planted, replace(FEW, patterns=5), most=3)
    assert whole.looked_at is None
    assert part.looked_at == 5
    assert part.visible_change[:5].equal(whole.visible_change[:5])
    assert not part.visible_change[5:].any()
    assert set(part.shown.tolist()) <= set(range(5))
    part.write(tmp_path)
    assert Exhibits.read(tmp_path, result).looked_at == 5


def test_removals_that_are_shown_are_those_of_their_components(monkeypatch, planted, result):
    from regional_primitives.scores import exhibits

    whole = exhibit(result, planted, FEW, most=3)
    monkeypatch.setattr(exhibits, "BLOCK", 4)
    found = exhibit(result, planted, FEW, most=3)
    assert found.shown.equal(whole.shown)
    torch.testing.assert_close(found.removals, whole.removals, rtol=1e-5, atol=1e-6)
    expected = rp.Picture.of(result, planted).removals(found.shown.tolist())
    torch.testing.assert_close(found.removals, expected, rtol=1e-5, atol=1e-6)


def test_exhibits_that_looked_at_more_than_there_are_belong_to_another_run(
    planted, result, tmp_path
):
    exhibit(result, planted, replace(FEW, patterns=5), most=3).write(tmp_path)
    told = json.loads((tmp_path / "exhibits.json").read_text())
    (tmp_path / "exhibits.json").write_text(json.dumps(told | {"looked_at": result.count + 1}))
    with pytest.raises(StorageError, match="do not belong to its components"):
        Exhibits.read(tmp_path, result)
