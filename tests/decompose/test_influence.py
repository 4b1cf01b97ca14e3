import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured.influence import measure_influence
from regional_primitives.decompose.subject import prepare


class Fixed(nn.Module):
    """Four units paint one pixel each; the last so strongly that its tanh saturates."""

    def __init__(self):
        super().__init__()
        self.feature = nn.Identity()
        self.gain = nn.Parameter(torch.tensor([1.0, 1.0, 1.0, 200.0]))
        self.shape = nn.Unflatten(1, (1, 2, 2))

    def forward(self, latent):
        return torch.tanh(self.shape(self.feature(latent * 1.0) * self.gain))


@pytest.fixture
def subject():
    generator = rp.cut(
        Fixed(),
        "feature",
        sample_latents=lambda count, rng: torch.randn(count, 4, generator=rng),
        baseline=torch.zeros(1, 4),
    )
    return prepare(generator, torch.ones(1, 4), rp.Regions.grid(2, 2))


def test_influence_is_the_squared_first_order_change(subject):
    evaluations = Evaluations(subject.generator)
    influence = measure_influence(subject, evaluations, probes=400, seed=0)
    assert evaluations.count == 400 * 4
    places = (torch.arange(400) + 0.5) / 400
    expected = (1 - torch.tanh(places) ** 2).square().mean()
    for patch in range(3):
        assert float(influence[patch, patch]) == pytest.approx(float(expected), rel=0.3)
    assert float((influence - influence.diag().diag()).abs().max()) == 0.0


def test_another_fit_of_the_picture_measures_nothing_again_and_counts_the_same(subject):
    ran = []
    evaluations = Evaluations(subject.generator)
    once = measure_influence(subject, evaluations, probes=3, seed=5)
    evaluations.pulled_back = lambda *_: ran.append(1)
    assert torch.equal(measure_influence(subject, evaluations, probes=3, seed=5), once)
    assert evaluations.count == 2 * 3 * 4
    assert not ran
    for changed in ({"seed": 6}, {"probes": 2}):
        fresh = Evaluations(subject.generator)
        other = measure_influence(subject, fresh, **{"probes": 3, "seed": 5, **changed})
        assert fresh.seconds > 0
        assert not torch.equal(other, once)


def test_a_mask_and_the_same_mask_beside_the_rest_are_not_taken_for_each_other():
    generator = rp.load_generator("planted")
    latents = generator.sample_latents(1, seed=3)
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:8] = True
    one = rp.Regions.from_masks({"top": mask})
    two = rp.Regions.from_masks({"top": mask, "the rest": ~mask})
    for several in ((one, two), (two, one)):
        for regions in several:  # what is kept of the first is not the second
            subject = prepare(generator, latents, regions)
            found = measure_influence(subject, Evaluations(subject.generator), 1, seed=7)
            assert found.shape[0] == regions.count


def test_a_saturated_patch_is_reached_all_the_same(subject):
    feature = subject.feature.clone().requires_grad_(True)
    subject.generator.tail(feature)[0, 0, 1, 1].backward()
    assert float(feature.grad.abs().max()) == 0.0, "the example must saturate"
    # The last unit saturates within a hundredth of the way, so that only a start near f0 sees it.
    influence = measure_influence(subject, Evaluations(subject.generator), probes=100, seed=0)
    assert float(influence[3, 3]) > 0


def test_all_patches_of_a_partly_saturated_face_are_generated_when_asked_for(faces):
    # Picture 18 has a black border: at f, its pixels have no gradient.
    quick = rp.Structured(steps=20, trials=0, probes=4, baseline_count=128)
    result = rp.explain(faces, faces.sample_latents(1, seed=18), settings=quick)
    single = torch.eye(36, dtype=torch.bool)
    from regional_primitives.decompose.subject import PatchErrors

    errors = PatchErrors.of(result.image, result.baseline_image, result.regions)
    images = faces.render(result.minimal_units(single))
    assert float(errors.inside(images, single).max()) < 0.5
