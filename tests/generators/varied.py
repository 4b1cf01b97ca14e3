"""Varied small networks, one for each way in which something can flow past a cut.

Each takes latents from a sampler of its own and gives pictures 3 × 16 × 16; `CASES` lists for each
the layers to cut at, whether something of the picture flows past, and whether it can be recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def noise(count, rng):
    return torch.randn(count, 8, generator=rng)


def pictures(count, rng):
    return torch.randn(count, 3, 16, 16, generator=rng)


def noise_and_class(count, rng):
    return noise(count, rng), torch.randint(5, (count,), generator=rng)


class Start(nn.Module):
    """A latent [B, 8] becomes a feature map [B, C, 4, 4]."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.embed = nn.Linear(8, channels * 16)

    def forward(self, z):
        return self.embed(z).view(z.shape[0], self.channels, 4, 4)


def up(channels, out=None):
    return nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(channels, out or channels, 3, padding=1), nn.SiLU()
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = Start(6)
        self.low = up(6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.high = up(6)
        self.paint = nn.Conv2d(6, 3, 1)

    def forward(self, z):
        h = self.low(self.start(z))
        h = h + F.relu(self.inner(h))
        return torch.tanh(self.paint(self.high(h)))


class UNet(nn.Module):
    """Skips go around the bottleneck, and the noisy picture around everything."""

    def __init__(self, in_place=False):
        super().__init__()
        self.in_place = in_place
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.rise = nn.Conv2d(16, 4, 3, padding=1)
        self.top = nn.Conv2d(8, 4, 3, padding=1)
        self.paint = nn.Conv2d(4, 3, 1)
        self.register_buffer("share", torch.tensor(0.3))

    def forward(self, x):
        a = F.silu(self.first(x))
        b = F.silu(self.down(a))
        c = F.silu(self.deep(b))
        h = F.silu(self.middle(c))
        if self.in_place:
            h += c
        h = F.interpolate(torch.cat([h, c], 1), size=b.shape[-2:])
        h = F.silu(self.rise(h))
        h = torch.cat([F.interpolate(h, scale_factor=2.0), a], dim=1)
        return self.paint(F.silu(self.top(h))) + self.share * x


class Attention(nn.Module):
    """Tokens, positions, and heads folded into the batch."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16 * 12)
        self.positions = nn.Parameter(torch.randn(1, 16, 12))
        self.norm = nn.LayerNorm(12)
        self.qkv = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)
        self.library = nn.MultiheadAttention(12, 2, batch_first=True)
        self.paint = nn.Linear(12, 48)

    def forward(self, z):
        batch = len(z)
        h = self.embed(z).reshape(batch, 16, 12) + self.positions
        q, k, v = self.qkv(self.norm(h)).chunk(3, dim=-1)
        q, k, v = (
            t.reshape(batch, 16, 3, 4).transpose(1, 2).reshape(batch * 3, 16, 4) for t in (q, k, v)
        )
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(4), dim=-1)
        mixed = (weights @ v).view(batch, 3, 16, 4).transpose(1, 2).flatten(2)
        h = h + self.out(mixed)
        h = h + self.library(h, h, h, need_weights=False)[0]
        pixels = self.paint(h).view(batch, 4, 4, 3, 4, 4)
        return torch.einsum("bijchw->bcihjw", pixels).reshape(batch, 3, 16, 16)


class TokensFirst(nn.Module):
    """A transformer's layer with the batch on the second axis."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16 * 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1)
        self.last = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1)
        self.paint = nn.Linear(8, 48)

    def forward(self, z):
        h = self.embed(z).view(z.size(0), 16, 8).permute(1, 0, 2)
        h = self.last(self.block(h))
        pixels = self.paint(h).transpose(0, 1).reshape(z.size(0), 4, 4, 3, 4, 4)
        return pixels.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


class ConditionalNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Embedding(5, channels)
        self.shift = nn.Embedding(5, channels)

    def forward(self, x, label):
        scale, shift = self.scale(label)[:, :, None, None], self.shift(label)[:, :, None, None]
        return self.norm(x) * scale + shift


class ClassConditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = Start(6)
        self.norms = nn.ModuleList(ConditionalNorm(6) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(2))
        self.paint = nn.Conv2d(6, 3, 1)

    def forward(self, z, label):
        h = self.start(z)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = F.interpolate(F.relu(norm(conv(h), label)), scale_factor=2)
        return torch.tanh(self.paint(h))


class StyleBlock(nn.Module):
    """Modulated convolution in one grouped call, noise, and a running image beside the feature."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3) / 8)
        self.affine = nn.Linear(8, channels)
        self.strength = nn.Parameter(torch.tensor(0.2))
        self.to_image = nn.Conv2d(channels, 3, 1)

    def forward(self, x, image, style):
        batch, channels, height, width = x.shape
        scaled = self.weight[None] * (1 + self.affine(style))[:, None, :, None, None]
        scaled = scaled * scaled.square().sum((2, 3, 4), keepdim=True).add(1e-8).rsqrt()
        x = F.interpolate(x, scale_factor=2)
        x = x.reshape(1, batch * channels, 2 * height, 2 * width)
        x = F.conv2d(x, scaled.flatten(0, 1), padding=1, groups=batch)
        x = x.view(batch, channels, 2 * height, 2 * width)
        x = x + self.strength * torch.randn(batch, 1, 2 * height, 2 * width)
        x = F.leaky_relu(x, 0.2)
        return x, self.to_image(x) + F.interpolate(image, scale_factor=2, mode="bilinear")


class StyleModulation(nn.Module):
    def __init__(self):
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(8, 8), nn.LeakyReLU(0.2), nn.Linear(8, 16))
        self.const = nn.Parameter(torch.randn(1, 6, 4, 4))
        self.b8 = StyleBlock(6)
        self.b16 = StyleBlock(6)

    def forward(self, z):
        styles = self.mapping(F.normalize(z)).unflatten(1, (2, 8))
        x = self.const.repeat(len(z), 1, 1, 1)
        image = torch.zeros(len(z), 3, 4, 4, device=z.device)
        for i, block in enumerate((self.b8, self.b16)):
            x, image = block(x, image, styles[:, i])
        return image


class Shared(nn.Module):
    """One block, called three times, and known under two names."""

    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.block = nn.Conv2d(4, 4, 3, padding=1)
        self.same = self.block
        self.paint = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        h = self.start(z)
        for _ in range(2):
            h = F.interpolate(F.silu(self.block(h)), scale_factor=2)
        return torch.tanh(self.paint(self.same(h)))


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.body = nn.Sequential(up(4), up(4))
        self.paint = nn.Conv2d(4, 3, 1)
        self.depth = nn.Conv2d(4, 1, 1)

    def forward(self, z):
        h = self.body(self.start(z))
        return {"depth": self.depth(h), "rgb": torch.sigmoid(self.paint(h))}


class ShapeFlow(nn.Module):
    """Python control flow on shapes and on the latent itself, and a list that grows."""

    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.conv = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.paint = nn.Conv2d(8, 3, 1)

    def forward(self, z):
        h = self.start(z)
        steps = []
        while h.shape[-1] < 16:
            if h.shape[-1] == 8 and h.numel() // len(h) > 10:
                h = h * 0.5
            h = F.interpolate(self.conv[len(steps)](h), scale_factor=2).relu_()
            steps.append(h)
        joined = torch.cat([F.interpolate(s, size=h.shape[2:]) for s in steps], dim=-3)
        height, width = joined.shape[-2:]
        return self.paint(joined)[..., :height, :width].clamp(-1, 1)


class Sampler(nn.Module):
    """Three steps of a sampler with NumPy coefficients and fresh noise, under torch.no_grad."""

    def __init__(self):
        super().__init__()
        self.unet = UNet()
        self.sigmas = np.linspace(1.0, 0.1, 3)

    @torch.no_grad()
    def forward(self, x):
        for i, sigma in enumerate(self.sigmas):
            denoised = self.unet(x / float(sigma + 1))
            x = x + (denoised - x) * float(np.sqrt(sigma))
            if i < 2:
                x = x + 0.1 * sigma * torch.randn_like(x)
        return x


class Noisy(nn.Module):
    """Draws of its own: dropout that stays on, noise by size, like another, and in place."""

    def __init__(self):
        super().__init__()
        self.start = Start(6)
        self.low = up(6)
        self.high = up(6)
        self.paint = nn.Conv2d(6, 3, 1)

    def forward(self, z):
        h = F.dropout(self.low(self.start(z)), 0.3, training=True)
        h = h + 0.1 * torch.randn(h.shape[0], 1, *h.shape[2:]) + 0.1 * torch.rand_like(h)
        h = self.high(h)
        h = h + torch.empty_like(h[:, :1]).normal_(0, 0.1)
        return torch.tanh(self.paint(h))


class Writes(nn.Module):
    """Writes into slices of a canvas, and in place into a skip and a view."""

    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.low = up(4)
        self.high = up(4)
        self.paint = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        h = self.low(self.start(z))
        skip = F.interpolate(h.detach().sin(), scale_factor=2)
        h = self.high(h)
        skip += h
        left = skip[..., :8]
        left.mul_(0.5)
        h.clamp_(-2, 2)
        canvas = torch.zeros(z.shape[0], 3, 16, 16)
        picture = self.paint(skip + h)
        canvas[..., :8] = picture[..., :8]
        canvas[..., 8:] = picture[..., 8:].flip(-1)
        return canvas


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class CustomFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.low = up(4)
        self.high = up(4)
        self.paint = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        return torch.tanh(self.paint(Double.apply(self.high(self.low(self.start(z))))))


class FeatureFlow(nn.Module):
    """Its path behind the cut depends on the feature's numbers, which no recording can follow."""

    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.low = up(4)
        self.high = up(4)
        self.paint = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        h = self.low(self.start(z))
        top = float(h.abs().amax())
        h = self.high(h / max(top, 1.0))
        return self.paint(h) if bool(h.mean() > 0) else self.paint(2 * h)


class ClassFlow(nn.Module):
    """The class chooses the path in Python, so that each picture has a tail of its own."""

    def __init__(self):
        super().__init__()
        self.start = Start(4)
        self.low = up(4)
        self.heads = nn.ModuleList(up(4) for _ in range(5))
        self.paint = nn.Conv2d(4, 3, 1)

    def forward(self, z, label):
        h = self.low(self.start(z))
        if len(label.unique()) == 1:
            return torch.tanh(self.paint(self.heads[int(label[0])](h)))
        rows = [self.heads[int(one)](h[i : i + 1]) for i, one in enumerate(label)]
        return torch.tanh(self.paint(torch.cat(rows)))


class Windows(nn.Module):
    """Windows folded into the batch, whose part is the feature."""

    def __init__(self):
        super().__init__()
        self.start = Start(8)
        self.mix = nn.Linear(8, 8)
        self.paint = nn.ConvTranspose2d(8, 3, 4, 4)

    def forward(self, z):
        h = self.start(z)
        windows = h.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 4, 5, 1).reshape(-1, 4, 8)
        windows = F.silu(self.mix(windows))
        h = windows.view(z.shape[0], 2, 2, 2, 2, 8).permute(0, 5, 1, 3, 2, 4)
        return self.paint(h.reshape(z.shape[0], 8, 4, 4))


class Half(nn.Module):
    def __init__(self, dtype=torch.bfloat16):
        super().__init__()
        self.start = Start(4)
        self.body = nn.Sequential(up(4), up(4)).to(dtype)
        self.paint = nn.Conv2d(4, 3, 1)
        self.dtype = dtype

    def forward(self, z):
        return self.paint(self.body(self.start(z).to(self.dtype)).float())


@dataclass(frozen=True)
class Case:
    make: Callable[[], nn.Module]
    layers: tuple[Any, ...]
    sampler: Callable[..., Any] = noise
    past: tuple[Any, ...] = ()
    """Of the layers, those past which something of the picture flows."""
    recorded: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


CASES = {
    "residual": Case(Residual, ("start", "low", "inner", "high"), past=("inner",)),
    "u-net": Case(
        UNet,
        ("first", "deep", "middle", "rise", ["middle", "down", "first"], "top"),
        pictures,
        ("first", "deep", "middle", "rise", ["middle", "down", "first"], "top"),
    ),
    "u-net in place": Case(
        lambda: UNet(in_place=True), ("middle", "top"), pictures, ("middle", "top")
    ),
    "attention": Case(Attention, ("embed", "qkv", "out"), past=("qkv", "out")),
    "tokens first": Case(TokensFirst, ("embed", "block", "last")),
    "class-conditional norm": Case(
        ClassConditional,
        ("start", "convs.0", "norms.0", "convs.1", "norms.1"),
        noise_and_class,
        ("start", "convs.0", "norms.0", "convs.1"),
    ),
    "style modulation": Case(StyleModulation, ("b8", "b8[0]", "mapping"), past=("b8", "b8[0]")),
    "shared": Case(Shared, ("start", "block#1", "block#2", "same#3")),
    "two outputs": Case(TwoOutputs, ("start", "body.0"), settings={"image": "rgb"}),
    "shape flow": Case(ShapeFlow, ("start", "conv.0", "conv.1"), past=("conv.1",)),
    "sampler": Case(
        Sampler,
        ("unet.middle#1", "unet.middle#3", "unet#2"),
        pictures,
        ("unet.middle#1", "unet.middle#3", "unet#2"),
    ),
    "noisy": Case(Noisy, ("start", "low", "high")),
    "writes": Case(Writes, ("start", "low", "high"), past=("high",)),
    "custom function": Case(CustomFunction, ("low", "high")),
    "feature flow": Case(FeatureFlow, ("start", "low"), recorded=False),
    "class flow": Case(ClassFlow, ("low",), noise_and_class, past=("low",)),
    "windows": Case(Windows, ("start", "mix")),
    "half precision": Case(Half, ("start", "body.0", "body.0.1")),
}
