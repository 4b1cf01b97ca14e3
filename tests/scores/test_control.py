import json

import pytest
import torch

import regional_primitives as rp
from regional_primitives.runtime.streams import stream
from regional_primitives.scores import control
from regional_primitives.scores.control import SCALES, SELECTIONS, _random_alike, random_blocks


def test_removing_what_lies_inside_changes_nothing_outside(planted, truth):
    # The planted fields inside the two blocks are known: one nested pair, one alone.
    found = control(truth, planted, regions=[[0, 1, 4, 5], [8, 9, 12, 13]], draws=4)
    for edit in found.of("inside", 0.0):
        assert edit.effect.share_inside == pytest.approx(1.0, abs=1e-6)
        assert edit.effect.outside_change == pytest.approx(0.0, abs=1e-9)
        assert edit.random_effect.share_inside < 0.9
    assert [edit.components for edit in found.of("inside", 0.0)] == [2, 1]
    # Both also meet the central field and that of all patches; the second, the bottom row.
    assert [edit.components for edit in found.of("touching", 0.0)] == [4, 4]


def test_removing_all_that_touches_leaves_the_baseline_there(planted, truth):
    found = control(truth, planted, regions=[[0, 1, 4, 5]], draws=1)
    (edit,) = found.of("touching", 0.0)
    assert edit.effect.inside_change == pytest.approx(1.0, abs=1e-5)
    assert edit.effect.outside_change > 0.01


@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_edit_against_a_slow_reading(saturating, saturated, selection):
    region = [5, 6, 9, 10]
    found = control(saturated, saturating, regions=[region], draws=1)
    fields = [set(row.nonzero().flatten().tolist()) for row in saturated.action_fields]
    mine = [
        k
        for k, field in enumerate(fields)
        if (field <= set(region) if selection == "inside" else field & set(region))
    ]
    mask = saturated.regions.pixel_mask(saturated.regions.demand(region), 32, 32)
    departure = (saturated.image - saturated.baseline_image).double().square().sum(0)
    for scale in SCALES:
        picture = rp.edit(saturated, saturating, dict.fromkeys(mine, scale))[0]
        place = SELECTIONS.index(selection), SCALES.index(scale)
        assert torch.allclose(found.pictures[0][place], picture, atol=1e-5)
        change = (picture - saturated.image).double().square().sum(0)
        (edit,) = found.of(selection, scale)
        assert edit.components == len(mine)
        energy = saturated.strengths.square()
        assert edit.energy_share == pytest.approx(float(energy[mine].sum() / energy.sum()))
        inside = float(change[mask].sum() / change.sum())
        assert edit.effect.share_inside == pytest.approx(inside, rel=1e-3)
        assert edit.effect.inside_change == pytest.approx(
            float(change[mask].sum() / departure[mask].sum()), rel=1e-3
        )
        assert edit.effect.outside_change == pytest.approx(
            float(change[~mask].sum() / departure[~mask].sum()), rel=1e-3
        )
        assert torch.equal(found.masks[0], mask)


def test_random_components_have_about_the_same_energy(saturated):
    counted = torch.ones(saturated.count, dtype=torch.bool)
    counted[0] = False
    chosen = torch.zeros(saturated.count, dtype=torch.bool)
    chosen[1:12] = True
    energy = saturated.strengths.double().square()
    rng = stream(0)
    drawn = [_random_alike(saturated, chosen, counted, rng) for _ in range(20)]
    assert len({tuple(row.tolist()) for row in drawn}) == 20
    for row in drawn:
        assert not bool(row[0])
        gap = abs(float(energy[row].sum() - energy[chosen].sum()))
        assert gap <= float(energy[1:].max()) / 2 + 1e-9


def test_the_remainder_is_never_scaled(planted, exact):
    # Its field is that of all other patches.
    found = control(exact, planted, regions=[[15]], draws=2)
    assert [edit.components for edit in found.edits] == [0] * 6


def test_a_region_without_components_has_no_effect(planted, truth):
    found = control(truth, planted, regions=[[5]], draws=1)
    inside = [edit for edit in found.edits if edit.selection == "inside"]
    assert all(edit.components == 0 and edit.effect is None for edit in inside)
    assert found.of("inside", 0.0) == []
    assert "share_inside_inside_x0" not in found.numbers()
    assert torch.allclose(found.pictures[0, 0, 0], truth.image, atol=1e-5)


def test_blocks_are_two_by_two_and_different():
    regions = rp.Regions.grid(4, 5)
    blocks = random_blocks(regions, 6, 0, torch.ones(20, dtype=torch.bool))
    assert len(set(blocks)) == 6
    for block in blocks:
        top_left = block[0]
        assert block == (top_left, top_left + 1, top_left + 5, top_left + 6)
    assert blocks != random_blocks(regions, 6, 1, torch.ones(20, dtype=torch.bool))
    assert len(random_blocks(regions, 99, 0, torch.ones(20, dtype=torch.bool))) == 12


def test_blocks_keep_to_the_patches_and_the_fullest_come_first():
    regions = rp.Regions.grid(4, 4)
    patches = regions.demand([0, 1, 4, 5, 10])
    blocks = random_blocks(regions, 4, 0, patches)
    assert blocks[0] == (0, 1, 4, 5)
    assert all(patches[list(block)].all() for block in blocks)
    assert [len(block) for block in blocks] == sorted(map(len, blocks), reverse=True)


def test_blocks_of_a_label_map_are_connected_sets():
    regions = rp.Regions.from_labels(torch.arange(12).view(3, 4))
    neighbours = regions.neighbours()
    for block in random_blocks(regions, 3, 0, torch.ones(12, dtype=torch.bool)):
        assert len(block) == 4
        assert all(bool(neighbours[patch, list(block)].any()) for patch in block)


def test_it_can_be_told_in_json(planted, truth):
    found = control(truth, planted, draws=1)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert len(told["edits"]) == 6 * len(SELECTIONS) * len(SCALES)
    assert told["area"] == pytest.approx(0.25)


def test_bad_input(planted, truth):
    with pytest.raises(rp.InputError, match="every region needs at least one patch"):
        control(truth, planted, regions=[[0], []])
    with pytest.raises(rp.InputError, match="patch 16 does not exist"):
        control(truth, planted, regions=[[16]])
    with pytest.raises(rp.InputError, match="draws must be a whole number of at least 1"):
        control(truth, planted, draws=0)
