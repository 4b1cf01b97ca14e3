"""From a complaint to its fix: some faces have a stain; which units make it?

    .venv/bin/python examples/find_an_artefact.py

Takes about a minute on two cores, and writes find_an_artefact.png. The defect is planted here, so
that the answer can be checked: a unit of the network fires for some latents where it should not.
"""

from __future__ import annotations

import torch
from matplotlib import pyplot
from torch import Tensor, nn

import regional_primitives as rp
from regional_primitives.generators.zoo.faces import load_faces, sample_latents

CULPRIT = 40
"""The channel that the defect sits in. The search below does not look at it."""


class Defect(nn.Module):
    """Adds to one channel, at two by two sites near the cheek, for latents that begin above 0.5."""

    def forward(self, feature: Tensor, latent: Tensor) -> Tensor:
        """Return the feature [B, 256, 8, 8] with the defect."""
        bump = torch.zeros_like(feature[:1])
        bump[:, CULPRIT, 5:7, 5:7] = 8.0
        return feature + bump * (latent[:, :1] > 0.5)


class FaultyFaces(nn.Module):
    """The face generator, with the defect behind its second stage."""

    def __init__(self) -> None:
        super().__init__()
        main = load_faces().main
        self.early, self.defect, self.late = main[:6], Defect(), main[6:]

    def forward(self, latent: Tensor) -> Tensor:
        """Generate pictures [B, 3, 64, 64] from latents [B, 100, 1, 1]."""
        image: Tensor = self.late(self.defect(self.early(latent), latent))
        return image


generator = rp.cut(FaultyFaces(), "defect", sample_latents=sample_latents, name="faulty faces")

# The complaint: picture 5 has a stain on a cheek. Somebody marks where.
latents = generator.sample_latents(1, seed=5)
stain = torch.zeros(64, 64, dtype=torch.bool)
stain[38:58, 38:58] = True
regions = rp.Regions.from_masks({"stain": stain, "the rest": ~stain})

# What generates the stain alone? The component whose action field is the stain and nothing else.
d = rp.explain(generator, latents, regions, rp.Structured.of_quality("fast"), progress=True)
print(d)
alone = (d.action_fields == regions.demand(["stain"])).all(1).nonzero().flatten().tolist()[0]
energy = d.component(alone)[0].square().sum((1, 2))  # by channel
suspect = int(energy.argmax())
print(
    f"channel {suspect} holds {float(energy[suspect] / energy.sum()):.0%} of what makes the stain; "
    f"the next one {float(energy.topk(2).values[1] / energy.sum()):.0%}"
)
print("that is the planted one" if suspect == CULPRIT else f"missed: it is channel {CULPRIT}")


def mended(feature: Tensor) -> Tensor:
    """Hold the suspect at its mean where it is above that."""
    lower = torch.minimum(feature[:, suspect], d.baseline[:, suspect])
    return torch.cat([feature[:, :suspect], lower[:, None], feature[:, suspect + 1 :]], 1)


# The test of a suspicion is the other pictures: with the suspect held, stains should go, and
# pictures without one should stay as they are.
changes: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
for seed in range(40):
    latent = generator.sample_latents(1, seed=seed)
    feature = generator.head(latent)
    change = (generator.tail(mended(feature)) - generator.tail(feature)).square().mean(1)[0]
    stained = bool(latent[0, 0] > 0.5)
    changes[stained].append(
        (float(change[stain].mean()) ** 0.5, float(change[~stain].mean()) ** 0.5)
    )
for stained, found in changes.items():
    inside, outside = (sum(column) / len(found) for column in zip(*found, strict=True))
    print(
        f"{len(found):2} pictures {'with' if stained else 'without'} the stain: mending changes "
        f"{inside / 2:.1%} of the range there, {outside / 2:.1%} elsewhere"
    )

# Before, what makes the stain, and after.
shown = {
    "picture 5, as complained of": d.image,
    "its component “stain” alone": generator.tail(d.baseline + d.component(alone))[0],
    f"with channel {suspect} held at its mean": generator.tail(mended(generator.head(latents)))[0],
}
figure, axes = pyplot.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for axis, (title, image) in zip(axes, shown.items(), strict=True):
    axis.imshow((image.permute(1, 2, 0) + 1).clamp(0, 2) / 2, interpolation="nearest")
    axis.set_title(title)
    axis.axis("off")
figure.savefig("find_an_artefact.png", dpi=120)
