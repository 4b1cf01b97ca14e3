import pytest
import torch
from torch import nn

import regional_primitives as rp


def test_several_pictures_at_once_are_refused(planted, quick):
    with pytest.raises(rp.InputError, match="one picture at a time; got 2"):
        rp.explain(planted, planted.sample_latents(2), rp.Regions.grid(4, 4), quick)


def test_more_rows_than_pixels_are_refused(planted, quick):
    with pytest.raises(rp.InputError, match="grid of 33 rows needs as many pixels"):
        rp.explain(planted, planted.sample_latents(1), rp.Regions.grid(33, 4), quick)


def test_a_latent_of_another_shape_is_refused(planted, quick):
    with pytest.raises(rp.InputError, match=r"takes \[batch, 60\]"):
        rp.explain(planted, torch.zeros(1, 61), rp.Regions.grid(4, 4), quick)


def test_a_picture_that_equals_the_baseline_has_nothing_to_explain(planted, quick):
    latents = planted.sample_latents(1)
    generator = rp.cut(
        planted.network.module,
        "express",
        sample_latents=planted.sampler,
        baseline=planted.head(latents),
    )
    with pytest.raises(rp.GeneratorError, match="nothing to explain"):
        rp.explain(generator, latents, rp.Regions.grid(4, 4), quick)


def test_bad_input_no_generator(quick):
    with pytest.raises(rp.InputError, match=r"needs a generator from rp\.cut, not Linear"):
        rp.explain(nn.Linear(2, 2), torch.zeros(1, 2), rp.Regions.grid(2, 2), quick)


def test_a_network_of_ones_own_in_half_a_dozen_lines(quick):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(8, 32),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (2, 4, 4)),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(2, 1, 3, padding=1),
        nn.Tanh(),
    )
    generator = rp.cut(
        network, "2", sample_latents=lambda count, rng: torch.randn(count, 8, generator=rng)
    )
    result = rp.explain(generator, generator.sample_latents(1), rp.Regions.grid(2, 2), quick)
    scores = rp.evaluate(result, generator, rp.Evaluation(demands=16, components=3, free_demands=2))
    assert result.image.shape == (1, 8, 8)
    assert scores.completeness_gap < 1e-5
    assert scores.inside_error < 0.2
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert network.training
