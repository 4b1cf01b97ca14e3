from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth
from regional_primitives.generators.zoo.toy import PlantedNetwork, sample_latents


def planted_components(generator, seed):
    """One picture, split into the components that were planted, as the axioms want them."""
    settings = rp.Structured(purpose="isolate", steps=1, batch=2, probes=1, baseline_count=64)
    latents = generator.sample_latents(1, seed=seed)
    fitted = rp.explain(generator, latents, rp.Regions.grid(4, 4), settings)
    truth = planted_truth(fitted.feature, fitted.baseline)
    field_of, unit_of = truth.components.nonzero(as_tuple=True)
    return rp.Decomposition.assemble(
        fields=truth.action_fields,
        field_of=field_of,
        unit_of=unit_of,
        values=truth.components[field_of, unit_of],
        **{
            name: getattr(fitted, name)
            for name in ("feature", "baseline", "image", "baseline_image", "regions", "latents")
        },
        history=torch.zeros(0, 3),
        provenance=replace(fitted.provenance, evaluations=0),
    )


@pytest.fixture(scope="session")
def truth(planted):
    return planted_components(planted, 3)


@pytest.fixture(scope="session")
def other_truth(planted):
    return planted_components(planted, 4)


class Saturating(PlantedNetwork):
    """The planted network with an output that saturates, so that company matters."""

    def forward(self, latent):
        return torch.tanh(30 * super().forward(latent))


@pytest.fixture(scope="session")
def saturating():
    return rp.cut(Saturating(), "express", sample_latents=sample_latents, image_range=(-1.0, 1.0))


@pytest.fixture(scope="session")
def result(saturating):
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
def scores(saturating, result):
    return rp.evaluate(
        result, saturating, rp.Evaluation(demands=4, components=6, contexts=4, free_demands=0)
    )
