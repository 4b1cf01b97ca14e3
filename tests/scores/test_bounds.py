import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives.decompose.bound import Prices, optimal_features
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured import PURPOSES
from regional_primitives.picture import Picture

PLAIN = Prices.of(PURPOSES["generate"])


class Shown(nn.Module):
    """A picture of 4 × 4 pixels that is its feature, so that every optimum is known."""

    def __init__(self):
        super().__init__()
        self.feature = nn.Identity()

    def forward(self, z):
        return self.feature(z).view(-1, 1, 4, 4)


@pytest.fixture(scope="module")
def shown():
    return rp.cut(
        Shown().eval(),
        layer="feature",
        sample_latents=lambda count, rng: torch.randn(count, 16, generator=rng),
        image_range=(-3.0, 3.0),
    )


@pytest.fixture(scope="module")
def told(shown):
    settings = rp.Structured(purpose="isolate", steps=5, baseline_count=64)
    return rp.explain(shown, shown.sample_latents(1, seed=1), rp.Regions.grid(2, 2), settings)


def known_optimum(run, demand, prices):
    """Each unit is one pixel: what its patch asks for, less what its price takes off."""
    change = (run.feature_units - run.baseline_units)[0]
    labels = run.regions.label_map(4, 4).flatten()
    asked = demand[labels]
    gates = torch.zeros(16)
    for unit in range(16):
        if asked[unit]:
            price = prices.cost / change.abs().sum() * change[asked].square().sum() / 2
            gates[unit] = (1 - price / change[unit].abs()).clamp(0, 1)
    return run.baseline_units[0] + gates * change


def test_the_gated_optimum_is_the_one_that_is_known(shown, told):
    prices = Prices(0.2, 0.3)
    demands = held_out_demands(told.regions, 12)
    evaluations = Evaluations(shown.at(told.latents))
    found = optimal_features(
        Picture.of(told, shown).subject, evaluations, demands, prices,
        told.minimal_units(demands), gated=True, steps=300,
    )  # fmt: skip
    for feature, demand in zip(found, demands, strict=True):
        assert feature == pytest.approx(known_optimum(told, demand, prices), abs=0.02)
    assert evaluations.count == 300 * len(demands)


def test_units_stay_within_the_box_that_the_prices_allow(planted, result):
    demands = held_out_demands(result.regions, 4)
    generator = planted.at(result.latents)
    change = result.feature_units - result.baseline_units
    for give_back in (0.0, 0.6):
        features = optimal_features(
            Picture.of(result, planted).subject, Evaluations(generator), demands,
            Prices(1.0, 0.0, give_back),
            result.minimal_units(demands), gated=True, steps=30,
        )  # fmt: skip
        gates = ((features - result.baseline_units) / change)[:, change[0].abs() > 1e-3]
        assert float(gates.min()) >= -give_back - 1e-4
        assert float(gates.max()) <= 1 + give_back + 1e-4
        if give_back:
            assert float(gates.min()) < -0.1


def test_a_larger_set_of_features_holds_a_better_one(planted, result):
    prices = Prices.of(result.provenance.settings)
    demands = held_out_demands(result.regions, 4)
    own, generator = result.minimal_units(demands), planted.at(result.latents)

    def objective(features):
        found = [slow(result, generator, *pair) for pair in zip(features, demands, strict=True)]
        return sum(i + prices.outside * o + prices.cost * c for i, o, c in found)

    def optimum(start, *, gated):
        subject, evaluations = Picture.of(result, planted).subject, Evaluations(generator)
        return optimal_features(subject, evaluations, demands, prices, start, gated=gated)

    gated = optimum(own, gated=True)
    assert objective(gated) < objective(own)
    assert objective(optimum(gated, gated=False)) < objective(gated)


def slow(run, generator, feature, demand):
    """Inside error, leak and cost of one feature, pixel by pixel."""
    picture = generator.render(feature[None])[0]
    labels = run.regions.label_map(*run.image.shape[-2:])
    wrong = change = strayed = outside = 0.0
    for row, column in itertools.product(*map(range, labels.shape)):
        here = (slice(None), row, column)
        whole = float((run.image[here] - run.baseline_image[here]).square().sum())
        if demand[labels[row, column]]:
            wrong += float((picture[here] - run.image[here]).square().sum())
            change += whole
        else:
            strayed += float((picture[here] - run.baseline_image[here]).square().sum())
            outside += whole
    cost = (feature - run.baseline_units[0]).abs().sum()
    cost = float(cost / (run.feature_units - run.baseline_units).abs().sum())
    return wrong / change, strayed / outside if outside else 0.0, cost


def measured(run, generator, **changes):
    few = {"demands": 12, "components": 1, "contexts": 2, "free_demands": 12, "free_steps": 300}
    few["free_bounds"] = True
    return rp.evaluate(run, generator, rp.Evaluation(**{**few, **changes}))


def test_scores_of_the_bound_are_those_of_the_known_optimum(shown, told):
    settings = {**told.provenance.settings, "give_back": 0.0, "cost_weight": 0.3}
    told = replace(told, provenance=replace(told.provenance, settings=settings))
    prices = Prices.of(settings)
    scores = measured(told, shown)
    demands = held_out_demands(told.regions, 12)
    demands = demands[~demands.all(1)]
    assert scores.free_demands == len(demands)
    assert scores.bound_evaluations == 3 * 300 * len(demands)
    generator = shown.at(told.latents)
    best = [slow(told, generator, known_optimum(told, d, prices), d) for d in demands]
    ours = [slow(told, generator, told.minimal_units(d[None])[0], d) for d in demands]
    mean = [sum(column) / len(demands) for column in zip(*best, strict=True)]
    assert scores.gated_inside_error == pytest.approx(mean[0], rel=0.03)
    assert scores.gated_leak == pytest.approx(0.0, abs=1e-4)
    assert scores.gated_pooled_leak == pytest.approx(0.0, abs=1e-4)
    assert scores.gated_cost == pytest.approx(mean[2], rel=0.02)
    assert scores.entanglement == pytest.approx(0.0, abs=1e-4)
    spent = [sum(one[2] for one in found) for found in (ours, best)]
    assert scores.departure == pytest.approx(spent[0] / spent[1], rel=0.02)
    change = (told.image - told.baseline_image).square()
    pixels = told.regions.masks(4, 4).float()
    whole = [float((change * pixels[d].sum(0)).sum()) for d in demands]
    rest = [float(change.sum()) - one for one in whole]

    def pooled(found):
        inside = sum(one[0] * unit for one, unit in zip(found, whole, strict=True)) / sum(whole)
        leak = sum(one[1] * unit for one, unit in zip(found, rest, strict=True)) / sum(rest)
        return inside, inside + prices.outside * leak

    assert scores.gated_pooled_inside_error == pytest.approx(pooled(best)[0], rel=0.03)
    assert scores.bound_ratio == pytest.approx(pooled(ours)[1] / pooled(best)[1], rel=0.05)


def test_a_run_that_answers_what_generates_has_its_entanglement_measured_once(planted, result):
    settings = dict(PURPOSES["generate"], purpose="generate")
    provenance = replace(result.provenance, settings=settings)
    scores = measured(replace(result, provenance=provenance), planted, free_demands=3, free_steps=5)
    assert scores.entanglement == scores.gated_leak > 0
    assert scores.bound_evaluations == 2 * 5 * 3
    other = measured(result, planted, free_demands=3, free_steps=5)
    assert other.entanglement > other.gated_leak
    assert other.bound_evaluations == 3 * 5 * 3


def test_the_gated_bound_alone_is_measured_unless_free_ones_are_asked_for(planted, result):
    few = {"free_demands": 3, "free_steps": 5, "free_bounds": False}
    scores = measured(result, planted, **few)
    asked = measured(result, planted, free_demands=3, free_steps=5)
    assert scores.bound_evaluations == 5 * 3
    assert scores.departure == pytest.approx(asked.departure)
    for name in ("free_inside_error", "free_leak", "free_cost", "additivity_gap", "entanglement"):
        assert getattr(scores, name) is None
        assert getattr(asked, name) is not None


@pytest.mark.parametrize(
    ("settings", "purpose"),
    [
        ({}, "isolate"),
        ({"outside_weight": 0.2}, "isolate"),
        ({"outside_weight": 0.0}, "isolate"),
        ({"outside_weight": 0.1, "purpose": "generate"}, "generate"),
    ],
)
def test_a_run_says_which_question_it_answers(result, settings, purpose):
    assert replace(result.provenance, settings=settings).purpose == purpose
