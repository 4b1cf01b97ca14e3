"""The exact form: planted components come back, raw and sparse; noise floor; remainder; explain."""

from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.exact import fit_exact
from regional_primitives.decompose.exact.components import noise_floor
from regional_primitives.decompose.exact.objective import DemandObjective
from regional_primitives.decompose.exact.sparse_or import sparsest
from regional_primitives.decompose.subject import prepare
from regional_primitives.errors import InputError
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.setfunctions import membership, or_values, orders

REGIONS = rp.Regions.grid(4, 4)
PATCHES = (0, 1, 5, 6, 10, 15)
FAITHFUL = {
    "purpose": "isolate",
    "outside_weight": 0.0,
    "cost_weight": 1e-5,
    "tolerance": 1e-4,
    "parametrisation": "free",
    "starts": 1,
    "start_noise": 0.003,
    "patches": PATCHES,
}
"""Generate exactly, at any price: then the planted law holds to the last digit.

With so small a price nothing but the start decides about units that no patch asks for, so that the
start must be near f0.
"""
QUICK = {"tolerance": 1e-2, "joint_steps": 5, "sparse_steps": 40, "starts": 4}


@pytest.fixture(scope="module")
def planted():
    return rp.load_generator("planted")


@pytest.fixture(scope="module")
def subject(planted):
    latents = planted.sample_latents(1, seed=1)
    return prepare(planted, latents, REGIONS, baseline_count=4096, baseline_seed=0)


def planted_components(subject):
    """Sum the planted components that the chosen patches cannot tell apart, by bitmask."""
    truth = planted_truth(subject.units, subject.baseline_units)
    found = torch.zeros(2 ** len(PATCHES), subject.units.shape[1])
    for field, component in zip(truth.action_fields, truth.components, strict=True):
        mask = sum(1 << i for i, patch in enumerate(PATCHES) if field[patch])
        found[mask] += component
    found[0] = 0  # of no chosen patch: left to the remainder
    return found


@pytest.mark.parametrize("form", ["raw", "sparse"])
def test_planted_components_come_back(subject, form):
    made = fit_exact(subject, rp.Exact(form=form, **FAITHFUL))
    truth = planted_components(subject)
    real = truth.norm(dim=1) > 0
    assert int(real.sum()) == 6
    assert (made.strengths[real] / truth.norm(dim=1)[real] - 1).abs().max() < 0.02
    cosine = torch.nn.functional.cosine_similarity(made.components[real], truth[real])
    assert cosine.min() > 0.999
    others = made.strengths.masked_fill(real, 0.0)
    assert others.max() < 0.02 * made.strengths.max()
    assert (others <= made.noise).all()
    assert (made.strengths[real] > made.noise[real]).all()


def test_raw_transform_gives_every_feature_back(subject):
    made = fit_exact(subject, rp.Exact(form="raw", noise_floor=False, patches=PATCHES, starts=8))
    gap = (made.predicted[1:] - made.features.units).norm() / made.features.units.norm()
    assert gap < 1e-5
    assert made.noise is None


def test_sparse_form_keeps_the_pictures_and_lets_noise_go(subject):
    one = {"purpose": "isolate", "patches": PATCHES, "noise_floor": False, "starts": 8}
    made = fit_exact(subject, rp.Exact(joint_steps=25, **one))
    raw = rp.exact_components(made.features, rp.Exact(patches=PATCHES, form="raw"))
    before = rp.exact_components(made.features, rp.Exact(patches=PATCHES, joint_steps=0))
    judge = DemandObjective(subject, made.features.settings, Evaluations(subject.generator))
    after, first = (
        float(judge.gradient(made.features.demands, each.predicted[1:])[0].mean())
        for each in (made, before)
    )
    assert after < first
    assert after < 1.1 * float(made.features.objective.mean())
    share = [
        (c.strengths.square() * (orders(len(PATCHES)) > 3)).sum() / c.strengths.square().sum()
        for c in (made, raw)
    ]
    assert share[0] < 0.1 * share[1]
    assert made.evaluations > raw.evaluations


def test_sparsest_finds_a_sparse_set_function_under_noise():
    rng = torch.Generator().manual_seed(0)
    truth = torch.zeros(2**7, 50)
    for mask in (1, 6, 24, 127, 96):
        truth[mask] = torch.randn(50, generator=rng)
    clean = or_values(truth)
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=rng)
    noisy[0] = 0
    prices = {"entry_price": 0.5, "group_price": 0.5}
    found = sparsest(noisy, rp.Exact(sparse_steps=150, smallest_strength=0.05, **prices))
    assert found.any(1).nonzero().flatten().tolist() == [1, 6, 24, 96, 127]
    assert (found - truth).norm() / truth.norm() < 0.2


def test_sparsest_is_the_minimum_of_its_objective():
    rng = torch.Generator().manual_seed(1)
    noisy = torch.randn(2**4, 6, generator=rng)
    noisy[0] = 0
    prices = {"entry_price": 0.3, "group_price": 0.2}
    found = sparsest(noisy, rp.Exact(sparse_steps=600, smallest_strength=0.0, **prices)).double()
    plain = rp.or_harsanyi(noisy.double())[1:]
    order = orders(4)[1:, None].double()
    noise = (plain.square().mean(1, keepdim=True).sqrt() / 2 ** (order / 2)).median()
    unit = noise * 4 * order.sqrt()

    def objective(components):
        gap = (or_values(components) - noisy)[1:]
        inner = components[1:]
        prices = 0.3 * unit * inner.abs() + 0.2 * unit * inner.norm(dim=1, keepdim=True) * 6**-0.5
        return 0.5 * gap.square().sum() + prices.sum()

    least = objective(found)
    for scale in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            step = scale * torch.randn(found.shape, generator=rng).double()
            step[0] = 0
            assert objective(found + step) > least - 1e-4 * scale


def test_several_searches_lower_the_noise(planted, subject, tmp_path):
    """Here noise is what the search keeps of its random start, which averages out."""
    own = {"form": "raw", "start_noise": 0.05, "patches": [0, 5], "tolerance": 1e-3}
    settings = rp.Exact(**{**FAITHFUL, **own})
    told = set()
    once = fit_exact(subject, settings)
    often = fit_exact(
        subject,
        replace(settings, searches=4),
        lambda stage, *_: told.add(stage),
        tmp_path / "kept",
    )
    assert bool((often.noise < 0.7 * once.noise)[1:].all())
    assert often.evaluations > 3 * once.evaluations
    assert {path.name for path in (tmp_path / "kept").iterdir()} == set("01234567")
    assert {"minimal features 1 of 4", "minimal features, again 4 of 4"} <= told
    resumed = fit_exact(subject, replace(settings, searches=4), checkpoint=tmp_path / "kept")
    # What was kept is read; only the transform of it, which may round otherwise, runs again.
    size = float(often.components.abs().max())
    torch.testing.assert_close(resumed.components, often.components, rtol=1e-5, atol=1e-6 * size)
    assert replace(settings, searches=4).independent(2).seed == settings.seed + 8


def test_noise_floor_is_that_of_one_fit():
    rng = torch.Generator().manual_seed(0)
    truth = torch.full((2**5, 400), 3.0)
    one, other = (truth + torch.randn(2**5, 400, generator=rng) for _ in range(2))
    noise = noise_floor(one, other)
    error = (one - truth).norm(dim=1).mean()
    assert torch.allclose(noise[1:], error.expand(31), rtol=0.15)
    order = orders(5)
    assert all(noise[order == size].unique().numel() == 1 for size in range(1, 6))


def test_explain_gives_a_decomposition_of_the_whole_picture(planted, tmp_path):
    latents = planted.sample_latents(1, seed=1)
    found = rp.explain(planted, latents, REGIONS, rp.Exact(patches=[0, 1, 5], **QUICK))
    assert found.provenance.method == "exact"
    assert found.patches == (0, 1, 5)
    assert found.action_fields[found.remainder].nonzero().flatten().tolist() == [
        i for i in range(16) if i not in (0, 1, 5)
    ]
    whole = found.combine_units(torch.ones(1, found.count))
    assert torch.allclose(whole, found.feature_units, atol=1e-5)
    assert torch.allclose(found.minimal_units(torch.ones(1, 16, dtype=torch.bool)), whole)
    assert found.noise.shape == (found.count,)
    assert bool(found.significant[found.remainder])
    found.save(tmp_path / "run")
    again = rp.Decomposition.load(tmp_path / "run")
    assert torch.equal(again.noise, found.noise)  # as stored
    assert again.remainder == found.remainder
    scores = rp.evaluate(
        again, planted, rp.Evaluation(demands=16, components=3, contexts=2, refits=True)
    )
    assert scores.components == found.count - 1
    assert scores.completeness_gap < 1e-5
    assert 0 < scores.stability <= 1


def test_minimal_units_agree_with_the_components(subject, planted):
    latents = planted.sample_latents(1, seed=1)
    settings = rp.Exact(patches=[0, 1, 5], noise_floor=False, **QUICK)
    found = rp.explain(planted, latents, REGIONS, settings)
    made = fit_exact(subject, settings.settled(planted))
    rows = torch.zeros(7, 16, dtype=torch.bool)
    rows[:, [0, 1, 5]] = membership(3)[1:]
    assert torch.allclose(found.minimal_units(rows), made.predicted[1:], atol=1e-4)


def test_an_interrupted_explanation_goes_on(planted, monkeypatch):
    latents = planted.sample_latents(1, seed=2)
    settings = rp.Exact(patches=[0, 1, 5, 6], noise_floor=False, **QUICK)
    seen = []

    def interrupted(stage, done, total, note=""):
        seen.append((stage, done))
        if stage == "minimal features" and done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rp.explain(planted, latents, REGIONS, settings, progress=interrupted)
    assert len(list((cache_folder() / "exact").rglob("*.safetensors"))) == 1
    told = []
    rp.explain(
        planted, latents, REGIONS, settings, progress=lambda *report: told.append(report[:2])
    )
    first = next(done for stage, done in told if stage == "minimal features")
    assert first > 4
    assert not list((cache_folder() / "exact").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "dense"}, "form must be 'sparse' or 'raw', not 'dense'"),
        ({"sparse_steps": 0}, "sparse_steps"),
        ({"joint_steps": -1}, "joint_steps"),
        ({"smallest_strength": 1.0}, "below 1"),
        ({"searches": 0}, "searches"),
        ({"searches": 2, "start_noise": 0, "starts": 1, "noise_floor": False}, "several searches"),
        ({"entry_price": float("inf")}, "entry_price must be a number"),
    ],
)
def test_bad_input_settings(changes, message):
    with pytest.raises(InputError, match=message):
        rp.Exact(**changes)


def test_bad_input_too_many_patches(planted):
    latents = planted.sample_latents(1, seed=1)
    with pytest.raises(InputError, match="16 patches have 65,536 demands"):
        rp.explain(planted, latents, REGIONS, rp.Exact())


def test_bad_input_other_demands(planted):
    latents = planted.sample_latents(1, seed=1)
    some = rp.minimal_features(planted, latents, REGIONS, [[0], [1]], rp.Minimal(patches=(0, 1)))
    with pytest.raises(InputError, match="takes all 3 non-empty subsets"):
        rp.exact_components(some)


def test_bad_input_settings_of_another_kind(planted):
    latents = planted.sample_latents(1, seed=1)
    with pytest.raises(InputError, match=r"rp\.Structured or rp\.Exact, not Minimal"):
        rp.explain(planted, latents, REGIONS, rp.Minimal(patches=(0, 1)))
