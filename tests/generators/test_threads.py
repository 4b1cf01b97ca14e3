"""Threads that share a generator get what they would get one after another."""

import copy
import sys
import threading

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import regional_primitives as rp
from regional_primitives.generators.generator import Generator

QUICK = rp.Structured(steps=3, batch=2, trials=1, probes=1, baseline_count=8)
THREADS = 4


class Noting(nn.Module):
    """Draws noise, has a skip past the cut, and leaves a note on itself during a run."""

    def __init__(self):
        super().__init__()
        self.embed, self.style = nn.Linear(4, 24), nn.Linear(4, 6)
        self.early, self.paint = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 3, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, z):
        self.gain = self.style(z)[:, :, None, None]
        x = self.act(self.early(F.interpolate(self.embed(z).view(-1, 6, 2, 2), scale_factor=4)))
        x = F.dropout(x, 0.3, True) + 0.1 * torch.randn(len(z), 6, 8, 8)
        return torch.tanh(self.paint(x * self.gain))


class Seeding(Noting):
    """Seeds torch, and draws where nobody sees it."""

    def forward(self, z):
        torch.manual_seed(3)
        with torch._C.DisableTorchFunction():
            return super().forward(z)


def cut(network):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return rp.cut(
            network(),
            "act",
            sample_latents=lambda count, rng: torch.randn(count, 4, generator=rng),
            baseline_count=8,
        )


@pytest.fixture(autouse=True)
def hurried():
    """Let Python change threads more often than it would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-3)
    yield
    sys.setswitchinterval(before)


def together(work, jobs):
    """Give each thread every so many'th job; what one raises comes back as its result."""
    results = [None] * len(jobs)
    ready = threading.Barrier(THREADS)

    def run(first):
        ready.wait(10)
        for i in range(first, len(jobs), THREADS):
            try:
                results[i] = work(jobs[i])
            except BaseException as error:
                results[i] = error

    threads = [threading.Thread(target=run, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def explained(generator, latents):
    found = rp.explain(generator, latents, rp.Regions.grid(2, 2), QUICK)
    return torch.cat([found.values, found.units, found.strengths, found.image.flatten()])


WORK = {
    "head": Generator.head,
    "image": Generator.image,
    "at": lambda generator, latents: generator.at(latents).tail(torch.ones(2, 6, 8, 8)),
    "explain": explained,
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("work", "network"),
    [*((work, Noting) for work in WORK), ("image", Seeding), ("explain", Seeding)],
)
def test_all_get_what_one_would(work, network):
    generator = cut(network)
    count = {"head": 24, "image": 24, "at": 4, "explain": 4}[work]
    jobs = [generator.sample_latents(1, seed=i) for i in range(count)]
    expected = [WORK[work](generator, latents) for latents in jobs]
    before = torch.get_rng_state()
    for result, alone in zip(
        together(lambda latents: WORK[work](generator, latents), jobs), expected, strict=True
    ):
        assert not isinstance(result, BaseException), result
        assert torch.equal(result, alone)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_does_not_take_back_what_others_have_drawn():
    generator = cut(Noting)
    latents = generator.sample_latents(1)
    torch.manual_seed(1)
    expected = torch.cat([torch.randn(1) for _ in range(400)])
    torch.manual_seed(1)
    done = threading.Event()

    def work():
        while not done.is_set():
            generator.image(latents)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    drawn = torch.cat([torch.randn(1) for _ in range(400)])
    done.set()
    thread.join()
    assert torch.equal(drawn, expected)


def test_a_network_that_seeds_leaves_the_callers_state_alone():
    generator = cut(Seeding)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    generator.image(generator.sample_latents(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_loading_leaves_the_callers_state_alone():
    before = torch.get_rng_state()
    rp.load_generator("planted")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_copy_of_a_generator_has_its_own_turn():
    generator = cut(Noting)
    latents = generator.sample_latents(1)
    with generator.network.turn:
        again = copy.deepcopy(generator)
        found = together(again.image, [latents] * THREADS)
    assert all(torch.equal(one, generator.image(latents)) for one in found)
