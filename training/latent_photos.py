"""Train `latent-photos`: an autoencoder of photographs from Debian's packages.

    apt-get download mate-backgrounds lomiri-wallpapers-16.04 palapeli-data \
        plasma-workspace-wallpapers tuxpaint-stamps-default
    for package in *.deb; do dpkg-deb -x $package data; done
    python -m training.latent_photos --data data --out runs/latent-photos

A few dozen photographs at several scales, each crop with or without cut-out photographs of things
pasted on it. It is trained in mixed precision (bfloat16), which is slow on processors without.
Scikit-image's photographs are held out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle
from training import loop
from training.style_faces import distance

from regional_primitives.errors import InputError
from regional_primitives.generators.photographs import draw_crop
from regional_primitives.generators.zoo.latent import LATENT_CHANNELS, PICTURE_SIDE, Autoencoder
from regional_primitives.generators.zoo.photos import Block
from regional_primitives.runtime.streams import stream

_WALLPAPERS = (
    "BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow", "FallenLeaf",
    "Grey", "Kite", "OneStandsOut", "Path", "summer_1am",
)  # fmt: skip
"""Photographs among Plasma's; each is there in several sizes."""
_STAMPS = (
    "animals", "clothes", "food", "hobbies", "household", "people", "plants", "vehicles",
)  # fmt: skip
"""Folders of cut-out things of Tux Paint, mostly photographs."""
_DRAWN = {"cartoon", "dinosaur", "plastic", "toys"}
_SIDES = tuple(round(64 * 2 ** (step / 2)) for step in range(8))
"""Shorter sides that a photograph is resized to: 64 to 724 pixels."""
_STAMP_SIDES = (20, 28, 40, 56, 80, 112)
"""Longer sides of a stamp."""
_SPREAD = 1.2
"""Standard deviation of the widest coordinate of a latent, at the start."""
_NOISE = 0.03
"""Standard deviation of what is added to latents, which lie within (−3, 3)."""
_TIGHTNESS = 1e-4
"""Price of a latent's mean square."""


class LatentPhotos:
    """Encoder and decoder of crops of photographs."""

    shown = 40
    columns = 10

    def __init__(self, data: Path, steps: int, batch: int, seed: int) -> None:
        self.batch, self.seed = batch, seed
        self.photographs = read_photographs(data)
        self.stamps = read_stamps(data)
        torch.manual_seed(seed)
        self.autoencoder = Autoencoder().to(memory_format=torch.channels_last)
        rng = stream(seed, "latent-photos", "start")
        start_linear(self.autoencoder, torch.cat([self.crop(rng) for _ in range(512)]))
        self.average = loop.averaged(self.autoencoder, 0.998)
        self.optimiser = torch.optim.AdamW(
            self.autoencoder.parameters(), 1e-3, (0.9, 0.99), weight_decay=1e-3
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, 1e-3, total_steps=steps, pct_start=0.05, cycle_momentum=False
        )
        self.states = {
            "autoencoder": self.autoencoder, "average": self.average,
            "optimiser": self.optimiser, "schedule": self.schedule,
        }  # fmt: skip

    def step(self, number: int) -> float:
        """Take one step on crops and noise of its own."""
        rng = stream(self.seed, "latent-photos", number)
        pictures = torch.cat([self.crop(rng) for _ in range(self.batch)])
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.autoencoder.encoder(pictures).float()
            noise = torch.randn(latents.shape, generator=rng)
            made = self.autoencoder.decoder(latents + _NOISE * noise)
        loss = distance(made.float(), pictures) + _TIGHTNESS * latents.square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.autoencoder.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.autoencoder)
        return loss.item()

    def crop(self, rng: torch.Generator) -> Tensor:
        """Draw a picture [1, 3, 64, 64] in [0, 1]: a crop, none to two stamps on it, mirrored."""
        scales = self.photographs[_draw(len(self.photographs), rng)]
        picture = scales[_draw(len(scales), rng)]  # [3, height, width], whole numbers
        top, left = (_draw(side - PICTURE_SIDE + 1, rng) for side in picture.shape[1:])
        crop = picture[:, top : top + PICTURE_SIDE, left : left + PICTURE_SIDE] / 255
        for _ in range(_draw(3, rng)):
            sizes = self.stamps[_draw(len(self.stamps), rng)]
            crop = pasted(crop, sizes[_draw(len(sizes), rng)] / 255, rng)
        mirrored, brighter = torch.rand(2, generator=rng)
        crop = crop ** math.exp(0.6 * (brighter - 0.5))
        return (crop.flip(2) if mirrored < 0.5 else crop)[None]

    def network(self) -> nn.Module:
        """Return both halves with averaged weights."""
        return self.average.module.eval()

    @torch.no_grad()
    def samples(self) -> Tensor:
        """Return rows of held-out crops, each above what the network makes of it."""
        pictures = held_out(self.shown // 2)
        rows = zip(pictures.split(10), self.network()(pictures).split(10), strict=True)
        return 2 * torch.cat([row for pair in rows for row in pair]) - 1

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Compare held-out crops with the network's, and with simpler ways to say less."""
        pictures = held_out(256)
        guesses = {
            "network": torch.cat([self.network()(some) for some in pictures.split(32)]),
            "half_side_bicubic": enlarged(pictures, 2),
            "quarter_side_bicubic": enlarged(pictures, 4),
            "mean_colour": pictures.mean((2, 3), keepdim=True).expand_as(pictures),
        }
        return {
            f"{what}_{whose}": float(error)
            for whose, guess in guesses.items()
            for what, error in (
                ("psnr", psnr(guess.clamp(0, 1), pictures).mean()),
                ("mean_absolute_error", (guess.clamp(0, 1) - pictures).abs().mean()),
            )
        }


@torch.no_grad()
def start_linear(network: Autoencoder, pictures: Tensor) -> None:
    """Let a network begin as the best linear code of blocks of 4 × 4 pixels of such pictures.

    Pixels pass rectifiers as they are, for they are positive; coordinates, and differences from the
    mean block, pass as pairs of what is positive and what is negative. Residual blocks add little.
    """
    cells = pixel_unshuffle(pixel_unshuffle(pictures, 2), 2).movedim(1, -1).flatten(0, 2)
    mean = cells.mean(0)  # [48]
    _, widths, axes = torch.linalg.svd(cells - mean, full_matrices=False)
    scale = _SPREAD / float(widths[0] / len(cells) ** 0.5)
    axes = axes[:LATENT_CHANNELS]  # [12, 48]
    for part in network.modules():
        if isinstance(part, Block):
            part.conv[-1].weight.mul_(0.1)
            part.conv[-1].bias.zero_()
    first, down, last = (part for part in network.encoder if isinstance(part, nn.Conv2d))
    _begin(first, torch.eye(12)[:, :, None, None])
    inner = scale * axes.unflatten(1, (12, 2, 2))
    _begin(down, torch.cat([inner, -inner]), scale * torch.cat([-axes @ mean, axes @ mean]))
    unit = torch.eye(LATENT_CHANNELS)[:, :, None, None]
    _begin(last, torch.cat([unit, -unit], 1))
    first, up, last = (part for part in network.decoder if isinstance(part, nn.Conv2d))
    _begin(first, torch.cat([unit, -unit]))
    outer = axes.T[:, :, None, None] / scale
    outer = torch.cat([outer, -outer], 1)
    _begin(up, torch.cat([outer, -outer]))
    unit = torch.eye(12)[:, :, None, None]
    _begin(last, torch.cat([unit, -unit], 1), mean.unflatten(0, (12, 4)).mean(1))


def _begin(convolution: nn.Conv2d, weight: Tensor, bias: Tensor | None = None) -> None:
    """Set the first channels' weights, from the middle tap on; what they do not take is small."""
    outgoing, incoming, *taps = weight.shape
    convolution.weight.mul_(0.1)
    convolution.bias.zero_()
    convolution.weight[:outgoing] = 0
    convolution.weight[:outgoing, :incoming, 1 : 1 + taps[0], 1 : 1 + taps[1]] = weight
    if bias is not None:
        convolution.bias[:outgoing] = bias


def held_out(count: int) -> Tensor:
    """Draw crops [count, 3, 64, 64] of scikit-image's photographs."""
    rng = stream(0, "latent-photos", "held out")
    return torch.cat([draw_crop(rng, PICTURE_SIDE) for _ in range(count)])


def enlarged(pictures: Tensor, factor: int) -> Tensor:
    """Make pictures smaller by a factor, and as large as they were again, bicubically."""
    small = interpolate(pictures, scale_factor=1 / factor, mode="bicubic", antialias=True)
    return interpolate(small, pictures.shape[2:], mode="bicubic")


def psnr(made: Tensor, wanted: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in [0, 1], in decibels."""
    return -10 * (made - wanted).square().mean((1, 2, 3)).log10()


def _draw(count: int, rng: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=rng))


def pasted(picture: Tensor, stamp: Tensor, rng: torch.Generator) -> Tensor:
    """Lay a stamp [4, height, width] with opacity on a picture [3, 64, 64], its middle within."""
    height, width = stamp.shape[1:]
    down, right = (_draw(PICTURE_SIDE, rng) for _ in range(2))
    sheet = stamp.new_zeros(4, PICTURE_SIDE + 2 * height, PICTURE_SIDE + 2 * width)
    top, left = down + height - height // 2, right + width - width // 2
    sheet[:, top : top + height, left : left + width] = stamp
    colour, opacity = sheet[:, height : height + PICTURE_SIDE, width : width + PICTURE_SIDE].split(
        [3, 1]
    )
    return picture + opacity * (colour - picture)


def read_photographs(data: Path) -> list[list[Tensor]]:
    """Read each photograph at its scales, [3, height, width] of whole numbers to 255."""
    share = data / "usr" / "share"
    paths = [
        *sorted(share.glob("backgrounds/mate/nature/*.jpg")),
        *sorted(share.glob("backgrounds/*_by_*.jpg")),
        *sorted(share.glob("palapeli/collection/*.jpg")),
    ]
    for name in _WALLPAPERS:
        sizes = share.glob(f"wallpapers/{name}/contents/images/*x*.*")
        paths += sorted(sizes, key=lambda path: (-path.stat().st_size, path.name))[:1]
    _refuse_none(paths, data)
    return [_scales(Image.open(path).convert("RGB"), _SIDES, min) for path in paths]


def read_stamps(data: Path) -> list[list[Tensor]]:
    """Read each stamp at its scales, [4, height, width] of whole numbers to 255, with opacity."""
    folder = data / "usr" / "share" / "tuxpaint" / "stamps"
    paths = sorted(path for kind in _STAMPS for path in folder.glob(f"{kind}/**/*.png"))
    paths = [path for path in paths if not _DRAWN & set(path.parts)]
    _refuse_none(paths, data)
    return [_scales(Image.open(path).convert("RGBA"), _STAMP_SIDES, max) for path in paths]


def _scales(
    picture: Image.Image, sides: Sequence[int], measure: Callable[[tuple[int, int]], int]
) -> list[Tensor]:
    """Resize a picture to those sides that do not enlarge it, or else to the first."""
    whole = measure(picture.size)
    made = []
    for side in [side for side in sides if side <= whole] or sides[:1]:
        size = tuple(max(1, round(length * side / whole)) for length in picture.size)
        small = picture.resize(size, Image.Resampling.LANCZOS)
        pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
        made.append(pixels.view(small.height, small.width, -1).permute(2, 0, 1).contiguous())
    return made


def _refuse_none(paths: Sequence[Path], data: Path) -> None:
    if not paths:
        raise InputError(
            f"{data} holds no photographs of Debian's packages; get them as "
            "training/latent_photos.py says, and pass the folder that they are unpacked in"
        )


def main(words: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    parser = loop.options(__doc__, steps=6000, batch=16)
    parser.add_argument("--data", type=Path, required=True, help="folder of unpacked packages")
    asked = parser.parse_args(words)
    loop.run(LatentPhotos(asked.data, asked.steps, asked.batch, asked.seed), asked)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
