"""What an edit does where, against sums over pixels one by one."""

import json
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.apply import WAYS, edit_ways
from regional_primitives.apply.effects import seam

SPAN = 2.0


def slow_region(result, patches):
    labels = result.regions.label_map(32, 32).tolist()
    return [[labels[y][x] in patches for x in range(32)] for y in range(32)]


def slow_change(before, after, region):
    inside = outside = 0.0
    for channel in range(3):
        for y in range(32):
            for x in range(32):
                change = float(after[channel, y, x]) - float(before[channel, y, x])
                if region[y][x]:
                    inside += change**2
                else:
                    outside += change**2
    return inside, outside


def slow_seam(image, region):
    """The jump over each pair of neighbours, in rows and in columns."""
    total, pairs = 0.0, 0
    for turned in (False, True):
        for channel in range(len(image)):
            values = image[channel].T if turned else image[channel]
            held = torch.tensor(region).T if turned else torch.tensor(region)
            for line, marks in zip(values.tolist(), held.tolist(), strict=True):
                for x in range(len(line) - 1):
                    if marks[x] == marks[x + 1]:
                        continue
                    beside = []
                    if x > 0:
                        beside.append(line[x] - line[x - 1])
                    if x + 2 < len(line):
                        beside.append(line[x + 2] - line[x + 1])
                    slope = sum(beside) / len(beside) if beside else 0.0
                    total += (line[x + 1] - line[x] - slope) ** 2
                    pairs += 1
    return (total / pairs) ** 0.5 / SPAN


def test_changes_inside_and_outside_and_seam_are_those_of_slow_sums(planted, result):
    scales = {0: 0.0, 3: 2.0}
    found = rp.edit_effects(result, planted, scales)
    patches = sorted(
        set(result.action_fields[0].nonzero().flatten().tolist())
        | set(result.action_fields[3].nonzero().flatten().tolist())
    )
    assert list(found.patches) == patches
    region = slow_region(result, patches)
    count = sum(map(sum, region))
    assert found.pixels == pytest.approx(count / 1024)
    assert found.seam_before == pytest.approx(slow_seam(result.image, region))
    pictures = edit_ways(result, planted, scales)
    assert list(pictures) == [way.way for way in found.ways] == list(WAYS)
    for way in found.ways:
        after = pictures[way.way][0]
        inside, outside = slow_change(result.image, after, region)
        assert way.inside == pytest.approx((inside / (3 * count)) ** 0.5 / SPAN)
        assert way.outside == pytest.approx((outside / (3 * (1024 - count))) ** 0.5 / SPAN)
        assert way.outside_share == pytest.approx(outside / (inside + outside))
        assert way.seam == pytest.approx(slow_seam(after, region))
        assert way.target_error is None
    assert found.own == found.ways[0]
    assert found.own.outside_share > 0


def test_pasted_pixels_change_nothing_outside_and_are_those_of_the_edit(planted, result):
    pictures = edit_ways(result, planted, {1: 0.0})
    region = torch.tensor(slow_region(result, result.action_fields[1].nonzero().flatten().tolist()))
    pasted = pictures["pixels"][0]
    assert torch.equal(pasted[:, region], pictures["components"][0][:, region])
    assert torch.equal(pasted[:, ~region], result.image[:, ~region])


def test_pixels_pasted_from_another_picture_are_its_own(planted, result, other):
    edit = rp.Edit.blend(result, other, [0, 1])
    region = torch.tensor(slow_region(result, [0, 1]))
    pasted = edit_ways(result, planted, edit, other)["pixels"][0]
    assert torch.equal(pasted, torch.where(region, other.image, result.image))
    found = {way.way: way for way in rp.edit_effects(result, planted, edit, other).ways}
    assert found["pixels"].target_error == 0
    made = rp.edit(result, planted, edit, other)[0]
    left, _ = slow_change(other.image, made, region.tolist())
    due, _ = slow_change(other.image, result.image, region.tolist())
    assert found["components"].target_error == pytest.approx(left / due, rel=1e-4)


@pytest.fixture(scope="module")
def mapped():
    """A generator whose feature is a map: 4 × 4 cells, each 2 × 2 pixels, under a 2 × 2 grid."""
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (2, 4, 4)), torch.nn.Identity(), torch.nn.Upsample(scale_factor=2)
    )
    generator = rp.cut(
        module, "1", sample_latents=lambda n, rng: torch.randn(n, 32, generator=rng),
        image_range=(-4.0, 4.0),
    )  # fmt: skip
    one, two = (
        rp.explain(
            generator, generator.sample_latents(1, seed=seed), rp.Regions.grid(2, 2),
            rp.Structured(steps=3, batch=2, probes=1, baseline_count=64),
        )
        for seed in (0, 1)
    )  # fmt: skip
    return generator, one, two


def test_a_crop_scales_the_cells_under_the_fields(mapped):
    generator, found, _ = mapped
    k = int(found.action_fields.sum(1).eq(1).nonzero()[0])
    (patch,) = found.action_fields[k].nonzero().flatten().tolist()
    rows, columns = (
        slice(patch // 2 * 2, patch // 2 * 2 + 2),
        slice(patch % 2 * 2, patch % 2 * 2 + 2),
    )
    expected = found.feature.clone()
    expected[..., rows, columns] = found.baseline[..., rows, columns]
    for way in ("crop, mostly", "crop, touching"):
        made = edit_ways(found, generator, {k: 0.0})[way]
        torch.testing.assert_close(made, generator.tail(expected))
    # Keeping it alone: its cells stay, all others are the baseline's.
    rest = found.baseline.clone()
    rest[..., rows, columns] = found.feature[..., rows, columns]
    kept = edit_ways(found, generator, rp.Edit.keep_only([k]))["crop, mostly"]
    torch.testing.assert_close(kept, generator.tail(rest))


def test_scales_of_fields_that_overlap_multiply_in_a_crop(mapped):
    generator, found, _ = mapped
    twice = replace(found, action_fields=torch.ones_like(found.action_fields))
    made = edit_ways(twice, generator, {0: 2.0, 1: 3.0})["crop, mostly"]
    feature = found.baseline + 6 * (found.feature - found.baseline)
    torch.testing.assert_close(made, generator.tail(feature))


def test_a_crop_of_a_blend_takes_the_cells_of_the_other(mapped):
    generator, one, two = mapped
    made = edit_ways(one, generator, rp.Edit.blend(one, two, [3]), two)["crop, touching"]
    feature = one.feature.clone()
    feature[..., 2:, 2:] = two.feature[..., 2:, 2:]
    torch.testing.assert_close(made, generator.tail(feature))


def test_nothing_changed_and_nothing_outside_have_no_made_up_numbers(planted, result):
    idle = rp.edit_effects(result, planted, {})
    assert (idle.patches, idle.pixels, idle.seam_before) == ((), 0.0, None)
    assert idle.ways[1].outside_share is None
    assert idle.ways[1].inside == 0
    whole = rp.edit_effects(result, planted, rp.Edit.keep_only([0]))
    assert whole.pixels == 1
    assert (whole.own.outside, whole.own.outside_share, whole.own.seam) == (0.0, 0.0, None)
    json.dumps(whole.to_dict(), allow_nan=False)


def test_a_slope_has_no_seam_and_a_step_has_its_height():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:, 4:] = True
    slope = torch.arange(8.0).expand(3, 8, 8)
    assert seam(slope, mask, (0.0, 10.0)) == 0
    step = torch.where(mask, 1.0, 0.0).expand(3, 8, 8)
    assert seam(step, mask, (0.0, 10.0)) == pytest.approx(0.1)
    # At the picture's edge one step beside the border is all there is.
    narrow = torch.zeros(1, 1, 2)
    narrow[..., 1] = 5
    assert seam(narrow, torch.tensor([[False, True]]), (0.0, 10.0)) == pytest.approx(0.5)
    assert seam(narrow, torch.ones(1, 2, dtype=torch.bool), (0.0, 10.0)) is None
