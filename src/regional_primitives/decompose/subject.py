"""One picture to be explained: feature, baseline, both images, and the errors of a demand's image.

Symbols as in the paper: f, f0, x = G(f), x0 = G(f0), M_S. The two errors are ours (the paper gives
pictures only): inside(S) = ‖M_S(G(u) − x)‖² / ‖M_S(x0 − x)‖² and
outside(S) = ‖(1−M_S)(G(u) − x0)‖² / ‖(1−M_S)(x − x0)‖².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from regional_primitives.axes import Demands, Image, Images, PerDemand
from regional_primitives.errors import GeneratorError
from regional_primitives.generators.baseline import baseline_feature
from regional_primitives.generators.feature import Feature, FeatureShape, as_units, shape_of
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, copied
from regional_primitives.generators.precision import full_precision
from regional_primitives.regions import Regions
from regional_primitives.runtime.progress import Progress, silent

_FLOOR = 1e-6
"""Patches in which the picture hardly departs from the baseline image divide by this share of the
whole departure instead of their own, so that an error there cannot be 0/0."""


@dataclass(frozen=True, eq=False)
class PatchErrors:
    """Measures the images of demands against one picture, patch by patch; or of several pictures.

    Several have a first axis of pictures in all tensors here, see `stacked`, and in what
    `slope_of_demands` is given. All else is of one picture.
    """

    image: Float[Tensor, "*pictures channels height width"]
    baseline_image: Float[Tensor, "*pictures channels height width"]
    labels: Int[Tensor, "*pictures pixels"]
    """Each pixel's patch; `count` for pixels of no patch, which are never demanded."""
    count: int
    """n, the number of patches; of several pictures the largest."""
    departure: Float[Tensor, "*pictures bins"]
    """‖x − x0‖² in each patch; the last bin is no patch."""
    average: Float[Tensor, "*pictures"]
    """‖x − x0‖² in a patch, mean over the patches."""

    @staticmethod
    def of(image: Tensor, baseline_image: Tensor, regions: Regions) -> PatchErrors:
        """Measure against x and x0 on the given patches."""
        labels = regions.label_map(*image.shape[-2:]).flatten().to(image.device)
        count = regions.count
        labels = labels.where(labels >= 0, count)
        departure = _by_patch((baseline_image - image)[None].square().sum(1), labels, count)[0]
        average = departure[:-1].mean()
        return PatchErrors(image, baseline_image, labels, count, departure, average)

    @staticmethod
    def stacked(several: Sequence[PatchErrors]) -> PatchErrors:
        """Put pictures of one size side by side; those of fewer patches lack the last ones."""
        count = max(one.count for one in several)
        departures = []
        for one in several:
            patches, none = one.departure.split([one.count, 1])
            departures.append(torch.cat([patches, patches.new_zeros(count - one.count), none]))
        return PatchErrors(
            torch.stack([one.image for one in several]),
            torch.stack([one.baseline_image for one in several]),
            torch.stack([one.labels.where(one.labels < one.count, count) for one in several]),
            count,
            torch.stack(departures),
            torch.stack([one.average for one in several]),
        )

    def __getitem__(self, some: slice) -> PatchErrors:
        """Take some of several pictures."""
        if len(self.image[some]) == len(self.image):
            return self
        tensors = self.image, self.baseline_image, self.labels
        image, baseline_image, labels = (tensor[some] for tensor in tensors)
        of_patches = self.departure[some], self.average[some]
        return PatchErrors(image, baseline_image, labels, self.count, *of_patches)

    def per_patch(self, images: Images, reference: Tensor) -> Float[Tensor, "batch bins"]:
        """Sum the squared difference from `reference` over each patch; the last bin is no patch."""
        return _by_patch((images - reference).square().sum(1), self.labels, self.count)

    def of_demands(self, images: Images, demands: Demands) -> tuple[PerDemand, PerDemand]:
        """Return the inside error and the leak of each demand.

        The first is 0 where its patches are generated exactly, the second where all other pixels
        stay at the baseline image.
        """
        asked, pixels, off = self._astray(images, demands)
        wrong = off.square().sum(1)
        inside, leak = ((wrong * counted).sum((1, 2)) for counted in (pixels, ~pixels))
        return inside / self._whole(asked), leak / self._whole(~asked)

    def inside(self, images: Images, demands: Demands) -> PerDemand:
        """Return the inside error alone."""
        return self.of_demands(images, demands)[0]

    def outside(self, images: Images, demands: Demands) -> PerDemand:
        """Return the leak alone."""
        return self.of_demands(images, demands)[1]

    def slope_of_demands(
        self,
        images: Float[Tensor, "*pictures batch channels height width"],
        demands: Bool[Tensor, "*pictures batch patches"],
        outside_weight: float,
        floor: float = 0.0,
    ) -> tuple[
        Float[Tensor, "*pictures batch channels height width"],
        Float[Tensor, "*pictures batch"],
        Float[Tensor, "*pictures batch"],
    ]:
        """Return the slope of Σ_S inside(S) + outside_weight · leak(S) along the images, and both.

        The same errors as of `of_demands`, but that what is asked for departs from the baseline
        image by at least `floor` average patches: demands for blank patches would rule otherwise.
        """
        asked, pixels, off = self._astray(images, demands)
        inside_unit, leak_unit = self._whole(asked), self._whole(~asked)
        inside_unit = inside_unit.clamp_min(floor * self.average[..., None])
        wrong = torch.linalg.vecdot(off, off, dim=-3)
        inside = torch.linalg.vecdot(wrong.flatten(-2), pixels.to(wrong).flatten(-2))
        leak = wrong.sum((-2, -1)) - inside
        at_inside, at_leak = 2 / inside_unit, 2 * outside_weight / leak_unit
        price = torch.where(pixels, at_inside[..., None, None], at_leak[..., None, None])
        return off.mul_(price.unsqueeze(-3)), inside / inside_unit, leak / leak_unit

    def picked(
        self, of_bins: Float[Tensor, "*pictures batch bins"]
    ) -> Float[Tensor, "*pictures batch height width"]:
        """Give each pixel the number of its patch."""
        rows = of_bins.movedim(-2, 0).flatten(1)  # all pictures' bins side by side: one look-up
        pixels = rows.index_select(1, self._bin_of_pixel).unflatten(1, self.labels.shape)
        return pixels.movedim(0, -2).unflatten(-1, self.image.shape[-2:])

    @cached_property
    def _bin_of_pixel(self) -> Int[Tensor, " pixels_of_all"]:
        if self.labels.ndim == 1:
            return self.labels
        first = torch.arange(len(self.labels), device=self.labels.device) * (self.count + 1)
        return (self.labels + first[:, None]).flatten()

    def _astray(
        self,
        images: Float[Tensor, "*pictures batch channels height width"],
        demands: Bool[Tensor, "*pictures batch patches"],
    ) -> tuple[
        Bool[Tensor, "*pictures batch bins"],
        Bool[Tensor, "*pictures batch height width"],
        Float[Tensor, "*pictures batch channels height width"],
    ]:
        """Mark the bins and pixels that are asked for, and subtract what each pixel should be."""
        asked = torch.nn.functional.pad(demands, (0, 1))  # the last bin is never asked for
        # Picked as numbers, which is several times as fast as picking truth values.
        pixels = self.picked(asked.float()).bool()
        # Every pixel has one picture to agree with, so that one pass over the images does.
        wanted, otherwise = (one.unsqueeze(-4) for one in (self.image, self.baseline_image))
        off = images - torch.where(pixels.unsqueeze(-3), wanted, otherwise)
        return asked, pixels, off

    def weighed_leak(
        self, images: Images, demands: Demands, weights: Float[Tensor, "batch patches"]
    ) -> PerDemand:
        """Return the leak of each demand, every patch counted by its weight, above and below.

        Pixels of no patch count whole.
        """
        counted = torch.nn.functional.pad(weights * ~demands, (0, 1), value=1.0)
        strayed = self.per_patch(images, self.baseline_image)
        return (counted * strayed).sum(1) / self._whole(counted)

    def wholes(self, demands: Demands) -> tuple[PerDemand, PerDemand]:
        """Return what inside error and leak of each demand are divided by: ‖x − x0‖² there."""
        asked = torch.nn.functional.pad(demands, (0, 1))
        return self._whole(asked), self._whole(~asked)

    def _whole(
        self, counted: Shaped[Tensor, "*pictures batch bins"]
    ) -> Float[Tensor, "*pictures batch"]:
        least = _FLOOR * self.departure.sum(-1, keepdim=True)
        return (counted * self.departure.unsqueeze(-2)).sum(-1).clamp_min(least)


def _by_patch(
    of_pixels: Float[Tensor, "batch height width"], labels: Int[Tensor, " pixels"], count: int
) -> Float[Tensor, "batch bins"]:
    """Sum a number of pixels over each patch; the last bin is no patch."""
    bins = of_pixels.new_zeros(len(of_pixels), count + 1)
    return bins.index_add(1, labels, of_pixels.flatten(1))


@dataclass(frozen=True, eq=False)
class Subject:
    """One picture of one generator, ready to be decomposed."""

    generator: Generator
    """Bound to the picture: its tail holds all that flows past the cut."""
    latents: Latents
    regions: Regions
    feature: Feature
    """f."""
    baseline: Feature
    """f0."""
    errors: PatchErrors

    @property
    def image(self) -> Image:
        """x = G(f)."""
        return self.errors.image

    @property
    def baseline_image(self) -> Image:
        """x0 = G(f0)."""
        return self.errors.baseline_image

    @property
    def feature_shape(self) -> FeatureShape:
        """The shape of the feature without its batch axis."""
        return shape_of(self.feature)

    @cached_property
    def units(self) -> Float[Tensor, "1 units"]:
        """f, flat."""
        return as_units(self.feature)

    @cached_property
    def baseline_units(self) -> Float[Tensor, "1 units"]:
        """f0, flat."""
        return as_units(self.baseline)

    @cached_property
    def difference(self) -> Float[Tensor, " units"]:
        """f − f0, one number a unit."""
        return (self.units - self.baseline_units)[0]


@full_precision()
def prepare(
    generator: Generator,
    latents: Latents,
    regions: Regions,
    *,
    baseline_count: int | None = None,
    baseline_seed: int = 0,
    baseline: Feature | None = None,
    progress: Progress = silent,
) -> Subject:
    """Run the generator once on one latent, check all that can be wrong, and get the baseline.

    Where another picture was prepared alike, its `baseline` is this one's too.

    Raises:
        InputError: not exactly one latent, latents or patches that do not fit.
        GeneratorError: randomness, no image, or a picture that does not depart from the baseline.
    """
    latents = copied(latents)  # the result holds them; the caller's may change
    generator.verify_network(latents)
    generator = generator.at(latents)
    feature = generator.head(latents)
    if baseline is None:
        baseline = baseline_feature(generator, baseline_count, baseline_seed, progress)
    with torch.no_grad():
        image, baseline_image = (generator.tail(value)[0].float() for value in (feature, baseline))
    errors = PatchErrors.of(image, baseline_image, regions)
    if not bool(errors.departure.sum() > 0):
        raise GeneratorError("the picture equals the baseline image; there is nothing to explain")
    return Subject(generator, latents, regions, feature, baseline, errors)
