from __future__ import annotations

import hashlib
import importlib.util
import sys

import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives.generators.zoo import terrain

CUT_SHAPES = {
    "output_blocks.3": (128, 8, 8),
    "output_blocks.4": (128, 16, 16),
    "output_blocks.9": (96, 32, 32),
    "output_blocks.14": (64, 64, 64),
    **{f"output_blocks.{i}": (32, 128, 128) for i in range(19, 25)},
}
# The published file's answer, run by ONNX Runtime 1.32 on the CPU: every 32nd pixel, from (15, 15),
# for the noise of seed 8 and difficulty 0.5.
PUBLISHED_PIXELS = [
    [-0.09367318, -0.09196278, -0.10066008, -0.11262044],
    [-0.27434182, -0.22683880, -0.20199682, -0.19961391],
    [-0.30056432, -0.29555833, -0.31894845, -0.29494166],
    [-0.39401552, -0.30213901, -0.39100945, -0.57213408],
]


@pytest.fixture(scope="module")
def weights():
    path = terrain.find_weights()
    if path is None:
        pytest.skip(f"needs the weights: {terrain.ENTRY.how_to_get}")
    return path


@pytest.fixture(scope="module")
def network(weights):
    pytest.importorskip("onnx")
    return terrain.load_terrain(weights)


@pytest.fixture(scope="module")
def published(weights):
    """Run the published file with ONNX Runtime: the oracle."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])

    def run(noise, sigma, difficulty):
        feed = {"noisy": noise.numpy(), "sigma": sigma.numpy(), "difficulty": difficulty.numpy()}
        return torch.from_numpy(session.run(["denoised"], feed)[0])

    return run


@pytest.fixture(scope="module")
def graph(weights):
    return pytest.importorskip("onnx").load(weights).graph


@pytest.fixture(scope="module")
def tensors(graph):
    from onnx import numpy_helper

    return {e.name: torch.from_numpy(numpy_helper.to_array(e).copy()) for e in graph.initializer}


def _digest(tensor):
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def _latents(seed, count=1, **fixed):
    latents = terrain.sample_latents(count, torch.Generator().manual_seed(seed))
    return {**latents, **{name: torch.full((count,), value) for name, value in fixed.items()}}


@torch.no_grad()
def _gap(network, published, latents):
    expected = published(**latents)
    return float((network(**latents) - expected).abs().max() / expected.abs().max())


# The network is the published one


@pytest.mark.parametrize(("seed", "difficulty"), [(0, 0.0), (1, 0.37), (2, 1.0)])
def test_pixels_equal_those_of_onnx_runtime(network, published, seed, difficulty):
    assert _gap(network, published, _latents(seed, difficulty=difficulty)) < 1e-4


@pytest.mark.parametrize("sigma", [20.0, 0.5, 0.002])
def test_preconditioning_is_the_published_one_at_every_sigma(network, published, sigma):
    latents = _latents(3, sigma=sigma)
    latents["noise"] = latents["noise"] * sigma / 80
    assert _gap(network, published, latents) < 1e-4


def test_a_batch_gives_what_single_runs_give(network, published):
    latents = _latents(4, count=3)
    assert len(latents["difficulty"].unique()) == 3
    with torch.no_grad():
        batch = network(**latents)
    for i, image in enumerate(batch):
        single = {name: part[i : i + 1] for name, part in latents.items()}
        expected = published(**single)[0]
        assert (image - expected).abs().max() < 1e-4 * expected.abs().max()


def test_pixels_equal_the_numbers_on_record(network):
    with torch.no_grad():
        image = network(**_latents(8, difficulty=0.5))
    assert torch.allclose(image[0, 0, 15::32, 15::32], torch.tensor(PUBLISHED_PIXELS), atol=1e-4)


# Its weights are the file's, all of them


def test_nothing_keeps_its_initial_value(network):
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fresh = terrain.TerrainNetwork().state_dict()
        states.append(terrain.load_terrain().state_dict())
        assert fresh.keys() == states[-1].keys()
        assert not [name for name in fresh if torch.equal(fresh[name], states[-1][name])]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_every_tensor_of_the_file_is_used(network, tensors, graph):
    # The normalisations scale by ones and shift by zeros before they scale and shift in earnest;
    # the upsampling doubles the side.
    constants = {
        name
        for node in graph.node
        if node.op_type in ("InstanceNormalization", "Resize")
        for name in node.input[1:]
        if name
    }
    values = {tuple(tensors[name].tolist()) for name in constants}
    assert values == {(1.0,) * 32, (0.0,) * 32, (1.0, 1.0, 2.0, 2.0)}
    weights = {
        name: tensor
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and tensor.ndim > 0 and name not in constants
    }
    state = network.state_dict()
    assert sorted(map(_digest, weights.values())) == sorted(map(_digest, state.values()))
    for name in (name for name in weights if name.startswith("network.")):
        assert torch.equal(state[name.removeprefix("network.")], weights[name])


def test_each_normalisation_has_the_scale_of_the_convolution_it_feeds(network, tensors, graph):
    """Find the names another way: follow the graph on to the next layer that has one."""
    layers_before = {"in_layers.2": "in_layers.0", "out_layers.3": "out_layers.0"}
    layers_before |= {"qkv": "norm", "out.2": "out.0"}
    found, pending = {}, None
    for node in graph.node:
        if node.op_type == "InstanceNormalization":
            assert pending is None
            pending = []
        elif pending is not None and node.op_type in ("Mul", "Add") and len(pending) < 2:
            pending.append(tensors[node.input[1]].flatten())
        elif pending is not None and node.op_type == "Conv":
            layer = node.input[1].removeprefix("network.").removesuffix(".weight")
            after = next(end for end in layers_before if layer.endswith(end))
            found[layer.removesuffix(after) + layers_before[after]] = pending
            pending = None
    norms = {n: part for n, part in network.named_modules() if isinstance(part, nn.GroupNorm)}
    assert found.keys() == norms.keys()
    for name, (scale, shift) in found.items():
        assert torch.equal(norms[name].weight, scale)
        assert torch.equal(norms[name].bias, shift)


def test_loaded_ready_to_run(network):
    assert not any(part.training for part in network.modules())
    assert sum(weight.numel() for weight in network.parameters()) == 10_456_545


# Cut points, latents, pictures


def test_shapes_at_the_cut_points_in_order_of_execution(network):
    seen = {}

    def record(name):
        return lambda module, inputs, output: seen.update({name: tuple(output.shape)})

    # Registered backwards, so that the order seen is that of execution.
    hooks = [
        network.get_submodule(name).register_forward_hook(record(name))
        for name in reversed(terrain.ENTRY.layers)
    ]
    try:
        with torch.no_grad():
            image = network(**_latents(0, count=2))
    finally:
        for hook in hooks:
            hook.remove()
    assert image.shape == (2, 1, 128, 128)
    assert list(seen) == list(terrain.ENTRY.layers)
    assert seen == {name: (2, *shape) for name, shape in CUT_SHAPES.items()}
    assert terrain.ENTRY.default_layer in terrain.ENTRY.layers


def test_latents_depend_on_the_stream_alone():
    torch.manual_seed(0)
    first = _latents(5, count=2)
    torch.manual_seed(1)
    again, other = _latents(5, count=2), _latents(6, count=2)
    assert {name: tuple(part.shape) for name, part in first.items()} == {
        "noise": (2, 1, 128, 128),
        "sigma": (2,),
        "difficulty": (2,),
    }
    for name, part in first.items():
        assert part.dtype == torch.float32
        assert torch.equal(part, again[name])
        assert torch.equal(part, other[name]) == (name == "sigma")
    assert (first["sigma"] == 80).all()


def test_latents_follow_their_distributions():
    latents = _latents(0, count=256)
    assert abs(float(latents["noise"].mean())) < 0.2
    assert abs(float(latents["noise"].std()) - 80) < 0.2
    assert latents["difficulty"].min() >= 0
    assert latents["difficulty"].max() <= 1
    assert abs(float(latents["difficulty"].mean()) - 0.5) < 0.06


def test_terrain_looks_like_terrain(network):
    levels = torch.tensor([0.0, 0.5, 1.0])
    noise = _latents(7)["noise"].expand(3, -1, -1, -1)
    with torch.no_grad():
        images = network(noise, torch.full((3,), 80.0), levels)
    low, high = terrain.ENTRY.image_range
    assert low <= images.min()
    assert images.max() <= high
    steps = (images[..., 1:] - images[..., :-1]).flatten(1)
    # Neighbouring pixels agree, and difficult ground is steeper.
    assert (steps.std(1) < 0.2 * images.flatten(1).std(1)).all()
    heights = torch.sinh((images + 1) / 2 * torch.asinh(torch.tensor(221.7)))
    slopes = (heights[..., 1:] - heights[..., :-1]).abs().flatten(1).mean(1)
    assert slopes[0] < slopes[1] < slopes[2]


# Weights that are missing or wrong


def test_weights_are_found_without_importing_their_package(weights):
    assert hashlib.sha256(weights.read_bytes()).hexdigest().startswith("95be54b4")
    assert "terrain_diffusion" not in sys.modules


def test_weights_that_are_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert terrain.find_weights() is None
    with pytest.raises(
        rp.GeneratorError,
        match=r"'terrain' are not installed; get them: pip install --no-deps .*"
        r"adaptive-terrain-diffusion==0\.4\.2 .*regional_primitives\[terrain\]",
    ):
        terrain.load_terrain()


def test_weights_that_are_not_the_published_ones(tmp_path, weights):
    fake = tmp_path / "fake.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    fake.write_bytes(content)
    with pytest.raises(rp.StorageError, match="is not the published file; get it anew: pip inst"):
        terrain.load_terrain(fake)
    with pytest.raises(rp.StorageError, match="cannot read"):
        terrain.load_terrain(tmp_path / "nothing")


def test_onnx_that_is_not_installed(tmp_path, monkeypatch):
    empty = tmp_path / "empty.onnx"
    empty.touch()
    monkeypatch.setattr(terrain, "_SHA256", hashlib.sha256(b"").hexdigest())
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = r"'terrain' needs packages .* pip install \"regional_primitives\[terrain\]\""
    with pytest.raises(rp.MissingExtraError, match=message):
        terrain.load_terrain(empty)
