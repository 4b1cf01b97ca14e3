"""Every varied network, at every layer: tail equals full model, gradients, state, decomposition."""

from __future__ import annotations

import warnings

import pytest
import torch
from varied import CASES

import regional_primitives as rp
from regional_primitives.generators.feature import as_units, tensors_of, units_as
from regional_primitives.generators.recorded import RecordedTail

ALL = [(name, layer) for name, case in CASES.items() for layer in case.layers]
NAMES = [f"{name}-{layer}" for name, layer in ALL]


def _cut(name, layer, **more):
    case = CASES[name]
    torch.manual_seed(0)
    network = case.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error" if case.recorded else "ignore", rp.WholeRunWarning)
        generator = rp.cut(network, layer, sample_latents=case.sampler, **{**case.settings, **more})
        latents = generator.sample_latents(1, seed=5)
        return network, generator, generator.at(latents), latents


@pytest.mark.parametrize(("name", "layer"), ALL, ids=NAMES)
def test_tail_is_full_model(name, layer):
    case = CASES[name]
    _, generator, bound, latents = _cut(name, layer)
    image, rebuilt = generator.image(latents), bound.tail(bound.head(latents))
    gap = float((rebuilt - image).abs().max() / image.abs().max())
    assert gap <= 1e-5 if name != "half precision" else gap <= 1e-2
    assert isinstance(bound.behind, RecordedTail) == case.recorded
    assert (bound is not generator) == (layer in case.past or not case.recorded)


@pytest.mark.parametrize(("name", "layer"), ALL, ids=NAMES)
def test_any_feature(name, layer):
    """A batch of other features: the tail must be what the network does with them in its middle."""
    _, generator, bound, latents = _cut(name, layer)
    feature = bound.head(latents)
    rng = torch.Generator().manual_seed(1)
    disturbed = tuple(
        t + t.std() * torch.randn(5, *t.shape[1:], generator=rng) for t in tensors_of(feature)
    )
    given = disturbed[0] if isinstance(feature, torch.Tensor) else disturbed
    before = as_units(given)
    images = bound.tail(given)
    expected = torch.cat(
        [
            generator.network.substituted(
                latents,
                generator.layers,
                bound.behind.parts.by_layer(
                    given[i : i + 1]
                    if isinstance(given, torch.Tensor)
                    else tuple(t[i : i + 1] for t in given)
                ),
            )
            for i in range(5)
        ]
    )
    gap = float((images - expected).abs().max() / expected.abs().max())
    assert gap <= (1e-5 if name != "half precision" else 3e-2)
    assert torch.equal(as_units(given), before)


@pytest.mark.parametrize(
    ("name", "layer"), [(name, layer) for name, layer in ALL if name != "sampler"]
)
def test_gradient_is_the_full_models(name, layer):
    """Compare with the gradient of a whole run whose layer was replaced.

    The sampler's whole run has none, being under torch.no_grad; the next test stands in for it.
    """
    _, generator, bound, latents = _cut(name, layer)
    units = as_units(bound.head(latents))
    cotangent = torch.randn(generator.image(latents).shape, generator=torch.Generator())

    def gradient(run):
        leaf = units.clone().requires_grad_(True)
        return torch.autograd.grad(
            (run(units_as(leaf, bound.feature_shape)) * cotangent).sum(), leaf
        )[0]

    whole = gradient(
        lambda feature: generator.network.substituted(
            latents, generator.layers, bound.behind.parts.by_layer(feature)
        )
    )
    own = gradient(bound.tail)
    assert whole.abs().max() > 0
    assert (own - whole).abs().max() <= (
        1e-4 if name != "half precision" else 0.05
    ) * whole.abs().max()


def test_gradient_through_a_sampler_is_the_difference_quotient():
    _, _, bound, latents = _cut("sampler", "unet.middle#1")
    units = as_units(bound.head(latents)).double()
    direction = torch.randn(units.shape, generator=torch.Generator(), dtype=torch.double)
    leaf = units.float().requires_grad_(True)
    shape = bound.feature_shape
    slope = float(
        (torch.autograd.grad(bound.tail(units_as(leaf, shape)).sum(), leaf)[0] * direction).sum()
    )
    step = 1e-2
    high, low = (
        float(bound.tail(units_as((units + sign * step * direction).float(), shape)).double().sum())
        for sign in (1, -1)
    )
    assert slope == pytest.approx((high - low) / (2 * step), rel=2e-2)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_left_changed(name):
    torch.manual_seed(0)
    case = CASES[name]
    network = case.make().train()
    next(network.parameters()).requires_grad_(False)
    before = _state(network)
    random = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator = rp.cut(network, case.layers[0], sample_latents=case.sampler, **case.settings)
        latents = generator.sample_latents(1)
        bound = generator.at(latents)
        tensors = tensors_of(bound.head(latents))
        leaves = tuple(tensor.requires_grad_(True) for tensor in tensors)
        bound.tail(leaves if len(leaves) > 1 else leaves[0]).sum().backward()
        rp.layers(network, latents, **case.settings)
    assert torch.equal(torch.get_rng_state(), random)
    assert _state(network) == before
    for part in generator.network.module.modules():
        assert not part._forward_hooks
        assert not part._forward_pre_hooks


def _state(network):
    return {
        "values": {name: value.tolist() for name, value in network.state_dict().items()},
        "flags": [(name, p.requires_grad, p.grad) for name, p in network.named_parameters()],
        "modes": [(name, m.training) for name, m in network.named_modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()],
        "names": [(name, sorted(vars(m))) for name, m in network.named_modules()],
    }


@pytest.mark.parametrize("name", CASES)
def test_decomposed_end_to_end(name, tmp_path):
    """Explain, save, load, evaluate and edit each network at its last layer listed."""
    layer = CASES[name].layers[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, generator, _, latents = _cut(name, layer)
        settings = rp.Structured(steps=12, batch=8, probes=1, baseline_count=16)
        d = rp.explain(generator, latents, rp.Regions.grid(3, 3), settings)
        d.save(tmp_path / "run")
        loaded = rp.Decomposition.load(tmp_path / "run")
        scores = rp.evaluate(
            loaded, generator, rp.Evaluation(demands=8, components=2, contexts=2, free_demands=0)
        )
        edited = rp.edit(loaded, generator, {0: 0.0})
    assert scores.completeness_gap <= 1e-5
    assert scores.inside_error < 1
    assert torch.equal(as_units(loaded.feature), as_units(d.feature))
    whole = as_units(loaded.baseline) + sum(
        as_units(loaded.component(k)) for k in range(loaded.count)
    )
    gap = (whole - as_units(loaded.feature)).abs().max()
    assert gap <= 1e-4 * as_units(loaded.feature).abs().max()
    assert edited.shape == (1, *d.image.shape)
    assert (edited[0] - d.image).abs().max() > 0


@pytest.mark.parametrize("name", CASES)
def test_listed_cut_points_can_be_cut(name):
    torch.manual_seed(0)
    case = CASES[name]
    network = case.make()
    latents = case.sampler(1, torch.Generator().manual_seed(0))
    points = rp.layers(network, latents, **case.settings)
    assert len({point.name for point in points}) == len(points) > 0
    chosen = points[:: max(1, len(points) // 2)]
    for point in chosen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            generator = rp.cut(network, point.name, sample_latents=case.sampler, **case.settings)
            bound = generator.at(latents)
        assert bound.feature_shape == point.feature_shape
        assert 0 <= point.time_share <= 1
        if not bound.runs_whole_network:
            # A skip that is written into is made anew in every run, which the listing leaves out.
            remade = 1 if name == "writes" else 0
            assert 0 <= bound.behind.program.operations - point.operations_behind <= remade
            assert {side.origin for side in bound.side_inputs} == set(point.flows_past)
