"""Image patches N: grids, label maps and masks, their pixels, neighbours and rectangles.

Patch i is bit i of a bitmask; in a grid patch 0 is top left and patches run row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from regional_primitives.axes import Image, Mask, Region
from regional_primitives.errors import InputError
from regional_primitives.runtime.arguments import of_kind, real, refuse_too_large, whole, wholes
from regional_primitives.runtime.modes import ordinary

_MOST_PATCHES = 2**20
"""More than any picture is divided into; far below what a list of them could not hold."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The patches that an explanation speaks of. Make one with `grid`, `from_labels`, `from_masks`.

    A grid fits any picture that has at least as many pixels a side; a label map fits pictures of
    its own size only.
    """

    rows: int | None = None
    columns: int | None = None
    labels: Int[Tensor, "height width"] | None = None

    def __post_init__(self) -> None:
        if self.labels is not None:
            return
        if self.rows is None and self.columns is None:
            raise InputError("make regions with rp.Regions.grid, from_labels or from_masks")
        for name in ("rows", "columns"):
            object.__setattr__(self, name, whole(f"{name} of a grid", getattr(self, name), 1))
        if self.count > _MOST_PATCHES:
            raise InputError(f"a {self.description} has more than {_MOST_PATCHES:,} patches")

    def __eq__(self, other: object) -> bool:
        """Tell whether both divide a picture into the same patches, in the same order."""
        if not isinstance(other, Regions):
            return NotImplemented
        if self.labels is not None and other.labels is not None:
            return torch.equal(self.labels, other.labels)
        one, two = ((each.rows, each.columns, each.labels) for each in (self, other))
        return one == two

    def __hash__(self) -> int:
        return hash((self.rows, self.columns, self.count))

    @staticmethod
    def of(given: Regions | None) -> Regions:
        """Return the regions that a caller gave, or a 6 × 6 grid, as in the paper, for None.

        Raises:
            InputError: something else than None and regions.
        """
        if given is None:
            return Regions.grid()
        return of_kind(given, Regions, "regions are rp.Regions, such as rp.Regions.grid(6, 6)")

    @staticmethod
    def grid(rows: int = 6, columns: int = 6) -> Regions:
        """Divide the picture into `rows` × `columns` patches, as equal as whole pixels allow.

        Row r covers the pixels y with ⌊y · rows / height⌋ = r, so 64 pixels in 6 rows give heights
        11, 11, 10, 11, 11, 10.

        Raises:
            InputError: a side is no whole number of at least 1, or there are more than 2²⁰ patches.
        """
        return Regions(rows=rows, columns=columns)

    @staticmethod
    def parse(text: str) -> Regions:
        """Read a grid such as `6x6` (rows x columns).

        Raises:
            InputError: the text is not of that form.
        """
        of_kind(text, str, "a grid is a text such as 6x6")
        match = re.fullmatch(r"\s*(\d{1,5})\s*[x×X]\s*(\d{1,5})\s*", text)
        if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
            raise InputError(f"grid {text!r} is not of the form ROWSxCOLUMNS, such as 6x6")
        return Regions.grid(int(match[1]), int(match[2]))

    @staticmethod
    @ordinary()
    def from_labels(label_map: Int[Tensor, "height width"]) -> Regions:
        """Take patches of any shape from a map that gives each pixel its patch, −1 for none.

        Raises:
            InputError: not a whole-numbered [height, width] tensor, or labels with gaps.
        """
        labels = _tensor(label_map, "a label map")
        whole = not (labels.dtype.is_floating_point or labels.dtype.is_complex)
        if labels.ndim != 2 or not whole or labels.dtype == torch.bool:
            raise InputError(
                f"a label map is a whole-numbered tensor [height, width], not "
                f"{labels.dtype} {list(labels.shape)}"
            )
        labels = labels.detach().cpu().long().clone()
        present = labels.unique()
        if labels.numel() == 0 or int(present[-1]) < 0:
            raise InputError("the label map marks no pixel; patches are labelled 0, 1, 2, …")
        if int(present[0]) < -1:
            raise InputError(f"label {int(present[0])} is below −1; −1 marks pixels of no patch")
        present = present[present >= 0]
        gaps = (present != torch.arange(len(present))).nonzero()  # no list up to the largest label
        if len(gaps):
            raise InputError(
                f"label {int(gaps[0])} marks no pixel; labels must run 0 … "
                f"{int(present[-1])} without gaps"
            )
        return Regions(labels=labels)

    @staticmethod
    @ordinary()
    def from_masks(masks: Bool[Tensor, "patches height width"]) -> Regions:
        """Take one patch a mask; masks must not overlap, and each must hold a pixel.

        Raises:
            InputError: wrong shape or type, overlap, an empty mask.
        """
        masks = _tensor(masks, "a stack of masks")
        if masks.ndim != 3 or masks.dtype != torch.bool or len(masks) == 0:
            raise InputError(
                f"masks are a bool tensor [patches, height, width] with at least one patch, not "
                f"{masks.dtype} {list(masks.shape)}"
            )
        masks = masks.detach().cpu()
        empty = (~masks.flatten(1).any(1)).nonzero().flatten().tolist()
        if empty:
            raise InputError(f"mask {empty[0]} holds no pixel")
        if int(masks.sum(0).max()) > 1:
            raise InputError("masks overlap; a pixel belongs to one patch at most")
        index = torch.arange(len(masks))[:, None, None]
        return Regions(labels=torch.where(masks, index, -1).amax(0))

    @property
    def is_grid(self) -> bool:
        """Whether the patches are the cells of a grid."""
        return self.labels is None

    @property
    def count(self) -> int:
        """How many patches there are, n."""
        return prod(self._cells) if self.labels is None else int(self.labels.max()) + 1

    @property
    def _cells(self) -> tuple[int, int]:
        """Rows and columns of a grid."""
        if self.rows is None or self.columns is None:
            raise InputError("only a grid has rectangles; these patches are a label map")
        return self.rows, self.columns

    @property
    def description(self) -> str:
        """The patches in a few words."""
        if self.is_grid:
            return f"{self.rows} × {self.columns} grid"
        return f"label map of {self.count} regions"

    @ordinary()
    def label_map(self, height: int, width: int) -> Int[Tensor, "height width"]:
        """Give each pixel of a `height` × `width` picture its patch, −1 for none.

        Raises:
            InputError: more rows or columns than pixels, or a label map of another size.
        """
        if self.labels is not None:
            if tuple(self.labels.shape) != (height, width):
                raise InputError(
                    f"the label map is {self.labels.shape[0]} × {self.labels.shape[1]} pixels, "
                    f"the picture {height} × {width}"
                )
            return self.labels.clone()
        rows, columns = self._cells
        for name, cells, pixels in (("rows", rows, height), ("columns", columns, width)):
            if cells > pixels:
                raise InputError(
                    f"a grid of {cells} {name} needs as many pixels; the picture has {pixels}"
                )
        row, column = torch.arange(height) * rows // height, torch.arange(width) * columns // width
        return row[:, None] * columns + column

    @ordinary()
    def masks(self, height: int, width: int) -> Bool[Tensor, "patches height width"]:
        """Mark the pixels of each patch; raises what `label_map` raises."""
        refuse_too_large(
            f"the masks of {self.count:,} patches",
            self.count * height * width,
            "divide the picture into fewer",
        )
        return self.label_map(height, width) == torch.arange(self.count)[:, None, None]

    @ordinary()
    def pixel_mask(self, demand: Region, height: int, width: int) -> Mask:
        """Mark the pixels of all patches in one demand: M_S of the paper.

        Raises:
            InputError: a demand that is not one bool a patch, or what `label_map` raises.
        """
        demand = _tensor(demand, "a demand")
        if demand.dtype != torch.bool or tuple(demand.shape) != (self.count,):
            raise InputError(
                f"a demand is a bool tensor [{self.count}], not {demand.dtype} {list(demand.shape)}"
            )
        labels = self.label_map(height, width)
        return demand[labels.clamp_min(0)] & (labels >= 0)

    @ordinary()
    def neighbours(self) -> Bool[Tensor, "patches patches"]:
        """Tell which patches share a pixel edge."""
        n = self.count
        refuse_too_large(
            f"which of {n:,} patches touch", 2 * n * n, "divide the picture into fewer"
        )
        labels = torch.arange(n).view(self._cells) if self.labels is None else self.labels
        adjacent = torch.zeros(n, n, dtype=torch.bool)
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            touching = (a != b) & (a >= 0) & (b >= 0)
            adjacent[a[touching], b[touching]] = True
        return adjacent | adjacent.T

    def rectangles(self) -> Bool[Tensor, "rectangles patches"]:
        """List every axis-aligned rectangle of cells; 441 on a 6 × 6 grid.

        Raises:
            InputError: the patches are not a grid.
        """
        self.afford_rectangles()
        down, across = self._sides
        return (down[:, None, :, None] & across[None, :, None, :]).reshape(-1, self.count)

    def afford_rectangles(self) -> None:
        """Refuse a grid whose `rectangles` are too many to be listed and picked from.

        Raises:
            InputError: so it is; told before anything is allocated.
        """
        if self.is_grid:
            down, across = (side * (side + 1) // 2 for side in self._cells)
            refuse_too_large(
                f"all rectangles of a {self.description}, and what is picked of them,",
                3 * down * across * self.count,
                "take a coarser grid",
            )

    def draw_rectangle(self, rng: torch.Generator) -> Region:
        """Draw one of `rectangles`, each as likely as any other.

        Raises:
            InputError: the patches are not a grid.
        """
        down, across = self._sides
        number = int(torch.randint(len(down) * len(across), (), generator=rng))
        row, column = down[number // len(across)], across[number % len(across)]
        return (row[:, None] & column).flatten()

    @property
    def _sides(self) -> tuple[Bool[Tensor, "down rows"], Bool[Tensor, "across columns"]]:
        """All intervals of rows and of columns; a rectangle is one of each."""
        rows, columns = self._cells
        return _intervals(rows), _intervals(columns)

    @ordinary()
    def foreground(self, mask: Mask, coverage: float = 0.5) -> tuple[int, ...]:
        """List the patches of which at least the share `coverage` of pixels lies in `mask`.

        Raises:
            InputError: no patch qualifies, or a mask that does not fit.
        """
        mask = _tensor(mask, "a foreground mask")
        coverage = real("coverage", coverage, 0, 1)
        if mask.ndim != 2 or mask.dtype != torch.bool:
            raise InputError(
                f"a foreground mask is a bool tensor [height, width], not {list(mask.shape)}"
            )
        masks = self.masks(*mask.shape)
        share = (masks & mask).flatten(1).sum(1) / masks.flatten(1).sum(1)
        chosen = (share >= coverage).nonzero().flatten().tolist()
        if not chosen:
            raise InputError(f"no patch is covered by the foreground to {coverage:.0%}")
        return tuple(chosen)

    @ordinary()
    def draw_foreground(self, mask: Mask, rng: torch.Generator, count: int = 9) -> tuple[int, ...]:
        """Draw `count` foreground patches from `rng`, as the paper does with 9 of 36; ascending.

        Raises:
            InputError: fewer foreground patches than `count`.
        """
        candidates = self.foreground(mask)
        count = whole("count", count)
        if not 1 <= count <= len(candidates):
            raise InputError(f"asked for {count} foreground patches; there are {len(candidates)}")
        order = torch.randperm(len(candidates), generator=rng)
        return tuple(sorted(candidates[i] for i in order[:count].tolist()))

    @ordinary()
    def demand(self, patches: Iterable[int] | Tensor) -> Region:
        """Turn patch indices into a demand.

        Raises:
            InputError: an index that is not a patch.
        """
        row = torch.zeros(self.count, dtype=torch.bool)
        for patch in wholes("a patch", patches):
            if not 0 <= patch < self.count:
                raise InputError(f"patch {patch} does not exist; patches run 0 … {self.count - 1}")
            row[patch] = True
        return row

    def to_dict(self) -> dict[str, Any]:
        """Describe the patches in JSON; a label map's pixels are stored as a tensor elsewhere."""
        if self.is_grid:
            return {"kind": "grid", "rows": self.rows, "columns": self.columns}
        return {"kind": "labels", "count": self.count}


@ordinary()
def visible_foreground(image: Image, baseline_image: Image) -> Mask:
    """Mark the pixels that depart from the baseline image more than the picture does on average.

    Our stand-in for the paper's foreground object where the user gives no mask.
    """
    change = (image - baseline_image).square().sum(0)
    return change > change.mean()


def _tensor(values: Any, what: str) -> Tensor:
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} is a tensor, not {type(values).__name__}: {error}") from error


@lru_cache(maxsize=32)
@ordinary()
def _intervals(length: int) -> Bool[Tensor, "intervals length"]:
    """List every interval of so many places; known to all grids alike: not to be written to."""
    refuse_too_large(
        f"all intervals of {length:,} rows or columns", length**3 // 2, "take a coarser grid"
    )
    start, stop = torch.triu_indices(length, length)
    place = torch.arange(length)
    return (place >= start[:, None]) & (place <= stop[:, None])
