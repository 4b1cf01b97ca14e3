"""What texts say of regions, and how the generator or the picture decides them."""

import numpy as np
import pytest

import regional_primitives as rp
from regional_primitives.decompose.division import division, said


@pytest.fixture(scope="module")
def planted():
    return rp.load_generator("planted")


def test_texts_of_grids_and_files(tmp_path):
    assert said("6x6") == said(" grid:6x6 ") == rp.Regions.grid()
    np.save(tmp_path / "map.npy", np.array([[0, 1]]))
    (tmp_path / "names.json").write_text('{"0": "a", "1": "b"}')
    read = said(str(tmp_path / "map.npy"), tmp_path / "names.json")
    assert read.names == ("a", "b")
    with pytest.raises(rp.InputError, match="names belong to a label map"):
        said("6x6", tmp_path / "names.json")
    for wrong in ("", "6", "segments", "segments:", "part", "grid:"):
        with pytest.raises(rp.InputError, match="are none of: 6x6"):
            said(wrong)


def test_the_picture_decides_its_superpixels(planted):
    latents = planted.sample_latents(1, seed=3)
    found = division("segments:8", planted, latents)
    assert found == rp.Regions.segments(planted.tail(planted.head(latents)), 8)
    with pytest.raises(rp.InputError, match="superpixels are those of one picture"):
        division("segments:8", planted)


def test_the_generator_decides_its_parts(planted):
    with pytest.raises(rp.InputError, match="planted comes without a map of parts"):
        division("parts", planted)
    faces = rp.load_generator("faces")
    parts = division("parts", faces)
    assert parts.names == ("hair and background", "skin", "left eye", "right eye", "nose", "mouth")
    assert parts.labels.shape == (64, 64)


def test_a_map_is_fitted_to_the_pictures_when_asked(planted):
    half = rp.Regions.from_labels(rp.Regions.grid(2, 2).label_map(16, 16))
    latents = planted.sample_latents(1)
    assert division(half, planted, latents, resize=True).labels.shape == (32, 32)
    assert division(half, planted, resize=True).labels.shape == (32, 32)
    settings = rp.Structured(steps=1, baseline_count=4)
    with pytest.raises(
        rp.InputError, match="16 × 16 pixels, the picture 32 × 32; --resize-regions"
    ):
        rp.explain(planted, latents, half, settings)


def test_demands_and_edits_go_by_name(planted, tmp_path):
    names = ["sky", "sea", "sand", "sun"]
    regions = rp.Regions.grid(2, 2).named(names)
    settings = rp.Structured(steps=4, baseline_count=16)
    latents = planted.sample_latents(1)
    d = rp.explain(planted, latents, regions, settings)
    assert d.names == tuple(names)
    assert rp.ask(d, planted, ["sun", "sea"]).equal(rp.ask(d, planted, [3, 1]))
    assert rp.ask(d, planted, "sun").equal(rp.ask(d, planted, 3))
    d.save(tmp_path / "run")
    assert rp.Decomposition.load(tmp_path / "run").names == tuple(names)
    gone = rp.Edit.of_regions(d, ["sun"])
    assert gone.patches == (3,)
    inside = d.action_fields[:, 3]
    alone = inside & (d.action_fields.sum(1) == 1)
    assert set(gone.scales) == set(inside.nonzero().flatten().tolist())
    assert all(gone.scales[k] == 0 for k in alone.nonzero().flatten().tolist())
    assert rp.edit(d, planted, remove=["sun"]).equal(rp.edit(d, planted, gone))
    same = rp.Edit.of_regions(d, ["sun"], 1.0)
    assert rp.edit(d, planted, same).allclose(d.image[None], atol=1e-6)
    with pytest.raises(rp.InputError, match="scales or by what to remove; give one"):
        rp.edit(d, planted)


def test_a_path_is_read_as_its_text_is(planted, tmp_path):
    file = tmp_path / "map.npy"
    np.save(file, np.arange(4).repeat(256).reshape(32, 32))
    quick = rp.Structured(steps=2, batch=4, probes=1, baseline_count=16)
    latents = planted.sample_latents(1)
    one, other = (rp.explain(planted, latents, given, quick) for given in (file, str(file)))
    assert one.regions == other.regions == rp.Regions.read(file)
    with pytest.raises(rp.InputError, match="none of"):
        rp.explain(planted, latents, tmp_path / "map", quick)
