from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from training.latent_photos import enlarged, psnr

import regional_primitives as rp
from regional_primitives.generators.photographs import PHOTOGRAPHS, read_photograph
from regional_primitives.generators.zoo import latent
from regional_primitives.generators.zoo.weights import trained_here
from regional_primitives.runtime.storage import tensors_digest

DATA = Path(find_spec("skimage").submodule_search_locations[0]) / "data"
CUTS = {"2": (40, 16), "4": (40, 16), "7": (40, 32), "8": (40, 32)}
"""A cut point's channels and side, for pictures of 64 pixels."""


@pytest.fixture(scope="module")
def network():
    return latent.load_autoencoder()


def test_weights_are_those_that_came_with_the_library(network):
    assert tensors_digest(network.state_dict()).startswith("0e6c09b8")
    assert trained_here("latent-photos").stat().st_size < 1_300_000
    assert sum(part.numel() for part in network.parameters()) == 436_144


def test_a_latent_has_a_quarter_of_the_pictures_numbers(network):
    for side in (64, 128):
        picture = read_photograph(DATA / "chelsea.png", side)
        with torch.no_grad():
            code = network.encoder(picture)
        assert code.shape == (1, 12, side // 4, side // 4)
        assert 4 * code.numel() == picture.numel()


@pytest.mark.parametrize("layer", latent.ENTRY.layers)
def test_cut_points(layer):
    generator = rp.load_generator("latent-photos", layer)
    latents = generator.latents_of_image(DATA / "coffee.png")
    feature = generator.head(latents)
    channels, side = CUTS[layer]
    assert feature.shape == (1, channels, side, side)
    assert torch.allclose(generator.tail(feature), generator.image(latents), atol=1e-6)
    assert tuple(CUTS) == latent.ENTRY.layers


def test_latents_drawn_are_those_of_photographs():
    generator = rp.load_generator("latent-photos", size=128)
    latents = generator.sample_latents(2, seed=0)
    assert latents.shape == (2, 12, 32, 32)
    assert generator.image(latents).shape == (2, 3, 128, 128)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_held_out_photographs_survive_better_than_at_half_their_side(network, name):
    """Half the side, enlarged again bicubically, holds as many numbers as the latent.

    Measured: 26.1 to 35.8 dB, 4.5 to 7.0 dB above it.
    """
    picture = read_photograph(DATA / name, 64)
    with torch.no_grad():
        again = network(picture).clamp(0, 1)
    assert psnr(again, picture) > psnr(enlarged(picture, 2).clamp(0, 1), picture) + 4
    assert psnr(again, picture) > 26
