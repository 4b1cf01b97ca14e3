from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured.influence import measure_influence
from regional_primitives.decompose.structured.shares import FieldShares
from regional_primitives.decompose.subject import prepare
from regional_primitives.decompose.subjects import Subjects

START = rp.Structured(
    purpose="isolate",
    influence_sharpness=6.0,
    size_penalty=0.35,
    reach_threshold=1e-3,
    most_candidates=64,
)


@pytest.fixture(scope="module")
def subject(planted):
    latents = planted.sample_latents(1, 3)
    return prepare(planted, latents, rp.Regions.grid(4, 4), baseline_count=64)


@pytest.fixture(params=[0.0, 0.7])
def model(subject, request):
    influence = measure_influence(subject, Evaluations(subject.generator), 2, 0)
    started = FieldShares.start(
        Subjects([subject]), [influence], replace(START, give_back=request.param)
    )
    rng = torch.Generator().manual_seed(0)
    for logits in started.unknowns:
        logits += torch.randn(logits.shape, generator=rng)
    return started


def test_shares_of_a_unit_sum_to_one_and_are_bounded(model):
    give_back = 0.7 if len(model.unknowns[0]) == 2 else 0.0
    parts = [part for parts in model.parts for part in parts]
    for mine, division in zip(parts, model.divide(), strict=True):
        moves = mine.difference != 0
        part = (division.components / mine.difference[:, None]).transpose(1, 2)[moves].T[None]
        torch.testing.assert_close(part.sum(1), torch.ones_like(part[:, 0]))
        assert float(part.abs().sum(1).max()) <= 1 + 2 * give_back + 1e-5
        assert (float(part.min()) < 0) == (give_back > 0)


def test_what_is_switched_on_is_the_sum_of_the_components_that_are_on(model, subject):
    rng = torch.Generator().manual_seed(1)
    on = (torch.rand(1, 5, model.fields.shape[1], generator=rng) < 0.3).float()
    units = model.switched(model.divide(), model.on_sites(on))
    components = torch.zeros(model.fields.shape[1], subject.units.shape[1])
    field_of, unit_of, share = model.kept_shares(0.0)
    components[field_of, unit_of] = share * subject.difference[unit_of]
    torch.testing.assert_close(units[0], on[0] @ components, rtol=1e-4, atol=1e-5)
    energies = model.energies(model.divide())
    torch.testing.assert_close(energies[0], components.square().sum(1), rtol=1e-4, atol=1e-6)


def test_the_slope_is_that_of_autograd_through_the_definition(model, subject):
    """Any loss of what is switched on and of the energies, along every logit."""
    rng = torch.Generator().manual_seed(3)
    on = (torch.rand(1, 5, model.fields.shape[1], generator=rng) < 0.3).float()
    at_units = torch.randn(1, 5, subject.units.shape[1], generator=rng)
    at_energies = torch.rand(1, model.fields.shape[1], generator=rng)
    now = model.divide()
    slopes = model.pulled_back(model.on_sites(on), at_units)
    model.gather(now, slopes, at_energies)
    model.descend(now, slopes)
    found = [logits.grad for logits in model.unknowns]
    wanted = []
    for layout, parts in zip(model.layouts, model.parts, strict=True):
        for part in parts:
            logits = part.logits.clone().requires_grad_(True)
            shares = logits[0].softmax(1)
            if len(logits) == 2:
                shares = 1.7 * shares - 0.7 * logits[1].softmax(1)
            parts_of = shares * part.difference[:, None]  # [sites, slots, channels]
            reached = on[0][:, part.candidates.index]  # [batch, sites, slots]
            made = torch.einsum("bst,stc->bsc", reached, parts_of)
            value = (made * layout.by_site(at_units[0])[:, part.places]).sum()
            value = value + (parts_of.square().sum(2) * at_energies[0, part.candidates.index]).sum()
            wanted += torch.autograd.grad(value, logits)
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_a_demand_asks_for_the_fields_that_it_meets(model):
    demands = torch.rand(6, 16, generator=torch.Generator().manual_seed(2)) < 0.2
    for demand, row in zip(demands, model.asked(demands[None])[0], strict=True):
        expected = [bool((field & demand).any()) for field in model.fields[0]]
        assert row.bool().tolist() == expected


def test_dropped_shares_go_to_the_largest(model):
    field_of, unit_of, share = model.kept_shares(0.05)
    total = torch.zeros(60).index_add_(0, unit_of, share)
    torch.testing.assert_close(total[total != 0], torch.ones(int((total != 0).sum())))
    assert (field_of.diff() >= 0).all()


def test_ties_are_broken_only_for_units_that_are_undecided(model, subject):
    """One channel of each site is whole in one field, another hardly in any more than in others."""
    rng = torch.Generator().manual_seed(5)
    on = model.on_sites((torch.rand(1, 3, model.fields.shape[1], generator=rng) < 0.3).float())
    at_units = torch.randn(1, 3, subject.units.shape[1], generator=rng)
    for logits in model.unknowns:
        logits[:, :, 0, 0] += 60.0
    now = model.divide()
    slopes = [torch.zeros_like(division.components) for division in now]
    ties = model.pulled_back(on, at_units)
    at_energies = torch.rand(1, model.fields.shape[1], generator=rng)
    wanted = [tie.clone() for tie in ties]
    model.gather(now, wanted, at_energies)
    model.break_ties(now, slopes, ties, at_energies, power=2.0)
    for mine, tie, division in zip(slopes, wanted, now, strict=True):
        assert float(mine[..., 0].abs().max()) < 1e-9
        left = 1 - division.distributions[0].amax(1, keepdim=True)
        torch.testing.assert_close(mine, tie * left**2)
        assert float(mine[..., 1:].abs().max()) > 0
