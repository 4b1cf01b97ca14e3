"""The result: f = f0 + Σ_k Δf_k with action fields A_k, stored sparsely and frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from regional_primitives.axes import (
    Demands,
    Dictionary,
    Fields,
    Image,
    PerComponent,
    PerField,
    Scales,
    Units,
)
from regional_primitives.decompose import stored
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.errors import GeneratorError, InputError, StorageError
from regional_primitives.generators.feature import (
    Feature,
    FeatureShape,
    as_units,
    shape_of,
    tensors_of,
    unit_count,
    units_as,
)
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents, parts
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of, real, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.runtime.staging import staged_folder
from regional_primitives.runtime.storage import measurable

Demand: TypeAlias = (
    Bool[Tensor, "*batch patches"] | Int[Tensor, " chosen"] | Sequence[int | str] | int | str
)
"""A set S of patches: bool rows, or the numbers or names of its patches."""
_STRENGTH_GAP = 1e-3
"""Strengths were rounded once, and in early releases added up in single precision."""


@dataclass(frozen=True, eq=False)
class Decomposition(RichResult):
    """A feature split into components, strongest first; `rp.explain` makes it.

    Only the units that a component changes are stored, so that K × D numbers never exist at once.
    """

    feature: Feature
    """f, batch axis 1: one tensor, or a tuple of them where the cut has several."""
    baseline: Feature
    """f0, likewise."""
    image: Image
    """x = G(f)."""
    baseline_image: Image
    """x0 = G(f0)."""
    regions: Regions
    action_fields: Fields
    """A_k."""
    strengths: PerComponent
    """‖Δf_k‖, descending."""
    offsets: Int[Tensor, " components_plus_1"]
    """Component k owns the entries offsets[k] … offsets[k+1] − 1 of `units` and `values`."""
    units: Int[Tensor, " entries"]
    """The flat index of the unit that an entry changes."""
    values: Float[Tensor, " entries"]
    """By how much: Δf_k at that unit."""
    history: Float[Tensor, "steps 3"]
    """Mean inside error, leak and cost during the fit; empty for the exact form."""
    latents: Latents
    provenance: Provenance
    noise: PerComponent | None = None
    """Of the exact form: how strong a component of as many patches is by noise alone."""
    folder: Path | None = field(default=None, init=False, repr=False)
    """The folder that it was loaded from; None of one that was computed, or changed since."""

    @staticmethod
    def assemble(
        fields: Dictionary,
        field_of: Int[Tensor, " entries"],
        unit_of: Int[Tensor, " entries"],
        values: Float[Tensor, " entries"],
        noise: PerField | None = None,
        **rest: Any,
    ) -> Decomposition:
        """Sort components by strength and drop those of none.

        An entry is the change of one unit in the component of one field; `noise` is each field's
        noise floor, `rest` are the other attributes of the result.
        """
        energy = energies(len(fields), field_of, values)
        order = energy.argsort(descending=True, stable=True)
        order = order[energy[order] > 0]
        rank = torch.full((len(fields),), len(order), dtype=torch.long)
        rank[order] = torch.arange(len(order))
        component = rank[field_of]
        sequence = (component * (int(unit_of.max()) + 1) + unit_of).argsort()
        sequence = sequence[component[sequence] < len(order)]
        counts = torch.bincount(component[sequence], minlength=len(order))
        return Decomposition(
            action_fields=fields[order],
            strengths=energy[order].sqrt().float(),
            offsets=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
            units=unit_of[sequence].int(),
            values=values[sequence],
            noise=None if noise is None else noise[order],
            **rest,
        )

    def __repr__(self) -> str:
        origin = self.provenance
        return (
            f"<Decomposition of {origin.generator} at {origin.layer}: {self.count} components, "
            f"{self.regions.description}>"
        )

    @property
    @ordinary()
    def owners(self) -> Int[Tensor, " entries"]:
        """The component of each entry of `units` and `values`."""
        return torch.arange(self.count).repeat_interleave(self.offsets.diff())

    @property
    def count(self) -> int:
        """K, how many components there are."""
        return len(self.strengths)

    @property
    def patches(self) -> tuple[int, ...]:
        """P, the patches that were demanded: all of the regions, or those of the exact form."""
        origin = self.provenance
        chosen = origin.settings.get("patches") if origin.method == "exact" else ()
        return tuple(chosen) if chosen else tuple(range(self.regions.count))

    @property
    def names(self) -> tuple[str, ...]:
        """What the patches are called; their numbers, where they have no names."""
        return self.regions.names

    @property
    def remainder(self) -> int | None:
        """The component that no demand needs, what minimal features leave of f, if there is one.

        Its action field is all patches that could not be demanded: those that the exact form did
        not choose, and where all could be, none.
        """
        others = ~self.regions.demand(self.patches)
        found = (self.action_fields == others).all(1).nonzero().flatten().tolist()
        return found[0] if found else None

    @property
    def significant(self) -> Bool[Tensor, " components"]:
        """Which components are stronger than the noise of their order; all where none is known.

        The remainder counts as significant: it is a difference, not an interaction.
        """
        if self.noise is None:
            return torch.ones(self.count, dtype=torch.bool)
        return self.strengths > self.noise

    @ordinary()
    def select(self, components: Sequence[int]) -> Decomposition:
        """Return these components alone, in the order given; the sum then lacks the others.

        Raises:
            InputError: no such component.
        """
        chosen = torch.tensor([self._component(k) for k in components], dtype=torch.long)
        counts = self.offsets.diff()[chosen]
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        within = torch.arange(int(offsets[-1])) - offsets[:-1].repeat_interleave(counts)
        entries = self.offsets[chosen].repeat_interleave(counts) + within
        return replace(
            self,
            action_fields=self.action_fields[chosen],
            strengths=self.strengths[chosen],
            offsets=offsets,
            units=self.units[entries],
            values=self.values[entries],
            noise=None if self.noise is None else self.noise[chosen],
        )

    @ordinary()
    def without(self, k: int | None) -> Decomposition:
        """Return the decomposition without component k, which the sum then lacks; all for None."""
        if k is None:
            return self
        dropped = self._component(k)
        return self.select([one for one in range(self.count) if one != dropped])

    @property
    def feature_shape(self) -> FeatureShape:
        """The shape of the feature without its batch axis; of a bundle, one shape a tensor."""
        return shape_of(self.feature)

    @property
    def unit_count(self) -> int:
        """D, how many units the feature has."""
        return unit_count(self.feature_shape)

    @cached_property
    @ordinary()
    def feature_units(self) -> Float[Tensor, "1 units"]:
        """f, flat."""
        return as_units(self.feature)

    @cached_property
    @ordinary()
    def baseline_units(self) -> Float[Tensor, "1 units"]:
        """f0, flat."""
        return as_units(self.baseline)

    def check_generator(self, generator: Generator) -> None:
        """Refuse a generator that this decomposition was not made with.

        Raises:
            InputError: no generator at all.
            GeneratorError: other weights, another layer, or another `hold`.
        """
        of_kind(generator, Generator, "a decomposition goes with a generator from rp.cut")
        origin = self.provenance
        if generator.hold != origin.hold:
            raise GeneratorError(
                f"this decomposition was made with hold={origin.hold!r}, the generator with "
                f"hold={generator.hold!r}: pass the former to rp.cut or rp.load_generator"
            )
        if generator.digest != origin.weights_digest:
            raise GeneratorError(
                f"this decomposition was made with other weights ({origin.generator}, digest "
                f"{origin.weights_digest[:12]}…) than this generator's ({generator.digest[:12]}…)"
            )
        if generator.layer != origin.layer:
            raise GeneratorError(
                f"this decomposition was made at layer {origin.layer!r}; "
                f"the generator is cut at {generator.layer!r}"
            )

    @ordinary()
    def component(self, k: int) -> Feature:
        """Return Δf_k in the feature's shape, batch axis 1.

        Raises:
            InputError: no such component.
        """
        k = self._component(k)
        dense = torch.zeros(1, self.unit_count)
        own = slice(int(self.offsets[k]), int(self.offsets[k + 1]))
        dense[0, self.units[own].long()] = self.values[own]
        return units_as(dense, self.feature_shape)

    @ordinary(gradients=False)
    def minimal_feature(self, demand: Demand) -> Feature:
        """Return u(S) = f0 + Σ {Δf_k : A_k ∩ S ≠ ∅}, with a batch axis even for one demand.

        A demand is bool [n] or [B, n], or the numbers or names of the patches in S.

        Raises:
            InputError: a demand of another shape, or a patch that does not exist.
        """
        return units_as(self.minimal_units(self.demand_rows(demand)), self.feature_shape)

    @ordinary(gradients=False)
    def minimal_units(self, rows: Demands) -> Units:
        """Return u(S) of each row, flat."""
        return self.combine_units((rows.float() @ self.action_fields.float().T > 0).float())

    @ordinary()
    def demand_rows(self, demand: Demand) -> Demands:
        """Turn any way of naming a demand into bool rows; raises what `minimal_feature` raises."""
        n = self.regions.count
        if str(getattr(demand, "dtype", "")) in ("bool", "torch.bool"):
            demand = torch.as_tensor(demand)
            if demand.ndim not in (1, 2) or demand.shape[-1] != n:
                raise InputError(
                    f"a demand is bool [{n}] or [batch, {n}], or patch indices; "
                    f"got bool {list(demand.shape)}"
                )
            return demand.reshape(-1, n).cpu()
        if isinstance(demand, Tensor):
            demand = demand.flatten()
        return self.regions.demand(demand)[None]

    @ordinary(gradients=False)
    def combine(self, scales: Scales) -> Feature:
        """Return f0 + Σ_k scale_k Δf_k for each row of scales.

        Raises:
            InputError: another number of components, or scales that are not finite.
        """
        return units_as(self.combine_units(scales), self.feature_shape)

    @ordinary(gradients=False)
    def combine_units(self, scales: Scales) -> Units:
        """Return what `combine` does, flat; raises what it raises."""
        of_kind(scales, Tensor, f"scales are a tensor [batch, {self.count}]")
        if scales.ndim != 2 or scales.shape[1] != self.count:
            raise InputError(f"scales are [batch, {self.count}], not {list(scales.shape)}")
        if scales.is_complex() or not bool(scales.isfinite().all()):
            raise InputError("scales must be finite numbers")
        component, first, values = self._by_unit
        # A bag a unit, of the scales of the components that change it, weighted by how much.
        rows = scales.float().T.contiguous()
        change = embedding_bag(component, rows, first, mode="sum", per_sample_weights=values)
        return self.baseline_units + change.T

    @cached_property
    @ordinary()
    def _by_unit(self) -> tuple[Int[Tensor, " entries"], Int[Tensor, " units"], Tensor]:
        """Return the entries unit by unit: component, where each unit's begin, and value.

        Plain tensors, since torch's sparse ones can be neither copied deeply nor pickled.
        """
        component = self.owners
        order = self.units.argsort(stable=True)
        counts = torch.bincount(self.units, minlength=self.unit_count)
        return component[order], counts.cumsum(0) - counts, self.values[order]

    def _component(self, k: int) -> int:
        number = whole("a component", k)
        if not 0 <= number < self.count:
            raise InputError(
                f"component {number} does not exist; components run 0 … {self.count - 1}"
            )
        return number

    @ordinary()
    def scales(self, changes: Mapping[int, float]) -> Float[Tensor, "1 components"]:
        """Return one scale a component: 1, but for those that `changes` names.

        Raises:
            InputError: no such component, or a scale that is not a finite number.
        """
        row = [1.0] * self.count
        of_kind(changes, Mapping, "scales name components, as {3: 0.0} does")
        for k, scale in changes.items():
            number = self._component(k)
            row[number] = real(f"the scale of component {number}", scale)
        return torch.tensor([row])

    @ordinary()
    def save(self, folder: AnyPath, *, overwrite: bool = False) -> None:
        """Write run.json and tensors.safetensors; the folder appears whole or not at all.

        With `overwrite` a run that stands there is replaced; what else lies in its folder stays.

        Raises:
            StorageError: the folder holds something already, or the disk refuses.
        """
        with staged_folder(folder, overwrite=overwrite) as staging:
            self.write(staging)

    @ordinary()
    def write(self, folder: Path) -> None:
        """Write the two files into an existing folder."""
        stored.write(folder, vars(self), self.count, self.feature_shape)

    @staticmethod
    @ordinary()
    def load(folder: AnyPath) -> Decomposition:
        """Read what `save` wrote.

        Raises:
            StorageError: not a run folder, an unknown schema version, missing or corrupt files.
        """
        path = path_of(folder, "the run folder")
        manifest = stored.read_manifest(path)
        try:
            result = Decomposition(**stored.read(path, manifest))
            fault = next((what for wrong, what in _faults(result, manifest) if wrong), None)
        except InputError as error:
            fault = str(error)
        if fault:
            raise StorageError(f"{path} is corrupt: {fault}")
        object.__setattr__(result, "folder", path)
        return result


def energies(
    count: int, owner: Int[Tensor, " entries"], values: Float[Tensor, " entries"]
) -> Float[Tensor, " components"]:
    """Return ‖Δf_k‖² of `count` components, given whose each entry is and its value."""
    found = torch.zeros(count, dtype=torch.float64)
    return found.index_add_(0, owner, values.double().square())


def _faults(d: Decomposition, manifest: stored.Manifest) -> Iterator[tuple[bool, str]]:
    """Ask in what ways a decomposition is none that a fit could have made, each in words.

    An answer may rest on those before. Latents may hold infinities, as masks of attention do, but
    nothing that is no number.
    """
    count, entries = d.count, len(d.values)
    expected = {
        "image": (torch.float32, d.image.shape),
        "baseline_image": (torch.float32, d.image.shape),
        "action_fields": (torch.bool, (count, d.regions.count)),
        "strengths": (torch.float32, (count,)),
        "offsets": (torch.int64, (count + 1,)),
        "units": (torch.int32, (entries,)),
        "values": (torch.float32, (entries,)),
        "history": (torch.float32, (len(d.history), 3)),
        **({} if d.noise is None else {"noise": (torch.float32, (count,))}),
    }
    for name, (dtype, shape) in expected.items():
        tensor = getattr(d, name)
        yield (
            tensor.dtype != dtype or tensor.shape != shape,
            f"{name} is {tensor.dtype} {list(tensor.shape)}, not {dtype} {list(shape)}, "
            "so its tensors do not belong together",
        )
        yield not measurable(tensor), f"{name} holds NaN, infinity or numbers without a measure"
    features = (*tensors_of(d.feature), *tensors_of(d.baseline))
    yield (
        any(len(tensor) != 1 for tensor in features) or d.feature_shape != shape_of(d.baseline),
        "feature and baseline do not belong together",
    )
    yield (
        not all(tensor.is_floating_point() and measurable(tensor) for tensor in features),
        "feature or baseline holds NaN, infinity or numbers without a measure",
    )
    yield (
        any(p.ndim == 0 or len(p) != 1 or bool(p.isnan().any()) for p in parts(d.latents).values()),
        "its latents are not those of one picture",
    )
    ends = [int(end) for end in (d.offsets[0], d.offsets.amin(), d.offsets[-1], d.offsets.amax())]
    yield (
        not count or ends != [0, 0, entries, entries],
        "its components and their entries do not belong together",
    )
    yield bool((d.offsets.diff() <= 0).any()), "a component changes no unit"
    yield (
        int(d.units.min()) < 0 or int(d.units.max()) >= d.unit_count,
        "a component changes a unit that the feature does not have",
    )
    place = d.owners * d.unit_count + d.units
    yield bool((place.diff() <= 0).any()), "a component changes a unit twice"
    energy = energies(count, d.owners, d.values)
    yield (
        not torch.allclose(d.strengths.double(), energy.sqrt(), rtol=_STRENGTH_GAP, atol=0),
        "its strengths are not those of its components",
    )
    falling = bool((d.strengths > 0).all()) and bool((d.strengths.diff() <= 0).all())
    yield not falling, "its strengths do not descend to above 0"
    others = d.regions.demand(d.patches).logical_not()  # the remainder's, where there is one
    empty = int((~d.action_fields.any(1)).sum())
    yield (
        empty > 1 or (empty == 1 and (bool(others.any()) or d.remainder is None)),
        "a component acts on no patch",
    )
    yield d.noise is not None and bool((d.noise < 0).any()), "a noise floor is below 0"
    # What run.json tells readers of it alone.
    yield (
        manifest.components not in (None, count),
        f"it has {count} components where {MANIFEST} tells {manifest.components}",
    )
    yield (
        manifest.feature_shape not in (None, json.loads(json.dumps(d.feature_shape))),
        f"its feature has another shape than {MANIFEST} tells",
    )
