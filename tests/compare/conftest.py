from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth


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


@pytest.fixture(scope="session")
def result(saturated):
    return saturated


@pytest.fixture(scope="session")
def scores(saturated_scores):
    return saturated_scores
