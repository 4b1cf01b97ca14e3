import json
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import Exhibits, exhibit
from regional_primitives.scores.exhibits import named_demands


@pytest.fixture(scope="module")
def exhibits(planted, result):
    return exhibit(result, planted, most=6)


def test_pictures_are_what_the_tail_gives(planted, result, exhibits):
    k = int(exhibits.shown[2])
    alone = planted.tail(result.baseline + result.component(k))[0] - result.baseline_image
    torch.testing.assert_close(exhibits.patterns[2], alone, rtol=1e-4, atol=1e-5)
    removed = result.image - planted.tail(result.feature - result.component(k))[0]
    torch.testing.assert_close(exhibits.removals[2], removed, rtol=1e-4, atol=1e-5)


def test_the_build_up_runs_from_the_baseline_to_the_picture(result, exhibits):
    assert exhibits.steps.tolist()[0] == 0
    assert exhibits.steps.tolist()[-1] == result.count
    torch.testing.assert_close(exhibits.build_up[0], result.baseline_image)
    torch.testing.assert_close(exhibits.build_up[-1], result.image, rtol=1e-4, atol=1e-5)
    assert float(exhibits.build_up_error[0]) == pytest.approx(1.0)
    assert float(exhibits.build_up_error[-1]) < 1e-6


def test_both_rankings_are_shown(result, exhibits):
    shown = set(exhibits.shown.tolist())
    assert set(range(6)) <= shown
    assert set(exhibits.visible_order[:6]) <= shown
    change = exhibits.visible_change[exhibits.visible_order]
    assert torch.equal(change, change.sort(descending=True).values)


def test_a_flat_repaint_is_less_visible_than_a_change_of_structure(result):
    from regional_primitives.scores.quality import structural_change

    blank = replace(result, image=torch.full((3, 32, 32), 0.5))
    repaint = torch.full((3, 32, 32), 0.3)
    structure = 0.3 * (torch.arange(32) % 4 < 2).float().mul(2).sub(1).expand(3, 32, 32)
    nothing, flat, striped = structural_change(
        blank, torch.stack([torch.zeros_like(repaint), repaint, structure])
    )
    assert float(repaint.norm()) == pytest.approx(float(structure.norm()))
    assert float(nothing) == pytest.approx(0.0, abs=1e-6)
    assert 0 < float(flat) < 0.5 * float(striped)


def test_what_nobody_notices_is_not_visible_whatever_the_texture(result):
    from regional_primitives.scores.quality import NOTICEABLE, structural_change

    fur = 0.03 * torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    fur[:, :4] = 1.0
    picture = replace(result, image=fur)
    span = float(fur.max() - fur.min())
    change = torch.zeros(2, 3, 32, 32)
    change[0, :, 16:] = 0.8 * NOTICEABLE * span
    change[1, :, 16:] = 1.6 * NOTICEABLE * span
    hidden, seen = structural_change(picture, change)
    assert hidden == 0
    assert seen > 0


def test_demands_of_named_regions_begin_with_the_most_telling_ones(planted, result):
    labels = torch.arange(32)[:, None].expand(32, 32) // 8
    names = ["hair", "eyes", "nose", "mouth"]
    picture = replace(result, regions=rp.Regions.from_labels(labels, names))
    told, demands = named_demands(rp.Picture.of(picture, planted))
    assert set(told[:3]) < set(names)
    for name, demand in zip(told[:3], demands[:3], strict=True):
        assert demand.nonzero().flatten().tolist() == [names.index(name)]


def test_the_patch_that_stands_for_a_grid_has_most_of_the_energy(planted, result):
    image = result.image.clone()
    corner = result.regions.masks(32, 32)[0]
    image[:, corner] += 9.0  # departs the most, and no component serves it
    picture = replace(result, image=image)
    told, demands = named_demands(rp.Picture.of(picture, planted))
    fields, energy = result.action_fields.double(), result.strengths.double().square()
    most = int((energy / fields.sum(1).clamp_min(1) @ fields).argmax())
    assert most != 0
    assert told[2] == f"patch {most}, with most of the energy"
    assert demands[2].nonzero().flatten().tolist() == [most]


def test_exhibits_round_trip(exhibits, tmp_path):
    exhibits.write(tmp_path)
    again = Exhibits.read(tmp_path)
    assert again.demand_names == exhibits.demand_names
    assert torch.equal(again.patterns, exhibits.patterns)
    (tmp_path / "exhibits.safetensors").write_bytes(b"junk")
    with pytest.raises(rp.StorageError, match="is corrupt"):
        Exhibits.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("patterns", lambda t: t / 0),
        ("visible_change", lambda t: t * float("nan")),
        ("shown", lambda t: t.flip(0)),
        ("shown", lambda t: t + 10**6),
        ("steps", lambda t: t - 1),
        ("demands", lambda t: t.float()),
        ("demanded", lambda t: t.double()),
        ("build_up", lambda t: t[..., :-1].contiguous()),
        ("inside", lambda t: t - 100),
    ],
)
def test_bad_input_pictures_that_cannot_be(exhibits, tmp_path, name, change):
    replace(exhibits, **{name: change(getattr(exhibits, name))}).write(tmp_path)
    with pytest.raises(rp.StorageError, match="is corrupt: its tensors cannot be"):
        Exhibits.read(tmp_path)


def test_bad_input_the_pictures_digest_cannot_be_switched_off(exhibits, tmp_path):
    exhibits.write(tmp_path)
    content = json.loads((tmp_path / "exhibits.json").read_text())
    for digest in (None, "", 3):
        (tmp_path / "exhibits.json").write_text(json.dumps({**content, "exhibits_digest": digest}))
        with pytest.raises(rp.StorageError, match=r"exhibits\.json is corrupt: Expected `str`"):
            Exhibits.read(tmp_path)


def test_bad_input_pictures_of_another_run(result, exhibits, tmp_path):
    exhibits.write(tmp_path)
    Exhibits.read(tmp_path, result)
    with pytest.raises(rp.StorageError, match="do not belong to its components"):
        Exhibits.read(tmp_path, result.without(0))


def test_a_label_map_has_demands_too(planted):
    labels = rp.Regions.grid(4, 4).label_map(32, 32)
    quick = rp.Structured(steps=3, batch=4, probes=1, baseline_count=64)
    result = rp.explain(
        planted, planted.sample_latents(1, 3), rp.Regions.from_labels(labels), quick
    )
    found = exhibit(result, planted, most=2)
    assert len(found.demand_names) == len(found.demands) == len(found.demanded)
    assert found.demands.any(1).all()


def test_demands_of_the_exact_form_stay_within_the_chosen_patches(planted):
    settings = rp.Exact(
        patches=[0, 1, 5], baseline_count=64, steps=3, starts=1, sparse_steps=5, joint_steps=0,
        noise_floor=False,
    )  # fmt: skip
    latents = planted.sample_latents(1, seed=3)
    found = rp.explain(planted, latents, rp.Regions.grid(4, 4), settings)
    made = exhibit(found, planted, most=3)
    assert made.demands.any(1).all()
    others = ~found.regions.demand(found.patches)
    assert not made.demands[:, others].any()
    assert len(made.demands.unique(dim=0)) >= 3
