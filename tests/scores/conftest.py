from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth
from regional_primitives.generators.zoo.toy import PlantedNetwork, sample_latents


@pytest.fixture(scope="session")
def result(planted):
    settings = rp.Structured(purpose="isolate", steps=40, batch=16, probes=2, baseline_count=256)
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), settings)


@pytest.fixture(scope="session")
def scores(planted, result):
    return rp.evaluate(result, planted, rp.Evaluation(demands=32, components=12, free_demands=4))


@pytest.fixture(scope="session")
def truth(planted, result):
    """The same picture, split into the components that were planted."""
    planted_components = planted_truth(result.feature, result.baseline)
    field_of, unit_of = planted_components.components.nonzero(as_tuple=True)
    return rp.Decomposition.assemble(
        fields=planted_components.action_fields,
        field_of=field_of,
        unit_of=unit_of,
        values=planted_components.components[field_of, unit_of],
        **{
            name: getattr(result, name)
            for name in ("feature", "baseline", "image", "baseline_image", "regions", "latents")
        },
        history=torch.zeros(1, 3),
        provenance=replace(result.provenance, evaluations=0),
    )


@pytest.fixture(scope="session")
def other_picture(planted):
    """Another picture of the same network, fitted in a step."""
    settings = rp.Structured(purpose="isolate", steps=1, batch=2, probes=1, baseline_count=256)
    return rp.explain(planted, planted.sample_latents(1, seed=4), rp.Regions.grid(4, 4), settings)


@pytest.fixture(scope="session")
def exact(planted):
    """The same picture in the exact form, whose remainder belongs to patches that nobody chose."""
    settings = rp.Exact(patches=(0, 1, 5, 6), steps=20, baseline_count=64)
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), settings)


class Saturating(PlantedNetwork):
    """The planted network with an output that saturates, so that company matters."""

    def forward(self, latent):
        return torch.tanh(30 * super().forward(latent))


@pytest.fixture(scope="session")
def saturating():
    return rp.cut(Saturating(), "express", sample_latents=sample_latents, image_range=(-1.0, 1.0))


@pytest.fixture(scope="session")
def saturated(saturating):
    """A real fit: its components leak, and what they do depends on each other."""
    # Few steps: what they decide is not to depend on the defaults, which are for many.
    settings = rp.Structured(
        purpose="isolate", steps=15, batch=8, probes=2, baseline_count=64, learning_rate=0.2,
        influence_sharpness=6.0,
        consistency_weight=0.03,
    )  # fmt: skip
    latents = saturating.sample_latents(1, seed=3)
    return rp.explain(saturating, latents, rp.Regions.grid(4, 4), settings)


@pytest.fixture(scope="session")
def saturated_scores(saturating, saturated):
    return rp.evaluate(
        saturated, saturating, rp.Evaluation(demands=4, components=6, contexts=4, free_demands=0)
    )
