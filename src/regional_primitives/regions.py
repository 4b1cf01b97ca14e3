"""Image patches N: grids, label maps and masks, their names, pixels, neighbours and rectangles.

Patch i is bit i of a bitmask; in a grid patch 0 is top left and patches run row by row. Where the
patches are parts of what is shown, they have names, and demands may speak of these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from regional_primitives.axes import Image, Images, Mask, Region
from regional_primitives.errors import InputError
from regional_primitives.region_maps import read_map, superpixels, write_map
from regional_primitives.runtime.arguments import (
    AnyPath,
    listed,
    of_kind,
    real,
    refuse_too_large,
    whole,
)
from regional_primitives.runtime.modes import ordinary

_LONGEST_SIDE = 2**14
_MOST_PATCHES = 2**20
"""More than any picture is divided into; far below what a list of them could not hold."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The patches that an explanation speaks of.

    Make them with `grid`, `from_labels`, `from_masks`, `segments` or `read`. A grid fits any
    picture that has at least as many pixels a side; a label map fits pictures of its own size only,
    see `resized`.
    """

    rows: int | None = None
    columns: int | None = None
    labels: Int[Tensor, "height width"] | None = None
    """0 … n − 1, and −1 where no patch is; None of a grid."""
    given_names: Sequence[str] | None = None
    """One a patch; None: patches are known by their numbers."""

    def __post_init__(self) -> None:
        if self.given_names is not None:
            object.__setattr__(self, "given_names", _checked_names(self.given_names, self.count))
        if self.labels is not None:
            return
        if self.rows is None and self.columns is None:
            raise InputError("make regions with rp.Regions.grid, from_labels or from_masks")
        for name in ("rows", "columns"):
            object.__setattr__(self, name, whole(f"{name} of a grid", getattr(self, name), 1))
        if self.count > _MOST_PATCHES:
            raise InputError(f"a {self.description} has more than {_MOST_PATCHES:,} patches")

    def __eq__(self, other: object) -> bool:
        """Tell whether both divide a picture into the same patches, in the same order.

        What they are called does not matter.
        """
        if not isinstance(other, Regions):
            return NotImplemented
        if self.labels is not None and other.labels is not None:
            return torch.equal(self.labels, other.labels)
        one, two = ((each.rows, each.columns, each.labels) for each in (self, other))
        return one == two

    def __hash__(self) -> int:
        return hash((self.rows, self.columns, self.count))

    def __repr__(self) -> str:
        return f"<Regions: {self.description}>"

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
    def from_labels(
        label_map: Integer[Tensor, "height width"],
        names: Mapping[Any, str | None] | Sequence[str] | None = None,
        *,
        ignore: int | None = -1,
    ) -> Regions:
        """Take patches of any shape from a map that gives each pixel its label.

        Labels may be any whole numbers; patches are numbered in their ascending order.

        Args:
            label_map: whole numbers [height, width].
            names: what the labels are called. A mapping from labels, where None leaves a label's
                pixels without a patch and labels that the map lacks do not matter; or a list, one
                a patch.
            ignore: the label of pixels that belong to no patch; −1 unless given.

        Raises:
            InputError: not a whole-numbered [height, width] tensor, no patch in it, or names that
                do not fit.
        """
        labels = _tensor(label_map, "a label map")
        fraction = labels.dtype.is_floating_point or labels.dtype.is_complex
        if labels.ndim != 2 or fraction or labels.dtype == torch.bool:
            raise InputError(
                f"a label map is a whole-numbered tensor [height, width], not "
                f"{labels.dtype} {list(labels.shape)}"
            )
        ignore = None if ignore is None else whole("the label that is ignored", ignore)
        labels = labels.detach().cpu()
        if labels.dtype == torch.uint64 and bool((labels.view(torch.int64) < 0).any()):
            raise InputError("a label map's labels are below 2⁶³; one of these is not")
        labels = labels.long()
        present, numbers = labels.unique(return_inverse=True)
        called: dict[int, str | None] | None = None
        if isinstance(names, Mapping):
            called = {_label(label): name for label, name in names.items()}
            if len(called) < len(names):
                raise InputError("a label is named twice")
            names = None
        kept = [
            label
            for label in present.tolist()
            if label != ignore and (called is None or called.get(label, "") is not None)
        ]
        if not kept:
            raise InputError("the label map marks no pixel of any patch")
        nameless = [label for label in kept if called is not None and label not in called]
        if nameless:
            raise InputError(
                f"label {nameless[0]} has no name; name it, or give it None to leave it out"
            )
        patch_of = torch.full((len(present),), -1)
        patch_of[torch.isin(present, torch.tensor(kept))] = torch.arange(len(kept))
        if called is not None:
            names = [called[label] for label in kept]  # type: ignore[misc]
        return Regions(labels=patch_of[numbers], given_names=names)

    @staticmethod
    @ordinary()
    def from_masks(
        masks: Bool[Tensor, "patches height width"] | Mapping[str, Bool[Tensor, "height width"]],
    ) -> Regions:
        """Take one patch a mask; by name, where they are a dictionary.

        Raises:
            InputError: wrong shape or type, an overlap, an empty mask.
        """
        names = None
        if isinstance(masks, Mapping):
            names, each = list(masks), [_tensor(mask, "a mask") for mask in masks.values()]
            shapes = {(mask.dtype, mask.shape) for mask in each}
            if len(shapes) > 1:
                raise InputError("masks are bool tensors [height, width] of one size")
            masks = torch.stack(each) if each else torch.zeros(0, 0, 0, dtype=torch.bool)
        masks = _tensor(masks, "a stack of masks")
        if masks.ndim != 3 or masks.dtype != torch.bool or len(masks) == 0:
            raise InputError(
                f"masks are a bool tensor [patches, height, width] with at least one patch, not "
                f"{masks.dtype} {list(masks.shape)}"
            )
        masks = masks.detach().cpu()
        called = [str(i) for i in range(len(masks))] if names is None else names
        empty = (~masks.flatten(1).any(1)).nonzero().flatten().tolist()
        if empty:
            raise InputError(f"mask {called[empty[0]]} holds no pixel")
        twice = (masks.sum(0) > 1).nonzero()
        if len(twice):
            one, two = masks[:, twice[0, 0], twice[0, 1]].nonzero().flatten()[:2].tolist()
            raise InputError(
                f"masks {called[one]} and {called[two]} overlap; a pixel belongs to one patch"
            )
        index = torch.arange(len(masks))[:, None, None]
        return Regions(labels=torch.where(masks, index, -1).amax(0), given_names=names)

    @staticmethod
    @ordinary()
    def segments(image: Image | Images, count: int = 40) -> Regions:
        """Divide one picture into about `count` superpixels, by SLIC (Achanta et al., 2012).

        Raises:
            InputError: not one picture, or a count that it cannot be divided into.
            MissingExtraError: scikit-image is not installed.
        """
        return Regions(labels=superpixels(_tensor(image, "a picture"), whole("count", count, 2)))

    @staticmethod
    def read(path: AnyPath, names: AnyPath | None = None) -> Regions:
        """Read a label map from a PNG file (palette or greyscale) or a NumPy file (.npy).

        Args:
            path: the map, whose values are the labels.
            names: a JSON file {"LABEL": "name" or null}. Unless given, the names that `write` left
                in the PNG file, if any.

        Raises:
            InputError: no such file, one that holds no label map, or names that do not fit.
            MissingExtraError: Pillow is not installed.
        """
        return Regions.from_labels(*read_map(path, names))

    def write(self, path: AnyPath, height: int | None = None, width: int | None = None) -> None:
        """Write the patches and their names as a palette PNG, which `read` and --regions take.

        Args:
            path: the file.
            height: of the picture, which a grid needs to be told.
            width: likewise.

        Raises:
            InputError: a grid without a size, or more patches than a palette has colours.
            StorageError: the file cannot be written.
            MissingExtraError: Pillow is not installed.
        """
        write_map(self.label_map(*self._size(height, width)), self.given_names, path)

    def _size(self, height: int | None, width: int | None) -> tuple[int, int]:
        if self.labels is not None and height is None and width is None:
            height, width = self.labels.shape
        return whole("height", height, 1, _LONGEST_SIDE), whole("width", width, 1, _LONGEST_SIDE)

    def named(self, names: Sequence[str]) -> Regions:
        """Return the same patches under other names.

        Raises:
            InputError: not one name a patch, or names that cannot be.
        """
        return Regions(self.rows, self.columns, self.labels, names)

    @ordinary()
    def resized(self, height: int, width: int) -> Regions:
        """Return the patches for pictures of another size; each pixel takes the nearest label.

        Raises:
            InputError: a patch would lose its last pixel.
        """
        height, width = self._size(height, width)
        if self.labels is None:
            self.label_map(height, width)  # refuses too few pixels
            return self
        y, x = (
            ((torch.arange(new) + 0.5) * old / new).long()
            for new, old in zip((height, width), self.labels.shape, strict=True)
        )
        labels = self.labels[y][:, x]
        lost = set(range(self.count)) - set(labels.unique().tolist())
        if lost:
            raise InputError(
                f"at {height} × {width} pixels nothing is left of patch {self.names[min(lost)]}"
            )
        return Regions(labels=labels, given_names=self.given_names)

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
    def names(self) -> tuple[str, ...]:
        """What each patch is called; its number, where it has no name."""
        return tuple(self.given_names or map(str, range(self.count)))

    def in_words(self, patches: Iterable[int]) -> str:
        """Name some patches: `mouth, nose`, or `patches 14, 15`."""
        chosen = [self.names[patch] for patch in patches]
        if self.given_names is not None:
            return ", ".join(chosen)
        return f"patch{'' if len(chosen) == 1 else 'es'} {', '.join(chosen)}"

    @property
    def description(self) -> str:
        """The patches in a few words."""
        return described(self.to_dict())

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
                    f"the picture {height} × {width}; --resize-regions or regions.resized fits it"
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
    def demand(self, patches: Iterable[int | str] | Tensor | int | str) -> Region:
        """Turn patches, by number or by name, into a demand.

        Raises:
            InputError: a number or a name that is no patch's.
        """
        row = torch.zeros(self.count, dtype=torch.bool)
        row[list(self.numbers(patches))] = True
        return row

    def numbers(self, patches: Iterable[int | str] | Tensor | int | str) -> tuple[int, ...]:
        """Return the numbers of patches that are told by number or by name, in the order given.

        Raises:
            InputError: a number or a name that is no patch's.
        """
        if isinstance(patches, str):
            patches = [patches]
        return tuple(self._number(patch) for patch in listed(patches))

    def _number(self, patch: Any) -> int:
        if isinstance(patch, str):
            names = self.given_names or ()
            if patch in names:
                return names.index(patch)
            close = get_close_matches(patch, names, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            known = ", ".join(names) or f"patches 0 … {self.count - 1}, without names"
            raise InputError(f"there is no region {patch[:60]!r}; {hint}there are: {known}")
        number = whole("a patch", patch)
        if not 0 <= number < self.count:
            raise InputError(f"patch {number} does not exist; patches run 0 … {self.count - 1}")
        return number

    def to_dict(self) -> dict[str, Any]:
        """Describe the patches in JSON; a label map's pixels are stored as a tensor elsewhere."""
        if self.labels is None:
            told: dict[str, Any] = {"kind": "grid", "rows": self.rows, "columns": self.columns}
        else:
            digest = hashlib.sha256(self.labels.numpy().tobytes()).hexdigest()
            told = {"kind": "labels", "count": self.count, "digest": digest}
        return told | ({} if self.given_names is None else {"names": list(self.given_names)})


def described(regions: Mapping[str, Any]) -> str:
    """Say in a few words what `Regions.to_dict` tells."""
    names = regions.get("names") or []
    if regions["kind"] == "grid":
        form = f"{regions['rows']} × {regions['columns']} grid"
    else:
        form = (
            f"{regions['count']} regions" if names else f"label map of {regions['count']} regions"
        )
    shown = ", ".join([*names[:8], *(["…"] if len(names) > 8 else [])])
    return f"{form}: {shown}" if names else form


_LONGEST_NAME = 60


def _checked_names(names: Any, count: int) -> tuple[str, ...]:
    """Check what patches are called; a name must not be taken for a number or for several names."""
    told = "names of patches are a list of texts"
    if isinstance(names, (str, bytes)) or not isinstance(names, Sequence):
        raise InputError(f"{told}, not {type(names).__name__}")
    for name in names:
        of_kind(name, str, told)
        plain = name.isprintable() and name == name.strip() and "," not in name
        if not plain or not 0 < len(name) <= _LONGEST_NAME or name.lstrip("+-").isdecimal():
            raise InputError(
                f"a patch cannot be called {name[:_LONGEST_NAME]!r}: names are no numbers, without "
                f"commas, and at most {_LONGEST_NAME} characters long"
            )
    if len(names) != count:
        raise InputError(f"{len(names)} names for {count} patches; each needs one")
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"two patches are called {twice!r}")
    return tuple(names)


def _label(label: Any) -> int:
    """Read the label that a name belongs to: a whole number, or the text of one, as in JSON."""
    if isinstance(label, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", label):
        return int(label)
    return whole("the label of a name", label)


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
