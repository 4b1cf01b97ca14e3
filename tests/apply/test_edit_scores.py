"""Any tool's edit: what it changes inside and outside the mask, of tensors and of files."""

import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import regional_primitives as rp


@pytest.fixture
def before():
    return torch.rand(3, 16, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask():
    marked = torch.zeros(16, 12, dtype=torch.bool)
    marked[4:10, 3:9] = True
    return marked


def test_each_number_is_what_it_says(before, mask):
    after = before.clone()
    after[:, mask] += 0.3
    after[:, 0, 0] -= 0.1
    found = rp.edit_scores(before, after, mask)
    inside, outside = 3 * 36 * 0.09, 3 * 0.01
    assert found.pixels == pytest.approx(36 / 192)
    assert found.inside == pytest.approx(0.3, rel=1e-5)
    assert found.outside == pytest.approx(math.sqrt(0.01 / 156), rel=1e-5)
    assert found.outside_share == pytest.approx(outside / (inside + outside), rel=1e-4)
    assert found.psnr_outside == pytest.approx(10 * math.log10(156 / 0.01), rel=1e-5)
    assert 0.9 < found.ssim_outside < 1
    assert found.seam > found.seam_before
    assert found.to_dict().keys() == vars(found).keys()


def test_shares_do_not_depend_on_the_image_range(before, mask):
    after = before.clone()
    after[:, mask] = 0
    after[:, 0] = 1
    one = rp.edit_scores(before, after, mask)
    wide = rp.edit_scores(2 * before[None] - 1, 2 * after - 1, mask, image_range=(-1.0, 1.0))
    for name, value in one.to_dict().items():
        assert getattr(wide, name) == pytest.approx(value, rel=1e-4), name


def test_an_edit_within_its_mask_changes_nothing_outside(before, mask):
    after = torch.where(mask, 1 - before, before)
    found = rp.edit_scores(before, after, mask)
    assert (found.outside, found.outside_share) == (0, 0)
    assert found.ssim_outside == pytest.approx(1)
    assert rp.edit_scores(before, before, mask).outside_share is None
    everything = rp.edit_scores(before, after, torch.ones_like(mask))
    assert everything.psnr_outside is everything.ssim_outside is None


def test_they_are_those_of_an_edit_through_components(planted):
    found = rp.explain(
        planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4),
        rp.Structured(purpose="isolate", steps=5, batch=4, probes=1, baseline_count=64),
    )  # fmt: skip
    wanted = rp.Edit({0: 0.0})
    own = rp.edit_effects(found, planted, wanted)
    picture = rp.edit(found, planted, wanted)
    mask = found.regions.pixel_mask(found.regions.demand(own.patches), 32, 32)
    scores = rp.edit_scores(found.image, picture, mask, found.provenance.image_range)
    assert scores.inside == pytest.approx(own.own.inside)
    assert scores.outside_share == pytest.approx(own.own.outside_share)
    assert (scores.seam, scores.seam_before) == pytest.approx((own.own.seam, own.seam_before))


def written(folder, name, pixels):
    values = (pixels * 255).round().byte().numpy()
    Image.fromarray(values if values.ndim == 2 else np.moveaxis(values, 0, 2)).save(folder / name)
    return folder / name


def test_files_are_pictures_as_tensors_are(before, mask, tmp_path):
    after = torch.where(mask, 1 - before, before)
    after[:, 0] = 0
    files = [
        written(tmp_path, name, one)
        for name, one in (("a.png", before), ("b.png", after), ("m.png", mask.float()))
    ]
    found = rp.edit_scores(*files)
    exact = rp.edit_scores(*((one * 255).round() / 255 for one in (before, after)), mask)
    assert found.to_dict() == pytest.approx(exact.to_dict(), rel=1e-4)
    assert rp.edit_scores(str(files[0]), after, mask).pixels == exact.pixels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"after": torch.rand(3, 16, 11)}, r"one shape, not \[3, 16, 12\] and \[3, 16, 11\]"),
        ({"after": torch.full((3, 16, 12), torch.nan)}, "the picture after is finite numbers"),
        ({"after": torch.full((3, 16, 12), 200)}, r"after holds real numbers in \[0, 1\], not in"),
        ({"before": torch.rand(2, 3, 16, 12)}, r"the picture before is.*\[2, 3, 16, 12\]"),
        ({"mask": torch.ones(12, 16)}, r"the mask is \[12, 16\], the picture \[16, 12\] pixels"),
        ({"mask": torch.zeros(16, 12)}, "marks no pixel that was meant"),
        ({"mask": torch.rand(16, 12)}, "true or false, or 1 and 0"),
        ({"mask": "nowhere.png"}, "there is no picture nowhere.png"),
        ({"before": 3}, "the picture before is a text or a path, not int"),
        ({"image_range": (1, 0)}, "image_range is"),
    ],
)
def test_bad_input_edits(before, mask, change, message):
    given = {"before": before, "after": before.clone(), "mask": mask} | change
    with pytest.raises(rp.InputError, match=message):
        rp.edit_scores(**given)


def test_bad_input_files(before, mask, tmp_path, monkeypatch):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing more")
    with pytest.raises(rp.InputError, match=r"broken\.png cannot be read as a picture"):
        rp.edit_scores(broken, before, mask)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(rp.MissingExtraError, match=r"regional_primitives\[report\]"):
        rp.edit_scores(broken, before, mask)
