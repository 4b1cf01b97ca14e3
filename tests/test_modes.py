"""Results are what they are in a fresh process, whatever modes the caller's is in."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import regional_primitives as rp

QUICK = rp.Structured(steps=3, batch=2, trials=1, probes=1, baseline_count=8)
EXACT = rp.Exact(patches=(0, 3), steps=3, starts=2, sparse_steps=3, joint_steps=1, baseline_count=8)
SCORED = rp.Evaluation(demands=4, components=2, contexts=2, free_demands=1, free_steps=2)


class Tiny(nn.Module):
    """A convolution in a frame of its own on either side of the cut, and a skip past it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.early = nn.Linear(4, 24), nn.Conv2d(6, 6, 3, padding=1)
        self.act, self.paint = nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        start = self.embed(z).view(-1, 6, 2, 2)
        x = self.act(self.early(F.interpolate(start, scale_factor=4)))
        # Half of these numbers have no type but torch's default.
        gain = torch.ones(6, 1, 1) * torch.tensor(0.5) * (torch.arange(6)[:, None, None] / 6 + 1)
        return torch.tanh(self.paint(x * gain) + start.mean((1, 2, 3))[:, None, None, None])


def sample(count, rng):
    return torch.randn(count, 4, generator=rng)


class Given:
    """What the entry points are called with, made in the mode that they are tried in."""

    def __init__(self, network):
        self.generator = rp.cut(network, "act", sample_latents=sample, baseline_count=8)
        self.latents = self.generator.sample_latents(1, seed=1)
        labels = torch.arange(4, device="cpu").view(2, 2)
        self.regions = rp.Regions.from_labels(
            labels.repeat_interleave(4, 0).repeat_interleave(4, 1)
        )
        self.bound = self.generator.at(self.latents)
        self.feature = self.generator.head(self.latents)
        self.explained = rp.explain(self.generator, self.latents, self.regions, QUICK)
        self.other = rp.explain(self.generator, self.generator.sample_latents(1, seed=2),
                                self.regions, QUICK)  # fmt: skip


def exact(given):
    features = rp.minimal_features(given.generator, given.latents, given.regions, settings=EXACT)
    return features.units, features.objective, rp.exact_components(features).components


ENTRIES: dict[str, Callable[[Given], object]] = {
    "generator": lambda g: (g.generator.digest, g.latents, g.feature),
    "layers": lambda g: [(p.name, p.feature_shape, p.flows_past) for p in rp.layers(g.generator)],
    "load_generator": lambda g: rp.load_generator("planted").sample_latents(1),
    "image": lambda g: g.generator.image(g.latents),
    "tail": lambda g: g.bound.tail(g.feature),
    "render": lambda g: g.bound.render(g.feature.flatten(1)),
    "explain": lambda g: (g.explained, g.other),
    "exact": lambda g: rp.explain(g.generator, g.latents, g.regions, EXACT),
    "minimal_features": exact,
    "evaluate": lambda g: rp.evaluate(g.explained, g.generator, SCORED).to_dict(),
    "baselines": lambda g: rp.baselines(g.explained, g.generator, ["influence alone", "PCA"],
                                        settings=SCORED).to_dict(),
    "relations": lambda g: rp.relations(g.explained).to_dict(),
    "compare": lambda g: rp.compare([g.explained, g.other]),
    "edit": lambda g: rp.edit(g.explained, g.generator, {0: 0.5}),
    "blend": lambda g: rp.edit(g.explained, g.generator,
                               rp.Edit.blend(g.explained, g.other, [0]), g.other),
    "edit_effects": lambda g: rp.edit_effects(g.explained, g.generator, {0: 0.5}),
    "carry": lambda g: rp.carry({0: 0.5}, g.explained, g.generator, g.latents).to_dict(),
    "component": lambda g: g.explained.component(0),
    "minimal_feature": lambda g: g.explained.minimal_feature([0, 1]),
    "combine": lambda g: g.explained.combine(torch.full((1, g.explained.count), 0.5,
                                                        dtype=torch.float32, device="cpu")),
    "or_harsanyi": lambda g: rp.or_harsanyi(rp.or_values(g.feature.flatten()[:16])),
}  # fmt: skip


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def warnings_as_errors():
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        torch.set_warn_always(False)


class Functions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "deterministic": deterministic,
    "default device": default_device,
    "device": lambda: torch.device("meta"),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "warnings as errors": warnings_as_errors,
    "torch functions": Functions,
    "dispatch": Operations,
}

OURS = ("no_grad", "inference_mode", "autocast", "float64", "default device")
"""Modes that our own code leaves, everywhere."""


def state():
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": [torch.is_autocast_enabled(device) for device in ("cpu", "cuda")],
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state().numpy().tobytes(),
        "tf32": (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        "filters": list(warnings.filters),
    }


def plain(result):
    """Turn a result into numbers, without what is measured by a clock."""
    if isinstance(result, Tensor):
        assert not result.is_inference() or torch.is_inference_mode_enabled()
        assert result.device.type == "cpu"
        return str(result.dtype), tuple(result.shape), str(result.detach().double().tolist())
    if dataclasses.is_dataclass(result) and not isinstance(result, rp.Generator):
        result = {one.name: getattr(result, one.name) for one in dataclasses.fields(result)}
    if isinstance(result, Mapping):
        clocks = ("wall_seconds", "tail_seconds", "overhead_ratio")
        return {str(name): plain(one) for name, one in result.items() if name not in clocks}
    if isinstance(result, (list, tuple)):
        return [plain(one) for one in result]
    return repr(result)


def everything(network, entries=tuple(ENTRIES)):
    given = Given(network)
    return {name: plain(ENTRIES[name](given)) for name in entries}, given


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        return Tiny()


@pytest.fixture(scope="module")
def expected(network):
    return everything(network)[0]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("mode", MODES)
def test_results_and_the_callers_state(mode, expected, network):
    outside = state()
    with MODES[mode]():
        before = state()
        found, given = everything(network, ENTRIES if mode in OURS else ("generator", "evaluate"))
        assert state() == before
    assert {**state(), "filters": 0} == {**outside, "filters": 0}  # torch's imports add some
    for name in found:
        assert found[name] == expected[name], name
    # What was made in the mode serves outside of it.
    again = rp.evaluate(given.explained, given.generator, SCORED)
    assert plain(again.to_dict()) == expected["evaluate"]
    again = rp.explain(given.generator, given.latents, given.regions, QUICK)
    assert plain(again) == plain(given.explained)
