import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.structured.trials import Trials, turns
from regional_primitives.decompose.subject import PatchErrors

GRID = rp.Regions.grid(1, 2)
FIELDS = torch.tensor([[True, False], [False, True], [True, True]])


def _errors(image, baseline):
    return PatchErrors.of(image, baseline, GRID)


def _trial(*fields):
    chosen = torch.nn.functional.one_hot(torch.tensor(fields), 3).float()
    return Trials(chosen, FIELDS[list(fields)])


def losses(trials, images, errors):
    """Return what each trial lacks in boundedness and in consistency, from the images of `on`."""
    patterns, inside = trials._patterns(images, errors)
    energy = patterns.square().sum((2, 3, 4)).clamp_min(1e-12)
    stray = (patterns.square() * (1 - inside)).sum((2, 3, 4)) / energy
    one, other = (patterns * inside).flatten(2)
    return stray.mean(0), 1 - torch.nn.functional.cosine_similarity(one, other, dim=1)


def test_each_component_is_on_alone_and_then_all_but_it():
    on = _trial(2, 0).on
    assert on.tolist() == [[0, 0, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_what_strays_out_of_the_field_is_its_share_of_the_energy():
    image, baseline = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    alone = torch.tensor([[3.0, 1.0], [0.0, 0.0]])  # of 10, 1 lies in the right patch
    without = -torch.tensor([[2.0, 0.0], [0.0, 0.0]])  # the pattern is x − this: all inside
    images = torch.stack([alone, without])[:, None]
    stray, change = losses(_trial(0), images, _errors(image, baseline))
    assert stray.tolist() == pytest.approx([(0.1 + 0.0) / 2])
    assert change.tolist() == pytest.approx([0.0], abs=1e-6)


def test_patterns_that_differ_in_company_are_inconsistent():
    image, baseline = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    images = torch.zeros(2, 1, 2, 2)
    images[0, 0, 0, 0] = 1.0  # alone: the upper pixel of the left patch
    images[1, 0, 1, 0] = -1.0  # left out: the lower one
    stray, change = losses(_trial(0), images, _errors(image, baseline))
    assert stray.tolist() == [0.0]
    assert change.tolist() == pytest.approx([1.0])
    images[1] = images[0]  # left out, it takes away what it adds alone: opposite patterns
    assert losses(_trial(0), images, _errors(image, baseline))[1].tolist() == pytest.approx([2.0])


def test_a_component_without_a_pattern_lacks_nothing_outside_and_gives_finite_slopes():
    image, baseline = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    images = torch.stack([baseline, image])
    stray, _ = losses(_trial(1), images, _errors(image, baseline))
    assert stray.tolist() == [0.0]
    assert _trial(1).slope(images, _errors(image, baseline), 1.0, 1.0).isfinite().all()


def test_components_are_tried_in_proportion_to_their_energy():
    energies = torch.tensor([6.0, 3.0, 1.0])
    counts = torch.zeros(3)
    for places in turns(5, 200, seed=0):
        counts += Trials.draw(FIELDS, energies, places).chosen.sum(0)
    assert (counts / 1000 - energies / 10).abs().max() < 0.005
    one, other = (Trials.draw(FIELDS, energies, turns(5, 4, seed)[3]) for seed in (1, 2))
    assert not torch.equal(one.chosen, other.chosen)


def test_no_trials_are_none():
    none = Trials.draw(FIELDS, torch.ones(3), turns(0, 1, seed=0)[0])
    assert len(none) == 0
    assert none.on.shape == (0, 3)


def test_the_slope_is_that_of_autograd_through_the_losses():
    rng = torch.Generator().manual_seed(0)
    image, baseline = torch.randn(2, 3, 4, 6, generator=rng)
    images = torch.randn(6, 3, 4, 6, generator=rng).requires_grad_(True)
    errors, trials = _errors(image, baseline), _trial(0, 2, 1)
    stray, change = losses(trials, images, errors)
    (wanted,) = torch.autograd.grad((0.7 * stray + 0.3 * change).sum(), images)
    slope = trials.slope(images.detach(), errors, 0.7, 0.3)
    torch.testing.assert_close(slope, wanted, rtol=1e-5, atol=1e-7)
