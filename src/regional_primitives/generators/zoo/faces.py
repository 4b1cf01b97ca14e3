"""`faces`: a DCGAN (Radford et al., arXiv 1511.06434) trained on 64 × 64 faces, weights from PyPI.

The weights are those of the package gan-face-generate 1.1.1 (MIT). Its file is found without
importing the package, checked by digest and read without unpickling code.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.face_parts import face_parts
from regional_primitives.generators.zoo.weights import in_package, published

LATENT_CHANNELS = 100
FACE_PARTS = partial(
    face_parts,
    size=64,
    skin=(31.5, 38, 20.5, 24.5),
    left_eye=(20, 27.5, 7.5, 5.5),
    right_eye=(42.5, 27.5, 7.5, 5.5),
    nose=(32, 39, 6.5, 7.5),
    mouth=(31.5, 53.5, 11, 4.5),
)
_CHANNELS = (512, 256, 128, 64)
_SHA256 = "0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f"


class FaceNetwork(nn.Module):
    """A latent [B, 100, 1, 1] becomes a picture [B, 3, 64, 64] in (−1, 1), layer after layer."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        incoming = LATENT_CHANNELS
        for step, outgoing in enumerate(_CHANNELS):
            stride, padding = (1, 0) if step == 0 else (2, 1)
            layers += [
                nn.ConvTranspose2d(incoming, outgoing, 4, stride, padding, bias=False),
                nn.BatchNorm2d(outgoing),
                nn.ReLU(),
            ]
            incoming = outgoing
        layers += [nn.ConvTranspose2d(incoming, 3, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """Generate pictures."""
        image: Tensor = self.main(latent)
        return image


def sample_latents(count: int, rng: torch.Generator) -> Tensor:
    """Draw latents from a standard normal distribution."""
    return torch.randn(count, LATENT_CHANNELS, 1, 1, generator=rng)


def find_weights() -> Path | None:
    """Locate the installed weights."""
    return in_package("gan_face_generate", "weights.tar")


def load_faces(weights: Path | None = None) -> FaceNetwork:
    """Build the network with its trained weights."""
    path = published(weights or find_weights(), "faces", _SHA256, ENTRY.how_to_get)
    network = FaceNetwork()
    state = torch.load(path, map_location="cpu", weights_only=True)["netG_state_dict"]
    network.load_state_dict(state)
    return network.eval()


ENTRY = ZooEntry(
    name="faces",
    family="DCGAN",
    sizes=(64,),
    licence="MIT",
    layers=("main.2", "main.5", "main.8", "main.11"),
    default_layer="main.5",
    image_range=(-1.0, 1.0),
    load=lambda weights, _: Loaded(load_faces(weights), sample_latents),
    installed=lambda: find_weights() is not None,
    parts=FACE_PARTS,
    how_to_get="pip install --no-deps --ignore-requires-python gan-face-generate==1.1.1",
)
