"""The pictures of a page: each image stored once, shown with outlines as needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch

from regional_primitives.axes import Image, Region
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.show.outlines import borders, outline, surroundings
from regional_primitives.show.pixels import ColourScale, data_uri, magnitude, png


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


@dataclass
class PictureBook:
    """Collects images while a page is filled, and makes pictures that refer to them."""

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

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.size[1]

    @property
    def height(self) -> int:
        """Pixels of a column."""
        return self.size[0]

    def zoom(self, wanted: int) -> float:
        """Screen pixels a pixel: small pictures grow by whole numbers, large ones shrink to fit."""
        return float(wanted // self.width) if self.width <= wanted else wanted / self.width

    def picture(
        self,
        name: str,
        image: Image,
        label: str,
        caption: str = "",
        *,
        patches: Region | None = None,
        dim: bool = False,
        grid: bool = False,
    ) -> Picture:
        """Show an image in the generator's range, with `patches` outlined."""
        if name not in self.images:
            pixels = bytes_of(image, self.decomposition.provenance.image_range)
            self.images[name] = data_uri(png(pixels))
        path = "" if patches is None else self.outline(patches)
        return Picture(
            source=name,
            label=label,
            caption=caption,
            field=path,
            dimmed=surroundings(path, *self.size) if dim else "",
            lines=borders(self.decomposition.regions.label_map(*self.size)) if grid else "",
        )

    def change(
        self,
        name: str,
        change: Image,
        label: str,
        caption: str = "",
        *,
        patches: Region | None = None,
    ) -> Picture:
        """Show the size of a change as a map in the page's one colour scale."""
        if name not in self.images:
            values = magnitude(change, self.decomposition.provenance.image_range)
            self.images[name] = data_uri(self.scale.png(values))
        return self.picture(name, change, label, caption, patches=patches)

    def ideal(self, patches: Region) -> Image:
        """Paste the demanded patches of x into x0: what a demand should give."""
        mask = self.decomposition.regions.pixel_mask(patches, *self.size)
        return torch.where(mask, self.decomposition.image, self.decomposition.baseline_image)

    def outline(self, patches: Region) -> str:
        """Return the path round these patches."""
        key = patches.numpy().tobytes()
        if key not in self._outlines:
            mask = self.decomposition.regions.pixel_mask(patches, *self.size)
            self._outlines[key] = outline(mask)
        return self._outlines[key]

    @cached_property
    def bar(self) -> str:
        """The colours from 0 to the scale's limit."""
        return data_uri(self.scale.bar())
