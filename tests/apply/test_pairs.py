"""Swaps and blends, on a network whose components are known, and by slow sums."""

from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import exactly
from regional_primitives.apply.pairs import RULES, held_share
from regional_primitives.generators.zoo.toy import UNITS_PER_COMPONENT


@pytest.fixture(scope="module")
def one(result):
    return exactly(result)


@pytest.fixture(scope="module")
def two(other):
    return exactly(other)


def mask(decomposition, patches):
    return decomposition.regions.pixel_mask(decomposition.regions.demand(patches), 32, 32)


def test_a_swap_exchanges_the_units_that_paint_the_field(planted, one, two):
    """Field 4 of `planted` is rows 1–2, columns 1–2; its units are known."""
    k = int((one.action_fields == one.regions.demand([5, 6, 9, 10])).all(1).nonzero())
    edit = rp.Edit.swap(one, two, [k])
    units = slice(4 * UNITS_PER_COMPONENT, 5 * UNITS_PER_COMPONENT)
    feature = one.feature.clone()
    feature[:, units] = two.feature[:, units]
    made = rp.edit(one, planted, edit, two)
    torch.testing.assert_close(made, planted.tail(feature), rtol=1e-4, atol=1e-5)
    # The planted component paints its field alone.
    changed = (made[0] - one.image).abs().amax(0) > 1e-4
    assert bool(changed.any())
    assert not bool((changed & ~mask(one, [5, 6, 9, 10])).any())
    assert edit == rp.Edit.swap(one, two, fields=[[10, 9, 6, 5]])


def test_swapping_everything_shows_the_other_picture(planted, one, two):
    everything = rp.Edit.swap(one, two, range(one.count))
    made = rp.edit(one, planted, everything, two)
    torch.testing.assert_close(made[0], two.image, rtol=1e-4, atol=1e-5)


def test_a_component_that_the_other_lacks_is_refused_or_its_nearest_taken(planted, one, two):
    corner = int((one.action_fields == one.regions.demand([0])).all(1).nonzero())
    lost = int((two.action_fields == two.regions.demand([0])).all(1).nonzero())
    poorer = two.without(lost)
    nearest = int((poorer.action_fields == two.regions.demand([0, 1, 4, 5])).all(1).nonzero())
    message = rf"component {corner} \(patch 0\); its nearest is component {nearest} .*0.25"
    with pytest.raises(rp.InputError, match=message):
        rp.Edit.swap(one, poorer, [corner])
    edit = rp.Edit.swap(one, poorer, [corner], nearest=True)
    assert (edit.scales, edit.taken) == ({corner: 0.0}, {nearest: 1.0})
    assert edit.region(one, poorer).nonzero().flatten().tolist() == [0, 1, 4, 5]
    far = replace(poorer, action_fields=poorer.action_fields & ~poorer.regions.demand([0]))
    with pytest.raises(rp.InputError, match="no component whose action field meets"):
        rp.Edit.swap(one, far, [corner], nearest=True)


@pytest.mark.parametrize("rule", RULES)
def test_a_blend_of_all_patches_is_the_other_picture(planted, result, other, rule):
    edit = rp.Edit.blend(result, other, range(16), rule=rule)
    made = rp.edit(result, planted, edit, other)
    torch.testing.assert_close(made[0], other.image, rtol=1e-3, atol=1e-4)


def test_a_blend_is_exact_where_no_field_straddles(planted, one, two):
    """Without the fields across the border, the right half is the other's, to the pixel."""
    right = [patch for patch in range(16) if patch % 4 >= 2]
    halves = one.regions.demand(right)

    def tidy(result):
        for k in reversed(range(result.count)):
            field = result.action_fields[k]
            if bool((field & halves).any()) and bool((field & ~halves).any()):
                result = result.without(k)
        feature = result.combine(torch.ones(1, result.count))
        return replace(result, feature=feature, image=planted.tail(feature)[0])

    a, b = tidy(one), tidy(two)
    made = rp.edit(a, planted, rp.Edit.blend(a, b, right), b)[0]
    expected = torch.where(mask(a, right), b.image, a.image)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    assert a.count > 3


@pytest.mark.parametrize("rule", RULES)
def test_straddling_fields_go_by_the_rule(result, other, rule):
    patches = [5, 6, 9]
    edit = rp.Edit.blend(result, other, patches, rule=rule)
    pixels = mask(result, patches)
    for decomposition, scale_of in (
        (result, lambda k: 1 - edit.scales.get(k, 1.0)),
        (other, lambda k: edit.taken.get(k, 0.0)),
    ):
        for k in range(decomposition.count):
            field = mask(decomposition, decomposition.action_fields[k].nonzero().flatten().tolist())
            share = float((field & pixels).sum() / field.sum())
            expected = {
                "shared": share,
                "mostly": float(share >= 0.5),
                "touching": float(share > 0),
                "inside": float(share == 1),
            }[rule]
            assert scale_of(k) == pytest.approx(expected, abs=1e-6)
    assert edit.patches == (5, 6, 9)


def test_shares_count_pixels_not_patches(result):
    regions = rp.Regions.from_labels(torch.tensor([[0, 1, 1, 1], [-1, 1, 1, 1]]))
    fields = torch.zeros(result.count, 2, dtype=torch.bool)
    fields[:3] = torch.tensor([[True, True], [True, False], [False, True]])
    small = {name: getattr(result, name)[:, :2, :4] for name in ("image", "baseline_image")}
    drawn = replace(result, regions=regions, action_fields=fields, **small)
    found = held_share(drawn, regions.demand([0]))
    assert found[:3].tolist() == pytest.approx([1 / 7, 1.0, 0.0])


def test_a_file_keeps_a_blend(planted, result, other, tmp_path):
    edit = rp.Edit.blend(result, other, [0, 1])
    edit.recorded(result, rp.edit(result, planted, edit, other), other).write(tmp_path / "b.json")
    back = rp.Edit.read(tmp_path / "b.json")
    assert back.made(result, rp.edit(result, planted, back, other)) is True
    assert back.patches == (0, 1)
    with pytest.raises(rp.InputError, match="takes from another run: components"):
        rp.edit(result, planted, back, result)
    with pytest.raises(rp.InputError, match="belongs to another run: components"):
        rp.edit(other, planted, back, result)


def moved(result, **changes):
    return replace(result, provenance=replace(result.provenance, **changes))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: moved(r, weights_digest="0" * 64), "weights differ: planted "),
        (lambda r: moved(r, layer="embed"), "layers differ: express and embed"),
        (
            lambda r: replace(r, regions=rp.Regions.grid(2, 8)),
            "patches differ: 4 × 4 grid and 2 × 8 grid",
        ),
        (lambda r: replace(r, baseline=r.baseline + 1), "baselines differ by"),
    ],
)
def test_bad_input_pairs(planted, result, other, make, message):
    wrong = make(other)
    for ask in (
        lambda: rp.Edit.swap(result, wrong, [0], nearest=True),
        lambda: rp.Edit.blend(result, wrong, [0]),
        lambda: rp.edit(result, planted, rp.Edit(taken={0: 1.0}), wrong),
    ):
        with pytest.raises(rp.InputError) as caught:
            ask()
        assert message in str(caught.value)


def test_bad_input_label_maps_that_differ(result, other):
    labels = result.regions.label_map(32, 32)
    mine = replace(result, regions=rp.Regions.from_labels(labels))
    theirs = replace(other, regions=rp.Regions.from_labels(labels.T.contiguous()))
    with pytest.raises(rp.InputError, match="label maps must be equal"):
        rp.Edit.blend(mine, theirs, [0])
    assert rp.Edit.blend(mine, replace(other, regions=mine.regions), [0]).patches == (0,)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda a, b: rp.Edit.swap(a, b), "names at least one component or action field"),
        (lambda a, b: rp.Edit.swap(a, b, [9999]), "component 9999 does not exist"),
        (lambda a, b: rp.Edit.swap(a, b, fields=[[0, 15]]), "no component with the action field"),
        (lambda a, b: rp.Edit.swap(a, b, fields=[[16]]), "patch 16 does not exist"),
        (lambda a, b: rp.Edit.blend(a, b, []), "names at least one patch"),
        (lambda a, b: rp.Edit.blend(a, b, [-1]), "patch -1 does not exist"),
        (lambda a, b: rp.Edit.blend(a, b, [1], rule="half"), "no rule 'half' for blending"),
    ],
)
def test_bad_input_swaps_and_blends(result, other, ask, message):
    with pytest.raises(rp.InputError) as caught:
        ask(result, other)
    assert message in str(caught.value)


def test_bad_input_no_other_picture(planted, result, other):
    edit = rp.Edit.blend(result, other, [0])
    with pytest.raises(rp.InputError, match="takes components from another picture"):
        rp.edit(result, planted, edit)
    with pytest.raises(rp.InputError, match="component 9999 does not exist"):
        rp.edit(result, planted, rp.Edit(taken={9999: 1.0}), other)


class Skipping(torch.nn.Module):
    """Half of the latent makes the feature, the other half flows past the cut into the picture."""

    def __init__(self):
        super().__init__()
        self.feature = torch.nn.Identity()

    def forward(self, latent):
        cut, past = latent.chunk(2, 1)
        return (self.feature(cut) + 10 * past).view(-1, 1, 2, 2)


def test_the_region_is_where_anything_goes_or_comes(one, two):
    gone = int((one.action_fields == one.regions.demand([0])).all(1).nonzero())
    come = int((two.action_fields == two.regions.demand([15])).all(1).nonzero())
    edit = rp.Edit({gone: 0.0}, taken={come: 1.0})
    assert edit.region(one, two).nonzero().flatten().tolist() == [0, 15]


def test_what_flows_past_the_cut_stays_that_of_the_picture_that_is_edited():
    generator = rp.cut(
        Skipping(), "feature", sample_latents=lambda n, rng: torch.randn(n, 8, generator=rng),
        image_range=(-40.0, 40.0),
    )  # fmt: skip
    first, second = (generator.sample_latents(1, seed=seed) for seed in (0, 1))
    settings = rp.Structured(steps=2, batch=2, probes=1, baseline_count=64)
    one, two = (
        rp.explain(generator, latents, rp.Regions.grid(2, 2), settings)
        for latents in (first, second)
    )
    made = rp.edit(one, generator, rp.Edit.blend(one, two, range(4)), two)
    expected = generator.image(torch.cat([second[:, :4], first[:, 4:]], 1))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
