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
        nn.Hardtanh(inplace=True),
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


# name → (network, cut points that must work)
NETWORKS = {
    "sequential": (sequential, ["0", "1", "2", "3", "4", "5", "6"]),
    "nested": (Nested, ["embed", "body.low.0", "body.low", "body.high.0", "body.high"]),
    "functional": (Functional, ["embed", "up", "paint"]),
    "in place": (in_place, ["0", "1", "3", "4", "5"]),
    "old spectral norm": (lambda: normed(spectral_norm), ["0", "3", "5"]),
    "spectral norm": (lambda: normed(parametrizations.spectral_norm), ["0", "3", "5"]),
    "old weight norm": (lambda: normed(weight_norm), ["0", "3", "5"]),
    "weight norm": (lambda: normed(parametrizations.weight_norm), ["0", "3", "5"]),
    "optional labels": (OptionalLabels, ["body.3", "body.5"]),
}
