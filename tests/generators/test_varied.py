"""Every varied network, at every layer: tail equals full model, gradients, state, decomposition."""

from __future__ import annotations

import warnings

import pytest
import torch
from varied import CASES

import regional_primitives as rp
from regional_primitives.generators.feature import as_units, tensors_of
from regional_primitives.generators.tail import RecordedTail

ALL = [(name, layer) for name, case in CASES.items() for layer in case.layers]
NAMES = [f"{name}-{layer}" for name, layer in ALL]


def _cut(name, layer, **more):
    case = CASES[name]
    torch.manual_seed(0)
    network = case.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error" if case.recorded else "ignore")
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
