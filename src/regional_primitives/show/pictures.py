"""The pictures of a report page: each image stored once, shown with outlines as needed."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.show import numerals
from regional_primitives.show.outlines import borders, outline, surroundings
from regional_primitives.show.pixels import ColourScale, bytes_of, data_uri, magnitude, png

__all__ = ["Picture", "PictureBook", "ScaleBar"]


@dataclass(frozen=True)
class Picture:
    """An image of the page with lines over it."""

    source: str
    """Which image of `PictureBook.images`."""
    label: str
    """What a reader who cannot see it is told."""
    caption: str = ""
    field: str = ""
    """Path round the patches in question."""
    dimmed: str = ""
    """Path over everything else."""
    lines: str = ""
    """Path along patch borders."""


@dataclass(frozen=True)
class ScaleBar:
    """The one colour scale of all maps on the page."""

    source: str
    """The colours from 0 to the limit, as a data URI."""
    ticks: tuple[tuple[str, str], ...]
    """Label, and place from the left in percent."""
    clipped: str
    """What happens above the limit."""


@dataclass
class PictureBook:
    """Collects images while a view is built, and makes pictures that refer to them."""

    decomposition: Decomposition
    scale: ColourScale
    images: dict[str, str] = field(default_factory=dict)
    """Data URIs by name."""
    _outlines: dict[bytes, str] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.decomposition.image.shape[-2:]
        return height, width

    def picture(
        self,
        name: str,
        image: Float[Tensor, "channels height width"],
        label: str,
        caption: str = "",
        *,
        patches: Bool[Tensor, " patches"] | None = None,
        dim: bool = False,
        grid: bool = False,
    ) -> Picture:
        """Show an image in the generator's range, with `patches` outlined."""
        if name not in self.images:
            pixels = bytes_of(image, self.decomposition.provenance.image_range)
            self.images[name] = data_uri(png(pixels))
        return self._with_lines(name, label, caption, patches, dim=dim, grid=grid)

    def change(
        self,
        name: str,
        change: Float[Tensor, "channels height width"],
        label: str,
        caption: str = "",
        *,
        patches: Bool[Tensor, " patches"] | None = None,
    ) -> Picture:
        """Show the size of a change as a map in the page's one colour scale."""
        if name not in self.images:
            values = magnitude(change, self.decomposition.provenance.image_range)
            self.images[name] = data_uri(self.scale.png(values))
        return self._with_lines(name, label, caption, patches)

    def ideal(self, patches: Bool[Tensor, " patches"]) -> Float[Tensor, "channels height width"]:
        """Paste the demanded patches of x into x0: what a demand should give."""
        mask = self.decomposition.regions.pixel_mask(patches, *self.size)
        return torch.where(mask, self.decomposition.image, self.decomposition.baseline_image)

    def outline(self, patches: Bool[Tensor, " patches"]) -> str:
        """Return the path round these patches."""
        key = patches.numpy().tobytes()
        if key not in self._outlines:
            mask = self.decomposition.regions.pixel_mask(patches, *self.size)
            self._outlines[key] = outline(mask)
        return self._outlines[key]

    def scale_bar(self) -> ScaleBar:
        """Describe the colour scale."""
        clipped = (
            f"{numerals.percent(self.scale.clipped)} of all pixels exceed "
            f"{numerals.percent(self.scale.limit)} and get the last colour."
            if self.scale.clipped > 0
            else "No pixel exceeds it."
        )
        return ScaleBar(
            source=data_uri(self.scale.bar()),
            ticks=tuple(
                (f"{100 * value:.3g}", f"{100 * place:.2f}") for value, place in self.scale.ticks()
            ),
            clipped=clipped,
        )

    def _with_lines(
        self,
        name: str,
        label: str,
        caption: str,
        patches: Bool[Tensor, " patches"] | None,
        *,
        dim: bool = False,
        grid: bool = False,
    ) -> Picture:
        path = "" if patches is None else self.outline(patches)
        labels = self.decomposition.regions.label_map(*self.size)
        return Picture(
            source=name,
            label=label,
            caption=caption,
            field=path,
            dimmed=surroundings(path, *self.size) if dim else "",
            lines=borders(labels) if grid else "",
        )
