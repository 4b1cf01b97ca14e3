from __future__ import annotations

import copy
import io
import math
import shlex
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file

import regional_primitives as rp
from regional_primitives.errors import GeneratorError, InputError, StorageError
from regional_primitives.generators.photographs import PHOTOGRAPHS, draw_crop, read_photograph
from regional_primitives.generators.zoo import photos
from regional_primitives.generators.zoo.weights import WEIGHTS_VARIABLE
from regional_primitives.runtime.storage import tensors_digest
from regional_primitives.runtime.streams import stream

# The published keys: place in the sequence → what stands there.
DECODER = {1: "in", **dict.fromkeys((3, 4, 5), "pooled block"), 7: "plain", 12: "plain"}
DECODER |= dict.fromkeys((8, 9, 10, 13, 14, 15, 18), "block") | {17: "plain", 19: "out"}
ENCODER = {0: "in", **dict.fromkeys((2, 6, 10), "plain"), 14: "out"}
ENCODER |= dict.fromkeys((1, 3, 4, 5, 7, 8, 9), "block")
ENCODER |= dict.fromkeys((11, 12, 13), "pooled block")
NETWORKS = {"decoder": photos.PhotoDecoder, "encoder": photos.PhotoEncoder}


def _shapes(places, incoming, outgoing):
    shapes = {}
    for place, kind in places.items():
        wide, narrow = outgoing if kind == "out" else 64, incoming if kind == "in" else 64
        block = kind.endswith("block")
        for name in [f"{place}.conv.{i}" for i in (0, 2, 4)] if block else [f"{place}"]:
            shapes[f"{name}.weight"] = (wide, narrow, 3, 3)
            if kind != "plain":
                shapes[f"{name}.bias"] = (wide,)
        if kind == "pooled block":
            shapes |= {f"{place}.pool.0.weight": (256, 64, 1, 1)}
            shapes |= {f"{place}.pool.1.weight": (256,), f"{place}.pool.1.bias": (256,)}
            shapes |= {f"{place}.pool.3.weight": (64, 256, 1, 1)}
    return shapes


SHAPES = {"decoder": _shapes(DECODER, 32, 3), "encoder": _shapes(ENCODER, 3, 32)}


def _random_state(half, seed=0):
    """Draw a state dict of the published keys and shapes, in half precision as published."""
    rng = torch.Generator().manual_seed(seed)
    return {
        key: (torch.randn(shape, generator=rng) * (2 / (64 * 9)) ** 0.5).half()
        for key, shape in SHAPES[half].items()
    }


def _block(state, place, x):
    if f"{place}.pool.0.weight" in state:
        wide = F.conv2d(x, state[f"{place}.pool.0.weight"])
        scale, shift = state[f"{place}.pool.1.weight"], state[f"{place}.pool.1.bias"]
        wide = F.group_norm(wide, 4, scale, shift).clamp(min=0)
        x = x + F.conv2d(wide, state[f"{place}.pool.3.weight"])
    y = x
    for i in (0, 2, 4):
        y = y.clamp(min=0) if i else y
        weight, bias = state[f"{place}.conv.{i}.weight"], state[f"{place}.conv.{i}.bias"]
        y = F.conv2d(y, weight, bias, padding=1)
    return (x + y).clamp(min=0)


def _straight(half, state, x):
    """Compute either half from its state dict alone, function by function, in float64."""
    state = {key: part.double() for key, part in state.items()}
    places, x = (DECODER if half == "decoder" else ENCODER), x.double()
    if half == "decoder":
        x = 3 * (x / 3).tanh()
    for place in sorted(places):
        kind = places[place]
        if kind.endswith("block"):
            x = _block(state, place, x)
            continue
        if kind == "plain" and half == "decoder":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        stride = 2 if kind == "plain" and half == "encoder" else 1
        weight, bias = state[f"{place}.weight"], state.get(f"{place}.bias")
        x = F.conv2d(x, weight, bias, stride=stride, padding=1)
        if kind == "in" and half == "decoder":
            x = x.clamp(min=0)
    return x


def _input(half, side=32, count=2, seed=7):
    rng = torch.Generator().manual_seed(seed)
    if half == "encoder":
        return torch.rand(count, 3, side, side, generator=rng)
    return 3 * torch.randn(count, 32, side // 8, side // 8, generator=rng)


def _write(folder, suffix=".safetensors", halves=("decoder", "encoder"), seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    for half in halves:
        path, state = folder / f"taef2_{half}{suffix}", _random_state(half, seed)
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return photos.load_photos(_write(tmp_path_factory.mktemp("weights")))


# The networks


@pytest.mark.parametrize("half", NETWORKS)
def test_keys_are_the_published_ones(half):
    state = NETWORKS[half]().state_dict()
    assert {key: tuple(part.shape) for key, part in state.items()} == SHAPES[half]
    assert sum(part.numel() for part in state.values()) == pytest.approx(1.34e6, rel=0.01)


@pytest.mark.parametrize("half", NETWORKS)
def test_networks_compute_what_is_written(pair, half):
    network, x = pair[half == "encoder"], _input(half)
    with torch.no_grad():
        given = network(x)
    expected = _straight(half, _random_state(half), x)
    assert given.shape == ((2, 3, 32, 32) if half == "decoder" else (2, 32, 4, 4))
    assert expected.std() > 0.01
    assert torch.allclose(given.double(), expected, atol=1e-5 * float(expected.abs().max()))


def test_sides_may_differ(pair):
    latents = photos.encode_photograph(pair[1], torch.rand(1, 3, 32, 72))
    assert latents.shape == (1, 32, 4, 9)
    assert pair[0](latents).shape == (1, 3, 32, 72)


# A cut point's channels and side, for pictures of 64 pixels
CUTS = {"5": (64, 8), "10": (64, 16), "15": (64, 32), "17": (64, 64)}


@pytest.mark.parametrize("layer", photos.ENTRY.layers)
def test_cut_points(pair, layer):
    decoder, encoder = pair
    generator = rp.cut(
        decoder, layer, sample_latents=photos.latent_sampler(encoder, 64), image_range=(0.0, 1.0)
    )
    latents = generator.sample_latents(1)
    feature = generator.head(latents)
    channels, side = CUTS[layer]
    assert feature.shape == (1, channels, side, side)
    with torch.no_grad():
        assert torch.allclose(generator.tail(feature), decoder(latents), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 64, 128])
def test_cut_points_grow_with_the_picture(pair, size):
    x, shapes = torch.zeros(1, 32, size // 8, size // 8), {}
    for name, layer in pair[0].named_children():
        x = layer(x)
        shapes[name] = tuple(x.shape[1:])
    for name, (channels, side) in CUTS.items():
        assert shapes[name] == (channels, side * size // 64, side * size // 64)
    assert tuple(CUTS) == photos.ENTRY.layers
    assert CUTS[photos.ENTRY.default_layer] == (64, 16)


# Loading


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_are_those_of_the_files_in_float32(tmp_path, suffix):
    before = torch.get_rng_state()
    pair = photos.load_photos(_write(tmp_path, suffix, seed=3))
    for half, network in zip(NETWORKS, pair, strict=True):
        assert type(network) is NETWORKS[half]
        assert not network.training
        state = network.state_dict()
        for key, part in _random_state(half, seed=3).items():
            assert state[key].dtype == torch.float32
            assert torch.equal(state[key], part.float())
        assert len(state) == len(SHAPES[half])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_two_files_may_be_of_different_kinds_and_safetensors_go_first(tmp_path):
    _write(tmp_path, ".pth", seed=1)
    _write(tmp_path, halves=["encoder"], seed=2)
    decoder, encoder = photos.load_photos(tmp_path)
    assert torch.equal(decoder[1].bias, _random_state("decoder", 1)["1.bias"].float())
    assert torch.equal(encoder[0].bias, _random_state("encoder", 2)["0.bias"].float())


def test_where_weights_are_found(tmp_path, monkeypatch, nowhere):
    assert photos.find_weights() is None
    kept = _write(nowhere / "weights" / "taef2")
    assert photos.find_weights() == kept
    # The environment goes before the cache, if there is anything in it.
    monkeypatch.setenv("REGIONAL_PRIMITIVES_WEIGHTS", str(tmp_path / "mine"))
    assert photos.find_weights() == kept
    # Half a pair is nothing.
    _write(tmp_path / "mine", halves=["encoder"])
    assert photos.find_weights() == kept
    nested = _write(tmp_path / "mine" / "taef2")
    assert photos.find_weights() == nested
    direct = _write(tmp_path / "mine")
    assert photos.find_weights() == direct
    monkeypatch.setenv("REGIONAL_PRIMITIVES_WEIGHTS", "")
    assert photos.find_weights() == kept
    # What is given goes before all, and nothing else will do.
    given = _write(tmp_path / "given" / "taef2")
    assert photos.find_weights(given) == photos.find_weights(given.parent) == given
    monkeypatch.setenv("HOME", str(tmp_path))
    assert photos.find_weights(Path("~/given")) == given
    assert photos.find_weights(tmp_path / "elsewhere") is None
    with pytest.raises(GeneratorError, match=r"not in .*elsewhere; get them: curl"):
        photos.load_photos(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"the folder that holds both files, not the file .*taef2"):
        photos.load_photos(given / "taef2_decoder.safetensors")


def test_no_weights_say_how_to_get_them(nowhere):
    with pytest.raises(GeneratorError) as caught:
        photos.load_photos()
    message = str(caught.value)
    assert (
        "the weights of 'photos' are not installed; get them: " + photos.ENTRY.how_to_get in message
    )
    assert "pass --weights taef2 (or name the folder in $REGIONAL_PRIMITIVES_WEIGHTS)" in message
    program, *options, url = shlex.split(photos.ENTRY.how_to_get)
    assert program == "curl"
    # curl puts what stands in the braces, one after the other, in the place of #1.
    assert options[-2:] == ["-o", "taef2/#1"]
    assert url.startswith("https://raw.githubusercontent.com/madebyollin/taesd/")
    assert url.endswith("/{taef2_decoder.pth,taef2_encoder.pth}")


@pytest.mark.parametrize("there", NETWORKS)
def test_half_a_pair_names_what_is_missing(tmp_path, nowhere, there):
    missing = ({*NETWORKS} - {there}).pop()
    _write(tmp_path / "half", ".pth", halves=[there])
    message = rf"half holds taef2_{there}\.pth, but taef2_{missing}\.pth .* is missing; .*curl"
    with pytest.raises(StorageError, match=message):
        photos.load_photos(tmp_path / "half")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html>\n<title>404</title>", b"\x80\x02}.", b"PK\3\4 no more", "truncated"],
)
@pytest.mark.parametrize("half", NETWORKS)
def test_files_that_are_none(tmp_path, suffix, content, half):
    path = _write(tmp_path, suffix) / f"taef2_{half}{suffix}"
    path.write_bytes(path.read_bytes()[:-100_000] if content == "truncated" else content)
    with pytest.raises(StorageError, match=rf"taef2_{half}{suffix} is "):
        photos.load_photos(tmp_path)


def test_a_pickle_that_runs_code_does_not_run(tmp_path, capsys):
    _write(tmp_path, ".pth")
    code = b"cbuiltins\nprint\n(S'unpickled'\ntR."
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        archive.writestr("archive/version", b"3\n")
    for content in (code, packed.getvalue()):
        (tmp_path / "taef2_decoder.pth").write_bytes(content)
        with pytest.raises(StorageError, match=r"taef2_decoder\.pth is corrupt, or no file of ten"):
            photos.load_photos(tmp_path)
    assert "unpickled" not in capsys.readouterr().out


FAULTS = [
    (lambda state: {k: v for k, v in state.items() if "pool" not in k}, r"'3\.pool.* is missing"),
    (lambda state: state | {"20.weight": torch.zeros(1)}, r"'20\.weight' is unknown"),
    # As in the autoencoder of Stable Diffusion.
    (
        lambda state: state | {"1.weight": torch.zeros(64, 4, 3, 3)},
        r"'1\.weight' is float32 \[64, 4",
    ),
    (lambda state: state | {"1.bias": torch.zeros(64).long()}, r"'1\.bias' is int64 \[64\], not"),
    (lambda state: _random_state("encoder"), r"'1\.weight' is missing"),
    (lambda state: [state], "it holds a list, no tensors by name"),
    (lambda state: dict.fromkeys(state, "text"), "is missing"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_files_of_another_network(tmp_path, change, message):
    path = _write(tmp_path, ".pth") / "taef2_decoder.pth"
    torch.save(change(_random_state("decoder")), path)
    with pytest.raises(StorageError, match=rf"taef2_decoder\.pth is not the .*{message}"):
        photos.load_photos(tmp_path)


# Latents


def test_a_latent_does_not_depend_on_its_company(pair):
    encoder, pictures = pair[1], _input("encoder", count=5)
    together = photos.encode_photograph(encoder, pictures)
    assert together.shape == (5, 32, 4, 4)
    assert not together.requires_grad
    for picture, latent in zip(pictures.split(1), together.split(1), strict=True):
        assert torch.equal(latent, photos.encode_photograph(encoder, picture))
    assert torch.allclose(together, encoder(pictures), atol=1e-4)
    # Latents are made in the encoder's precision.
    precise = copy.deepcopy(encoder).double()
    assert photos.encode_photograph(precise, pictures).dtype == torch.float64


NO_PICTURES = [
    *(((*axes, 32, 32), 0.5, r"pictures are \[batch, 3, h") for axes in [(3,), (1, 4), (0, 3)]),
    ((1, 3, 32, 36), 0.5, r"multiples of 8 pixels, not \[32, 36\]"),
    ((1, 3, 20, 32), 0.5, r"multiples of 8 pixels, not \[20, 32\]"),
    *(((1, 3, 32, 32), value, r"in \[0, 1\], not in") for value in [-0.5, 1.2]),
    *(((1, 3, 32, 32), value, r"in \[0, 1\], not NaN") for value in [math.nan, -math.inf]),
]


@pytest.mark.parametrize(("shape", "value", "message"), NO_PICTURES)
def test_bad_input_picture(pair, shape, value, message):
    picture = torch.full(shape, 0.5)
    picture.view(-1)[-1:] = value
    with pytest.raises(InputError, match=message):
        photos.encode_photograph(pair[1], picture)


@pytest.mark.parametrize("size", [32, 64])
def test_latents_are_those_of_crops(pair, size):
    sample = photos.latent_sampler(pair[1], size)
    alone = sample(1, stream(5))
    assert alone.shape == (1, 32, size // 8, size // 8)
    # Another batch size or alignment may choose kernels that round otherwise.
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
    close(alone, photos.encode_photograph(pair[1], draw_crop(stream(5), size)))
    # The first of many is the one that is drawn alone; the next ones go on from there.
    rng, many = stream(5), sample(3, stream(5))
    close(many[:1], alone)
    close(many, torch.cat([sample(1, rng) for _ in range(3)]))
    assert (many[0] - many[1]).abs().max() > 1e-2


@pytest.mark.parametrize("size", [0, -64, 24, 31, 36, 63, 520, 1024, True, 64.0, "64", None])
def test_bad_input_size(pair, size):
    message = "size must be a (multiple of 8 from 32 to 512|whole number of at least 32)"
    with pytest.raises(InputError, match=message):
        photos.latent_sampler(pair[1], size)


# The published weights, where this machine has them


@pytest.fixture(scope="module")
def published(beside):
    """Load the real weights: from beside the repository, or where the environment says."""
    place = photos.find_weights(beside) or photos.find_weights()
    if place is None:
        pytest.skip(f"TAEF2's weights belong in ${WEIGHTS_VARIABLE}: {photos.ENTRY.how_to_get}")
    return photos.load_photos(place)


def test_published_code_gives_the_same(published):
    """Hold the numbers that the published code gives (taesd.py, commit 5cccb12), 5 digits each."""
    decoder, encoder = published
    assert tensors_digest(decoder.state_dict()).startswith("00dc71a3")
    assert tensors_digest(encoder.state_dict()).startswith("841ef12b")
    latent = 3 * torch.sin(0.37 * torch.arange(32 * 4 * 4, dtype=torch.float64))
    with torch.no_grad():
        image = decoder(latent.float().view(1, 32, 4, 4))
    # fmt: off
    expected = [
        0.92108, 0.98589, 1.02814, 0.19102, 0.32153, 0.44216, 0.21422, 0.21789, 0.19877,
        0.86157, 0.98602, 1.01434, 0.26773, 0.46130, 0.60953, 0.29911, 0.24018, 0.17995,
        0.81666, 0.96366, 1.00596, 0.43611, 0.64151, 0.76017, 0.22103, 0.18730, 0.15413,
    ]
    # fmt: on
    assert image[0, :, ::15, ::15].flatten().tolist() == pytest.approx(expected, abs=2e-5)
    picture = 0.5 + 0.5 * torch.sin(0.011 * torch.arange(3 * 32 * 32, dtype=torch.float64))
    code = photos.encode_photograph(encoder, picture.float().view(1, 3, 32, 32))
    expected = [-0.50290, -1.76647, -0.86024, -0.22782, -2.35570, 1.53618, 0.49116, -0.95354]
    assert code[0, ::4, 1, 2].tolist() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("size", "most"), [(64, 0.0055), (128, 0.0030)])
def test_photographs_survive_the_round_trip(published, size, most):
    skimage = pytest.importorskip("skimage")
    decoder, encoder = published
    errors = {}
    for name in PHOTOGRAPHS:
        picture = read_photograph(Path(skimage.__file__).parent / "data" / name, size)
        with torch.no_grad():
            again = decoder(photos.encode_photograph(encoder, picture))
        errors[name] = float((again - picture).square().mean())
    assert sum(errors.values()) / len(errors) < most, errors
