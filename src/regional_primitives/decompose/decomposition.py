"""The result: f = f0 + Σ_k Δf_k with action fields A_k, stored sparsely and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from regional_primitives.decompose import stored
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators.feature import (
    Feature,
    FeatureShape,
    as_units,
    shape_of,
    unit_count,
    units_as,
)
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of, real, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.staging import staged_folder

__all__ = ["Decomposition", "Demand", "generator_at", "the_decomposition"]

Demand: TypeAlias = Bool[Tensor, "*batch patches"] | Int[Tensor, " chosen"] | Sequence[int] | int
"""A set S of patches: bool rows, or the indices of its patches."""


@dataclass(frozen=True, eq=False)
class Decomposition(RichResult):
    """A feature split into components, strongest first; `rp.explain` makes it.

    Only the units that a component changes are stored, so that K × D numbers never exist at once.
    """

    feature: Feature
    """f, batch axis 1: one tensor, or a tuple of them where the cut has several."""
    baseline: Feature
    """f0, likewise."""
    image: Float[Tensor, "channels height width"]
    """x = G(f)."""
    baseline_image: Float[Tensor, "channels height width"]
    """x0 = G(f0)."""
    regions: Regions
    action_fields: Bool[Tensor, "components patches"]
    """A_k."""
    strengths: Float[Tensor, " components"]
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
    noise: Float[Tensor, " components"] | None = None
    """Of the exact form: how strong a component of as many patches is by noise alone."""
    folder: Path | None = field(default=None, init=False, repr=False)
    """The folder that it was loaded from; None of one that was computed, or changed since."""

    @staticmethod
    def assemble(
        *,
        fields: Bool[Tensor, "fields patches"],
        field_of: Int[Tensor, " entries"],
        unit_of: Int[Tensor, " entries"],
        values: Float[Tensor, " entries"],
        noise: Float[Tensor, " fields"] | None = None,
        **rest: Any,
    ) -> Decomposition:
        """Sort components by strength and drop those of none.

        Args:
            fields: the dictionary of action fields.
            field_of: each entry's field.
            unit_of: each entry's unit.
            values: each entry's change of that unit.
            noise: each field's noise floor, where it was measured.
            rest: the other attributes of the result.
        """
        energy = torch.zeros(len(fields), dtype=torch.float64)
        energy.index_add_(0, field_of, values.double().square())
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

        Args:
            demand: bool [n] or [B, n], or the indices of the patches in S.

        Raises:
            InputError: a demand of another shape, or a patch that does not exist.
        """
        return units_as(self.minimal_units(self.demand_rows(demand)), self.feature_shape)

    @ordinary(gradients=False)
    def minimal_units(self, rows: Bool[Tensor, "batch patches"]) -> Float[Tensor, "batch units"]:
        """Return u(S) of each row, flat."""
        return self.combine_units((rows.float() @ self.action_fields.float().T > 0).float())

    @ordinary()
    def demand_rows(self, demand: Demand) -> Bool[Tensor, "batch patches"]:
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
        patches = demand if isinstance(demand, Iterable) else [demand]
        return self.regions.demand(patches)[None]

    @ordinary(gradients=False)
    def combine(self, scales: Float[Tensor, "batch components"]) -> Feature:
        """Return f0 + Σ_k scale_k Δf_k for each row of scales.

        Raises:
            InputError: another number of components, or scales that are not finite.
        """
        return units_as(self.combine_units(scales), self.feature_shape)

    @ordinary(gradients=False)
    def combine_units(
        self, scales: Float[Tensor, "batch components"]
    ) -> Float[Tensor, "batch units"]:
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
        row = torch.ones(1, self.count)
        of_kind(changes, Mapping, "scales name components, as {3: 0.0} does")
        for k, scale in changes.items():
            row[0, self._component(k)] = real(f"the scale of component {self._component(k)}", scale)
        return row

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
        stored.write(self, folder)

    @staticmethod
    @ordinary()
    def load(folder: AnyPath) -> Decomposition:
        """Read what `save` wrote.

        Raises:
            StorageError: not a run folder, an unknown schema version, missing or corrupt files.
        """
        return stored.read(path_of(folder, "the run folder"), Decomposition)


def the_decomposition(given: Any) -> Decomposition:
    """Return what a caller gave as a decomposition.

    Raises:
        InputError: it is none.
    """
    return of_kind(given, Decomposition, "a rp.Decomposition from rp.explain is needed")


def generator_at(decomposition: Decomposition, generator: Generator) -> Generator:
    """Return the generator, held at the picture of a decomposition that was made with it.

    Raises:
        InputError: something else than a decomposition and a generator.
        GeneratorError: the generator is not the one that the decomposition was made with.
    """
    the_decomposition(decomposition).check_generator(generator)
    return generator.at(decomposition.latents)
