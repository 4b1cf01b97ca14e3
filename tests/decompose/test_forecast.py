"""What is forecast is what a fit then takes, and what no memory holds is refused before it."""

import pytest
import torch

import regional_primitives as rp

FEW = rp.Structured(steps=20, tolerance=0.0, baseline_count=16)


def test_evaluations_are_those_of_a_fit_that_takes_all_steps(planted):
    latents = planted.sample_latents(1)
    bound = planted.at(latents)
    told = []
    fitted = rp.explain(
        planted, latents, settings=FEW, progress=lambda *report: told.append(report)
    )
    expected = rp.forecast(bound, FEW)
    assert expected.evaluations == fitted.provenance.evaluations
    assert expected.chunk == min(bound.chunk, FEW.batch + 2 * FEW.trials)
    assert expected.seconds > 0
    ((*_, note),) = [report for report in told if report[0] == "forecast"]
    assert f"{expected.evaluations:,} evaluations" in note


def test_memory_grows_with_patches_and_with_what_goes_through_the_tail(planted):
    bound = planted.at(planted.sample_latents(1))
    few, many = (rp.forecast(bound, FEW, patches=patches).bytes for patches in (16, 36))
    assert few < many
    at_least = bound.bytes_per_item * rp.forecast(bound, FEW).chunk
    assert many > at_least > 0


def test_layers_are_forecast_as_they_ran(planted):
    points = {point.name: point for point in rp.layers(planted)}
    own, bound = points[planted.layer], planted.at(planted.sample_latents(1))
    assert own.bytes_per_item == bound.bytes_per_item
    assert own.chunk == bound.chunk
    there, here = rp.forecast(own), rp.forecast(bound)
    assert (there.evaluations, there.bytes) == (here.evaluations, here.bytes)
    assert there.seconds > 0


def test_a_fit_that_no_memory_holds_is_refused_before_it_begins(planted, monkeypatch):
    monkeypatch.setattr("regional_primitives.runtime.arguments.most_bytes", lambda: 2**16)
    latents = planted.sample_latents(1)
    with pytest.raises(rp.InputError, match=r"would take .* of memory"):
        rp.explain(planted, latents, settings=FEW)


@pytest.mark.parametrize("place", [None, torch.zeros(1), "main.5"])
def test_what_is_no_cut_is_refused(place):
    with pytest.raises(rp.InputError, match=r"a forecast is of a generator or an entry of rp\.lay"):
        rp.forecast(place)
