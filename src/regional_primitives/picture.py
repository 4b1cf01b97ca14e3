"""An explained picture: a decomposition with its generator, which then answers demands in pixels.

x = G(f), x0 = G(f0), G(u(S)) and the regional patterns Δx_k = G(f0 + Δf_k) − x0, as in
arXiv 2410.04421.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regional_primitives.axes import Image, Images, Scales, Units
from regional_primitives.decompose.decomposition import Decomposition, Demand
from regional_primitives.decompose.subject import PatchErrors, Subject
from regional_primitives.generators.feature import map_feature
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.arguments import of_kind
from regional_primitives.runtime.modes import ordinary

_CHUNK = 64
"""Rows of scales that are combined at once."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decomposition and the generator that it was made with; make one with `Picture.of`."""

    decomposition: Decomposition
    generator: Generator
    """Held at the picture: what flows past the cut is as it is there."""

    @staticmethod
    def of(decomposition: Decomposition, generator: Generator) -> Picture:
        """Check once that the two go together, and hold the generator at the picture.

        Raises:
            InputError: something else than a decomposition and a generator.
            GeneratorError: the generator is not the one that the decomposition was made with.
        """
        of_kind(decomposition, Decomposition, "a rp.Decomposition from rp.explain is needed")
        decomposition.check_generator(generator)
        return Picture(decomposition, generator.at(decomposition.latents))

    def showing(self, decomposition: Decomposition) -> Picture:
        """The same picture in other components, such as those of another fit."""
        return replace(self, decomposition=decomposition)

    @property
    def image(self) -> Image:
        """x = G(f)."""
        return self.decomposition.image

    @property
    def baseline_image(self) -> Image:
        """x0 = G(f0)."""
        return self.decomposition.baseline_image

    @property
    def change(self) -> Image:
        """x − x0."""
        return self.image - self.baseline_image

    @cached_property
    def difference(self) -> Float[Tensor, " units"]:
        """f − f0, flat."""
        return (self.decomposition.feature_units - self.decomposition.baseline_units)[0]

    @cached_property
    def errors(self) -> PatchErrors:
        """Measures images of demands against this picture."""
        return PatchErrors.of(self.image, self.baseline_image, self.decomposition.regions)

    @cached_property
    def subject(self) -> Subject:
        """The picture as fits see it, on the generator's device."""
        given, device = self.decomposition, self.generator.device
        return Subject(
            self.generator,
            given.latents,
            given.regions,
            map_feature(lambda part: part.to(device), given.feature),
            map_feature(lambda part: part.to(device), given.baseline),
            PatchErrors.of(self.image.to(device), self.baseline_image.to(device), given.regions),
        )

    def render(self, units: Units) -> Images:
        """Generate the pictures of flat features, on the CPU; of equal features, once.

        Of a few parts, demands are often alike, and many wake the same of the strongest components.
        """
        first: dict[bytes, int] = {}
        place = [first.setdefault(_digest(row), len(first)) for row in units]
        if len(first) == len(units):
            return self.generator.render(units)
        distinct = [place.index(each) for each in range(len(first))]
        return self.generator.render(units[distinct])[place]

    def combine(self, scales: Scales) -> Images:
        """Return G(f0 + Σ_k scale_k Δf_k) of each row, on the CPU, in chunks that bound memory."""
        chunks = [self.decomposition.combine_units(rows) for rows in scales.split(_CHUNK)]
        return torch.cat([self.render(units) for units in chunks])

    def ask(self, demand: Demand) -> Images:
        """Return G(u(S)) of each demand; raises what `Decomposition.minimal_feature` raises."""
        rows = self.decomposition.demand_rows(demand)
        return self.render(self.decomposition.minimal_units(rows))

    def patterns(self, components: Sequence[int]) -> Images:
        """Return Δx_k = G(f0 + Δf_k) − x0 of these components, the regional patterns."""
        chunks = torch.tensor(list(components), dtype=torch.long).split(_CHUNK)
        return torch.cat([self._alone(chunk) for chunk in chunks]) - self.baseline_image

    def removals(self, components: Sequence[int]) -> Images:
        """Return x − G(f − Δf_k): what the finished picture owes to each of these components."""
        chunks = torch.tensor(list(components), dtype=torch.long).split(_CHUNK)
        return self.image - torch.cat([self._without(chunk) for chunk in chunks])

    def _alone(self, components: Int[Tensor, " chosen"]) -> Images:
        # Of their own entries alone, so that the work does not grow with all components.
        chosen = self.decomposition.select(components.tolist())
        return self.render(chosen.combine_units(torch.eye(chosen.count)))

    def _without(self, components: Int[Tensor, " chosen"]) -> Images:
        rows = torch.ones(len(components), self.decomposition.count)
        rows.scatter_(1, components[:, None], 0.0)
        return self.render(self.decomposition.combine_units(rows))


def _digest(row: Float[Tensor, " units"]) -> bytes:
    return hashlib.sha256(row.detach().cpu().numpy().tobytes()).digest()


@ordinary()
@torch.no_grad()
def ask(decomposition: Decomposition, generator: Generator, demand: Demand) -> Images:
    """Generate the minimal feature of a demand: which picture do these patches need, and no more?

    Works on every network: what flows past the cut is held as it is in the explained picture.

    Args:
        decomposition: of the picture.
        generator: that it was made with.
        demand: bool [n] or [B, n], or the numbers or names of the patches in S.

    Returns:
        G(u(S)), [B, C, H, W] in the generator's image range, on the CPU; B is 1 for one demand.

    Raises:
        InputError: a demand of another shape, or a patch that does not exist.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    return Picture.of(decomposition, generator).ask(demand)
