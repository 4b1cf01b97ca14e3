import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.structured import PURPOSES
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.scores.demands import top_counts
from regional_primitives.scores.refits import frontier_fits, second_fit
from regional_primitives.scores.table import TABLE, headlines


def slow_sums(result, generator, demand):
    """Squared errors of one demand and what they are shares of, pixel by pixel."""
    picture = generator.tail(result.minimal_feature(demand))[0]
    x, x0 = result.image, result.baseline_image
    labels = result.regions.label_map(*x.shape[-2:])
    sums = dict.fromkeys(("inside", "inside 0", "outside", "outside 0"), 0.0)
    for row, column in itertools.product(*map(range, labels.shape)):
        here = (slice(None), row, column)
        if demand[labels[row, column]]:
            sums["inside"] += float((picture[here] - x[here]).square().sum())
            sums["inside 0"] += float((x0[here] - x[here]).square().sum())
        else:
            sums["outside"] += float((picture[here] - x0[here]).square().sum())
            sums["outside 0"] += float((x[here] - x0[here]).square().sum())
    return sums


def slow_errors(result, generator, demand):
    """Inside error and leak of one demand."""
    sums = slow_sums(result, generator, demand)
    leak = sums["outside"] / sums["outside 0"] if sums["outside 0"] else 0.0
    return sums["inside"] / sums["inside 0"], leak


def test_inside_error_and_leak_are_what_a_slow_reading_of_the_definition_gives(planted, result):
    demands = held_out_demands(result.regions, 6)
    scores = rp.evaluate(
        result, planted, rp.Evaluation(demands=6, components=1, contexts=2, free_demands=0)
    )
    slow = [slow_errors(result, planted, demand) for demand in demands]
    partial = [leak for (_, leak), demand in zip(slow, demands, strict=True) if not demand.all()]
    assert scores.inside_error == pytest.approx(sum(i for i, _ in slow) / 6, rel=1e-4)
    assert scores.leak == pytest.approx(sum(partial) / len(partial), rel=1e-4)


def test_the_planted_components_score_as_the_axioms_say(planted, truth):
    scores = rp.evaluate(truth, planted, rp.Evaluation(demands=32, free_demands=0))
    assert scores.components == 10
    assert scores.inside_error == pytest.approx(0.0, abs=1e-9)
    assert scores.completeness_gap < 1e-6
    assert scores.boundedness == pytest.approx(1.0, abs=1e-5)
    assert scores.boundedness_in_context == pytest.approx(1.0, abs=1e-5)
    assert scores.consistency == pytest.approx(1.0, abs=1e-4)
    assert scores.inconsistency == pytest.approx(0.0, abs=1e-3)
    assert scores.superposition_error == pytest.approx(0.0, abs=1e-9)
    assert scores.top_inside_error[10] == pytest.approx(0.0, abs=1e-9)
    # The planted fields overlap, so that whoever asks for a patch gets its neighbours' share too.
    assert scores.leak > 0.1


def test_cost_is_the_share_of_the_feature_that_is_switched_on(planted, truth):
    scores = rp.evaluate(
        truth, planted, rp.Evaluation(demands=8, components=1, contexts=2, free_demands=0)
    )
    departure = (truth.feature - truth.baseline).abs().sum()
    expected = [
        float((truth.minimal_feature(demand) - truth.baseline).abs().sum() / departure)
        for demand in held_out_demands(truth.regions, 8)
    ]
    assert scores.cost == pytest.approx(sum(expected) / 8, rel=1e-5)


def test_counts_sizes_and_overlap_by_hand(planted, truth):
    scores = rp.evaluate(
        truth, planted, rp.Evaluation(demands=4, components=1, contexts=2, free_demands=0)
    )
    energy = (truth.strengths**2).tolist()
    total = sum(energy)
    for share, found in ((0.5, scores.n50), (0.9, scores.n90), (0.95, scores.n95)):
        assert sum(energy[:found]) >= share * total * (1 - 1e-6)
        assert sum(energy[: found - 1]) < share * total
    sizes = truth.action_fields.sum(1).tolist()
    for size in set(sizes):
        mine = sum(e for e, s in zip(energy, sizes, strict=True) if s == size)
        assert scores.field_sizes[size] == pytest.approx(mine / total, rel=1e-5)
    assert sum(scores.field_sizes.values()) == pytest.approx(1.0)
    weighted = weight = 0.0
    for a, b in itertools.combinations(range(10), 2):
        one, other = truth.action_fields[a], truth.action_fields[b]
        w = float(truth.strengths[a] * truth.strengths[b])
        weighted += w * float((one & other).sum() / (one | other).sum())
        weight += w
    assert scores.overlap == pytest.approx(weighted / weight, rel=1e-5)


def test_a_component_outside_its_field_is_not_bounded(planted, truth):
    moved = replace(truth, action_fields=~truth.action_fields)
    scores = rp.evaluate(
        moved, planted, rp.Evaluation(demands=4, components=10, contexts=4, free_demands=0)
    )
    assert scores.boundedness < 0.01
    assert scores.boundedness_in_context < 0.01


def test_free_optimisation_bounds_the_structured_form(scores):
    assert scores.additivity_gap >= -1e-3
    assert scores.free_leak < scores.structured_leak
    assert 0 <= scores.free_inside_error < 0.1


def test_demands_for_what_is_the_baseline_picture_weigh_as_others_do(planted, truth):
    one = next(k for k in range(10) if truth.action_fields[k].sum() == 1)
    for k in reversed(range(10)):
        truth = truth.without(k) if k != one else truth
    feature = truth.baseline + truth.component(0)
    picture = replace(truth, feature=feature, image=planted.tail(feature)[0])
    scores = rp.evaluate(
        picture,
        planted,
        rp.Evaluation(demands=16, components=1, contexts=2, free_demands=8, free_bounds=True),
    )
    assert scores.inside_error == pytest.approx(0, abs=1e-6)
    assert abs(scores.additivity_gap) < 0.1


def test_measures_that_were_left_out_are_none(planted, truth):
    scores = rp.evaluate(
        truth, planted, rp.Evaluation(demands=4, components=1, contexts=2, free_demands=0)
    )
    assert scores.additivity_gap is None
    assert scores.free_leak is None


def test_where_leak_has_no_price_the_frontier_varies_that_of_the_departure(planted):
    latents, regions = planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4)
    settings = rp.Structured(steps=2, batch=2, trials=0, probes=1, baseline_count=64)
    d = rp.explain(planted, latents, regions, settings)
    fits = frontier_fits(d, planted)
    assert [price for price, _ in fits] == pytest.approx([0.002, 0.005, 0.01])
    for price, fit in fits:
        assert fit.provenance.settings["cost_weight"] == price


def test_an_older_exact_run_is_fitted_again_as_it_was(planted):
    latents, regions = planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4)
    settings = rp.Exact(
        purpose="isolate", patches=[0, 5], noise_floor=False, baseline_count=64, sparse_steps=5
    )
    d = rp.explain(planted, latents, regions, settings)
    older = {k: v for k, v in d.provenance.settings.items() if k != "purpose"}
    d = replace(d, provenance=replace(d.provenance, settings=older))
    again = second_fit(d, planted)
    assert again.provenance.settings["purpose"] == "isolate"


def test_refits_measure_stability_and_the_frontier(planted, result):
    scores = rp.evaluate(
        result,
        planted,
        rp.Evaluation(demands=32, components=1, contexts=2, free_demands=0, refits=True),
    )
    prices = [point["price"] for point in scores.frontier]
    assert prices == pytest.approx([0.08, 0.2, 0.4])
    assert scores.frontier[1]["inside_error"] == pytest.approx(scores.inside_error)
    assert scores.frontier[1]["leak"] == pytest.approx(scores.leak)
    leaks = [point["leak"] for point in scores.frontier]
    assert leaks == sorted(leaks, reverse=True)
    assert 0 < scores.unit_stability < scores.stability < 1


def test_a_frontier_from_when_leak_alone_had_a_price():
    point = {"outside_weight": 0.2, "inside_error": 0.01, "leak": 0.1}
    content = {"inside_error": 0.01, "frontier": [point]}
    read = rp.Scores.from_dict(content)
    assert read.frontier == [{"price": 0.2, "inside_error": 0.01, "leak": 0.1}]
    assert "outside_weight" in point
    with pytest.raises(rp.InputError, match="every point of frontier tells inside_error, leak"):
        rp.Scores.from_dict({"frontier": [{"leak": 0.1}]})


def test_stability_by_hand(truth):
    from regional_primitives.scores.agreement import stability

    assert stability(truth, truth) == pytest.approx((1.0, 1.0))
    half = replace(truth, strengths=truth.strengths / 2, values=truth.values / 2)
    assert stability(truth, half) == pytest.approx((0.5, 0.5))
    opposite = replace(truth, values=-truth.values)
    assert stability(truth, opposite) == pytest.approx((1.0, 0.0))
    elsewhere = replace(truth, action_fields=truth.action_fields[:, torch.randperm(16)])
    assert stability(truth, elsewhere)[0] < 0.5


def test_visual_quality_agrees_with_scikit_image_where_all_is_demanded(planted, result):
    from skimage.metrics import peak_signal_noise_ratio

    from regional_primitives.scores.quality import visual_quality

    picture = planted.tail(result.minimal_feature([0, 1, 2, 3]))
    everything = torch.ones(1, 16, dtype=torch.bool)
    psnr, ssim = visual_quality(result, everything, picture)
    expected = peak_signal_noise_ratio(result.image.numpy(), picture[0].numpy(), data_range=2.0)
    assert psnr == pytest.approx(expected, rel=1e-4)
    assert 0 < ssim < 1
    _, perfect = visual_quality(result, everything, result.image[None])
    assert perfect == pytest.approx(1.0)


def test_scores_survive_json(scores):
    text = json.dumps(scores.to_dict(), allow_nan=False)
    assert rp.Scores.from_dict(json.loads(text)) == scores
    assert all(math.isfinite(v) for v in scores.to_dict().values() if isinstance(v, float))


def test_scores_of_an_earlier_release_load_and_lack_what_it_did_not_measure(tmp_path):
    earlier = Path(__file__).with_name("scores_of_0_1.json")
    (tmp_path / "scores.json").write_bytes(earlier.read_bytes())
    content = json.loads(earlier.read_text())
    scores = rp.Scores.read(tmp_path)
    for name, value in scores.to_dict().items():
        told = {str(k): v for k, v in value.items()} if isinstance(value, dict) else value
        assert told == content.get(name)
    assert scores.n90 == 22
    assert scores.field_sizes[4] == pytest.approx(0.1903)


def test_names_that_are_unknown_or_absent_do_no_harm(scores):
    content = scores.to_dict()
    content["quality"] = content.pop("leak")
    read = rp.Scores.from_dict(content)
    assert read.leak is None
    assert read == replace(scores, leak=None)
    assert "quality" not in read.to_dict()


def test_bad_input_foreign_scores_are_refused():
    for content in ({}, {"quality": 1.0}):
        with pytest.raises(rp.InputError, match="none of its names is that of a score"):
            rp.Scores.from_dict(content)


def test_every_score_has_its_row_and_every_row_its_formula(planted, result):
    everything = rp.Evaluation(
        demands=8, components=2, contexts=2, free_demands=2, free_steps=2
    ).thorough()
    found = rp.evaluate(result, planted, everything).to_dict()
    assert [name for name, value in found.items() if value is None or value == {}] == []
    assert list(TABLE) == list(found)
    for name, score in TABLE.items():
        assert score.name == name
        assert score.meaning.endswith(".")
        assert not score.group or score.good
        assert {score.spread, score.among} <= {"", *TABLE}
    assert {purpose for score in TABLE.values() for purpose in score.first} == set(PURPOSES)
    for purpose in PURPOSES:
        places = [TABLE[name].first[purpose] for name in headlines(purpose)]
        assert places == list(range(1, len(places) + 1))


def test_the_page_of_scores_lists_every_row():
    page = Path(__file__).parents[2] / "docs" / "scores.md"
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if "| `" in line]
    assert lines == [
        f"| `{name}` | {score.label} | {score.unit} | {score.good} | {score.notion} | "
        f"{score.meaning} |"
        for name, score in TABLE.items()
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leak", math.nan),
        ("leak", 1e300),
        ("leak", True),
        ("n90", 1.5),
        ("n90", -1),
        ("field_sizes", {"-1": 1.0}),
        ("field_sizes", {"1": 0.0}),
        ("frontier", [{"leak": 1.0}]),
        ("stability", "high"),
    ],
)
def test_bad_input_values_that_no_score_has(scores, tmp_path, name, value):
    (tmp_path / "scores.json").write_text(json.dumps({**scores.to_dict(), name: value}))
    with pytest.raises(rp.StorageError, match=r"scores\.json is (corrupt|not valid JSON)") as error:
        rp.Scores.read(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_bad_input_another_generator_is_refused(planted, result):
    from regional_primitives.generators.zoo.toy import PlantedNetwork

    network = PlantedNetwork()
    with torch.no_grad():
        network.paint.bias += 0.01
    other = rp.cut(network, "express", sample_latents=planted.sampler)
    with pytest.raises(rp.GeneratorError, match="made with other weights"):
        rp.evaluate(result, other)
    elsewhere = rp.cut(planted.network.module, "embed", sample_latents=planted.sampler)
    with pytest.raises(rp.GeneratorError, match="made at layer 'express'"):
        rp.evaluate(result, elsewhere)


@pytest.mark.parametrize("change", [{"demands": 0}, {"contexts": 1}, {"free_demands": -1}])
def test_bad_input_settings_are_checked(change):
    with pytest.raises(rp.InputError, match="must be a whole number of at least"):
        rp.Evaluation(**change)


def test_errors_where_nothing_changes_stay_finite():
    image = torch.zeros(1, 4, 4)
    baseline = image.clone()
    baseline[:, :2, :2] = 1.0
    errors = PatchErrors.of(image, baseline, rp.Regions.grid(2, 2))
    demand = torch.tensor([[False, True, False, False]])
    assert float(errors.inside(baseline[None], demand)) == 0.0
    assert math.isfinite(float(errors.inside(baseline[None] + 1, demand)))


def test_pixels_of_no_patch_always_count_as_outside():
    labels = torch.tensor([[0, -1], [1, 1]])
    image, baseline = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    errors = PatchErrors.of(image, baseline, rp.Regions.from_labels(labels))
    everything = torch.ones(1, 2, dtype=torch.bool)
    picture = baseline.clone()
    picture[0, 0, 1] = 0.5
    assert float(errors.outside(picture[None], everything)) == pytest.approx(0.25)


def test_the_log_grid_ends_at_the_count():
    assert top_counts(1) == [1]
    assert top_counts(10) == [1, 2, 5, 10]
    assert top_counts(188) == [1, 2, 5, 10, 20, 50, 100, 188]


def test_pooled_errors_are_sums_over_sums(planted, result):
    demands = held_out_demands(result.regions, 6)
    scores = rp.evaluate(
        result, planted, rp.Evaluation(demands=6, components=1, contexts=2, free_demands=0)
    )
    sums = [slow_sums(result, planted, demand) for demand in demands]
    inside, outside = (
        sum(one[name] for one in sums) / sum(one[f"{name} 0"] for one in sums)
        for name in ("inside", "outside")
    )
    assert scores.pooled_inside_error == pytest.approx(inside, rel=1e-4)
    # The full demand has nothing outside, neither above nor below.
    assert scores.pooled_leak == pytest.approx(outside, rel=1e-4)


def test_a_blank_demand_weighs_nothing_in_the_pooled_error():
    from regional_primitives.scores.demands import DemandErrors

    inside, leak = torch.tensor([0.01, 30.0]), torch.tensor([0.1, 0.5])
    errors = DemandErrors(
        inside, leak, inside, torch.tensor([99.0, 1e-4]), torch.tensor([1.0, 3.0]),
        torch.tensor([True, True]), torch.zeros(2, 1, 1, 1),
    )  # fmt: skip
    assert errors.pooled_inside == pytest.approx((0.99 + 0.003) / 99.0001)
    assert errors.pooled_leak == pytest.approx(1.6 / 4)


def test_stray_excuses_what_comes_along_by_law(planted, truth):
    demands = held_out_demands(truth.regions, 6)
    scores = rp.evaluate(
        truth, planted, rp.Evaluation(demands=6, components=1, contexts=2, free_demands=0)
    )
    energy, fields = (truth.strengths**2).tolist(), truth.action_fields.tolist()
    pixels = truth.regions.masks(*truth.image.shape[-2:])
    found = []
    for demand in demands[~demands.all(1)]:
        picture = planted.at(truth.latents).tail(truth.minimal_feature(demand))[0]
        above = below = 0.0
        for j in (~demand).nonzero().flatten().tolist():
            mine = [k for k in range(truth.count) if fields[k][j]]
            lawful = [k for k in mine if bool((truth.action_fields[k] & demand).any())]
            weight = 1 - sum(energy[k] for k in lawful) / sum(energy[k] for k in mine)
            above += weight * float(((picture - truth.baseline_image)[:, pixels[j]] ** 2).sum())
            below += weight * float(((truth.image - truth.baseline_image)[:, pixels[j]] ** 2).sum())
        found.append(above / below if below else 0.0)
    assert scores.stray == pytest.approx(sum(found) / len(found), rel=1e-3)
    assert scores.stray < scores.leak


def test_the_remainder_is_what_no_demand_needs(planted, truth):
    scores = rp.evaluate(truth, planted, rp.Evaluation(demands=2, components=1, contexts=2))
    assert scores.remainder == 0
    fields = truth.action_fields.clone()
    fields[3] = False
    left = replace(truth, action_fields=fields)
    scores = rp.evaluate(left, planted, rp.Evaluation(demands=2, components=1, contexts=2))
    whole = float((truth.feature - truth.baseline).square().sum())
    assert scores.remainder == pytest.approx(float(truth.strengths[3]) ** 2 / whole, rel=1e-4)
    assert scores.components == 9


def test_boundedness_by_chance_is_what_the_whole_departure_would_score(planted, truth):
    scores = rp.evaluate(
        truth, planted, rp.Evaluation(demands=2, components=1, contexts=2, free_demands=0)
    )
    change = (truth.image - truth.baseline_image).square().sum(0)
    pixels = truth.regions.masks(*truth.image.shape[-2:])
    mean = weight = 0.0
    for field, strength in zip(truth.action_fields, truth.strengths, strict=True):
        cover = sum(float(change[pixels[j]].sum()) for j in field.nonzero().flatten())
        mean += float(strength) ** 2 * cover / float(change.sum())
        weight += float(strength) ** 2
    assert scores.chance_boundedness == pytest.approx(mean / weight, rel=1e-4)
    assert scores.chance_boundedness < scores.boundedness
