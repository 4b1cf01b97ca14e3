"""Trainings of the zoo's own networks: a few steps of tiny ones, resumed to the same bits."""

from __future__ import annotations

import gzip
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training import class_fashion, diffusion_faces, latent_photos, loop
from training.class_fashion import ClassFashion
from training.diffusion_faces import DiffusionFaces
from training.latent_photos import LatentPhotos
from training.style_faces import StyleFaces

import regional_primitives as rp
from regional_primitives.generators.zoo import denoiser, latent, residual, style

STEPS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Noise in the files of Fashion-MNIST, and as a photograph and stamps of Debian's packages."""
    folder, rng = tmp_path_factory.mktemp("data"), torch.Generator().manual_seed(0)
    for part in ("train", "t10k"):
        pictures = torch.randint(256, (100, 784), generator=rng, dtype=torch.uint8)
        labels = torch.arange(100, dtype=torch.uint8) % 10
        for kind, header, content in (("images-idx3", 16, pictures), ("labels-idx1", 8, labels)):
            packed = gzip.compress(bytes(header) + content.numpy().tobytes())
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(packed)
    for name, channels, height, width in (
        ("backgrounds/mate/nature/one.jpg", 3, 70, 100),
        ("tuxpaint/stamps/animals/cats/two.png", 4, 25, 50),
        ("tuxpaint/stamps/animals/cartoon/three.png", 4, 25, 50),
    ):
        path = folder / "usr" / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (height, width, channels), generator=rng, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(path)
    return folder


def style_training(data):
    return StyleFaces(STEPS, 2, seed=1, pool=4)


def fashion_training(data):
    return ClassFashion(data, STEPS, 4, seed=1)


def diffusion_training(data):
    return DiffusionFaces(STEPS, 2, seed=1, pool=4)


def photo_training(data):
    return LatentPhotos(data, STEPS, 2, seed=1)


@pytest.fixture
def run(data, tmp_path, monkeypatch):
    """Train in a folder, with all that takes long left out."""
    for kind in (StyleFaces, ClassFashion, DiffusionFaces, LatentPhotos):
        monkeypatch.setattr(kind, "figures", lambda self: {"error": 0.5})
        monkeypatch.setattr(kind, "shown", 2)

    def trained(make, folder, *more):
        words = ["--steps", STEPS, "--batch", "2", "--seed", "1", "--out", tmp_path / folder, *more]
        loop.run(make(data), loop.options("A training.", 1, 1).parse_args(map(str, words)))
        return tmp_path / folder

    return trained


@pytest.mark.parametrize(
    "make", [style_training, fashion_training, diffusion_training, photo_training]
)
def test_a_training_goes_on_to_the_same_bits(make, run):
    straight, stopped = run(make, "straight"), run(make, "stopped", "--stop-after", 2)
    assert not (stopped / "weights.safetensors").exists()
    run(make, "stopped")
    for name in ("weights.safetensors", "samples.png"):
        assert (straight / name).read_bytes() == (stopped / name).read_bytes()
    assert json.loads((straight / "figures.json").read_text())["error"] == 0.5


def test_bad_input_other_settings_than_the_checkpoints(run):
    run(fashion_training, "out", "--stop-after", 1)
    with pytest.raises(rp.InputError, match=r"'seed': 1\}, not .*'seed': 2\}"):
        run(fashion_training, "out", "--seed", 2)


def test_bad_input_no_data(tmp_path):
    with pytest.raises(rp.InputError, match="get Fashion-MNIST: apt-get download"):
        class_fashion.read(tmp_path, "train")


def test_bad_input_no_photographs(tmp_path):
    with pytest.raises(rp.InputError, match="holds no photographs of Debian's packages; get them"):
        latent_photos.read_photographs(tmp_path)


def test_photographs_are_read_at_several_scales_and_drawn_stamps_are_not(data):
    (photograph,) = latent_photos.read_photographs(data)
    assert [tuple(scale.shape) for scale in photograph] == [(3, 64, 91)]
    (stamp,) = latent_photos.read_stamps(data)
    shapes = [(4, side // 2, side) for side in (20, 28, 40)]
    assert [tuple(scale.shape) for scale in stamp] == shapes


def test_a_stamp_covers_what_is_under_its_opaque_pixels_alone():
    stamp = torch.ones(4, 10, 20)
    stamp[3, 5:] = 0
    sizes = set()
    for number in range(40):
        rng = torch.Generator().manual_seed(number)
        pasted = latent_photos.pasted(torch.zeros(3, 64, 64), stamp, rng)
        assert set(pasted.unique().tolist()) <= {0.0, 1.0}
        sizes.add(int(pasted[0].sum()))
    # Whole, or cut off by the picture's border.
    assert max(sizes) == 5 * 20
    assert min(sizes) < 5 * 20


def test_the_linear_start_gives_smooth_pictures_again():
    rng = torch.Generator().manual_seed(0)
    small = torch.rand(64, 3, 8, 8, generator=rng)
    pictures = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear")
    torch.manual_seed(0)
    network = latent.Autoencoder()
    latent_photos.start_linear(network, pictures)
    with torch.no_grad():
        latents = network.encoder(pictures)
        made = network.decoder(latents)
    # Nothing is trained: blocks of pixels have 48 numbers, and the latent 12 for each.
    assert latents.shape == (64, 12, 16, 16)
    assert latent_photos.psnr(made, pictures).mean() > 27
    mean = pictures.mean((2, 3), keepdim=True).expand_as(pictures)
    assert latent_photos.psnr(mean, pictures).mean() < 17


def test_frechet_distance_of_normal_laws():
    rng = torch.Generator().manual_seed(0)
    some = torch.randn(20_000, 3, generator=rng)
    assert class_fashion.frechet(some, some) == pytest.approx(0, abs=1e-6)
    # (μ − μ')² + (σ − σ')², an axis: 1 + 1 for three axes. Sampling error of 20,000 is below 0.1.
    assert class_fashion.frechet(some, 1 + 2 * some) == pytest.approx(6, abs=0.2)


def test_the_linear_denoiser_knows_a_normal_law():
    rng = torch.Generator().manual_seed(0)
    pictures = 0.3 + 0.5 * torch.randn(5000, 1, 2, 2, generator=rng)
    alpha, sigma = torch.full((1, 1, 1, 1), 0.8), torch.full((1, 1, 1, 1), 0.6)
    noisy = torch.ones(1, 1, 2, 2)
    gain = 0.8 * 0.25 / (0.64 * 0.25 + 0.36)
    expected = 0.3 + gain * (1 - 0.8 * 0.3)
    found = diffusion_faces.linear_denoiser(pictures)(noisy, alpha, sigma)
    assert torch.allclose(found, torch.full_like(found, expected), atol=0.03)


@pytest.mark.parametrize("name", [one.ENTRY.name for one in (style, residual, denoiser, latent)])
def test_weights_are_small_and_half_precision(name):
    from regional_primitives.generators.zoo.weights import trained_here

    path = trained_here(name)
    assert path.stat().st_size < 4_000_000
    assert {part.dtype for part in load_file(path).values()} == {torch.float16}
