from dataclasses import replace

import pytest
import torch

from regional_primitives.scores.effort import unfinished


@pytest.fixture
def fit(result):
    """Steps of a fit whose errors are these, with its priced leak nothing."""

    def made(inside, converged=False):
        history = torch.zeros(len(inside), 3)
        history[:, 0] = torch.tensor(inside)
        provenance = replace(result.provenance, converged=converged)
        return replace(result, history=history, provenance=provenance)

    return made


def test_a_fit_that_takes_all_its_steps_at_rest_is_finished(fit):
    assert not unfinished(fit([1.0] * 6 + [0.02, 0.02, 0.018, 0.018]))
    assert not unfinished(fit([]))


def test_a_fit_whose_errors_still_fall_is_not(fit):
    falling = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert unfinished(fit(falling))
    assert unfinished(fit([0.1, 0.1]))
    assert not unfinished(fit(falling, converged=True))


def test_leak_counts_at_its_price(fit):
    still = fit([0.01] * 10)
    history = still.history.clone()
    history[:, 1] = torch.linspace(1, 0.5, 10)
    for price, moves in ((0.0, False), (0.2, True)):
        settings = {**still.provenance.settings, "outside_weight": price}
        provenance = replace(still.provenance, settings=settings)
        assert unfinished(replace(still, history=history, provenance=provenance)) == moves


def test_the_exact_form_is_unfinished_where_minimal_features_ran_out_of_steps(fit):
    exact = fit([])
    for converged in (True, False):
        origin = replace(exact.provenance, method="exact", converged=converged)
        assert unfinished(replace(exact, provenance=origin)) != converged
