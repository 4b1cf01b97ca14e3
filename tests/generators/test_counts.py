"""Methods that are told how many pictures to make and draw the rest: latents are seeds."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.generators.recorded import RecordedTail


class Diffusion(nn.Module):
    """Samples as denoising-diffusion-pytorch does: initial noise, and fresh noise in each step."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.unet = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 3, 3, padding=1)
        )
        self.register_buffer("tint", torch.rand(3, 1, 1))

    def step(self, x, t):
        noise = torch.randn_like(x) if t > 0 else 0.0
        return 0.9 * x - 0.5 * self.unet(x) + 0.1 * noise

    @torch.no_grad()
    def sample(self, batch_size=16, guidance=1.0):
        x = torch.randn((batch_size, 3, 8, 8), device=self.tint.device)
        for t in reversed(range(3)):
            x = self.step(guidance * x, t)
        return (torch.tanh(x) + 1) / 2


class Coder(nn.Module):
    """A variational autoencoder's decoder, as in PyTorch-VAE."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Unflatten(1, (4, 4, 4)))
        self.paint = nn.ConvTranspose2d(4, 3, 4, 4)

    def decode(self, z):
        return torch.tanh(self.paint(self.body(z)))

    def sample(self, num, current_device, **kwargs):
        return self.decode(torch.randn(num, 8).to(current_device))


class Doubled(Diffusion):
    """Asks the network for two answers an item, all of one kind before all of the other."""

    def step(self, x, t):
        one, other = self.unet(torch.cat([x, -x])).chunk(2)
        return 0.9 * x - 0.3 * one + 0.2 * other + 0.1 * torch.randn_like(x)


class Shared(Diffusion):
    """One grain of noise for all, and a mask of each item's own by a draw that it decides."""

    def step(self, x, t):
        x = x + 0.1 * torch.randn(3, 1, 1) + 0.1 * torch.bernoulli(torch.sigmoid(x))
        return 0.9 * x - 0.5 * self.unet(x)


class InTurn(Coder):
    """Draws item by item."""

    def sample(self, num):
        return self.decode(torch.cat([torch.randn(1, 8) for _ in range(num)]))


class OfNumpy(Coder):
    def sample(self, num):
        return self.decode(torch.tensor(np.random.randn(num, 8), dtype=torch.float32))


class InPlace(Coder):
    """Fills memory with its draws."""

    def sample(self, num):
        z = torch.empty(num, 8).normal_() + 0.3 * torch.zeros(num, 8).uniform_(-1, 1)
        return self.decode(z)


class OfClasses(Coder):
    """Draws from its feature, by functions that are made of draws in place."""

    def decode(self, z):
        h = nn.functional.gumbel_softmax(self.body(z), dim=1)
        return torch.tanh(self.paint(nn.functional.rrelu(h - 0.5, training=True)))

    def sample(self, num):
        return self.decode(torch.randn(num, 8))


CASES = {
    "in place": (InPlace, "body", {"count": "num"}),
    "of classes": (OfClasses, "body", {"count": "num"}),
    "diffusion": (Diffusion, "unet.1#2", {"count": "batch_size"}),
    "doubled": (Doubled, "unet.1#1", {"count": "batch_size", "fixed": {"guidance": 1.5}}),
    "shared": (Shared, "unet.0#2", {"count": "batch_size"}),
    "coder": (Coder, "body", {"count": "num", "fixed": {"current_device": "cpu"}}),
    "in turn": (InTurn, "body", {"count": "num"}),
    "NumPy": (OfNumpy, "body", {"count": "num"}),
}


def _cut(name, **changes):
    make, layer, settings = CASES[name]
    return rp.cut(make(), layer, call="sample", **{**settings, **changes})


@pytest.mark.parametrize("name", CASES)
def test_seed_decides_the_picture_and_no_others_do(name):
    generator = _cut(name)
    latents = generator.sample_latents(3)
    assert latents.dtype == torch.int64
    assert latents.shape == (3,)
    assert torch.equal(latents[2:], generator.sample_latents(1, seed=2))
    images, features = generator.image(latents), generator.head(latents)
    for i in range(3):
        one = latents[i : i + 1]
        alone = generator.image(one)
        assert torch.allclose(images[i : i + 1], alone, atol=1e-6)
        assert torch.allclose(features[i : i + 1], generator.head(one), atol=1e-6)
        for j in range(i):
            assert not torch.allclose(images[i], images[j], atol=1e-2)
        bound = generator.at(one)
        assert isinstance(bound.behind, RecordedTail)
        assert torch.allclose(bound.tail(features[i : i + 1]), alone, atol=1e-6)
        given = bound.behind.parts.by_layer(features)
        meant = [
            generator.network.substituted(one, generator.layers, [[t[j : j + 1] for t in given[0]]])
            for j in range(3)
        ] if name != "doubled" else [bound.tail(features[j : j + 1]) for j in range(3)]  # fmt: skip
        assert torch.allclose(bound.tail(features), torch.cat(meant), atol=1e-5)
    twice = generator.image(latents[[0, 0]])
    assert torch.allclose(twice, images[[0, 0]], atol=1e-6)
    assert not torch.allclose(_cut(name, noise_seed=1).image(latents), images, atol=1e-2)


def test_draws_behind_the_cut_belong_to_the_picture():
    diffusion = _cut("diffusion")
    one, other = (diffusion.at(diffusion.sample_latents(1, seed=seed)) for seed in (0, 1))
    assert {side.origin for side in one.side_inputs} == {"the network itself"}
    assert all(side.of_the_picture for side in one.side_inputs)
    assert one.behind.program.source == other.behind.program.source
    with pytest.raises(rp.GeneratorError, match="hold it for a picture"):
        diffusion.tail(one.head(one.picture))
    coder = _cut("coder")
    assert coder.at(coder.sample_latents(1)) is coder, "nothing flows past: one tail for all"


def test_noise_is_drawn_as_the_network_draws_it():
    generator = _cut("coder")
    seen = []
    twin = generator.network.module
    hook = twin.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    generator.image(torch.arange(400))
    hook.remove()
    assert abs(float(seen[-1].std()) - 1) < 0.05
    assert len(seen[-1].unique(dim=0)) == 400


MINE = """
import regional_primitives as rp
from test_counts import Diffusion

def make(layer=None):
    return rp.cut(Diffusion(), layer or "unet.1#3", call="sample", count="batch_size",
                  image_range=(0.0, 1.0), baseline_count=8)
"""


def test_the_command_line_takes_seeds(tmp_path, monkeypatch):
    def primitives(*words):
        monkeypatch.setattr(sys, "argv", ["primitives", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0

    (tmp_path / "mine.py").write_text(MINE)
    model, run = f"{tmp_path / 'mine.py'}:make", tmp_path / "run"
    quick = [("--set", f"{name}=3") for name in ("steps", "batch", "probes", "baseline_count")]
    primitives(
        "explain", model, "--seed", 3, "--grid", "2x2", "--out", run, *itertools.chain(*quick)
    )
    found, generator = rp.Decomposition.load(run), rp.load_generator(model)
    assert torch.equal(found.latents, generator.sample_latents(1, seed=3))
    assert torch.allclose(found.image, generator.image(found.latents), atol=1e-6)
    out = tmp_path / "edited.png"
    primitives("edit", run, "--scale", "0=0", "--out", out, "--model", model)
    assert out.exists()


def test_layers():
    points = rp.layers(Diffusion(), call="sample", count="batch_size")
    assert [point.name for point in points][:2] == ["unet.0#1", "unet.1#1"]
    assert "the network itself" in points[0].flows_past


def test_digest_names_the_count():
    counted = _cut("coder")
    latents = torch.randn(2, 8)
    plain = rp.cut(Coder(), "body", call="decode", baseline_latents=latents)
    assert counted.digest != plain.digest
    assert counted.digest == _cut("coder").digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": "many"}, "count='many' is no argument of Diffusion.sample, which takes batch"),
        ({"count": 4}, "count is the name of an argument, not int"),
        ({"fixed": {"batch_size": 4}}, "'batch_size' is how many are wanted, and cannot be in fi"),
        (
            {"baseline_latents": torch.randn(2, 8)},
            r"latents \[2, 8\] do not fit; .* takes \[batch\]",
        ),
        (
            {"sample_latents": lambda count, rng: torch.rand(count, generator=rng)},
            r"are seeds, int64 \[batch\], one an item; not float32 \[1\]",
        ),
    ],
)
def test_bad_input(settings, message):
    with pytest.raises(rp.InputError, match=message):
        _cut("diffusion", **settings)


def test_latents_that_are_no_seeds():
    generator = _cut("diffusion")
    for latents in (torch.zeros(1, 8), torch.zeros(2), {"z": torch.zeros(1, dtype=torch.int64)}):
        with pytest.raises(rp.InputError, match=r"do not fit|are seeds, int64 \[batch\]"):
            generator.image(latents)


class Paired(Coder):
    """Draws two latents an item, of which all first ones come before all second ones."""

    def sample(self, num, current_device):
        first, second = self.body(torch.randn(2 * num, 8)).chunk(2)
        return torch.tanh(self.paint(first - second))


def test_draws_that_lie_across_items_are_made_item_by_item():
    generator = rp.cut(
        Paired(), "paint", call="sample", count="num", fixed={"current_device": "cpu"}
    )
    seeds = torch.tensor([3, 8, 5])
    alone = torch.cat([generator.image(seed[None]) for seed in seeds])
    torch.testing.assert_close(generator.image(seeds), alone, rtol=0, atol=1e-6)
