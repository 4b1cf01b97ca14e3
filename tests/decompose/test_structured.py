import dataclasses
import functools

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth

# Exactness goes before leak and cost here, since the planted fields overlap and so must leak.
EXACT = rp.Structured(
    steps=150, batch=24, trials=0, outside_weight=0.0, cost_weight=0.01, influence_sharpness=12.0,
    sparsity_weight=0.0, give_back=0.0, learning_rate=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def found(planted):
    """Explain a picture exactly, by its seed, once."""

    @functools.cache
    def explained(seed):
        return rp.explain(planted, planted.sample_latents(1, seed), rp.Regions.grid(4, 4), EXACT)

    return explained


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_components_are_found_and_no_others(found, seed):
    result = found(seed)
    truth = planted_truth(result.feature, result.baseline)
    planted_here = torch.zeros(result.count, dtype=torch.bool)
    for field, component, strength in zip(
        truth.action_fields, truth.components, truth.strengths, strict=True
    ):
        match = (result.action_fields == field).all(1)
        assert match.sum() == 1, f"field {field.int().tolist()} is missing"
        k = int(match.nonzero())
        planted_here[k] = True
        assert float(result.strengths[k]) == pytest.approx(float(strength), rel=0.05)
        found = result.component(k).flatten()
        assert float((found - component).norm() / strength) < 0.1
    assert float(result.strengths[~planted_here].max()) < 0.05 * float(truth.strengths.max())


def test_the_fit_stops_once_nothing_moves(planted):
    hasty = dataclasses.replace(EXACT, tolerance=3e-3)
    result = rp.explain(planted, planted.sample_latents(1, 1), rp.Regions.grid(4, 4), hasty)
    assert result.provenance.converged
    assert len(result.history) < EXACT.steps
    endless = dataclasses.replace(EXACT, steps=60, tolerance=0.0)
    result = rp.explain(planted, planted.sample_latents(1, 1), rp.Regions.grid(4, 4), endless)
    assert not result.provenance.converged
    assert len(result.history) == 60


def test_planted_components_need_no_luck_in_the_random_stream(planted, found):
    one, luck = found(3), dataclasses.replace(EXACT, seed=1)
    other = rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(4, 4), luck)
    # In any order: nearly equal strengths may change places.
    assert torch.equal(one.action_fields[:10].sum(0), other.action_fields[:10].sum(0))
    torch.testing.assert_close(one.strengths[:10], other.strengths[:10], rtol=0.05, atol=0)


@pytest.mark.parametrize("give_back", [0.0, 0.5, 2.0])
def test_components_add_up_to_the_feature(planted, quick, give_back):
    settings = dataclasses.replace(quick, give_back=give_back)
    result = rp.explain(planted, planted.sample_latents(1, 5), rp.Regions.grid(4, 4), settings)
    whole = result.minimal_feature(torch.ones(16, dtype=torch.bool))
    gap = (whole - result.feature).norm() / (result.feature - result.baseline).norm()
    assert float(gap) < 1e-5
    added = result.baseline + sum(result.component(k) for k in range(result.count))
    torch.testing.assert_close(added, result.feature, rtol=1e-5, atol=1e-6)


def _shares(result):
    departure = (result.feature - result.baseline).flatten()
    return result.values / departure[result.units.long()]


def test_units_that_take_nothing_back_only_switch_on(planted, quick):
    settings = dataclasses.replace(quick, give_back=0.0)
    share = _shares(
        rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(4, 4), settings)
    )
    assert float(share.min()) >= 0
    assert float(share.max()) <= 1 + 1e-6


def test_units_take_back_no_more_than_they_may(planted, quick):
    settings = dataclasses.replace(quick, give_back=0.25, smallest_share=0.0)
    result = rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(4, 4), settings)
    share = _shares(result)
    assert float(share.min()) < -0.01
    size = torch.zeros(result.unit_count).index_add_(0, result.units.long(), share.abs())
    assert float(size.max()) <= 1 + 2 * 0.25 + 1e-4
    assert float(size.max()) > 1.05


def test_a_seed_gives_the_same_result_twice(planted, planted_result, quick):
    again = rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(4, 4), quick)
    assert torch.equal(again.values, planted_result.values)
    assert torch.equal(again.units, planted_result.units)
    other = rp.explain(
        planted,
        planted.sample_latents(1, 3),
        rp.Regions.grid(4, 4),
        dataclasses.replace(quick, seed=1),
    )
    assert not torch.equal(other.values[:50], planted_result.values[:50])


def test_evaluations_are_those_that_the_tail_ran(planted, quick, monkeypatch):
    ran = 0
    tail = type(planted).tail

    def counted(self, feature):
        nonlocal ran
        ran += len(feature) if feature.requires_grad else 0
        return tail(self, feature)

    monkeypatch.setattr(type(planted), "tail", counted)
    # A picture of its own: what an earlier fit measured of another is counted and not run again.
    result = rp.explain(planted, planted.sample_latents(1, 31), rp.Regions.grid(4, 4), quick)
    assert result.provenance.evaluations == ran == 2 * 16 + 40 * (16 + 2 * 2)


def test_a_higher_price_of_leak_leaks_less_and_errs_more(planted, quick):
    regions, latents = rp.Regions.grid(4, 4), planted.sample_latents(1, 6)
    scores = []
    for weight in (0.01, 1.0):
        settings = dataclasses.replace(quick, steps=60, outside_weight=weight)
        result = rp.explain(planted, latents, regions, settings)
        scores.append(rp.evaluate(result, planted, rp.Evaluation(components=2, free_demands=0)))
    assert scores[1].leak < scores[0].leak
    assert scores[1].inside_error > scores[0].inside_error


def test_a_label_map_is_explained_too(planted, quick):
    labels = rp.Regions.grid(4, 4).label_map(32, 32).clone()
    labels[labels == 15] = 14
    result = rp.explain(
        planted, planted.sample_latents(1, 3), rp.Regions.from_labels(labels), quick
    )
    assert result.action_fields.shape[1] == 15
    assert float(result.history[-5:, 0].mean()) < float(result.history[:5, 0].mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"batch": 0}, "batch must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"outside_weight": float("nan")}, "outside_weight must be a number of at least 0"),
        ({"cost_weight": -1.0}, "cost_weight must be a number of at least 0"),
        ({"smallest_share": 0.7}, "must be below 0.5"),
        ({"probes": True}, "probes must be a whole number"),
        ({"trials": -1}, "trials must be a whole number of at least 0"),
        ({"give_back": float("inf")}, "give_back must be a number of at least 0"),
    ],
)
def test_settings_are_checked_when_made(change, message):
    with pytest.raises(rp.InputError, match=message):
        rp.Structured(**change)


def test_progress_reports_each_step_with_figures(planted, quick):
    seen = []
    rp.explain(
        planted,
        planted.sample_latents(1, 3),
        rp.Regions.grid(4, 4),
        quick,
        progress=lambda stage, done, total, note="": seen.append((stage, done, total, note)),
    )
    fit = [entry for entry in seen if entry[0] == "fit"]
    assert [entry[1] for entry in fit] == list(range(1, 41))
    assert fit[-1][1] == fit[-1][2]
    assert "inside error" in fit[-1][3]
    assert "leak" in fit[-1][3]


def test_a_quality_is_a_budget():
    def evaluations(settings):
        return 36 * settings.probes + settings.steps * (settings.batch + 2 * settings.trials)

    fast, balanced, best = map(rp.Structured.of_quality, ("fast", "balanced", "best"))
    assert balanced == rp.Structured()
    assert evaluations(fast) <= 1000
    assert 4900 <= evaluations(balanced) <= 5000
    assert evaluations(best) > 3 * evaluations(balanced)
    with pytest.raises(rp.InputError, match="quality is fast, balanced, best, not 'superb'"):
        rp.Structured.of_quality("superb")


def test_many_patches_are_probed_less_each(planted):
    default, sparse = rp.Structured(), rp.Structured(probes=2)
    assert [default.probes_a_patch(patches) for patches in (9, 36, 64, 256)] == [20, 20, 11, 4]
    assert [sparse.probes_a_patch(patches) for patches in (9, 256)] == [2, 2]
    short = rp.Structured(steps=1, batch=2, trials=0)
    result = rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(16, 16), short)
    assert result.provenance.evaluations == 4 * 256 + 2


def test_settings_of_an_earlier_release_are_refused_clearly():
    stored = dataclasses.asdict(rp.Structured(steps=7))
    assert rp.Structured.from_dict(stored) == rp.Structured(steps=7)
    with pytest.raises(rp.InputError, match=r"earlier release .*signed.*explain the picture again"):
        rp.Structured.from_dict({**stored, "signed": False})


def test_a_small_memory_budget_changes_no_more_than_rounding(planted, quick, monkeypatch):
    latents, regions = planted.sample_latents(1, 3), rp.Regions.grid(4, 4)
    settings = dataclasses.replace(quick, steps=4)
    whole = rp.explain(planted, latents, regions, settings)
    monkeypatch.setattr(type(planted), "chunk", property(lambda self: 3))
    parts = rp.explain(planted, latents, regions, settings)
    assert parts.provenance.evaluations == whole.provenance.evaluations
    torch.testing.assert_close(parts.history, whole.history, rtol=1e-3, atol=1e-5)


def test_tried_components_are_more_bounded(faces):
    latents, scores = faces.sample_latents(1, seed=0), []
    for weight in (0.0, 0.3):
        settings = rp.Structured(
            steps=40, probes=1, boundedness_weight=weight, consistency_weight=0.0,
            baseline_count=64, baseline_seed=1,
        )  # fmt: skip
        result = rp.explain(faces, latents, settings=settings)
        measured = rp.Evaluation(demands=8, components=8, contexts=4, free_demands=0)
        scores.append(rp.evaluate(result, faces, measured))
    assert scores[1].boundedness > scores[0].boundedness + 0.03


def test_the_price_of_sparsity_gathers_the_energy_in_fewer_components(planted, quick):
    found = []
    for weight in (0.0, 0.01):
        steps = rp.Structured().steps  # few steps leave the energy where the start put it
        settings = dataclasses.replace(
            quick, sparsity_weight=weight, steps=steps, ties_from=0.0, undecided_power=0.0
        )
        result = rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(4, 4), settings)
        measured = rp.Evaluation(demands=8, components=1, contexts=2, free_demands=0)
        found.append(rp.evaluate(result, planted, measured))
    assert found[1].n90 < found[0].n90
