"""Rivals: each answers demands as it says, and all are scored on the same ones."""

import itertools
import sys
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.errors import InputError, MissingExtraError, StorageError
from regional_primitives.rivals import BASELINES, Comparison
from regional_primitives.rivals.rival import Scene
from regional_primitives.runtime.run_files import RIVALS

SETTINGS = rp.Evaluation(demands=24, components=6, contexts=4, free_demands=3)


@pytest.fixture(scope="module")
def comparison(result, planted):
    return rp.baselines(result, planted, settings=SETTINGS)


@pytest.fixture
def scene(result, planted):
    generator = planted.at(result.latents)
    return Scene(result, generator, Evaluations(generator), 0)


def single(result, patch):
    return result.regions.demand([patch])[None]


def test_all_are_scored_and_own_scores_are_those_of_evaluate(comparison, result, planted):
    assert [one.name for one in comparison.baselines] == list(BASELINES)
    scores = rp.evaluate(result, planted, SETTINGS)
    own = comparison.own.points[0]
    assert own.inside_error == pytest.approx(scores.inside_error)
    assert own.leak == pytest.approx(scores.leak)
    assert comparison.own.boundedness == pytest.approx(scores.boundedness)
    assert comparison.own.consistency == pytest.approx(scores.consistency)
    assert comparison.own.n90 == scores.n90
    assert comparison.own.evaluations == scores.evaluations


def test_frontiers_trade_exactness_for_leak(comparison):
    by_name = {one.name: one for one in comparison.baselines}
    assert len(by_name["spatial crop"].points) == 3
    assert len(by_name["influence alone"].frontier) == len(by_name["influence alone"].points)
    for name in ("PCA", "NMF", "semi-NMF"):
        assert len(by_name[name].points) == 10
        assert len(by_name[name].frontier) > 2, name
    best = by_name["influence alone"].best
    assert best.objective == min(point.objective for point in by_name["influence alone"].points)


def test_the_free_optimum_is_below_what_it_starts_from(comparison, result, planted):
    free = next(one for one in comparison.baselines if one.name == "free optimum")
    assert comparison.free_demands == 3
    assert free.evaluations == 3 * 3 * 100
    scores = rp.evaluate(result, planted, replace(SETTINGS, free_bounds=True))
    point = next(point for point in free.points if point.setting == "price of leak 0.2")
    assert point.inside_error == pytest.approx(scores.free_inside_error, rel=1e-3)
    assert point.leak == pytest.approx(scores.free_leak, rel=1e-3)


def test_random_fields_do_worse_than_fitted_ones(comparison):
    random = next(one for one in comparison.baselines if one.name == "random fields")
    assert random.points[0].inside_error > 2 * comparison.own.points[0].inside_error
    assert random.boundedness < comparison.own.boundedness


@pytest.mark.parametrize("name", ["PCA", "NMF", "semi-NMF"])
def test_factors_are_complete(name, scene, result):
    everything = torch.ones(1, result.regions.count, dtype=torch.bool)
    for way in BASELINES[name].ways(scene):
        whole = way.answer(everything)
        assert torch.allclose(whole, result.feature_units, atol=1e-4)


def test_semi_nmf_parts_explain_most_of_a_feature_made_of_parts():
    from regional_primitives.rivals.factors import _semi_nmf

    rng = torch.Generator().manual_seed(0)
    parts, appearances = torch.rand(30, 3, generator=rng), torch.randn(3, 20, generator=rng)
    found = _semi_nmf(parts @ appearances, 3, rng)
    assert bool((found[0] >= 0).all())
    assert float((found[0] @ found[1] - parts @ appearances).norm()) < 0.02 * float(
        (parts @ appearances).norm()
    )


def test_crops_on_a_map_tell_where_cells_lie():
    """A feature map of 4 × 4 cells under a 2 × 2 grid: four cells a patch."""
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (2, 4, 4)), torch.nn.Identity(), torch.nn.Upsample(scale_factor=2)
    )
    generator = rp.cut(
        module, "1", sample_latents=lambda n, rng: torch.randn(n, 32, generator=rng),
        image_range=(-4.0, 4.0),
    )  # fmt: skip
    found = rp.explain(
        generator, generator.sample_latents(1, seed=0), rp.Regions.grid(2, 2),
        rp.Structured(purpose="isolate", steps=2, batch=2, probes=1, baseline_count=64),
    )  # fmt: skip
    scene = Scene(found, generator.at(found.latents), Evaluations(generator), 0)
    mostly, touching, wide = (
        ((way.answer(single(found, 0)) - found.baseline_units).view(2, 4, 4) != 0)
        for way in BASELINES["spatial crop"].ways(scene)
    )
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(mostly[0], expected)
    assert torch.equal(touching[1], expected)
    expected[:3, :3] = True
    assert torch.equal(wide[0], expected)


def test_influence_masks_serve_every_unit(scene, result):
    everything = torch.ones(1, result.regions.count, dtype=torch.bool)
    for way in BASELINES["influence alone"].ways(scene):
        assert torch.allclose(way.answer(everything), result.feature_units, atol=1e-5)
    assert scene.evaluations.count == 4 * result.regions.count


def test_gradient_masks_are_nested_and_evaluated_once(scene, result):
    demand = single(result, 5)
    on = [
        way.answer(demand) != result.baseline_units
        for way in BASELINES["gradient × activation"].ways(scene)
    ]
    assert all(bool((small <= large).all()) for small, large in itertools.pairwise(on))
    assert bool(on[0].any())
    assert scene.evaluations.count == 1


def test_of_the_exact_form_only_chosen_patches_are_asked_for(planted):
    exact = rp.Exact(patches=[0, 1, 5], noise_floor=False, joint_steps=2, starts=8)
    found = rp.explain(planted, planted.sample_latents(1, seed=1), rp.Regions.grid(4, 4), exact)
    compared = rp.baselines(found, planted, ["random fields", "spatial crop"], SETTINGS)
    scores = rp.evaluate(found, planted, SETTINGS)
    assert compared.own.points[0].leak == pytest.approx(scores.leak)


def test_it_is_written_and_read_back(comparison, tmp_path):
    assert Comparison.read(tmp_path) is None
    comparison.write(tmp_path)
    assert Comparison.read(tmp_path) == comparison
    (tmp_path / RIVALS).write_text('{"own": 3}')
    with pytest.raises(StorageError, match="corrupt"):
        Comparison.read(tmp_path)


@pytest.mark.parametrize("names", ["crop", ["spatial crop", "none"], []])
def test_bad_input_names(result, planted, names):
    with pytest.raises(
        InputError, match=r"is no method to compare with; there are: all, spatial crop"
    ):
        rp.baselines(result, planted, names)


def test_bad_input_a_missing_package(result, planted, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"regional_primitives\[baselines\]"):
        rp.baselines(result, planted, "NMF", SETTINGS)
    settings = replace(SETTINGS, free_demands=0)
    left = rp.baselines(result, planted, settings=settings)
    assert left.left_out.keys() == {"NMF", "free optimum"}
    assert len(left.baselines) == len(BASELINES) - 2


def test_no_rival_takes_more_at_once_than_the_tail_can(result, planted, monkeypatch):
    monkeypatch.setattr(type(planted), "chunk", property(lambda self: 5))
    taken = []
    tail = type(planted).tail
    monkeypatch.setattr(
        type(planted),
        "tail",
        lambda self, feature: [taken.append(len(feature)), tail(self, feature)][1],
    )
    rp.baselines(result, planted, settings=SETTINGS)
    assert max(taken) == 5
