"""Which channels make a part, on planted components, by slow sums, and on the page."""

from dataclasses import replace

import pytest
import torch

import regional_primitives as rp

NAMES = [f"part {i}" for i in range(16)]


@pytest.fixture(scope="module")
def pictures(truth, other_truth):
    named = truth.regions.named(NAMES)
    return [replace(one, regions=named) for one in (truth, other_truth)]


def slow_shares(d, patch):
    """Each unit's share of a part's energy: fields of a grid have patches of one size."""
    energy = [0.0] * d.unit_count
    for k in range(d.count):
        if d.action_fields[k, patch]:
            held = 1 / int(d.action_fields[k].sum())
            for unit, value in enumerate(d.component(k).flatten().tolist()):
                energy[unit] += held * value**2
    return [each / sum(energy) for each in energy]


def slow_leading(shares):
    leading, held = set(), 0.0
    for unit in sorted(range(len(shares)), key=lambda unit: -shares[unit]):
        if held >= 0.5:
            break
        leading.add(unit)
        held += shares[unit]
    return leading


def test_leading_units_are_those_of_slow_sums(pictures):
    found = rp.compare(pictures, draws=3)
    assert [part.part for part in found.parts] == NAMES
    for patch in (0, 5, 15):
        part = found.parts[patch]
        shares = [slow_shares(d, patch) for d in pictures]
        leading = [slow_leading(own) for own in shares]
        both, either = leading[0] & leading[1], leading[0] | leading[1]
        assert part.needed == pytest.approx(sum(map(len, leading)) / 2)
        assert part.common == pytest.approx(len(both) / len(either))
        assert {one.channel for one in part.leading if one.pictures == 2} == both
        assert {one.channel for one in part.leading} == either
        for one in part.leading:
            mean = (shares[0][one.channel] + shares[1][one.channel]) / 2
            assert one.share == pytest.approx(mean, rel=1e-4)
        assert 0 <= part.common_random.least <= part.common_random.most <= 1


def test_the_same_picture_has_all_leading_units_in_common(pictures):
    found = rp.compare([pictures[0], pictures[0]], draws=2)
    assert {part.common for part in found.parts} == {1.0}
    # Components of random fields: other units for the same part.
    assert sum(part.common_random.mean for part in found.parts) / 16 < 0.9


def test_channels_of_a_map_are_summed_over_places():
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (3, 4, 4)), torch.nn.Identity(), torch.nn.Upsample(scale_factor=2)
    )
    generator = rp.cut(
        module, "1", sample_latents=lambda n, rng: torch.randn(n, 48, generator=rng),
        image_range=(-4.0, 4.0),
    )  # fmt: skip
    regions = rp.Regions.from_labels(rp.Regions.grid(1, 2).label_map(8, 8), ["left", "right"])
    settings = rp.Structured(steps=5, batch=4, probes=1, baseline_count=64)
    pictures = [
        rp.explain(generator, generator.sample_latents(1, seed=seed), regions, settings)
        for seed in (1, 2)
    ]
    found = rp.compare(pictures, draws=1)
    assert {one.channel for part in found.parts for one in part.leading} <= {0, 1, 2}
    assert found.to_dict()["parts"][0]["part"] == "left"


def test_numbered_patches_are_no_parts_and_other_names_are_told(truth, other_truth, pictures):
    plain = rp.compare([truth, other_truth], draws=1)
    assert (plain.parts, plain.remark) == ((), "")
    other = replace(pictures[1], regions=truth.regions.named([*NAMES[:-1], "corner"]))
    found = rp.compare([pictures[0], other], names=["a", "b"], draws=1)
    assert found.remark == "they name the same patches otherwise; told are those of a"
    coarse = replace(pictures[1], regions=rp.Regions.grid(2, 8).named(NAMES))
    with pytest.raises(rp.InputError, match="shared where it covers the same patches"):
        rp.compare([pictures[0], coarse])
