import json
import math

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import superposition


def error_of(result, picture, mask=None):
    mask = torch.ones(32, 32) if mask is None else mask.float()
    missed = ((picture - result.image) * mask).double().square().sum()
    return float(missed / ((result.baseline_image - result.image) * mask).double().square().sum())


def test_planted_patterns_add_up(planted, truth):
    found = superposition(truth, planted)
    assert found.steps == (1, 2, 4, 8, 10)
    assert found.numbers()["inside_error"] == pytest.approx(0.0, abs=1e-9)
    assert found.numbers()["superposition_error"] == pytest.approx(0.0, abs=1e-9)
    # The tail of the planted network is linear: build-up and sum of patterns are the same.
    gap = found.strongest_first.pictures - found.strongest_first.sums
    assert float(gap.abs().max()) < 1e-5
    assert found.strongest_first.ssim[-1] == pytest.approx(1.0, abs=1e-4)


def test_the_whole_sum_is_scored_as_in_evaluate(saturating, saturated, saturated_scores):
    found = superposition(saturated, saturating)
    assert found.numbers()["superposition_error"] == pytest.approx(
        saturated_scores.superposition_error, rel=1e-3, abs=1e-6
    )


@pytest.mark.parametrize("order", ["strongest_first", "smallest_first"])
def test_every_step_against_a_slow_reading(saturating, saturated, order):
    found = getattr(superposition(saturated, saturating), order)
    steps = superposition(saturated, saturating).steps
    ranked = list(range(saturated.count))
    if order == "smallest_first":
        ranked.sort(key=lambda k: (int(saturated.action_fields[k].sum()), k))
    patterns = rp.Picture.of(saturated, saturating).patterns(range(saturated.count))
    for place, step in enumerate(steps):
        feature = saturated.baseline + sum(saturated.component(k) for k in ranked[:step])
        picture = saturating.tail(feature)[0]
        assert torch.allclose(found.pictures[place], picture, atol=1e-5)
        error = error_of(saturated, picture)
        assert float(found.inside_error[place]) == pytest.approx(error, rel=1e-3, abs=1e-7)
        added = saturated.baseline_image + sum(patterns[k] for k in ranked[:step])
        assert torch.allclose(found.sums[place], added, atol=1e-4)
        error = error_of(saturated, added)
        assert float(found.superposition_error[place]) == pytest.approx(error, rel=1e-3, abs=1e-6)
        power = float((picture - saturated.image).double().square().mean())
        expected = 10 * math.log10(4 / max(power, 1e-12))
        assert found.psnr[place] == pytest.approx(expected, rel=1e-2)


def test_near_is_the_first_step_within_a_tenth(saturating, saturated):
    found = superposition(saturated, saturating)
    errors = found.strongest_first.inside_error.tolist()
    near = next(s for s, error in zip(found.steps, errors, strict=True) if error <= 0.1)
    assert found.numbers()["near_strongest_first"] == near


def test_errors_are_of_covered_patches(planted, truth):
    keep = [k for k in range(10) if not bool(truth.action_fields[k, [10, 11, 14, 15]].any())]
    found = superposition(truth.select(keep), planted)
    covered = truth.action_fields[keep].any(0)
    assert torch.equal(found.patches, covered)
    feature = truth.baseline + sum(truth.component(k) for k in keep)
    mask = truth.regions.pixel_mask(covered, 32, 32)
    expected = error_of(truth, planted.tail(feature)[0], mask)
    assert float(found.strongest_first.inside_error[-1]) == pytest.approx(expected, rel=1e-3)
    assert expected > 0.01


def test_the_remainder_is_never_added(planted, exact):
    alone = superposition(exact.without(exact.remainder), planted)
    assert superposition(exact, planted).to_dict() == alone.to_dict()


def test_it_can_be_told_in_json(planted, truth):
    told = json.loads(json.dumps(superposition(truth, planted).to_dict(), allow_nan=False))
    assert told["steps"] == [1, 2, 4, 8, 10]
    assert len(told["smallest_first"]["ssim"]) == 5


def test_bad_input_another_generator(faces, truth):
    with pytest.raises(rp.GeneratorError, match="other weights"):
        superposition(truth, faces)
