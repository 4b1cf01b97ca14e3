"""Carried edits, on a network whose components are the same units in every picture."""

import json

import pytest
import torch
from torch import nn

import regional_primitives as rp
from planted_truth import exactly, planted_truth
from regional_primitives.generators.zoo.toy import UNITS_PER_COMPONENT


@pytest.fixture(scope="module")
def one(result):
    return exactly(result)


@pytest.fixture(scope="module")
def latents(planted):
    return planted.sample_latents(5, seed=40)


def field(decomposition, patches):
    row = decomposition.regions.demand(patches)
    return int((decomposition.action_fields == row).all(1).nonzero())


def test_a_component_is_removed_in_every_picture(planted, one, latents):
    """Field 4 of `planted` is rows 1-2, columns 1-2, and its units paint nothing else."""
    k = field(one, [5, 6, 9, 10])
    found = rp.carry({k: 0.0}, one, planted, latents)
    assert found.patches == (5, 6, 9, 10)
    assert found.part == "patches 5, 6, 9, 10"
    truth = [planted_truth(planted.head(latents[i : i + 1]), one.baseline) for i in range(5)]
    for i in range(5):
        feature = planted.head(latents[i : i + 1])
        pictures = found.pictures(i)
        torch.testing.assert_close(pictures[:1], planted.tail(feature))
        gone = planted.tail(feature - truth[i].components[4])
        torch.testing.assert_close(pictures[1:], gone, rtol=1e-4, atol=1e-5)
    way = found.ways[0]
    assert max(way.outside_share) < 1e-6
    assert way.succeeded == tuple(inside >= found.least_inside for inside in way.inside)
    assert found.least_inside == pytest.approx(found.own_inside / 2)
    assert found.most_outside == pytest.approx(0.375)  # half of the twelve patches of sixteen
    assert found.success > 0.5
    assert found.chance < 0.2
    # The feature is a vector: its units have no places that channels could be dealt within.
    assert [each.way for each in found.ways[1:]] == ["random units, as much energy"]


def test_the_very_change_is_added(planted, one, latents):
    k = field(one, [5, 6, 9, 10])
    found = rp.carry({k: 1.5}, one, planted, latents, by="add")
    change = 0.5 * planted_truth(one.feature, one.baseline).components[4]
    made = planted.tail(planted.head(latents[2:3]) + change)
    torch.testing.assert_close(found.pictures(2)[1:], made, rtol=1e-4, atol=1e-5)


def test_units_of_several_components_take_the_mean_scale_by_size(planted, one, latents):
    """Two components made of the same units, one three times the other, of opposite signs."""
    from dataclasses import replace

    k, own = field(one, [5, 6, 9, 10]), slice(4 * UNITS_PER_COMPONENT, 5 * UNITS_PER_COMPONENT)
    at = slice(int(one.offsets[k]), int(one.offsets[k + 1]))
    twice = replace(
        one,
        action_fields=torch.cat([one.action_fields, one.action_fields[k : k + 1]]),
        strengths=torch.cat([one.strengths, one.strengths[k : k + 1] / 3]),
        offsets=torch.cat([one.offsets, one.offsets[-1:] + UNITS_PER_COMPONENT]),
        units=torch.cat([one.units, one.units[at]]),
        values=torch.cat([one.values, -one.values[at] / 3]),
    )
    found = rp.carry({k: 0.0}, twice, planted, latents, draws=1)
    before = planted.head(latents[:1])
    expected = before.clone()
    expected[:, own] -= 0.75 * (before - one.baseline)[:, own]
    torch.testing.assert_close(found.pictures(0)[1:], planted.tail(expected), rtol=1e-4, atol=1e-5)


def test_a_picture_s_draws_depend_on_nothing_but_its_place(planted, one, latents):
    k = field(one, [0])
    all_, first = (rp.carry({k: 0.0}, one, planted, x, draws=3) for x in (latents, latents[:2]))
    assert all_.ways[1].inside[:6] == pytest.approx(first.ways[1].inside)
    other = rp.carry({k: 0.0}, one, planted, latents[:2], draws=3, seed=1)
    assert other.ways[1].inside != first.ways[1].inside


def test_random_units_change_the_feature_as_much_and_channels_keep_their_places():
    """A feature map: what is dealt to other channels stays under the part."""
    module = nn.Sequential(nn.Unflatten(1, (3, 4, 4)), nn.Identity(), nn.Upsample(scale_factor=2))
    generator = rp.cut(
        module, "1", sample_latents=lambda n, rng: torch.randn(n, 48, generator=rng),
        image_range=(-4.0, 4.0),
    )  # fmt: skip
    regions = rp.Regions.from_labels(rp.Regions.grid(2, 2).label_map(8, 8), ["a", "b", "c", "d"])
    settings = rp.Structured(steps=10, batch=4, probes=1, baseline_count=64)
    d = rp.explain(generator, generator.sample_latents(1, seed=1), regions, settings)
    latents = generator.sample_latents(6, seed=10)
    found = rp.carry(rp.Edit.of_regions(d, ["b"]), d, generator, latents)
    ways = {way.way: way for way in found.ways}
    assert list(ways) == [
        "the same units scaled", "random units, as much energy",
        "the same places, random channels", "feature crop, cells mostly inside",
    ]  # fmt: skip
    assert found.success == 1
    assert "of b to 6 pictures: 100% succeed" in repr(found)
    assert ways["the same places, random channels"].median_outside_share < 0.05
    assert ways["random units, as much energy"].median_outside_share > 0.5
    # Here the picture is the feature, so that the energy of the change is known from both shares.
    energies = [
        sum(i**2 / (1 - share) for i, share in zip(way.inside, way.outside_share, strict=True))
        / len(way.inside)
        for way in found.ways[:3]
    ]
    assert energies == pytest.approx([energies[0]] * 3, rel=1e-3)
    # The crop takes the baseline's cells under the part, and no others.
    assert ways["feature crop, cells mostly inside"].median_outside_share == 0
    told = found.to_dict()
    json.dumps(told, allow_nan=False)
    assert (told["part"], told["pictures"], len(told["ways"][1]["inside"])) == ("b", 6, 24)


def test_bad_input_carried_edits(planted, one, other, latents):
    two = exactly(other)
    blend = rp.Edit.blend(one, two, [0])
    with pytest.raises(rp.InputError, match="takes components from another picture"):
        rp.carry(blend, one, planted, latents)
    with pytest.raises(rp.InputError, match="carried by one of scale, add; not 'move'"):
        rp.carry({0: 0.0}, one, planted, latents, by="move")
    with pytest.raises(rp.InputError, match="changes nothing of its own picture"):
        rp.carry({0: 1.0}, one, planted, latents)
    with pytest.raises(rp.InputError, match=r"latents .* do not fit"):
        rp.carry({0: 0.0}, one, planted, torch.zeros(2, 7))
    with pytest.raises(rp.InputError, match="latents hold NaN"):
        rp.carry({0: 0.0}, one, planted, torch.full_like(latents, torch.nan))
    with pytest.raises(rp.InputError, match="component 999 does not exist"):
        rp.carry({999: 0.0}, one, planted, latents)
    with pytest.raises(rp.InputError, match="draws"):
        rp.carry({0: 0.0}, one, planted, latents, draws=0)
    with pytest.raises(rp.InputError, match="outside"):
        rp.carry({0: 0.0}, one, planted, latents, outside=2.0)
    with pytest.raises(rp.InputError, match="the number of a picture"):
        rp.carry({0: 0.0}, one, planted, latents, draws=1).pictures(5)


def test_hair_goes_in_other_faces_too(faces):
    """A face explained in a few steps; random units do worse."""
    settings = rp.Structured(purpose="isolate", steps=40, batch=8, probes=1, baseline_count=64)
    d = rp.explain(faces, faces.sample_latents(1, seed=100), faces.parts, settings)
    edit = rp.Edit.of_regions(d, ["hair and background"])
    found = rp.carry(edit, d, faces, faces.sample_latents(4, seed=0), draws=2)
    assert found.success >= 0.5 > found.chance
