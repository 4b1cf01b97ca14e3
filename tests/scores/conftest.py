from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth


@pytest.fixture(scope="session")
def result(planted):
    settings = rp.Structured(purpose="isolate", steps=40, batch=16, probes=2, baseline_count=256)
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), settings)


@pytest.fixture(scope="session")
def scores(planted, result):
    return rp.evaluate(
        result, planted, rp.Evaluation(demands=32, components=12, free_demands=4, free_bounds=True)
    )


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
    settings = rp.Exact(patches=(0, 1, 5, 6), steps=10, starts=2, baseline_count=64)
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), settings)
