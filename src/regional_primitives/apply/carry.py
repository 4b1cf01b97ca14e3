"""An edit of one picture made in others: the same units change, beside what chance would do; ours.

With f the explained feature, f0 the baseline and f' the feature of another picture:

- scale: f' + (s − 1)(f' − f0), where unit u is scaled by s_u = Σ_k scale_k |Δf_k,u| / Σ_k |Δf_k,u|,
  the mean scale of the components that make it, by how much of it each makes;
- add: f' + (edited f − f), the very change.

A carried edit succeeds in a picture if it changes the part, and leaves the rest; see `CarriedEdit`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.apply.edits import Edit
from regional_primitives.apply.effects import changes, cropped, pixels_of
from regional_primitives.axes import Image, Images, Units
from regional_primitives.decompose.cells import mostly
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.errors import InputError
from regional_primitives.generators.feature import as_units
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, batch_size, items
from regional_primitives.generators.precision import full_precision
from regional_primitives.picture import Picture
from regional_primitives.runtime.arguments import random_seed, real, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.streams import stream

BY = {"scale": "the same units scaled", "add": "the same change added"}
"""How an edit is carried, in words."""
RANDOM = {
    "units": "random units, as much energy",
    "channels": "the same places, random channels",
}
"""What is carried instead, drawn at random; the latter where a feature has places."""
_MOST_DRAWS = 1000
_CROP = "feature crop, cells mostly inside"


@dataclass(frozen=True)
class CarriedWay:
    """What one way of changing the other pictures does to them; a value a picture and draw."""

    way: str
    """In words."""
    inside: tuple[float, ...]
    """Root mean square change of the part's pixels, as a share of the image range."""
    outside_share: tuple[float | None, ...]
    """Share of the change's energy that falls outside the part; None if nothing changes."""
    succeeded: tuple[bool, ...]

    @property
    def success(self) -> float:
        """The share of pictures (and draws) in which it changed the part and left the rest."""
        return statistics.fmean(self.succeeded)

    @property
    def median_inside(self) -> float:
        """The median of `inside`."""
        return statistics.median(self.inside)

    @property
    def median_outside_share(self) -> float | None:
        """The median of `outside_share`; None if no picture changes."""
        told = [share for share in self.outside_share if share is not None]
        return statistics.median(told) if told else None


@dataclass(frozen=True, eq=False)
class CarriedEdit:
    """An edit of one picture made in others; `rp.carry` makes it.

    It succeeds in a picture where it changes the part by at least `least_inside`, and no more than
    `most_outside` of the change falls outside the part.
    """

    decomposition: Decomposition
    """Of the picture that was edited."""
    generator: Generator
    latents: Latents
    """Of the other pictures."""
    edit: Edit
    by: str
    """`scale` or `add`."""
    patches: tuple[int, ...]
    """The part that is meant to change."""
    pixels: float
    """Share of the picture's pixels in it."""
    own: Image
    """The picture that the edit belongs to, after it."""
    own_inside: float
    """Root mean square change of the part in the picture that was edited, in image ranges."""
    own_outside_share: float | None
    """Share of that change's energy outside the part."""
    least_inside: float
    """In image ranges, as `CarriedWay.inside`."""
    most_outside: float
    draws: int
    seed: int
    ways: tuple[CarriedWay, ...]
    """The edit, what is drawn at random, and a crop of the feature."""

    def __repr__(self) -> str:
        return (
            f"<CarriedEdit of {self.part} to {self.count} pictures: {self.success:.0%} succeed, "
            f"of random units {self.chance:.0%}>"
        )

    @property
    def part(self) -> str:
        """What is meant to change, in words."""
        return self.decomposition.regions.in_words(self.patches)

    @property
    def count(self) -> int:
        """How many other pictures there are."""
        return batch_size(self.latents)

    @property
    def success(self) -> float:
        """The share of pictures in which the edit changed the part and left the rest."""
        return self.ways[0].success

    @property
    def chance(self) -> float:
        """The same of random units that change the feature by as much energy."""
        return self.ways[1].success

    @ordinary()
    def pictures(self, number: int) -> Images:
        """Generate one of the other pictures as it was and as it is after the edit.

        Args:
            number: which of the latents, 0 the first.

        Returns:
            [2, C, H, W] in the generator's image range, on the CPU.

        Raises:
            InputError: no such picture.
        """
        number = whole("the number of a picture", number, 0, self.count - 1)
        carrier = _Carrier.of(self.decomposition, self.edit, self.by)
        generator, units = _feature(self.generator, self.latents, number)
        return generator.render(torch.cat([units, units + carrier.change(units)]))

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        names = ("by", "pixels", "own_inside", "own_outside_share", "least_inside", "most_outside",
                 "draws", "seed")  # fmt: skip
        return {
            "part": self.part,
            "patches": list(self.patches),
            "pictures": self.count,
            **{name: getattr(self, name) for name in names},
            "ways": [
                {
                    "way": way.way,
                    "success": way.success,
                    "median_inside": way.median_inside,
                    "median_outside_share": way.median_outside_share,
                    "inside": list(way.inside),
                    "outside_share": list(way.outside_share),
                    "succeeded": list(way.succeeded),
                }
                for way in self.ways
            ],
        }


@ordinary()
@torch.no_grad()
def carry(
    edit: Edit | Mapping[int, float],
    decomposition: Decomposition,
    generator: Generator,
    latents: Latents,
    *,
    by: str = "scale",
    draws: int = 4,
    seed: int = 0,
    inside: float = 0.5,
    outside: float = 0.5,
    progress: Progress | bool | None = False,
) -> CarriedEdit:
    """Make the edit of one explained picture in other pictures, and measure what it does there.

    Args:
        edit: an `rp.Edit` that scales, such as `rp.Edit.of_regions(d, ["mouth"])`, or scales of
            components. Where it is meant to change the picture, the other pictures are too.
        decomposition: of the picture that the edit belongs to.
        generator: that it was made with.
        latents: of the other pictures, batch first; `generator.sample_latents(50)`, say.
        by: `scale` scales the same units of the other pictures; `add` adds the same change.
        draws: how often random units are drawn for each picture.
        seed: their random stream.
        inside: to succeed, the change of the part is at least so much of what the edit does in its
            own picture (root mean squares).
        outside: to succeed, at most so much of what an even change of the whole picture would have
            outside the part is there.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: an edit that takes components from another picture, belongs to another run, or
            changes nothing; latents that do not fit; no such way; numbers out of range.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    wanted = Edit.of(edit)
    if wanted.taken:
        raise InputError("an edit that takes components from another picture cannot be carried on")
    if not isinstance(by, str) or by not in BY:
        raise InputError(f"an edit is carried by one of {', '.join(BY)}; not {by!r}")
    draws, seed = whole("draws", draws, 1, _MOST_DRAWS), random_seed(seed)
    inside, outside = real("inside", inside, 0), real("outside", outside, 0, 1)
    picture = Picture.of(decomposition, generator)
    count = batch_size(latents)
    if count == 0:
        raise InputError("an edit is carried to pictures: latents of at least one")
    carrier = _Carrier.of(decomposition, wanted, by)
    region = wanted.region(decomposition)
    mask = pixels_of(decomposition, region)
    span = decomposition.provenance.image_range
    own = picture.render(wanted.units(decomposition))[0]
    own_inside, _, own_share = changes(decomposition.image, own, mask, span)
    if own_inside == 0:
        raise InputError("this edit changes nothing of its own picture; there is nothing to carry")
    least = inside * own_inside
    most = outside * (1 - float(mask.double().mean()))
    crops = cropped(decomposition, wanted, mostly) - 1 if carrier.has_places else None
    found: dict[str, list[tuple[float, float | None]]] = {}
    with reporting(progress) as report:
        for i in range(count):
            there, units = _feature(generator, latents, i)
            change = carrier.change(units)
            made = [(BY[by], change)]
            rng = stream(seed, "carried edit", i)
            for _ in range(draws):
                made += carrier.at_random(units, change, rng)
            if crops is not None:
                made.append((_CROP, crops * (units - decomposition.baseline_units)))
            before, *after = there.render(torch.cat([units, *(units + each for _, each in made)]))
            for (way, _), image in zip(made, after, strict=True):
                within, _, share = changes(before, image, mask, span)
                found.setdefault(way, []).append((within, share))
            report("carry", i + 1, count)
    return CarriedEdit(
        decomposition=decomposition,
        generator=generator,
        latents=latents,
        edit=wanted,
        by=by,
        patches=tuple(region.nonzero().flatten().tolist()),
        pixels=float(mask.double().mean()),
        own=own,
        own_inside=own_inside,
        own_outside_share=own_share,
        least_inside=least,
        most_outside=most,
        draws=draws,
        seed=seed,
        ways=tuple(_judged(way, values, least, most) for way, values in found.items()),
    )


def _judged(
    way: str, values: Sequence[tuple[float, float | None]], least: float, most: float
) -> CarriedWay:
    inside, share = zip(*values, strict=True)
    # Nothing changed is no success, also where nothing is asked for.
    good = tuple(s is not None and w >= least and s <= most for w, s in values)
    return CarriedWay(way, inside, share, good)


def _feature(generator: Generator, latents: Latents, i: int) -> tuple[Generator, Units]:
    """Hold the generator at one of several pictures, and return its feature, flat, on the CPU."""
    one = items(latents, i, i + 1)
    there = generator.at(one)
    with torch.no_grad(), full_precision():
        return there, as_units(there.head(one)).cpu()


@dataclass(frozen=True, eq=False)
class _Carrier:
    """What an edit of one picture says about its units."""

    by: str
    baseline: Units
    layouts: list[Layout]
    amount: Float[Tensor, " units"]
    """s − 1 to scale by, or the change to add."""

    @staticmethod
    def of(decomposition: Decomposition, edit: Edit, by: str) -> _Carrier:
        if by == "add":
            amount = (edit.units(decomposition) - decomposition.feature_units)[0]
        else:
            amount = _scale_of_units(decomposition, edit) - 1
        layouts = Layout.of(decomposition.feature_shape)
        return _Carrier(by, decomposition.baseline_units, layouts, amount)

    @property
    def has_places(self) -> bool:
        """Whether the feature's units have places in the picture."""
        return any(layout.sites > 1 for layout in self.layouts)

    def change(self, units: Units) -> Units:
        """Return what is added to another picture's feature."""
        return self._applied(self.amount, units)

    def at_random(
        self, units: Units, change: Units, rng: torch.Generator
    ) -> list[tuple[str, Units]]:
        """Deal the amounts to other units, and give the change as much energy as the edit's."""
        dealt = {"units": self.amount[torch.randperm(len(self.amount), generator=rng)]}
        if self.has_places:
            dealt["channels"] = torch.cat([
                layout.flat(
                    layout.by_site(self.amount)[:, torch.randperm(layout.channels, generator=rng)]
                )
                for layout in self.layouts
            ])  # fmt: skip
        drawn = {name: self._applied(amount, units) for name, amount in dealt.items()}
        energy = change.norm()
        return [
            (RANDOM[name], one * (energy / one.norm().clamp_min(1e-30)))
            for name, one in drawn.items()
        ]

    def _applied(self, amount: Tensor, units: Units) -> Units:
        return amount[None] if self.by == "add" else amount * (units - self.baseline)


def _scale_of_units(decomposition: Decomposition, edit: Edit) -> Float[Tensor, " units"]:
    """Return the mean scale of the components that make each unit, by how much each makes.

    It lies between the edit's own scales, also where components cancel; units that no component
    changes go with the components that are not named.
    """
    row = edit.row(decomposition)[0]
    size, units = decomposition.values.abs(), decomposition.units.long()
    every, scaled = torch.zeros(2, decomposition.unit_count)
    every.index_add_(0, units, size)
    scaled.index_add_(0, units, size * row[decomposition.owners])
    return torch.where(every > 0, scaled / every, edit.others)
