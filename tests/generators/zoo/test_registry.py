from __future__ import annotations

import hashlib
import sys
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth
from regional_primitives.generators import ZOO, baseline_feature, load_recorded
from regional_primitives.generators.layers import parse_layers
from regional_primitives.generators.zoo import faces as faces_module
from regional_primitives.generators.zoo.toy import PICTURE_SIDE, UNITS_PER_COMPONENT, planted_fields


@pytest.mark.parametrize(
    "options", [{"sizf": 32}, {"size": "32"}, {"size": True}, {"weights": 5}, {"name": "faces"}]
)
def test_bad_input_options_on_record(options):
    with pytest.raises(rp.InputError, match="options for generator 'planted' cannot be"):
        load_recorded("planted", "express", options)


def test_entries_answer_to_their_names():
    assert {"faces", "planted"} <= set(ZOO)
    for name, entry in ZOO.items():
        assert entry.name == name
        assert entry.default_layer in entry.layers
        assert entry.how_to_get
        assert entry.licence


INSTALLED = [name for name, entry in ZOO.items() if entry.installed()]


@pytest.mark.parametrize("name", INSTALLED)
def test_every_cut_point_named_in_the_zoo_works(name):
    generator = rp.load_generator(name)
    # The picture that loading recorded: its tail is kept.
    latents = generator.sample_latents(1, seed=0)
    whole = generator.image(latents)
    side = ZOO[name].resolution
    assert generator.name == name
    grey = name in ("terrain", "vae-chairs", "vae-dsprites", "class-fashion")
    assert whole.shape == (1, 1 if grey else 3, side, side)
    layers = ZOO[name].layers
    if name == "terrain":  # many seconds a layer; benchmarks/tails.py does them all
        layers = (ZOO[name].default_layer,)
    for layer in layers:
        # One network for all layers: loading it anew for each would take minutes.
        cut = replace(generator, layers=parse_layers(layer, generator.network.module), behind=None)
        bound = (generator if layer == generator.layer else cut).at(latents)
        image = bound.tail(bound.head(latents))
        assert not bound.runs_whole_network
        assert (image - whole).abs().max() <= 1e-5 * whole.abs().max()
        assert bound.layer == layer


def test_terrain_is_installed_for_the_tests():
    """Make test installs its weights, so that no test of it is left out unseen."""
    assert ZOO["terrain"].installed()


def test_sizes():
    with pytest.raises(rp.InputError, match="'faces' has no size 128; it has: 64"):
        rp.load_generator("faces", size=128)


def test_a_generator_that_finds_no_latents_says_who_does(faces):
    with pytest.raises(
        rp.InputError, match=r"faces finds no latents for a picture .* and 'photos' do"
    ):
        faces.latents_of_image("cat.png")


def test_default_layer(faces, planted):
    assert faces.layer == "main.5"
    assert faces.feature_shape == (256, 8, 8)
    assert planted.layer == "express"
    assert planted.feature_shape == (60,)


@pytest.mark.parametrize("name", ["face", "Faces", ""])
def test_unknown_name_lists_the_zoo(name):
    message = rf"generator '{name}' is not in the zoo; .*there are: .*faces, .*planted"
    with pytest.raises(rp.InputError, match=message):
        rp.load_generator(name)


def test_unknown_layer_lists_the_cut_points():
    with pytest.raises(rp.GeneratorError, match=r"'main\.99' is not in .* main\.2, .*main\.5"):
        rp.load_generator("faces", "main.99")


@pytest.mark.parametrize("device", ["nonsense", "cuda:77"])
def test_unknown_device(device):
    with pytest.raises(rp.InputError, match=f"device '{device}' cannot be used: "):
        rp.load_generator("planted", device=device)


def test_weights_that_are_not_installed(monkeypatch):
    monkeypatch.setattr(faces_module, "find_weights", lambda: None)
    assert not ZOO["faces"].installed()
    with pytest.raises(rp.GeneratorError, match=r"not installed; get them: pip install .*gan-face"):
        rp.load_generator("faces")


def test_weights_that_are_not_the_published_ones(tmp_path):
    # A pickle that would print if it were ever loaded.
    fake = tmp_path / "weights.tar"
    fake.write_bytes(b"cbuiltins\nprint\n(S'unpickled'\ntR.")
    with pytest.raises(
        rp.StorageError, match="is not the published file; get it anew: pip install"
    ):
        rp.load_generator("faces", weights=fake)
    with pytest.raises(rp.StorageError, match="cannot read"):
        rp.load_generator("faces", weights=str(tmp_path / "nothing"))


def test_weights_are_found_without_importing_their_package():
    path = faces_module.find_weights()
    assert path is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith("0c3b90b1")
    assert "gan_face_generate" not in sys.modules


def test_faces_look_like_pictures(faces):
    images = faces.image(faces.sample_latents(8))
    assert images.shape == (8, 3, 64, 64)
    assert images.abs().max() <= 1
    assert (images.flatten(1).std(1) > 0.2).all()
    # Neighbouring pixels agree far better than pixels of different pictures do.
    smooth = (images[..., 1:] - images[..., :-1]).square().mean()
    apart = (images[1:] - images[:-1]).square().mean()
    assert smooth < 0.2 * apart


def test_face_8_is_the_same_picture_everywhere(faces):
    torch.manual_seed(0)
    image = faces.image(faces.sample_latents(1, seed=8))
    with torch.no_grad():
        latent = torch.randn(1, 100, 1, 1, generator=torch.Generator().manual_seed(8))
        expected = faces_module.load_faces()(latent)
    assert torch.equal(image, expected)


# The planted network keeps the paper's axioms, exactly


@pytest.fixture(scope="module")
def planted_picture(planted):
    feature = planted.head(planted.sample_latents(1, seed=5))
    baseline = baseline_feature(planted, 64)
    return planted_truth(feature, baseline), feature, baseline


def _pixels(field):
    return rp.Regions.grid(4, 4).pixel_mask(field, PICTURE_SIDE, PICTURE_SIDE)


def test_planted_components_add_up(planted_picture):
    truth, feature, baseline = planted_picture
    assert torch.allclose(baseline + truth.components.sum(0), feature, atol=1e-6)
    assert (truth.strengths > 0).all()
    assert ((truth.components != 0).sum(0) <= 1).all()
    assert ((truth.components != 0).sum(1) <= UNITS_PER_COMPONENT).all()


def test_planted_component_changes_its_field_and_nothing_else(planted, planted_picture):
    truth, feature, baseline = planted_picture
    for k, field in enumerate(planted_fields()):
        for start in (baseline, feature - truth.components[k]):
            change = planted.tail(start + truth.components[k]) - planted.tail(start)
            outside = change[0, :, ~_pixels(field)]
            assert not outside.any()
            # Every patch of the field is changed visibly.
            for patch in field.nonzero().flatten():
                only = rp.Regions.grid(4, 4).demand([int(patch)])
                assert change[0, :, _pixels(only)].abs().max() > 1e-3


def test_planted_demands_are_generated_exactly(planted, planted_picture):
    """Hold completeness and boundedness for every demand of one or two patches."""
    truth, feature, baseline = planted_picture
    image, fields = planted.tail(feature), planted_fields()
    regions = rp.Regions.grid(4, 4)
    for a in range(16):
        for b in range(a, 16):
            demand = regions.demand([a, b])
            triggered = (fields & demand).any(1)
            u = baseline + (triggered[:, None] * truth.components).sum(0)
            pixels = _pixels(demand)
            generated = planted.tail(u)
            assert torch.allclose(generated[0, :, pixels], image[0, :, pixels], atol=1e-5)
            untouched = ~_pixels(fields[triggered].any(0))
            if untouched.any():
                start = planted.tail(baseline)
                assert torch.equal(generated[0, :, untouched], start[0, :, untouched])


def test_planted_fields_are_distinct_and_of_different_kinds():
    fields = planted_fields()
    assert fields.shape == (10, 16)
    assert len(fields.unique(dim=0)) == 10
    assert fields.sum(1).tolist() == [1, 4, 2, 3, 4, 1, 4, 4, 1, 16]


def test_planted_pictures_stay_in_range(planted):
    images = planted.image(planted.sample_latents(64))
    assert images.abs().max() < 1
    assert images.std() > 0.05


def test_bad_input_weights_of_what_has_none(tmp_path):
    with pytest.raises(rp.InputError, match="'planted' is analytic and takes no weights"):
        rp.load_generator("planted", weights=tmp_path)


def test_the_planted_network_is_the_same_for_any_number_of_threads():
    threads = torch.get_num_threads()
    try:
        digests = []
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            digests.append(rp.load_generator("planted").digest)
    finally:
        torch.set_num_threads(threads)
    assert len(set(digests)) == 1
