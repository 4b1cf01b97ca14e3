from __future__ import annotations

import shlex

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file

import regional_primitives as rp
from regional_primitives.errors import GeneratorError, StorageError
from regional_primitives.generators import ZOO
from regional_primitives.generators.zoo import vaes
from regional_primitives.generators.zoo.weights import WEIGHTS_VARIABLE

LINEAR = {"lin1": (256, 10), "lin2": (256, 256), "lin3": (512, 256)}
# A cut point's side; each has 32 channels.
CUTS = {"view": 4, "convT_64_relu": 8, "convT1_relu": 16, "convT2_relu": 32}


def _random_state(channels, seed=0):
    """Draw a decoder's state dict of the published keys and shapes."""
    shapes = {}
    for name, shape in LINEAR.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, wide in {"convT_64": 32, "convT1": 32, "convT2": 32, "convT3": channels}.items():
        shapes |= {f"{name}.weight": (32, wide, 4, 4), f"{name}.bias": (wide,)}
    rng = torch.Generator().manual_seed(seed)
    return {key: 0.1 * torch.randn(shape, generator=rng) for key, shape in shapes.items()}


def _published(channels, seed=0):
    """Draw one as the repository keeps it: with the encoder, and names that tell them apart."""
    decoder = {f"decoder.{key}": part for key, part in _random_state(channels, seed).items()}
    return {"encoder.conv1.bias": torch.zeros(32)} | decoder


def _write(folder, name, seed=0):
    """Write a file of `name` as published; returns its path."""
    path = folder / vaes.VAES[name].published / "model.pt"
    path.parent.mkdir(parents=True)
    torch.save(_published(vaes.VAES[name].channels, seed), path)
    return path


def _seed_of(network):
    """Tell which seed a network's weights were drawn with."""
    states = [_random_state(network.convT3.out_channels, seed) for seed in range(5)]
    return [seed for seed in range(5) if torch.equal(network.lin1.bias, states[seed]["lin1.bias"])]


@pytest.fixture(params=vaes.VAES)
def name(request):
    return request.param


# The network


def test_it_computes_what_is_written(tmp_path, name):
    channels = vaes.VAES[name].channels
    network, latents = vaes.load_vae(name, _write(tmp_path, name)), torch.randn(3, 10)
    state = {key: part.double() for key, part in _random_state(channels).items()}
    assert list(network.state_dict()) == list(state)
    assert sum(part.numel() for part in state.values()) == pytest.approx(2.5e5, rel=0.01)
    x = latents.double()
    for layer in LINEAR:
        x = (x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]).clamp(min=0)
    x = x.reshape(3, 32, 4, 4)
    for layer in ("convT_64", "convT1", "convT2", "convT3"):
        weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
        x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
        x = x.clamp(min=0) if layer != "convT3" else 1 / (1 + (-x).exp())
    with torch.no_grad():
        given = network(latents)
    assert given.shape == (3, channels, 64, 64)
    assert x.std() > 0.01
    assert torch.allclose(given.double(), x, atol=1e-6)  # a few roundings of numbers below 1


def test_cut_points(tmp_path, name):
    weights = _write(tmp_path, name).parents[1]
    assert tuple(CUTS) == ZOO[name].layers
    for layer, side in CUTS.items():
        generator = rp.load_generator(name, layer, weights=weights)
        latents = generator.sample_latents(2, seed=1)
        feature = generator.head(latents)
        assert feature.shape == (2, 32, side, side)
        assert feature.min() == 0  # it is what the next layer is given
        assert torch.equal(generator.tail(feature), generator.image(latents))


def test_default_layer_and_latents(tmp_path, name):
    generator = rp.load_generator(name, weights=_write(tmp_path, name))
    assert (generator.layer, generator.image_range) == ("convT_64_relu", (0.0, 1.0))
    latents = generator.sample_latents(1000)
    assert latents.shape == (1000, 10)
    # The means of 10,000 numbers, to five standard errors.
    assert latents.mean() == pytest.approx(0, abs=0.05)
    assert latents.std() == pytest.approx(1, abs=0.04)


# Loading


def test_where_weights_are_found(tmp_path, monkeypatch, nowhere):
    name, load = "vae-chairs", vaes.load_vae
    assert not ZOO[name].installed()
    kept = _write(nowhere / "weights" / "disvae", name, seed=1)
    assert vaes.find_weights(name) == kept
    assert ZOO[name].installed()
    # Another's file is not this one's.
    _write(tmp_path / "mine", "vae-faces")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "mine"))
    assert vaes.find_weights(name) == kept
    mine = _write(tmp_path / "mine", name, seed=2)
    assert vaes.find_weights(name) == mine
    assert _seed_of(load(name)) == [2]
    # What is given goes before all, and nothing else will do: a file, or a folder that has it.
    save_file(_random_state(1, seed=3), tmp_path / "btcvae_chairs_decoder.safetensors")
    assert _seed_of(load(name, tmp_path)) == [3]
    assert _seed_of(load(name, kept)) == _seed_of(load(name, kept.parents[1])) == [1]
    assert _seed_of(load(name, kept.parents[2])) == [1]
    with pytest.raises(StorageError, match="is the file of vae-chairs, not of vae-dsprites"):
        load("vae-dsprites", kept)
    with pytest.raises(GeneratorError, match=r"'vae-chairs' are not in .*elsewhere; get them: cur"):
        load(name, tmp_path / "elsewhere")


def test_no_weights_say_how_to_get_them(nowhere, name):
    with pytest.raises(GeneratorError) as caught:
        rp.load_generator(name)
    how = ZOO[name].how_to_get
    message = (
        f"the weights of {name!r} are not installed; get them: {how} and pass --weights disvae"
    )
    assert message in str(caught.value)
    program, *options, url = shlex.split(how)
    file = f"{vaes.VAES[name].published}/model.pt"
    assert program == "curl"
    assert options[-2:] == ["-o", f"disvae/{file}"]
    assert url.startswith("https://raw.githubusercontent.com/YannDubs/disentangling-vae/f0452191")
    assert url.endswith(f"/results/{file}")


def test_faces_say_what_they_were_learnt_from():
    assert "CelebA, for non-commercial research only" in ZOO["vae-faces"].licence


FAULTS = [
    (lambda path: path.write_bytes(b"cbuiltins\nprint\n(S'unpickled'\ntR."), "is corrupt, or no"),
    (lambda path: path.write_bytes(path.read_bytes()[:-9000]), "is corrupt, or no file of tensors"),
    (lambda path: torch.save(_published(3), path), r"'convT3\.weight' is float32 \[32, 3, 4, 4\]"),
    (lambda path: torch.save([1], path), "it holds a list"),
    (
        lambda path: torch.save({"encoder.conv1.bias": torch.zeros(32)}, path),
        r"'lin1\.weight' is missing",
    ),
    (
        lambda path: torch.save(_published(1) | {"decoder.lin4.bias": torch.zeros(1)}, path),
        r"'lin4\.bias' is unknown",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_files_that_are_another_or_none(tmp_path, capsys, spoil, message):
    path = _write(tmp_path, "vae-dsprites")
    spoil(path)
    with pytest.raises(StorageError, match=rf"model\.pt .*{message}.*; get it: curl") as caught:
        rp.load_generator("vae-dsprites", weights=path)
    assert "weights_only" not in str(caught.value)
    assert "unpickled" not in capsys.readouterr().out


# The published weights, where this machine has them

# The picture of latent sin(0), …, sin(9): a few pixels of the first channel
# fmt: off
PICTURES = {
    "vae-faces": [
        0.6529, 0.8434, 0.8800, 0.8287, 0.6078, 0.5331, 0.7845, 0.5416,
        0.7342, 0.8322, 0.8235, 0.8324, 0.6388, 0.7837, 0.7122, 0.7826,
    ],
    "vae-chairs": [
        0.9949, 0.8445, 0.5424, 0.7938, 0.9924, 0.4131, 0.3427, 0.8872,
        0.9963, 0.9550, 0.7857, 0.7693, 0.9957, 0.9706, 0.8804, 0.9470,
    ],
    "vae-dsprites": [
        0.9999, 0.9994, 0.6542, 0.0000, 1.0000, 1.0000, 1.0000, 0.0000,
        0.9962, 0.9999, 0.9984, 0.0000, 0.0001, 0.0225, 0.0000, 0.0000,
    ],
}
# fmt: on


@torch.no_grad()
def test_published_pictures(beside, name):
    path = vaes.find_weights(name, beside) or vaes.find_weights(name)
    if path is None:
        pytest.skip(f"its weights belong in ${WEIGHTS_VARIABLE}: {ZOO[name].how_to_get}")
    picture = vaes.load_vae(name, path)(torch.arange(10.0)[None].sin())
    given = picture[0, 0, 26:44:5, 20:44:6].flatten().tolist()
    assert given == pytest.approx(PICTURES[name], abs=1e-4)
