"""`diffusion-faces`: what the network sees of a picture, and what it needs."""

from __future__ import annotations

import importlib.util

import pytest
import torch

import regional_primitives as rp
from regional_primitives.generators.zoo.denoiser import pixels_of, squares_of


def test_squares_of_pixels_become_channels_and_pixels_again():
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    squares = squares_of(pictures)
    assert squares.shape == (2, 12, 16, 16)
    assert torch.equal(squares[:, 4:8, 3, 5], pictures[:, 1, 6:8, 10:12].flatten(1))
    assert torch.equal(pixels_of(squares), pictures)


def test_bad_input_without_diffusers(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = (
        r"'diffusion-faces' needs packages .* pip install \"regional_primitives\[diffusers\]\""
    )
    with pytest.raises(rp.MissingExtraError, match=message):
        rp.load_generator("diffusion-faces")


def test_its_pictures_are_smooth_as_noise_is_not():
    generator = rp.load_generator("diffusion-faces")
    pictures = generator.image(generator.sample_latents(8))
    assert pictures.abs().max() <= 1
    # Neighbouring pixels of a picture are alike; those of its noise are not.
    steps = pictures.diff(dim=-1).square().mean() / (2 * pictures.var())
    assert steps < 0.2
