import pytest

import regional_primitives as rp


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
    from dataclasses import replace

    import torch

    from planted_truth import planted_truth

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
