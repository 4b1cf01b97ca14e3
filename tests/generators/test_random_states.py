"""Networks that draw from global random states: NumPy's, Python's, torch's where no mode sees it.

The checks of types that run in tests draw from Python's themselves, which is tried in a process
without them.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import Picture, sample
from torch import nn

import regional_primitives as rp
from regional_primitives.errors import WholeRunWarning
from regional_primitives.generators.noise import _same, _states
from regional_primitives.generators.recorded import RecordedTail


def _cut(behind, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Picture(behind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WholeRunWarning)
        return rp.cut(network, "early", sample_latents=sample, **settings)


STATES = ("torch", "NumPy")


def _attention(self, h, z):
    tokens = h.flatten(2)
    mixed = F.scaled_dot_product_attention(tokens, tokens, tokens, dropout_p=0.5)
    return self.up(mixed.view_as(h))


def _item_by_item(self, h, z):
    return self.up(h) + torch.stack([torch.randn(4, 16, 16) for _ in z])


BEHIND = {
    "NumPy, for all": lambda self, h, z: self.up(h * torch.tensor(np.random.rand(4, 1, 1)).float()),
    "NumPy, for each": lambda self, h, z: self.up(h + h.new_tensor(np.random.randn(*h.shape))),
    "torch, unseen": _attention,
    "torch, item by item": _item_by_item,
}


@pytest.fixture(params=["alone", "beside a thread"])
def beside(request):
    """Let another thread be there, such as one that shows progress."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, daemon=True)
    if request.param != "alone":
        thread.start()
    yield
    done.set()


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("name", BEHIND)
def test_draws_are_frozen_and_the_callers_states_stay(name):
    before = _states(STATES)
    generator = _cut(BEHIND[name])
    latents = generator.sample_latents(3)
    images, features = generator.image(latents), generator.head(latents)
    for i in range(3):
        one = latents[i : i + 1]
        bound = generator.at(one)
        if "unseen" not in name:
            assert isinstance(bound.behind, RecordedTail)
        alone = generator.image(one)
        assert torch.allclose(images[i : i + 1], alone, atol=1e-6)
        pair = torch.cat([features[i : i + 1], 1.5 * features[i : i + 1]])
        painted = bound.tail(pair)
        assert torch.allclose(painted[:1], alone, atol=1e-6)
        assert torch.allclose(painted[1:], bound.tail(pair[1:]), atol=1e-6)
        assert not torch.allclose(painted[1:], alone, atol=1e-4)
    assert _same(_states(STATES), before)
    np.random.rand(), random.random(), torch.rand(())
    assert torch.equal(generator.image(latents), images)
    other = _cut(BEHIND[name], noise_seed=1)
    assert not torch.allclose(other.image(latents), images, atol=1e-4)


class Orders(nn.Module):
    """Fills 16 tokens in in an order of its own for each item, some a step, as MAR does."""

    def __init__(self):
        super().__init__()
        self.embed, self.blocks = nn.Linear(8, 4), nn.Linear(4, 4)
        self.paint = nn.ConvTranspose2d(4, 3, 4, 4)

    def forward(self, z):
        orders = []
        for _ in range(len(z)):
            order = np.array(list(range(16)))
            np.random.shuffle(order)
            orders.append(order)
        orders = torch.tensor(np.array(orders))
        tokens = self.embed(z)[:, None].repeat(1, 16, 1)
        for step in range(3):
            made = torch.tanh(self.blocks(tokens))
            chosen = torch.zeros(len(z), 16, dtype=torch.bool)
            chosen.scatter_(1, orders[:, 5 * step : 5 * step + 5], True)
            tokens = torch.where(chosen[:, :, None], made + tokens.mean(1, keepdim=True), tokens)
        return torch.tanh(self.paint(tokens.transpose(1, 2).unflatten(2, (4, 4))))


@pytest.mark.parametrize("layer", ["embed", "blocks#2"])
def test_orders_drawn_for_each_item_are_those_of_an_item_alone(layer):
    torch.manual_seed(0)
    generator = rp.cut(Orders(), layer, sample_latents=sample)
    latents = generator.sample_latents(3)
    alone = [generator.image(latents[i : i + 1]) for i in range(3)]
    assert torch.equal(generator.image(latents), torch.cat(alone))
    own = [generator.head(latents[i : i + 1]) for i in range(3)]
    features = generator.head(latents)
    assert torch.equal(features, torch.cat(own))
    for i in range(3):
        bound = generator.at(latents[i : i + 1])
        assert isinstance(bound.behind, RecordedTail)
        images = bound.tail(features)
        assert torch.allclose(images[i : i + 1], alone[i], atol=1e-6)
        for j in range(3):
            assert torch.allclose(images[j : j + 1], bound.tail(own[j]), atol=1e-6)
    found = rp.explain(
        generator, latents[:1], rp.Regions.grid(2, 2), rp.Structured(steps=3, baseline_count=8)
    )
    assert found.strengths.isfinite().all()


def test_seeds_of_the_networks_own_stay_and_the_callers_states_too():
    def behind(self, h, z):
        np.random.seed(3)
        random.seed(4)
        return self.up(h) * float(np.random.rand() + random.random())

    before = _states(STATES)
    generator = _cut(behind)
    image = generator.image(generator.sample_latents(1))
    assert _same(_states(STATES), before)
    other = _cut(behind, noise_seed=1)
    assert torch.equal(other.image(generator.sample_latents(1)), image)


def test_another_bit_generator_of_numpys():
    own = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(7))
    try:
        before = np.random.get_state(legacy=False)
        generator = _cut(BEHIND["NumPy, for all"])
        latents = generator.sample_latents(1)
        assert torch.equal(generator.image(latents), generator.image(latents))
        assert np.random.get_state(legacy=False) == before
    finally:
        np.random.set_bit_generator(own)


ALONE = """
import random
import numpy as np, torch
import regional_primitives as rp
from networks import Picture, sample
from regional_primitives.generators.noise import _KINDS, _same, _states

draws = lambda: torch.rand(()) + random.random() + np.random.rand()
network = Picture(lambda self, h, z: self.up(h * float(draws())))
draws()
before = _states(_KINDS)
generator = rp.cut(network, "early", sample_latents=sample)
latents = generator.sample_latents(2)
image = generator.image(latents)
bound = generator.at(latents[:1])
assert torch.allclose(bound.tail(generator.head(latents)), image, atol=1e-6)
assert not bound.runs_whole_network
assert _same(_states(_KINDS), before)
draws()
assert torch.equal(generator.image(latents), image)
plain = rp.cut(Picture(lambda self, h, z: self.up(h)), "early", sample_latents=sample)
assert plain.network.random_state.moved == dict.fromkeys(_KINDS, False)
"""


def test_a_process_without_checks_of_types():
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", ALONE], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_run_does_not_take_back_what_others_draw():
    generator = _cut(lambda self, h, z: self.up(h))
    latents = generator.sample_latents(1)
    np.random.seed(1)
    expected = [np.random.rand() for _ in range(200)]
    np.random.seed(1)
    done = threading.Event()

    def work():
        while not done.is_set():
            generator.image(latents)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    drawn = []
    for _ in range(200):
        drawn.append(np.random.rand())
        time.sleep(0)
    done.set()
    thread.join()
    assert drawn == expected
