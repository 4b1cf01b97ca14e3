"""Train `class-fashion`: a class-conditional residual GAN on Fashion-MNIST (MIT).

    apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb data
    python -m training.class_fashion --data data/usr/share/datasets/fashion-mnist \
        --out runs/class-fashion

Debian's package holds the four files that Fashion-MNIST is published as. Hinge loss, a projection
discriminator (arXiv 1802.05637) with spectral normalisation.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad, relu
from torch.nn.utils.parametrizations import spectral_norm
from training import loop

from regional_primitives.errors import InputError
from regional_primitives.generators.zoo.residual import (
    CLASSES,
    PICTURE_SIDE,
    ResidualNetwork,
    sample_latents,
)
from regional_primitives.runtime.streams import stream


class ClassFashion:
    """Generator and discriminator, a step of each in turn."""

    shown = 80
    columns = 10

    def __init__(self, data: Path, steps: int, batch: int, seed: int) -> None:
        self.data, self.batch, self.seed = data, batch, seed
        self.pictures, self.labels = read(data, "train")
        torch.manual_seed(seed)
        self.generator = ResidualNetwork().to(memory_format=torch.channels_last)
        self.discriminator = Discriminator().to(memory_format=torch.channels_last)
        self.average = loop.averaged(self.generator, 0.995)
        self.states = {
            "generator": self.generator, "discriminator": self.discriminator,
            "average": self.average,
        }  # fmt: skip
        for name, rate in (("generator", 3e-4), ("discriminator", 1e-3)):
            network = self.states[name]
            self.states[f"{name}_optimiser"] = torch.optim.Adam(
                network.parameters(), rate, (0.0, 0.99)
            )
            self.states[f"{name}_schedule"] = torch.optim.lr_scheduler.LambdaLR(
                self.states[f"{name}_optimiser"], lambda number: min(1, 2 - 2 * number / steps)
            )

    def step(self, number: int) -> float:
        """Take a step of each; return the discriminator's loss."""
        rng = stream(self.seed, "class-fashion", number)
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=rng)
        latents = sample_latents(self.batch, rng)
        made, label = self.generator(**latents), latents["label"]
        # The discriminator's: real above 1, made below −1.
        judged = self.discriminator(
            torch.cat([self.pictures[chosen], made.detach()]),
            torch.cat([self.labels[chosen], label]),
        )
        real, fake = judged.split(self.batch)
        loss = relu(1 - real).mean() + relu(1 + fake).mean()
        self._descend("discriminator", loss)
        # The generator's, with the same pictures.
        self.discriminator.requires_grad_(False)
        self._descend("generator", -self.discriminator(made, label).mean())
        self.discriminator.requires_grad_(True)
        self.average.update_parameters(self.generator)
        return loss.item()

    def _descend(self, name: str, loss: Tensor) -> None:
        self.states[f"{name}_optimiser"].zero_grad()
        loss.backward()
        self.states[f"{name}_optimiser"].step()
        self.states[f"{name}_schedule"].step()

    def network(self) -> nn.Module:
        """Return the averaged generator; its normalisations' statistics are averaged as well."""
        return self.average.module.eval()

    @torch.no_grad()
    def samples(self) -> Tensor:
        """Return pictures of each class in turn."""
        latents = sample_latents(self.shown, stream(self.seed, "class-fashion", "sheet"))
        return self.network()(latents["latent"], torch.arange(self.shown) % len(CLASSES))

    def figures(self) -> dict[str, float]:
        """Ask a classifier of real pictures about made ones, and one of made about real ones."""
        made, labels = self.made(20_000)
        unseen, unseen_labels = read(self.data, "t10k")
        of_real = classifier(self.pictures[: len(made)], self.labels[: len(made)], self.seed)
        of_made = classifier(made, labels, self.seed)
        test, train, ours = (
            features(of_real, pictures[: len(unseen)]) for pictures in (unseen, self.pictures, made)
        )
        return {
            "accuracy_on_real": accuracy(of_real, unseen, unseen_labels),
            "accuracy_on_made": accuracy(of_real, made, labels),
            "accuracy_on_real_learnt_from_made": accuracy(of_made, unseen, unseen_labels),
            "frechet_made_to_test": frechet(ours, test),
            "frechet_train_to_test": frechet(train, test),
        }

    @torch.no_grad()
    def made(self, count: int) -> tuple[Tensor, Tensor]:
        """Generate pictures of classes that are drawn; return both."""
        latents = sample_latents(count, stream(self.seed, "class-fashion", "made"))
        parts = zip(*(part.split(500) for part in latents.values()), strict=True)
        return torch.cat([self.network()(*some) for some in parts]), latents["label"]


class Discriminator(nn.Module):
    """A picture [B, 1, 32, 32] and a class [B] become a judgement [B]: real above 0, made below."""

    def __init__(self, widths: Sequence[int] = (32, 64, 96, 96)) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(1, widths[0], 4, 2, 1))
        self.blocks = nn.ModuleList(_Down(*pair) for pair in pairwise(widths))
        self.real = spectral_norm(nn.Linear(widths[-1], 1))
        self.of_class = spectral_norm(nn.Embedding(len(CLASSES), widths[-1]))

    def forward(self, picture: Tensor, label: Tensor) -> Tensor:
        """Judge pictures, of which each is said to be of a class."""
        x = self.first(picture)
        for block in self.blocks:
            x = block(x)
        summed = relu(x).sum((2, 3))
        return self.real(summed).squeeze(1) + (self.of_class(label) * summed).sum(1)


class _Down(nn.Module):
    """x + f(x) of half the side."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(incoming, incoming, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(incoming, outgoing, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(incoming, outgoing, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = avg_pool2d(self.conv1(relu(x)), 2)
        return self.conv2(relu(h)) + self.skip(avg_pool2d(x, 2))


def read(data: Path, part: str) -> tuple[Tensor, Tensor]:
    """Read pictures [N, 1, 32, 32] in [−1, 1], their margin black, and labels [N]."""
    try:
        pictures, labels = (
            bytearray(gzip.decompress((data / f"{part}-{kind}-ubyte.gz").read_bytes())[start:])
            for kind, start in (("images-idx3", 16), ("labels-idx1", 8))
        )
    except OSError as error:
        raise InputError(
            f"{error}; get Fashion-MNIST: apt-get download dataset-fashion-mnist && dpkg-deb "
            "-x dataset-fashion-mnist_*.deb data; pass --data data/usr/share/datasets/fashion-mnist"
        ) from error
    grey = torch.frombuffer(pictures, dtype=torch.uint8).view(-1, 1, 28, 28)
    margin = (PICTURE_SIDE - 28) // 2
    return (
        pad(grey / 127.5 - 1, [margin] * 4, value=-1.0),
        torch.frombuffer(labels, dtype=torch.uint8).long(),
    )


def classifier(pictures: Tensor, labels: Tensor, seed: int, batches: int = 600) -> nn.Sequential:
    """Train a small convolutional classifier, whose last layer but one gives 64 features."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for incoming, outgoing in pairwise((1, 16, 32, 64)):
        layers += [
            nn.Conv2d(incoming, outgoing, 3, padding=1), nn.BatchNorm2d(outgoing),
            nn.ReLU(), nn.MaxPool2d(2),
        ]  # fmt: skip
    features = [nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU(), nn.Linear(64, len(CLASSES))]
    network = nn.Sequential(*layers, *features).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for number in range(batches):
        rng = stream(seed, "classifier", number)
        chosen = torch.randint(len(pictures), (100,), generator=rng)
        optimiser.param_groups[0]["lr"] = 1e-3 * (1 + math.cos(math.pi * number / batches))
        optimiser.zero_grad()
        cross_entropy(network(pictures[chosen]), labels[chosen]).backward()
        optimiser.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Share of the pictures whose class a classifier tells."""
    told = torch.cat([network(some).argmax(1) for some in pictures.split(500)])
    return (told == labels).float().mean().item()


@torch.no_grad()
def features(network: nn.Sequential, pictures: Tensor) -> Tensor:
    """What a classifier's last layer is given, [N, 64]."""
    return torch.cat([network[:-1](some) for some in pictures.split(500)])


def frechet(some: Tensor, others: Tensor) -> float:
    """Fréchet distance of two sets of features as if they were normal (arXiv 1706.08500)."""
    (mean, cov), (other_mean, other_cov) = (
        (part.mean(0), part.T.cov()) for part in (some.double(), others.double())
    )
    root = torch.linalg.eigvals(cov @ other_cov).real.clamp_min(0).sqrt().sum()
    return float((mean - other_mean).square().sum() + cov.trace() + other_cov.trace() - 2 * root)


def main(words: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    parser = loop.options(__doc__, steps=6000, batch=64)
    parser.add_argument("--data", type=Path, required=True, help="folder of the four .gz files")
    asked = parser.parse_args(words)
    loop.run(ClassFashion(asked.data, asked.steps, asked.batch, asked.seed), asked)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
