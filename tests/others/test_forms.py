"""Each form of an answer, against components that are known one by one."""

import pytest
import torch

import regional_primitives as rp
from regional_primitives.others import (
    Attributions,
    Codes,
    Directions,
    Interactions,
    Maps,
    Parts,
)


@pytest.fixture(scope="module")
def difference(subject):
    return subject.difference.view(2, 4, 4)


def quarter_maps(side=4):
    maps = torch.zeros(4, side, side)
    half = side // 2
    for patch in range(4):
        top, left = half * (patch // 2), half * (patch % 2)
        maps[patch, top : top + half, left : left + half] = 1
    return maps


def assert_quarters(found, by_quarter, component_of):
    """Each quarter of the feature is one component, whose field is that quarter."""
    assert found.count == 4
    for patch in range(4):
        assert torch.allclose(component_of(found, [patch]), by_quarter[patch], atol=1e-5)


def test_orthogonal_directions_take_their_own_projections(made, subject):
    directions = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    found = made(Directions(directions.view(32, 2, 4, 4)))
    along = directions @ subject.difference
    assert torch.allclose(found.strengths, along.abs().sort(descending=True).values, atol=1e-5)
    whole = sum(found.component(k)[0] for k in range(found.count))
    assert torch.allclose(whole.flatten(), subject.difference, atol=1e-5)


def test_directions_together_are_the_best_that_their_span_allows(made, subject):
    rng = torch.Generator().manual_seed(1)
    directions = torch.randn(3, 32, generator=rng)
    # Lengths do not matter, and one that depends on the others adds nothing to the span.
    given = torch.cat([directions * torch.tensor([[1.0], [-5], [0.1]]), directions[:1]])
    found = made(Directions(given))
    whole = found.feature_units.new_zeros(32)
    for k in range(found.count):
        whole += found.component(k).flatten()
    best = torch.linalg.lstsq(directions.T, subject.difference[:, None]).solution
    assert torch.allclose(whole, (directions.T @ best).flatten(), atol=1e-4)


def test_masks_are_fields_where_patches_lie_in_them(made, by_quarter):
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[0, :4] = True  # both upper patches
    masks[1, :2, :4] = True  # half of patch 0
    masks[2, 7, 5:] = True  # a little of patch 3
    rows = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    found = made(Directions(rows, masks))
    assert sorted(found.action_fields.tolist()) == sorted(
        [[True, True, False, False], [True, False, False, False], [False, False, False, True]]
    )
    assert found.provenance.settings["share"] is None


def test_codes_are_decoder_vectors_where_they_are_active(made, difference, component_of):
    decoder = torch.eye(2)
    activations = torch.zeros(16, 2)
    activations[:2, 0], activations[15, 1] = torch.tensor([2.0, 3.0]), 5.0
    found = made(Codes(decoder, activations.view(4, 4, 2)), share=0.99)
    expected = torch.zeros(2, 4, 4)
    expected[0, 0, :2] = torch.tensor([2.0, 3.0])
    assert torch.equal(component_of(found, [0]), expected)
    assert torch.equal(component_of(found, [3])[1, 3, 3], torch.tensor(5.0))
    assert found.provenance.settings["labels"] == ("latent 1", "latent 0")


def test_codes_of_the_baseline_cancel(made, subject, difference):
    """An exact code of f and of f0, with a bias: their difference sums up to f − f0."""
    bias = torch.tensor([7.0, -3.0])
    signs = torch.cat([torch.eye(2), -torch.eye(2)])
    f, f0 = subject.feature[0], subject.baseline[0]

    def code(feature):
        return (feature.flatten(1).T - bias) @ signs.T.clamp(-1, 1)

    pair = [code(one).relu() for one in (f, f0)]
    found = made(Codes(signs, *pair))
    whole = sum(found.component(k)[0] for k in range(found.count))
    assert torch.allclose(whole, difference, atol=1e-5)


def test_parts_alone_and_with_all_appearances(made, by_quarter, component_of):
    parts = quarter_maps() * 3  # of any scale
    fine = torch.zeros(16, 4, 4)
    fine.view(16, 16).fill_diagonal_(1)
    whole = sum(made(Parts(fine)).component(k)[0] for k in range(16))
    assert torch.allclose(whole, by_quarter.sum(0), atol=1e-5)
    coarse = made(Parts(parts), share=0.99)
    rotated = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(0)))[0]
    same = made(Parts(parts, rotated), share=0.99)
    for patch in range(4):
        cells = by_quarter[patch].flatten(1)
        mean = cells.sum(1) / 4
        expected = mean[:, None, None] * quarter_maps()[patch]
        assert torch.allclose(component_of(coarse, [patch]), expected, atol=1e-5)
        assert torch.allclose(component_of(same, [patch]), expected, atol=1e-5)
    pairs = made(Parts(parts, rotated, pairs=True))
    assert pairs.count == 8
    both = sum(pairs.component(k)[0] for k in range(8))
    assert torch.allclose(both, sum(coarse.component(k)[0] for k in range(4)), atol=1e-5)


@pytest.mark.parametrize("normalise", ["peak", "share", "none"])
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_maps_of_quarters_are_quarters(made, by_quarter, component_of, normalise, threshold):
    given = Maps(quarter_maps(), normalise, threshold)
    assert_quarters(made(given, share=0.99), by_quarter, component_of)


def test_maps_are_normalised_as_they_say(made, difference):
    maps = {"low": torch.full((2, 2), 0.25), "high": torch.ones(2, 2)}
    for normalise, low, high in (("peak", 1, 1), ("share", 0.2, 0.8), ("none", 0.25, 1)):
        found = made(Maps(maps, normalise))
        words = found.provenance.settings["labels"]
        for word, gate in (("low", low), ("high", high)):
            component = found.component(words.index(word))[0]
            assert torch.allclose(component, gate * difference, atol=1e-5)


def test_attributions_divide_every_unit(made, by_quarter, component_of):
    # Negative credit is none.
    given = torch.where(by_quarter != 0, 0.3, -1.0)
    assert_quarters(made(Attributions(given), share=0.99), by_quarter, component_of)
    fields = torch.eye(4, dtype=torch.bool)
    assert_quarters(made(Attributions(given, fields)), by_quarter, component_of)


def test_interactions_divide_the_cells_of_their_patches(made, by_quarter, component_of):
    found = made(Interactions({(): 9.0, (0,): -1.0, (0, 1): 3.0, (2,): 1.0, (3,): 0.0}))
    assert torch.allclose(component_of(found, [0]), by_quarter[0] / 4, atol=1e-6)
    both = 0.75 * by_quarter[0] + by_quarter[1]
    assert torch.allclose(component_of(found, [0, 1]), both, atol=1e-6)
    assert torch.allclose(component_of(found, [2]), by_quarter[2], atol=1e-6)
    assert found.count == 3


def test_bundles_take_components_maps_and_attributions():
    """Two tensors at one cut."""

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fine, self.coarse = torch.nn.Identity(), torch.nn.Identity()

        def forward(self, z):
            fine = self.fine(z[:, :32].unflatten(1, (2, 4, 4)))
            coarse = self.coarse(z[:, 32:].unflatten(1, (2, 2, 2)))
            grown = [
                torch.nn.functional.interpolate(one, scale_factor=scale)
                for one, scale in ((fine, 2), (coarse, 4))
            ]
            return sum(grown)

    generator = rp.cut(
        Two(), ["fine", "coarse"], image_range=(-4.0, 4.0),
        sample_latents=lambda n, rng: torch.randn(n, 40, generator=rng),
    )  # fmt: skip
    latents, regions = generator.sample_latents(1, seed=0), rp.Regions.grid(2, 2)

    def made(answer):
        return rp.components(answer, generator, latents, regions, baseline_count=16, share=0.8)

    by_map = made(Maps(quarter_maps()))
    assert by_map.count == 4
    assert bool((by_map.action_fields.sum(1) == 1).all())
    tensors = tuple(torch.cat([by_map.component(k)[part] for k in range(4)]) for part in (0, 1))
    again = made((by_map.action_fields, tensors))
    assert again.values.equal(by_map.values)
    credited = made(Attributions(tuple(tensor.abs() for tensor in tensors)))
    whole = credited.combine_units(torch.ones(1, 4))
    assert torch.allclose(whole, credited.feature_units, atol=1e-5)
    with pytest.raises(rp.InputError, match="parts are of one tensor; this cut has 2"):
        made(Parts(quarter_maps()))
    with pytest.raises(rp.InputError, match=r"components are \[K, 2 × 4 × 4 \+ 2 × 2 × 2\]"):
        made((by_map.action_fields, tensors[:1]))


ONES = torch.ones


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Directions(ONES(2, 3)), r"directions are \[K, 2 × 4 × 4\].*not \[2, 3\]"),
        (Directions(torch.zeros(1, 32)), "direction 0 is zero"),
        (Directions(ONES(2, 32), ONES(1, 8, 8)), r"masks are \[2, 8, 8\].*\[1, 8, 8\]"),
        (Directions(ONES(1, 32), 0.5 * ONES(1, 8, 8)), "each pixel true or false"),
        (Directions(ONES(1, 32), torch.zeros(1, 8, 8)), "mask 0 holds no pixel"),
        (Codes(ONES(3, 5), ONES(16, 3)), r"decoder vectors are .* = \[3, 2\], not \[3, 5\]"),
        (Codes(ONES(3, 2), ONES(15, 3)), "of 16 sites; 15 came"),
        (Codes(ONES(3, 2), ONES(16)), r"activations are \[\*sites, latents\], not \[16\]"),
        (Codes(ONES(3, 2), torch.zeros(16, 3)), "no latent is active"),
        (Codes(ONES(3, 2), ONES(16, 3), ONES(16, 2)), "baseline activations are as"),
        (Codes(ONES(3, 2), torch.full((16, 3), torch.inf)), "activations hold NaN, infinity"),
        (Parts(ONES(2, 5)), r"parts are \[R, \*sites\] of 16 sites"),
        (Parts(ONES(2, 16), ONES(2, 3)), r"appearances are \[Q, channels\] of 2 channels"),
        (Parts(ONES(2, 16), pairs=True), "pairs need appearances"),
        (Maps(ONES(2, 4)), r"maps are \[K, rows, columns\], not \[2, 4\]"),
        (Maps({}), "all of one size"),
        (Maps({"a": ONES(2, 2), "b": ONES(3, 3)}), "all of one size"),
        (Maps({"a": "b"}), "the map of 'a' are a tensor, not str"),
        (Maps(-ONES(1, 4, 4)), "no map is positive anywhere"),
        (Maps(ONES(1, 4, 4), "sum"), "normalise must be 'peak' or 'share' or 'none'"),
        (Maps(ONES(1, 4, 4), threshold=2.0), "threshold must be a number from 0 to 1"),
        (Attributions(ONES(2, 4)), r"attributions are \[K, 2 × 4 × 4\]"),
        (Attributions(ONES(2, 32), ONES(1, 4) > 0), r"fields are bool \[2, 4\]"),
        (Interactions({(0, 4): 1.0}), r"interaction of \(0, 4\) is of patches beyond 0 … 3"),
        (Interactions({"mouth": 1.0}), "one of a list of whole numbers, not 'mouth'"),
        (Interactions({(0,): torch.nan}), r"the interaction of \(0,\) must be a finite number"),
        (Interactions({(): 1.0}), "no interaction of any patch"),
        (Interactions([1.0]), "interactions are shapiq's InteractionValues"),
        (Interactions(ONES(2, 2), ONES(2, 4) > 0), r"interactions are numbers \[K\]"),
    ],
)
def test_bad_input_of_each_form(made, answer, message):
    with pytest.raises(rp.InputError, match=message) as caught:
        made(answer)
    assert "\n" not in str(caught.value)


def test_bad_input_maps_of_a_feature_without_places(planted):
    with pytest.raises(rp.InputError, match=r"need a feature with places.*\[60\]"):
        rp.components(
            Maps(ONES(1, 4, 4)), planted, planted.sample_latents(1), rp.Regions.grid(2, 2),
            baseline_count=4,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["parts", "components"])
def test_bad_input_another_pictures_answer_of_any_form(made, cells, name):
    other = cells.head(cells.sample_latents(1, seed=1))
    answers = {
        "parts": Parts(quarter_maps(), made_of=other),
        "components": Directions(ONES(1, 32), made_of=other),
    }
    with pytest.raises(rp.InputError, match="these components are another picture's"):
        made(answers[name])
