"""`terrain`: a one-step consistency U-Net for 128 × 128 height maps, weights from PyPI.

The network is of the ADM family (arXiv 2105.05233), distilled into a consistency model
(arXiv 2303.01469) with the preconditioning of EDM (arXiv 2206.00364). The weights are those of the
package adaptive-terrain-diffusion 0.4.2 (MIT), an ONNX file. It is found without importing the
package, checked by digest and read as data: its tensors go into the module below, and its graph is
only asked which of them belong to the normalisations, because it does not name those.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regional_primitives.axes import Images
from regional_primitives.errors import MissingExtraError
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.weights import in_package, published

if TYPE_CHECKING:
    from onnx import GraphProto

PICTURE_SIDE = 128
_HOW_TO_GET = (
    "pip install --no-deps --ignore-requires-python adaptive-terrain-diffusion==0.4.2"
    ' && pip install "regional_primitives[terrain]"'
)

_SIGMA_MIN, _SIGMA_MAX, _SIGMA_DATA = 0.002, 80.0, 0.5
_WIDTHS = (32, 32, 64, 96, 128)  # channels at 128², 64², 32², 16², 8²
_FIRST_ATTENTIVE = 2  # attention from 32² down
_BLOCKS = 4  # residual blocks a resolution in the encoder; the decoder has one more
_HEAD_WIDTH = 32
_EMBEDDING = 128
_GROUPS = 32
_SHA256 = "95be54b4a39d58320e187a7ec533351c957f16a00be58773c86074828ee67887"
_FREQUENCIES = "unsqueeze_4"  # the file's name for the frequencies of the time embedding


_Embeddings: TypeAlias = Float[Tensor, "batch embedding"]
_Numbers: TypeAlias = Float[Tensor, " batch"]
_Map: TypeAlias = Float[Tensor, "batch 1 128 128"]
_Made: TypeAlias = Float[Tensor, "batch outgoing new_height new_width"]


class _ResidualBlock(nn.Module):
    """x + f(x, embedding); the embedding scales and shifts the second normalisation.

    With `resample` it first halves or doubles the side, of x as well.
    """

    def __init__(self, incoming: int, outgoing: int, resample: nn.Module | None = None) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(*_convolution(incoming, outgoing))
        self.resample = nn.Identity() if resample is None else resample
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(_EMBEDDING, 2 * outgoing))
        norm, activate, convolve = _convolution(outgoing, outgoing)
        self.out_layers = nn.Sequential(norm, activate, nn.Identity(), convolve)  # once: dropout
        same = incoming == outgoing
        self.skip_connection = nn.Identity() if same else nn.Conv2d(incoming, outgoing, 1)

    def forward(self, x: Images, embedding: _Embeddings) -> _Made:
        norm, activate, convolve = self.in_layers
        h = convolve(self.resample(activate(norm(x))))
        scale, shift = self.emb_layers(embedding)[..., None, None].chunk(2, dim=1)
        norm, activate, _, convolve = self.out_layers
        h = convolve(activate(norm(h) * (1 + scale) + shift))
        return self.skip_connection(self.resample(x)) + h


class _AttentionBlock(nn.Module):
    """x + attention among all places, in heads of 32 channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // _HEAD_WIDTH
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Images) -> Images:
        # [batch, query|key|value, heads, places, channels of a head]
        qkv = self.qkv(self.norm(x)).unflatten(1, (3, self.heads, _HEAD_WIDTH)).flatten(-2).mT
        query, key, value = qkv.unbind(1)
        weights = (query @ key.mT / _HEAD_WIDTH**0.5).softmax(-1)
        return x + self.proj_out((weights @ value).mT.reshape_as(x))


class _Stage(nn.ModuleList):
    """Layers in sequence, of which the residual blocks also see the embedding."""

    def forward(self, x: Images, embedding: _Embeddings) -> _Made:
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, _ResidualBlock) else layer(x)
        return x


class TerrainNetwork(nn.Module):
    """Noise [B, 1, 128, 128] becomes a height map [B, 1, 128, 128] in [−1, 1] in one step.

    Value v stands for a height of 0.1·sinh((v + 1)/2 · asinh(221.7)) metres.
    """

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.zeros(_WIDTHS[0] // 2))
        self.time_embed = _two_layers(_WIDTHS[0])
        self.label_emb = _two_layers(1)
        self.input_blocks, widths = _encoder()
        bottom = _WIDTHS[-1]
        self.middle_block = _Stage(
            [
                _ResidualBlock(bottom, bottom),
                _AttentionBlock(bottom),
                _ResidualBlock(bottom, bottom),
            ]
        )
        self.output_blocks = _decoder(widths)
        self.out = nn.Sequential(*_convolution(_WIDTHS[0], 1))

    def forward(self, noise: _Map, sigma: _Numbers, difficulty: _Numbers) -> _Map:
        """Generate height maps: c_skip·x + c_out·U-Net(c_in·x, c_noise, difficulty), clipped."""
        excess = sigma - _SIGMA_MIN  # arXiv 2303.01469, appendix C: the identity at σ = σ_min
        c_skip = _SIGMA_DATA**2 / (excess**2 + _SIGMA_DATA**2)
        deviation = (sigma**2 + _SIGMA_DATA**2).sqrt()
        c_out = _SIGMA_DATA * excess / deviation
        c_in = 1 / deviation
        c_noise = 1000 * 0.25 * sigma.log()

        angles = c_noise[:, None] * self.frequencies
        time: Tensor = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=-1))
        embedding = time + self.label_emb(difficulty[:, None])
        x = _per_pixel(c_in) * noise
        skips = []
        for stage in self.input_blocks:
            x = stage(x, embedding)
            skips.append(x)
        x = self.middle_block(x, embedding)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, skips.pop()], dim=1), embedding)
        image: Tensor = _per_pixel(c_out) * self.out(x) + _per_pixel(c_skip) * noise
        return image.clamp(-1, 1)


def _convolution(incoming: int, outgoing: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    norm = nn.GroupNorm(_GROUPS, incoming)
    return norm, nn.SiLU(), nn.Conv2d(incoming, outgoing, 3, padding=1)


def _two_layers(incoming: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(incoming, _EMBEDDING), nn.SiLU(), nn.Linear(_EMBEDDING, _EMBEDDING)
    )


def _residual(level: int, incoming: int) -> list[nn.Module]:
    """Make what each resolution repeats: a residual block and, lower down, attention."""
    block = _ResidualBlock(incoming, _WIDTHS[level])
    return [block] if level < _FIRST_ATTENTIVE else [block, _AttentionBlock(_WIDTHS[level])]


def _encoder() -> tuple[nn.ModuleList, list[int]]:
    """Make the stages from 128² down to 8², and say how many channels each gives."""
    width = _WIDTHS[0]
    stages = [_Stage([nn.Conv2d(1, width, 3, padding=1)])]
    widths = [width]
    for level, outgoing in enumerate(_WIDTHS):
        for _ in range(_BLOCKS):
            stages.append(_Stage(_residual(level, width)))
            width = outgoing
            widths.append(width)
        if level < len(_WIDTHS) - 1:
            stages.append(_Stage([_ResidualBlock(width, width, nn.AvgPool2d(2))]))
            widths.append(width)
    return nn.ModuleList(stages), widths


def _decoder(skips: list[int]) -> nn.ModuleList:
    """Make the stages from 8² up to 128², each of which also reads an encoder stage's output."""
    width = _WIDTHS[-1]
    stages = []
    for level in reversed(range(len(_WIDTHS))):
        for i in range(_BLOCKS + 1):
            layers = _residual(level, width + skips.pop())
            width = _WIDTHS[level]
            if level > 0 and i == _BLOCKS:
                layers.append(_ResidualBlock(width, width, nn.Upsample(scale_factor=2)))
            stages.append(_Stage(layers))
    return nn.ModuleList(stages)


def _per_pixel(factors: _Numbers) -> Float[Tensor, "batch 1 1 1"]:
    return factors[:, None, None, None]


def sample_latents(count: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Draw noise of the σ at which one step makes a picture, and difficulties in [0, 1)."""
    noise = _SIGMA_MAX * torch.randn(count, 1, PICTURE_SIDE, PICTURE_SIDE, generator=rng)
    return {
        "noise": noise,
        "sigma": torch.full((count,), _SIGMA_MAX),
        "difficulty": torch.rand(count, generator=rng),
    }


def find_weights() -> Path | None:
    """Locate the installed weights."""
    file = "weights/terrain_consistency_unet_difficulty100.onnx"
    return in_package("terrain_diffusion", file)


def load_terrain(weights: Path | None = None) -> TerrainNetwork:
    """Build the network with its trained weights."""
    path = published(weights or find_weights(), "terrain", _SHA256, _HOW_TO_GET)
    network = TerrainNetwork()
    network.load_state_dict(_read_state(path, network))
    return network.eval()


def _read_state(path: Path, network: TerrainNetwork) -> dict[str, Tensor]:
    """Read the file's tensors under the names that they have in `network`."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError("the generator 'terrain'", "terrain") from error
    graph = onnx.load(path).graph
    # Copies: an array may be a view of the file's bytes, which are not to be written to.
    tensors = {
        entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy())
        for entry in graph.initializer
    }
    named = ((name.removeprefix("network."), name) for name in tensors)
    state = {own: tensors[name] for own, name in named if own != name}
    state["frequencies"] = tensors[_FREQUENCIES].flatten()
    # The modules are registered in the order in which they run, which is the graph's.
    norms = [name for name, part in network.named_modules() if isinstance(part, nn.GroupNorm)]
    for name, (scale, shift) in zip(norms, _scales_and_shifts(graph), strict=True):
        state[f"{name}.weight"] = tensors[scale].flatten()
        state[f"{name}.bias"] = tensors[shift].flatten()
    return state


def _scales_and_shifts(graph: GraphProto) -> Iterator[tuple[str, str]]:
    """Name the tensors of each group normalisation: InstanceNorm, Reshape, Mul and Add."""
    reader = {name: node for node in graph.node for name in node.input}
    for node in graph.node:
        if node.op_type == "InstanceNormalization":
            reshape = reader[node.output[0]]
            multiply = reader[reshape.output[0]]
            add = reader[multiply.output[0]]
            yield multiply.input[1], add.input[1]


ENTRY = ZooEntry(
    name="terrain",
    family="one-step consistency U-Net (ADM)",
    sizes=(PICTURE_SIDE,),
    licence="MIT",
    # 128 × 8², 128 × 16², 96 × 32², 64 × 64², 32 × 128², and so are all that follow. Around each
    # flow the embedding, the encoder's skips and c_skip·x.
    layers=tuple(f"output_blocks.{i}" for i in (3, 4, 9, 14, 19, 20, 21, 22, 23, 24)),
    # With another picture's feature here and all that flows around the cut as it was, the image
    # changes by 27 % of the difference between two pictures at .4, 62 % here, 97 % at .14 (rms, 6
    # pictures).
    default_layer="output_blocks.9",
    # The network clips to this; −1 is the ground, 1 the highest terrain of its training, 22.17 m.
    # Of 64 pictures 0.03 % of the pixels are at −1 and none at 1; the percentiles 1, 50 and 99 are
    # −0.83, −0.20 and 0.32, the highest pixel is 0.83.
    image_range=(-1.0, 1.0),
    load=lambda weights, _: Loaded(load_terrain(weights), sample_latents),
    installed=lambda: find_weights() is not None,
    how_to_get=_HOW_TO_GET,
    baseline_count=128,  # half a minute of its half of the network
)
