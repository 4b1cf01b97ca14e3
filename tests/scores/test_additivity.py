"""Additivity: the free features against themselves, the raw transform, truncation, bad input."""

import pytest
import torch

import regional_primitives as rp
from regional_primitives.compare.across import AcrossPictures
from regional_primitives.errors import InputError
from regional_primitives.scores import additivity, strongest

PATCHES = (0, 1, 5, 10, 15)


@pytest.fixture(scope="module")
def features():
    planted = rp.load_generator("planted")
    latents = planted.sample_latents(1, seed=1)
    settings = rp.Exact(patches=PATCHES, tolerance=1e-2, starts=8)
    return rp.minimal_features(planted, latents, rp.Regions.grid(4, 4), settings=settings)


@pytest.fixture(scope="module")
def raw(features):
    return rp.exact_components(features, rp.Exact(patches=PATCHES, form="raw"))


def test_free_features_are_measured_as_by_their_own_optimisation(features):
    free = additivity(features, {}).free
    assert free.inside_error == pytest.approx(float(features.inside_error.mean()), rel=1e-4)
    assert free.leak == pytest.approx(float(features.leak.mean()), rel=1e-4)
    assert free.cost == pytest.approx(float(features.cost.mean()), rel=1e-4)
    assert free.deviation == 0  # the very same tensor


def test_raw_transform_predicts_every_feature(features, raw):
    result = additivity(features, {"raw": raw.predicted[1:]})
    assert result.predicted["raw"].deviation < 1e-5
    assert result.numbers()["raw_inside_error_over_free"] == pytest.approx(1, rel=1e-3)


def test_fewer_components_predict_worse(features, raw):
    ways = {f"top {count}": strongest(raw, count) for count in (1, 8, 31)}
    result = additivity(features, ways)
    errors = [way.inside_error for way in result.predicted.values()]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] == pytest.approx(result.free.inside_error, rel=1e-3)
    baseline = features.subject.baseline_units.expand_as(features.units)
    nothing = additivity(features, {"nothing": baseline}).predicted["nothing"]
    # The tail's image of a batch of baselines beside that of one: other kernels, rounded otherwise.
    assert nothing.inside_error == pytest.approx(1, rel=1e-5)


def test_over_pictures(features, raw):
    result = additivity(features, {"raw": raw.predicted[1:]})
    summary = AcrossPictures.of([result, result]).summary
    assert summary["raw_leak"].mean == pytest.approx(result.predicted["raw"].leak)
    assert summary["free_leak"].pictures == 2


def test_bad_input(features, raw):
    with pytest.raises(InputError, match=r"'few' predicts \[3, 60\]"):
        additivity(features, {"few": torch.zeros(3, 60)})
    with pytest.raises(InputError, match="count must be a whole number of at least 1"):
        strongest(raw, 0)
