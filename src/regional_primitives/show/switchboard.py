"""What the page itself adds up: patterns to switch on and off, and the generated pictures beside.

The sum x0 + Σ Δx_k is the paper's superposition of regional patterns (arXiv 2410.04421). To set it
beside what the generator gives for the same components, to lump the components without a stored
pattern with all that does not add up, and the quantum of the stored patterns, is ours.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.scores import Exhibits
from regional_primitives.show import form, numerals
from regional_primitives.show.packing import LEVELS, STEPS_PER_LEVEL, pack, quantum_of
from regional_primitives.show.pictures import Picture, PictureBook

__all__ = ["Switchboard", "Tile", "switchboard"]


@dataclass(frozen=True)
class Tile:
    """A component as a switch."""

    label: str
    told: str
    """What a reader who cannot see its picture is told."""
    picture: Picture


@dataclass(frozen=True)
class Switchboard:
    """The section in which a reader switches components on and off."""

    tiles: tuple[Tile, ...]
    """The most visible first."""
    others: int
    """How many components have no pattern here."""
    patches: tuple[str, ...]
    """The path round each patch."""
    demands: tuple[str, ...]
    """Names of the demands whose generated picture the run holds."""
    rounding: str
    data: Mapping[str, Any]
    """What the page's script reads."""


@dataclass
class _Frames:
    """Collects the generated pictures that the page can put beside a sum, each with its error."""

    book: PictureBook
    quantum: float
    entries: list[dict[str, Any]]

    @property
    def x(self) -> Float[Tensor, "channels height width"]:
        """The picture."""
        return self.book.decomposition.image

    @property
    def x0(self) -> Float[Tensor, "channels height width"]:
        """The baseline picture."""
        return self.book.decomposition.baseline_image

    def add(self, source: str, image: Float[Tensor, "channels height width"], **told: Any) -> int:
        """Put an image into the book, and add it; `told` says how the page gets at its values."""
        self.book.picture(source, image, "")
        error = (image - self.x).square().sum() / (self.x0 - self.x).square().sum()
        self.entries.append({"source": source, "error": _told(error), **told})
        return len(self.entries) - 1

    def from_baseline(self, source: str, image: Float[Tensor, "channels height width"]) -> int:
        """Add an image as its change from x0."""
        return self.add(source, image, origin="baseline", change=self._pack(image - self.x0))

    def from_picture(self, source: str, image: Float[Tensor, "channels height width"]) -> int:
        """Add an image as its change from x."""
        return self.add(source, image, origin="picture", change=self._pack(image - self.x))

    def _pack(self, change: Float[Tensor, "channels height width"]) -> str:
        return pack(change, self.quantum)


def switchboard(book: PictureBook, exhibits: Exhibits) -> Switchboard | None:
    """Pack the patterns of the shown components; None where the run shows none.

    The generated pictures are put into the book: each shown component alone and taken out, each
    step of the build-up, each demand.
    """
    decomposition = book.decomposition
    places = {k: place for place, k in enumerate(exhibits.shown.tolist())}
    order = [k for k in exhibits.visible_order if k in places]
    if not order:
        return None
    x, x0 = decomposition.image, decomposition.baseline_image
    patterns = exhibits.patterns[[places[k] for k in order]]
    rest = x - x0 - patterns.sum(0)
    low, high = decomposition.provenance.image_range
    changes = (x0 - low, patterns, rest, exhibits.build_up - x0, exhibits.demanded - x0)
    quantum = quantum_of((low, high), [*changes, exhibits.removals])
    frames = _Frames(book, quantum, [])
    data = {
        "width": book.size[1],
        "height": book.size[0],
        "channels": len(x),
        "level": LEVELS * quantum / (high - low),
        "share": quantum / (high - low),
        "limit": book.scale.limit,
        "colours": base64.b64encode(book.scale.palette()).decode("ascii"),
        "baseline": pack(x0 - low, quantum),
        "patterns": [pack(pattern, quantum) for pattern in patterns],
        "rest": pack(rest, quantum),
        "labels": pack(decomposition.regions.label_map(*book.size).float(), 1.0),
        "columns": decomposition.regions.columns or 0,
        "patches": decomposition.regions.count,
        "fields": _fields(book, order),
        "elsewhere": _fields(book, [k for k in range(decomposition.count) if k not in places]),
        "held": list(_held(exhibits, order, places, frames)),
        "steps": list(_steps(exhibits, order, frames)),
        "demands": list(_demands(exhibits, frames)),
        "frames": frames.entries,
    }
    each = torch.eye(decomposition.regions.count, dtype=torch.bool)
    return Switchboard(
        tiles=tuple(_tile(book, exhibits, k, places[k]) for k in order),
        others=decomposition.count - len(order),
        patches=tuple(book.outline(patch) for patch in each),
        demands=tuple(
            f"{name[:1].upper()}{name[1:]}"
            for name in (form.demand_in_words(decomposition, one) for one in exhibits.demand_names)
        ),
        rounding=_rounding(quantum, high - low, len(order) + 2),
        data=data,
    )


def _told(error: Float[Tensor, ""]) -> float | None:
    """Return a number that JSON can hold; None for what is not finite."""
    return float(error) if bool(error.isfinite()) else None


def _rounding(quantum: float, extent: float, terms: int) -> str:
    """Say how far a sum of so many packed pictures can be off, each by half a quantum."""
    if quantum * LEVELS * STEPS_PER_LEVEL <= extent * (1 + 1e-9):
        stored = "a 16th of a screen level"
    else:
        stored = f"{numerals.decimal(LEVELS * quantum / extent)} screen levels"
    most = numerals.decimal(LEVELS * terms * quantum / 2 / extent)
    return f"Patterns are stored to {stored}, so that a sum is off by {most} levels at most."


def _tile(book: PictureBook, exhibits: Exhibits, k: int, place: int) -> Tile:
    decomposition = book.decomposition
    field = decomposition.action_fields[k]
    remainder = k == decomposition.remainder
    name = "the remainder" if remainder else f"component {k}"
    pattern = exhibits.patterns[place]
    size = numerals.patches(int(field.sum()))
    visible = numerals.percent(float(exhibits.visible_change[k]))
    return Tile(
        label="remainder" if remainder else str(k),
        told=f"{name}, action field of {size}, visible change {visible}",
        picture=book.change(
            f"change-{k}", pattern, f"Map of the change by {name} alone", patches=field
        ),
    )


def _fields(book: PictureBook, components: Sequence[int]) -> list[list[int]]:
    fields = book.decomposition.action_fields
    return [fields[k].nonzero().flatten().tolist() for k in components]


def _held(
    exhibits: Exhibits,
    order: Sequence[int],
    places: Mapping[int, int],
    frames: _Frames,
) -> Iterator[dict[str, Any]]:
    """Tell which sets of switches have a generated picture, apart from the steps of the build-up.

    They are none, each alone (whose sum is exact by definition), all, and all but one.
    """
    x, x0 = frames.x, frames.x0
    everything = list(range(len(order)))
    yield {"on": [], "rest": False, "frame": frames.add("x0", x0, origin="baseline")}
    yield {"on": everything, "rest": True, "frame": frames.add("x", x, origin="picture")}
    for tile, k in enumerate(order):
        alone = x0 + exhibits.patterns[places[k]]
        frame = frames.add(f"alone-{k}", alone, pattern=tile)
        yield {"on": [tile], "rest": False, "frame": frame}
    for tile, k in enumerate(order):
        without = x - exhibits.removals[places[k]]
        frame = frames.from_picture(f"without-{k}", without)
        others = [other for other in everything if other != tile]
        yield {"on": others, "rest": True, "frame": frame}


def _steps(exhibits: Exhibits, order: Sequence[int], frames: _Frames) -> Iterator[dict[str, Any]]:
    """Tell the build-up; a step has a sum where all its components have their patterns here."""
    for count, image in zip(exhibits.steps.tolist(), exhibits.build_up, strict=True):
        complete = exhibits.visible_order[:count] == list(order[:count])
        frame = frames.from_baseline(f"step-{count}", image)
        yield {"count": count, "on": list(range(count)) if complete else None, "frame": frame}


def _demands(exhibits: Exhibits, frames: _Frames) -> Iterator[dict[str, Any]]:
    for place, patches in enumerate(exhibits.demands):
        yield {
            "patches": patches.nonzero().flatten().tolist(),
            "frame": frames.from_baseline(f"given-{place}", exhibits.demanded[place]),
            "inside": _told(exhibits.inside[place]),
            "leak": _told(exhibits.leak[place]),
        }
