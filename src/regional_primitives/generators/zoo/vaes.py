"""`vae-…`: decoders of three small VAEs, from public YannDubs/disentangling-vae (MIT).

Written from the published key names and shapes; users fetch the weights. The network is that of
Burgess et al. (arXiv 1804.03599), trained as β-TCVAE (arXiv 1802.04942) or FactorVAE
(arXiv 1802.05983).
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regional_primitives.errors import StorageError
from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.face_parts import face_parts
from regional_primitives.generators.zoo.weights import filled, first_file, folders, not_found

LATENT_SIZE = 10
FACE_PARTS = partial(
    face_parts,
    size=64,
    skin=(32, 36.5, 14.5, 18.5),
    left_eye=(24.5, 31.5, 5.5, 4),
    right_eye=(39.5, 31.5, 5.5, 4),
    nose=(32, 39.5, 4.5, 5.5),
    mouth=(32, 46.7, 7.5, 3.2),
)
_CHANNELS = 32
_COLLECTION = "disvae"
# The commit is named, so that the files cannot change behind the link.
_SOURCE = (
    "https://raw.githubusercontent.com/YannDubs/disentangling-vae/"
    "f0452191bab6d94eba0b4e6a065f74dcfd54ac52/results"
)


class Vae(NamedTuple):
    """One of the published decoders."""

    published: str
    """The folder of its file, and its name among safetensors."""
    channels: int
    """Of its pictures: 3, or 1 where they are grey."""
    family: str
    licence: str

    @property
    def how_to_get(self) -> str:
        """The command that fetches its file."""
        file = f"{self.published}/model.pt"
        return f"curl -fL --create-dirs -o {_COLLECTION}/{file} {_SOURCE}/{file}"


_RESEARCH = "MIT; learnt from CelebA, for non-commercial research only"
VAES = {
    "vae-faces": Vae("btcvae_celeba", 3, "β-TCVAE", _RESEARCH),
    "vae-chairs": Vae("btcvae_chairs", 1, "β-TCVAE", "MIT"),
    "vae-dsprites": Vae("factor_dsprites", 1, "FactorVAE", "MIT"),
}


class VaeDecoder(nn.Sequential):
    """A latent [B, 10] becomes a picture [B, channels, 64, 64] in (0, 1), layer after layer."""

    def __init__(self, channels: int) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        widths = (LATENT_SIZE, 256, 256, _CHANNELS * 4 * 4)
        for step, (incoming, outgoing) in enumerate(pairwise(widths), start=1):
            layers[f"lin{step}"] = nn.Linear(incoming, outgoing)
            layers[f"lin{step}_relu"] = nn.ReLU()
        layers["view"] = nn.Unflatten(1, (_CHANNELS, 4, 4))
        for name in ("convT_64", "convT1", "convT2"):
            layers[name] = _doubled(_CHANNELS)
            layers[f"{name}_relu"] = nn.ReLU()
        layers["convT3"] = _doubled(channels)
        layers["sigmoid"] = nn.Sigmoid()
        super().__init__(layers)


def _doubled(outgoing: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(_CHANNELS, outgoing, 4, stride=2, padding=1)


def sample_latents(count: int, rng: torch.Generator) -> Float[Tensor, "count 10"]:
    """Draw latents from a standard normal distribution."""
    return torch.randn(count, LATENT_SIZE, generator=rng)


def find_weights(name: str, given: Path | None = None) -> Path | None:
    """Locate the file of `name`: `given` itself or in it and nowhere else, or where they are kept.

    `zoo/weights.py` tells where that is; in each place, files lie directly or under `disvae`, as
    published (`btcvae_celeba/model.pt`) or the decoder alone
    (`btcvae_celeba_decoder.safetensors`).
    """
    published = VAES[name].published
    files = (f"{published}_decoder.safetensors", f"{published}/model.pt")
    paths = [folder / file for folder in folders(given, _COLLECTION) for file in files]
    return first_file(paths if given is None else [given.expanduser(), *paths])


def load_vae(name: str, weights: Path | None = None) -> VaeDecoder:
    """Build the decoder `name` with its trained weights, in float32."""
    vae = VAES[name]
    path = find_weights(name, weights)
    if path is None:
        raise not_found(name, weights, _COLLECTION, vae.how_to_get)
    for other, theirs in VAES.items():  # two of them have the same shapes
        if other != name and theirs.published in f"{path.parent.name}/{path.name}":
            raise StorageError(f"{path} is the file of {other}, not of {name}")
    # As published, the encoder lies in the same file.
    return filled(partial(VaeDecoder, vae.channels), path, vae.how_to_get, prefix="decoder.")


def _entry(name: str, vae: Vae) -> ZooEntry:
    return ZooEntry(
        name=name,
        family=vae.family,
        sizes=(64,),
        licence=vae.licence,
        # 32 channels at 4², 8², 16² and 32², after the ReLU: what the next layer is given.
        layers=("view", "convT_64_relu", "convT1_relu", "convT2_relu"),
        default_layer="convT_64_relu",
        image_range=(0.0, 1.0),
        load=lambda weights, _: Loaded(load_vae(name, weights), sample_latents),
        installed=lambda: find_weights(name) is not None,
        parts=FACE_PARTS if name == "vae-faces" else None,
        how_to_get=vae.how_to_get,
    )


ENTRIES = tuple(_entry(name, vae) for name, vae in VAES.items())
