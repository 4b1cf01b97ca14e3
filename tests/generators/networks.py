"""Small networks that a user might bring, each from a latent [batch, 8] to a picture 16 × 16."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm


def sample(count, rng):
    return torch.randn(count, 8, generator=rng)


class View(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.size = shape

    def forward(self, x):
        return x.view(-1, *self.size)


class Residual(nn.Module):
    """A skip that begins and ends inside one block."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return F.relu(x + self.second(F.relu(self.first(x))))


def sequential(activation=nn.ReLU):
    return nn.Sequential(
        nn.Linear(8, 64),
        activation(),
        View(4, 4, 4),
        nn.ConvTranspose2d(4, 6, 4, 2, 1),
        nn.BatchNorm2d(6),
        activation(),
        nn.ConvTranspose2d(6, 3, 4, 2, 1),
        nn.Tanh(),
    )


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 64)
        self.body = nn.ModuleDict(
            {
                "low": nn.Sequential(Residual(4), nn.Upsample(scale_factor=2)),
                "high": nn.Sequential(Residual(4), nn.Upsample(scale_factor=2)),
            }
        )
        self.paint = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        x = self.embed(z).reshape(z.shape[0], 4, 4, 4)
        for block in self.body.values():
            x = block(x)
        return torch.sigmoid(self.paint(x))


class Functional(nn.Module):
    """Everything but the weighted layers is a function call; one of them writes in place."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 64)
        self.up = nn.ConvTranspose2d(4, 4, 4, 4)
        self.paint = nn.Conv2d(4, 3, 3, padding=1)
        self.register_buffer("tint", torch.rand(3, 1, 1))
        self.gain = nn.Parameter(torch.tensor(0.7))

    def forward(self, z):
        x = F.relu(self.embed(z), inplace=True).view(z.size(0), 4, 4, 4)
        x = F.leaky_relu(self.up(x), 0.1, inplace=True)
        return torch.tanh(self.paint(x) * self.gain + self.tint)


def in_place():
    return nn.Sequential(
        nn.Linear(8, 64),
        nn.ReLU(inplace=True),
        View(4, 4, 4),
        nn.ConvTranspose2d(4, 4, 4, 4),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(4, 3, 1),
        nn.Hardtanh(0, 0.1, inplace=True),  # narrow, so that it does change the picture
    )


def normed(norm):
    return nn.Sequential(
        norm(nn.Linear(8, 64)),
        nn.ReLU(),
        View(4, 4, 4),
        norm(nn.ConvTranspose2d(4, 4, 4, 4)),
        nn.ReLU(),
        norm(nn.Conv2d(4, 3, 1)),
        nn.Tanh(),
    )


class OptionalLabels(nn.Module):
    """Takes a class only if there is one, as many published generators do."""

    def __init__(self):
        super().__init__()
        self.body = sequential()
        self.table = nn.Embedding(5, 8)

    def forward(self, z, labels=None, strength=1.0):
        if labels is not None:
            z = z + self.table(labels) * strength
        return self.body(z)


class Around(nn.Module):
    """A network with `body`, whose forward is given."""

    def __init__(self, forward, **extra):
        super().__init__()
        self.body = sequential()
        for name, part in extra.items():
            setattr(self, name, part)
        self._forward = forward

    def forward(self, z, **named):
        return self._forward(self, z, **named)


class Picture(nn.Module):
    """`early` [batch, 4, 8, 8] and `paint` are there; what lies between is given.

    `behind(self, h, z)` is called with what `early` gives, and returns [batch, 4, 16, 16].
    """

    def __init__(self, behind, **extra):
        super().__init__()
        self.early = nn.Sequential(nn.Linear(8, 256), View(4, 8, 8), nn.SiLU())
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1))
        self.gain = nn.Linear(8, 4)
        self.paint = nn.Conv2d(4, 3, 1)
        self.register_buffer("memory", torch.ones(4, 1, 1))
        for name, part in extra.items():
            setattr(self, name, part)
        self._behind = behind

    def forward(self, z, **named):
        return torch.tanh(self.paint(self._behind(self, self.early(z), z, **named)))


# name → (network, cut points that must work, the others that do)
NETWORKS = {
    "sequential": (sequential, ["0", "1", "2", "3", "4", "5", "6"], []),
    "nested": (
        Nested,
        ["embed", "body.low.0", "body.low", "body.high.0", "body.high"],
        [
            *("body.low.0.first", "body.low.0.second", "body.low.1"),
            *("body.high.0.first", "body.high.0.second", "body.high.1", "paint"),
        ],
    ),
    "functional": (Functional, ["embed", "up", "paint"], []),
    "in place": (in_place, ["0", "1", "3", "4", "5"], ["2"]),
    "old spectral norm": (lambda: normed(spectral_norm), ["0", "3", "5"], ["1", "2", "4"]),
    "spectral norm": (
        lambda: normed(parametrizations.spectral_norm),
        ["0", "3", "5"],
        ["1", "2", "4"],
    ),
    "old weight norm": (lambda: normed(weight_norm), ["0", "3", "5"], ["1", "2", "4"]),
    "weight norm": (
        lambda: normed(parametrizations.weight_norm),
        ["0", "3", "5"],
        ["1", "2", "4"],
    ),
    "optional labels": (
        OptionalLabels,
        ["body.3", "body.5"],
        ["body.0", "body.1", "body.2", "body.4", "body.6"],
    ),
}
