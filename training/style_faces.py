"""Train `style-faces`: a style-based generator learns to give the pictures that `faces` gives.

    python -m training.style_faces --out runs/style-faces

Pairs of latent and picture are drawn once, and those of a step from among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss
from training import loop
from training.pairs import faces

from regional_primitives.generators.zoo.style import PICTURE_SIDE, StyleNetwork
from regional_primitives.runtime.streams import stream


class StyleFaces:
    """A student of `faces`, by regression."""

    shown = 64
    columns = 8

    def __init__(self, steps: int, batch: int, seed: int, pool: int = 16_384) -> None:
        self.batch, self.seed = batch, seed
        self.latents, self.pictures = faces(pool, PICTURE_SIDE, seed, "pool")
        torch.manual_seed(seed)
        self.student = StyleNetwork().to(memory_format=torch.channels_last)
        self.average = loop.averaged(self.student, 0.995)
        self.optimiser = torch.optim.Adam(self.student.parameters(), 2e-3, (0.9, 0.99))
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, 3e-3, total_steps=steps, pct_start=0.05, cycle_momentum=False
        )
        self.states = {
            "student": self.student, "average": self.average,
            "optimiser": self.optimiser, "schedule": self.schedule,
        }  # fmt: skip

    def step(self, number: int) -> float:
        """Take one step on pairs of its own."""
        rng = stream(self.seed, "style-faces", number)
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=rng)
        loss = distance(self.student(self.latents[chosen]), self.pictures[chosen])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.student)
        return loss.item()

    def network(self) -> nn.Module:
        """Return the student with averaged weights."""
        return self.average.module.eval()

    @torch.no_grad()
    def samples(self) -> Tensor:
        """Return rows of pictures of `faces`, each above the student's."""
        latents, pictures = faces(self.shown // 2, PICTURE_SIDE, self.seed, "held out")
        rows = zip(pictures.split(8), self.network()(latents).split(8), strict=True)
        return torch.cat([row for pair in rows for row in pair])

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Compare held-out pictures with the student's, and with the mean picture."""
        latents, pictures = faces(1024, PICTURE_SIDE, self.seed, "held out")
        made = torch.cat([self.network()(some) for some in latents.split(64)])
        mean = self.pictures.mean(0).expand_as(pictures)
        return {
            f"{what}_{whose}": float(error)
            for whose, guess in (("student", made), ("mean_picture", mean))
            for what, error in (
                ("l1", l1_loss(guess, pictures)),
                ("rms", (guess - pictures).square().mean().sqrt()),
                ("gradient_l1", sum(map(l1_loss, gradients(guess), gradients(pictures)))),
            )
        }


def distance(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 distance of pictures at four scales, and of their gradients."""
    total = sum(map(l1_loss, gradients(made), gradients(wanted)))
    for _ in range(4):
        total = total + l1_loss(made, wanted)
        made, wanted = avg_pool2d(made, 2), avg_pool2d(wanted, 2)
    return total


def gradients(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbouring pixels, down and across."""
    return pictures.diff(dim=2), pictures.diff(dim=3)


def main(words: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    asked = loop.options(__doc__, steps=4000, batch=32).parse_args(words)
    loop.run(StyleFaces(asked.steps, asked.batch, asked.seed), asked)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
