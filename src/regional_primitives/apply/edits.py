"""Edits: a scale for each component gives a picture, and a JSON file makes it again.

arXiv 2410.04421 switches components on and off; scales, swaps, blends and the file are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from regional_primitives.apply.pairs import check_pair, partners, taken_share
from regional_primitives.axes import Images, Region, Scales, Units
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError, StorageError
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of, real, whole, wholes
from regional_primitives.runtime.eight_bit import picture_digest
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.staging import check_file
from regional_primitives.runtime.storage import (
    Digest,
    check_version,
    read_as,
    read_json,
    tensors_digest,
    typed,
    write_json,
)

_SCHEMA_VERSION = 1
_KIND = "edit"
_ALWAYS = ("scales", "others", "run", "picture_digest")
"""What every file holds; the rest came with later ideas."""


@dataclass(frozen=True)
class EditedRun:
    """By what an edit knows a decomposition."""

    weights_digest: str
    """SHA-256 over the generator's weights."""
    layer: str
    """Where it was cut."""
    components_digest: str
    """SHA-256 over action fields, offsets, units and values of the components."""

    @staticmethod
    def of(decomposition: Decomposition) -> EditedRun:
        """Describe a decomposition."""
        names = ("action_fields", "offsets", "units", "values")
        tensors = {name: getattr(decomposition, name) for name in names}
        return EditedRun(
            weights_digest=decomposition.provenance.weights_digest,
            layer=decomposition.provenance.layer,
            components_digest=tensors_digest(tensors),
        )

    def check(self, decomposition: Decomposition, does: str) -> None:
        """Refuse another decomposition than the edit `does` something with: belongs to, takes from.

        Raises:
            InputError: other weights, another layer or other components.
        """
        found = EditedRun.of(decomposition)
        for what, mine, given in (
            ("weights", self.weights_digest[:12], found.weights_digest[:12]),
            ("layer", repr(self.layer)[:60], repr(found.layer)[:60]),
            ("components", self.components_digest[:12], found.components_digest[:12]),
        ):
            if mine != given:
                raise InputError(
                    f"this edit {does} another run: {what} {mine} on record, but {given} here"
                )


@dataclass(frozen=True)
class Edit:
    """What becomes of each component: the picture is G(f0 + Σ_k scale_k Δf_k).

    `remove`, `keep_only`, `swap` and `blend` make the usual ones. Where components are taken from
    another picture, Σ_j taken_j Δf'_j is added.

    Raises:
        InputError: on construction, a component that is no whole number or a scale that is not
            finite.
    """

    scales: Mapping[int, float] = field(default_factory=dict)
    """The components named, and their scales: 0 removes, 1 leaves, more amplifies."""
    others: float = 1.0
    """The scale of every component not named."""
    taken: Mapping[int, float] = field(default_factory=dict)
    """Components of another picture that are put in, and their scales."""
    patches: tuple[int, ...] | None = None
    """Where the picture is meant to change; None is the union of the fields of what changes."""
    run: EditedRun | None = None
    """The decomposition that the numbers belong to, where it is known; no other is edited then."""
    other_run: EditedRun | None = None
    """That of the other picture, likewise."""
    picture_digest: Digest | None = None
    """SHA-256 of the 8-bit pixels of the edited picture, where it is known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", _scales_of(self.scales))
        object.__setattr__(self, "others", real("the scale of all others", self.others))
        object.__setattr__(self, "taken", _scales_of(self.taken))
        if self.patches is not None:
            object.__setattr__(self, "patches", wholes("a patch", self.patches, 0))

    @staticmethod
    def of(given: Edit | Mapping[int, float]) -> Edit:
        """Return an edit that a caller gave as one, or as the scales of components.

        Raises:
            InputError: neither, or what construction raises.
        """
        return given if isinstance(given, Edit) else Edit(given)

    @staticmethod
    def remove(components: Iterable[int]) -> Edit:
        """Switch these components off and leave all others as they are."""
        return Edit(dict.fromkeys(wholes("a component", components), 0.0))

    @staticmethod
    def keep_only(components: Iterable[int]) -> Edit:
        """Switch all components off but these: what they alone add to the baseline picture."""
        return Edit(dict.fromkeys(wholes("a component", components), 1.0), others=0.0)

    @staticmethod
    @ordinary()
    def swap(
        one: Decomposition,
        other: Decomposition,
        components: Sequence[int] = (),
        *,
        fields: Sequence[Sequence[int]] = (),
        nearest: bool = False,
    ) -> Edit:
        """Take components out of `one`, and put in those of `other` with the same action fields.

        Args:
            one: the picture that is edited.
            other: another picture of the same generator, layer and regions.
            components: of `one`.
            fields: further action fields, as lists of patches; both pictures must have them.
            nearest: where `other` has no component with the same field, take the one whose field
                overlaps it most (intersection over union; of equals the strongest).

        Raises:
            InputError: pictures that do not go together, nothing named, no such component or field,
                or `other` lacks a field and `nearest` is false.
        """
        check_pair(one, other)
        out, into = partners(one, other, components, fields, nearest)
        return Edit(dict.fromkeys(out, 0.0), taken=dict.fromkeys(into, 1.0))

    @staticmethod
    @ordinary()
    def blend(
        one: Decomposition,
        other: Decomposition,
        patches: Sequence[int | str],
        *,
        rule: str = "shared",
    ) -> Edit:
        """Show `other` in these patches and `one` in all others, through their components.

        Components whose field lies in the patches come from `other`, those whose field misses them
        from `one`. A field that straddles the border goes by the rule: `shared` (by the share of
        its pixels), `mostly` (to the side with most of its pixels), `touching` (to `other`) or
        `inside` (to `one`). docs/research/blending.md measures them.

        Raises:
            InputError: pictures that do not go together, no patch, no such patch or rule.
        """
        check_pair(one, other)
        region = one.regions.demand(patches)
        if not bool(region.any()):
            raise InputError("a blend names at least one patch")
        gone = 1 - taken_share(one, region, rule)
        come = taken_share(other, region, rule)
        return Edit(
            {k: scale for k, scale in enumerate(gone.tolist()) if scale != 1},
            taken={j: scale for j, scale in enumerate(come.tolist()) if scale != 0},
            patches=tuple(region.nonzero().flatten().tolist()),
        )

    @staticmethod
    @ordinary()
    def of_regions(
        one: Decomposition,
        patches: Sequence[int | str],
        scale: float = 0.0,
        *,
        rule: str = "shared",
    ) -> Edit:
        """Scale what these patches are made of: 0 removes it, more than 1 amplifies it.

        A component is scaled by as much as its field lies in the patches; one whose field straddles
        the border goes by the rule, as in `blend`.

        Args:
            one: the picture that is edited.
            patches: numbers or names.
            scale: of what lies in them; all else stays as it is.
            rule: `shared`, `mostly`, `touching` or `inside`.

        Raises:
            InputError: no patch, no such patch or rule, or a scale that is not finite.
        """
        of_kind(one, Decomposition, "a rp.Decomposition from rp.explain is needed")
        region = one.regions.demand(patches)
        if not bool(region.any()):
            raise InputError("an edit of regions names at least one patch")
        scale = real("the scale of regions", scale)
        share = taken_share(one, region, rule)
        return Edit(
            {k: 1 - part + scale * part for k, part in enumerate(share.tolist()) if part},
            patches=tuple(region.nonzero().flatten().tolist()),
        )

    @staticmethod
    def together(edits: Sequence[Edit]) -> Edit:
        """Make several edits of regions at once: what each changes of a component's scale adds up.

        Raises:
            InputError: an edit that names no patches, or that switches all others off.
        """
        scales: dict[int, float] = {}
        taken: dict[int, float] = {}
        patches: set[int] = set()
        for each in edits:
            if each.patches is None or each.others != 1:
                raise InputError("edits go together where each names its patches, as of_regions")
            for k, value in each.scales.items():
                scales[k] = scales[k] + value - 1 if k in scales else value
            for j, value in each.taken.items():
                taken[j] = taken.get(j, 0.0) + value
            patches |= set(each.patches)
        return Edit(scales, taken=taken, patches=tuple(sorted(patches)))

    @ordinary()
    def row(self, decomposition: Decomposition) -> Scales:
        """Return the scale of each component.

        Raises:
            InputError: the decomposition lacks a component that is named, or is not the edit's own.
        """
        if self.run is not None:
            self.run.check(decomposition, "belongs to")
        return _row(decomposition, self.scales, self.others)

    @ordinary()
    def units(self, decomposition: Decomposition, other: Decomposition | None = None) -> Units:
        """Return the edited feature, flat.

        Args:
            decomposition: of the picture.
            other: of the picture from which components are taken, if any are.

        Raises:
            InputError: what `row` raises, no other picture where one is needed, or one that does
                not go with the first or is not the edit's own.
        """
        units = decomposition.combine_units(self.row(decomposition))
        if not self.taken:
            return units
        donor = self._donor(decomposition, other)
        return units + donor.combine_units(_row(donor, self.taken, 0.0)) - donor.baseline_units

    def _donor(self, decomposition: Decomposition, other: Decomposition | None) -> Decomposition:
        if other is None:
            raise InputError("this edit takes components from another picture; give that one too")
        check_pair(decomposition, other)
        if self.other_run is not None:
            self.other_run.check(other, "takes from")
        return other

    @ordinary()
    def region(self, decomposition: Decomposition, other: Decomposition | None = None) -> Region:
        """Return where the picture is meant to change.

        That is `patches`, or the union of the action fields of all components that do not stay as
        they are or are taken from `other`. Raises what `units` raises.
        """
        changed = self.row(decomposition)[0] != 1
        if self.patches is not None:
            return decomposition.regions.demand(self.patches)
        region = decomposition.action_fields[changed].any(0)
        if not self.taken:
            return region
        donor = self._donor(decomposition, other)
        donor.scales(self.taken)  # refuses what does not exist
        return region | donor.action_fields[sorted(self.taken)].any(0)

    def recorded(
        self,
        decomposition: Decomposition,
        image: Images,
        other: Decomposition | None = None,
    ) -> Edit:
        """Return this edit with its run and the digest of the picture that it made.

        Args:
            decomposition: what was edited.
            image: what `rp.edit` returned.
            other: of the picture from which components were taken, if any were.

        Raises:
            InputError: what `region` raises.
        """
        self.region(decomposition, other)
        return replace(
            self,
            run=EditedRun.of(decomposition),
            other_run=EditedRun.of(other) if other is not None and self.taken else None,
            picture_digest=picture_digest(image[0], decomposition.provenance.image_range),
        )

    def made(self, decomposition: Decomposition, image: Images) -> bool | None:
        """Tell whether this is the picture on record, to the last bit; None where none is."""
        if self.picture_digest is None:
            return None
        image_range = decomposition.provenance.image_range
        return picture_digest(image[0], image_range) == self.picture_digest

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        content = msgspec.to_builtins(self, str_keys=True, order="deterministic")
        return {"schema_version": _SCHEMA_VERSION, "kind": _KIND, **content}

    def write(self, path: AnyPath) -> None:
        """Write the edit as JSON, whole or not at all.

        Raises:
            StorageError: a file that is no edit stands there, or the disk refuses.
        """
        place = path_of(path, "the edit's file")
        check_edit_file(place)
        write_json(place, self.to_dict())

    @staticmethod
    def read(path: AnyPath) -> Edit:
        """Read what `write` wrote.

        Raises:
            StorageError: no such file, no JSON, no edit, an unknown schema version, or values
                that cannot be.
        """
        path = path_of(path, "the edit's file")

        def made(content: Mapping[str, Any]) -> Edit:
            if content.get("kind") != _KIND:
                made_by = "--save-edit and rp.Edit.write make such files"
                raise StorageError(f"{path} is no edit; {made_by}")
            check_version(path, content, _SCHEMA_VERSION)
            for name in _ALWAYS:
                if name not in content:
                    raise InputError(f"missing required field `{name}`")
            known = {one.name: content[one.name] for one in fields(Edit) if one.name in content}
            return typed(known, Edit)

        return read_as(path, made)


def check_edit_file(path: Path) -> Path:
    """Return where an edit is written; a file that is no edit is not written over.

    Raises:
        StorageError: such a file stands there, or nothing can be written.
    """
    place = check_file(path)
    if place.is_file() and place.stat().st_size:
        kind = None
        with suppress(StorageError):
            kind = read_json(place).get("kind")
        if kind != _KIND:
            raise StorageError(f"{path} exists and is no edit; choose another name")
    return place


def _scales_of(scales: Any) -> dict[int, float]:
    """Return the scales of components that are named, as numbers."""
    of_kind(scales, Mapping, "scales name components, as {3: 0.0} does")
    return {
        whole("a component", k): real(f"the scale of component {k}", scale)
        for k, scale in scales.items()
    }


def _row(decomposition: Decomposition, named: Mapping[int, float], others: float) -> Scales:
    """Return the scale of each component: that which is named, or that of all others."""
    row = decomposition.scales(named)
    rest = torch.ones_like(row, dtype=torch.bool)
    rest[0, list(named)] = False
    return row.masked_fill(rest, others)


@ordinary()
@torch.no_grad()
def edit(
    decomposition: Decomposition,
    generator: Generator,
    scales: Edit | Mapping[int, float] | None = None,
    other: Decomposition | None = None,
    *,
    remove: Sequence[int | str] | str | None = None,
) -> Images:
    """Scale components and generate the picture: 0 removes one, 1 leaves it, others stay at 1.

    What flows past the cut is held as it is in the picture that is edited.

    Args:
        decomposition: of the picture.
        generator: that it was made with.
        scales: an `rp.Edit`, or the scales of the components that are to change.
        other: of the picture from which the edit takes components, if it does.
        remove: instead of scales, the patches whose content goes, by number or name, see
            `Edit.of_regions`.

    Returns:
        The edited picture, [1, C, H, W] in the generator's image range, on the CPU.

    Raises:
        InputError: no such component, a scale that is not a finite number, an edit that belongs to
            another run, or another picture that is missing or does not go with this one.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    if (scales is None) == (remove is None):
        raise InputError("an edit is told by scales or by what to remove; give one of them")
    picture = Picture.of(decomposition, generator)
    wanted = Edit.of(scales) if remove is None else Edit.of_regions(decomposition, remove)  # type: ignore[arg-type]
    return picture.render(wanted.units(decomposition, other))
