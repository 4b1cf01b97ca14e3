"""Networks whose components are known: what generates S is found, of whatever kind they are."""

import pytest
import torch
from planting import planted_networks
from recovery import recovery, within

import regional_primitives as rp
from regional_primitives.decompose.demands import single_patches
from regional_primitives.decompose.structured import preset
from regional_primitives.decompose.structured.candidates import level_sets

pytestmark = pytest.mark.usefixtures("unchecked")  # thousands of small steps
NETWORKS = {network.name: network for network in planted_networks()}
FITTED = [name for i, name in enumerate(sorted(NETWORKS)) if i % 3 == 0]
"""A third of the networks, a fit of which takes seconds; benchmarks/planted.py fits them all."""
UNDETERMINED = "1 to 64 units"
"""Its last field's 64 units paint what fewer can: its planted features are not the least."""


def explained(network, **settings):
    latents = network.generator.sample_latents(1, seed=3)
    d = rp.explain(network.generator, latents, network.regions, rp.Structured(**settings))
    components = network.components(d.feature_units - d.baseline_units)
    return d, recovery(d, network.fields, components)


def test_a_quarter_of_the_networks_is_held_out():
    assert len(NETWORKS) == 24
    assert sum(network.held_out for network in NETWORKS.values()) == 6


@pytest.mark.parametrize("name", NETWORKS)
def test_units_paint_their_fields_and_nothing_else(name):
    network = NETWORKS[name]
    latents = network.generator.sample_latents(1, seed=0)
    feature = network.generator.head(latents)
    units = [feature] if isinstance(feature, torch.Tensor) else list(feature)
    flat = torch.cat([one.flatten(1) for one in units], 1)
    with torch.no_grad():
        image = network.generator.tail(feature)
    labels = network.regions.label_map(*image.shape[-2:])
    for k, field in enumerate(network.fields):
        without = flat * (network.owner != k)
        parts = [
            part.view_as(one)
            for part, one in zip(
                without.split([one[0].numel() for one in units], 1), units, strict=True
            )
        ]
        with torch.no_grad():
            changed = network.generator.tail(parts[0] if len(parts) == 1 else tuple(parts))
        outside = torch.isin(labels, (~field).nonzero().flatten())
        assert float((changed - image)[0][:, outside].abs().sum()) < 1e-3


@pytest.mark.parametrize("name", FITTED)
def test_what_generates_is_recovered_by_default_settings(name):
    d, found = explained(NETWORKS[name], purpose="generate")
    assert found.missing == 0
    assert found.error < 0.05
    assert d.provenance.evaluations <= 5000


@pytest.mark.parametrize("name", sorted({*FITTED} - {UNDETERMINED}))
def test_what_generates_is_recovered_by_the_exact_form(name):
    network = NETWORKS[name]
    patches = tuple(range(network.regions.count))[-6:]
    settings = rp.Exact(patches=patches, noise_floor=False, starts=1, start_noise=0.0)
    latents = network.generator.sample_latents(1, seed=3)
    d = rp.explain(network.generator, latents, network.regions, settings)
    components = network.components(d.feature_units - d.baseline_units)
    found = recovery(d, *within(network.fields, components, patches))
    assert found.error < 0.05
    assert found.elsewhere < 0.05


def test_more_units_than_pixels_tell_apart_are_not_all_needed():
    network = NETWORKS[UNDETERMINED]
    latents = network.generator.sample_latents(1, seed=3)
    settings = rp.Minimal(patches=(4,), steps=100)
    found = rp.minimal_features(network.generator, latents, network.regions, None, settings)
    on = (found.units - found.subject.baseline_units)[0] / found.subject.difference
    painters = on[network.owner == 6]
    assert len(painters) == 64
    assert found.inside_error[0] < 1e-3
    assert painters.mean() < 0.95  # at no error, less than the planted 1
    others = ~network.fields[:, 4][network.owner]
    assert on[others].max() < 1e-3


def test_what_no_demand_needs_is_a_remainder_of_its_own():
    network = NETWORKS["units that do nothing"]
    d, _ = explained(network, purpose="generate")
    assert not d.action_fields[d.remainder].any()
    idle = d.component(d.remainder).flatten().nonzero().flatten()
    assert set(idle.tolist()) == set((network.owner == 5).nonzero().flatten().tolist())
    scores = rp.evaluate(d, network.generator, rp.Evaluation(demands=8, components=2, contexts=2))
    assert scores.completeness_gap < 1e-6


def test_isolating_finds_other_components():
    _, found = explained(NETWORKS["overlapping"], purpose="isolate")
    assert found.error > 0.3


def test_runs_keep_their_purpose_and_older_ones_isolate(tmp_path):
    d, _ = explained(NETWORKS["units that do nothing"], purpose="generate", steps=30)
    d.save(tmp_path / "run")
    again = rp.Decomposition.load(tmp_path / "run")
    assert again.remainder == d.remainder
    assert again.provenance.settings["purpose"] == "generate"
    assert rp.Structured.from_dict({"steps": 3}).purpose == "isolate"
    assert rp.Structured.from_dict({"purpose": "generate"}).undecided_power == 0.0


def test_level_sets_hold_disconnected_fields_and_the_empty_one():
    influence = torch.tensor([[5.0, 0.0], [1e-9, 0.1], [4.0, 0.0], [1e-9, 0.2]])
    sets = [row.nonzero().flatten().tolist() for row in level_sets(influence, 8)]
    assert sets[0] == []
    assert [0, 2] in sets
    assert [1, 3] in sets


def test_influence_that_falls_off_slowly_suggests_nothing():
    smooth = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5])[:, None]
    assert level_sets(smooth, 8).tolist() == [[False] * 5]
    faint = torch.tensor([1.0, 1.0, 1e-3, 1e-9, 0.0])[:, None]  # below a hundredth all is nothing
    assert level_sets(faint, 8).sum(1).tolist() == [0, 2]
    weak = torch.tensor([1.0, 0.05, 1e-9, 0.0])[:, None]  # but before nothing at all it counts
    assert level_sets(weak, 8).sum(1).tolist() == [0, 2]
    assert level_sets(torch.ones(1, 3), 8).tolist() == [[False]]


def test_single_patches_take_turns():
    rows = single_patches(5, 10, seed=0)
    assert rows.sum(1).tolist() == [1] * 10
    assert rows[:5].sum(0).tolist() == rows[5:].sum(0).tolist() == [1] * 5
    assert torch.equal(single_patches(5, 4, seed=0, start=3), rows[3:7])


def test_a_quality_keeps_the_prices_of_the_purpose():
    assert "outside_weight" not in preset("fast", "generate")
    fast = rp.Structured.of_quality("fast", "generate")
    assert (fast.outside_weight, fast.purpose) == (0.0, "generate")
    assert rp.Structured.of_quality("fast", "isolate").outside_weight == 0.08


def test_bad_input_no_such_purpose():
    with pytest.raises(rp.InputError, match="purpose must be 'generate' or 'isolate'"):
        rp.Structured(purpose="edit")
    with pytest.raises(rp.InputError, match="singles must be no more than batch"):
        rp.Structured(singles=9, batch=8)
    with pytest.raises(rp.InputError, match="ties_from must be no more than 1"):
        rp.Structured(ties_from=1.5)
    with pytest.raises(rp.InputError, match="quality is fast, balanced, best, not"):
        preset(["fast"])
