"""One run that is explored: what the page lists of it, and the picture of each state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.apply.edits import Edit, EditedRun
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import QUESTIONS
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.errors import InputError, StorageError
from regional_primitives.explore.pictures import bar_uri, map_uri, picture_uri
from regional_primitives.explore.renderer import Kept
from regional_primitives.explore.requests import All, Demand, First, State
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.runtime.eight_bit import picture_digest
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.run_files import EXHIBITS
from regional_primitives.scores.components import (
    bounded_share,
    field_masks,
)
from regional_primitives.scores.exhibits import Exhibits
from regional_primitives.scores.quality import structural_change
from regional_primitives.show.pixels import ColourScale, channel_note, magnitude

__all__ = ["Session", "open_session"]

_log = logging.getLogger(__name__)

_STEPS = 14
"""Pictures in the strip of the build-up."""


@dataclass(frozen=True, eq=False)
class Session:
    """A decomposition, the generator that it was made with, and the answers given so far."""

    name: str
    """12 hexadecimal digits that know the components; no path."""
    decomposition: Decomposition
    generator: Generator
    """Held at the decomposition's picture."""
    folder: Path | None
    """The run folder; None for a decomposition in memory."""
    visible_change: Float[Tensor, " components"]
    """1 − SSIM(x, G(f − Δf_k))."""
    errors: PatchErrors
    scale: ColourScale
    """Of all maps of difference: it ends where |x − x0| does."""
    kept: Kept = field(default_factory=Kept)

    @property
    def title(self) -> str:
        """The generator, the layer and the picture."""
        origin = self.decomposition.provenance
        return f"{origin.generator}, {origin.cut_and_picture}"

    def order(self, name: str) -> list[int]:
        """List all components, the first of a ranking first: by `strength` or `visible` change."""
        if name == "strength":
            return list(range(self.decomposition.count))
        return self.visible_change.argsort(descending=True, stable=True).tolist()

    def edit(self, state: State) -> Edit:
        """Turn a state into an edit: the scale of each component.

        Raises:
            InputError: a component or patch that does not exist, or more components than there are.
        """
        named = {int(k): scale for k, scale in state.scales.items()}
        self.decomposition.scales(named)  # refuses components that do not exist
        base = state.base
        if isinstance(base, All):
            return Edit(named)
        if isinstance(base, Demand):
            rows = self.decomposition.demand_rows(base.patches)
            meets = (self.decomposition.action_fields & rows).any(1)
            on = meets.nonzero().flatten().tolist()
        elif isinstance(base, First):
            if base.count > self.decomposition.count:
                raise InputError(
                    f"the first {base.count} components were asked for; "
                    f"there are {self.decomposition.count}"
                )
            on = self.order(base.order)[: base.count]
        else:
            on = []
        return Edit({**dict.fromkeys(on, 1.0), **named}, others=0.0)

    @ordinary()
    def picture(self, state: State) -> dict[str, Any]:
        """Generate the picture of a state and measure it; raises what `edit` raises."""
        edit = self.edit(state)
        demanded = tuple(state.base.patches) if isinstance(state.base, Demand) else None
        key = (edit.others, tuple(sorted(edit.scales.items())), demanded)
        found = self.kept.get(key)
        if found is None:
            found = self._render(edit, demanded)
            self.kept.put(key, found, len(found["picture"]) + len(found["difference"]))
        return found

    @torch.no_grad()
    def _render(self, edit: Edit, demanded: Sequence[int] | None) -> dict[str, Any]:
        decomposition, origin = self.decomposition, self.decomposition.provenance
        row = edit.row(decomposition)
        # The same two calls as `rp.edit` makes, so that the pixels are the same.
        units = decomposition.combine_units(row)
        image = self.generator.render(units)
        departure = decomposition.image - decomposition.baseline_image
        spent = (units - decomposition.baseline_units).abs().sum()
        whole = (decomposition.feature_units - decomposition.baseline_units).abs().sum()
        answer = {
            "picture": picture_uri(image[0], origin.image_range),
            "difference": map_uri(
                magnitude(image[0] - decomposition.image, origin.image_range), self.scale
            ),
            "digest": picture_digest(image[0], origin.image_range),
            "cost": _finite(spent / whole.clamp_min(1e-20)),
            "on": int((row != 0).sum()),
            "distance": _finite(
                (image[0] - decomposition.image).square().sum() / departure.square().sum()
            ),
            "inside": None,
            "leak": None,
        }
        if demanded is not None:
            rows = decomposition.demand_rows(demanded)
            answer["inside"] = _finite(self.errors.inside(image, rows)[0])
            if not bool(rows.all()):
                answer["leak"] = _finite(self.errors.outside(image, rows)[0])
        return answer

    @ordinary()
    @torch.no_grad()
    def edit_file(self, state: State) -> dict[str, Any]:
        """Return the state's edit as `primitives edit --replay` reads it."""
        edit = self.edit(state)
        image = self.generator.render(
            self.decomposition.combine_units(edit.row(self.decomposition))
        )
        return edit.recorded(self.decomposition, image).to_dict()

    @ordinary()
    @torch.no_grad()
    def patterns(self, components: Sequence[int]) -> list[dict[str, Any]]:
        """Return each component's pattern |G(f0 + Δf_k) − x0| as a map, and its boundedness.

        Raises:
            InputError: a component that does not exist.
        """
        self.decomposition.scales(dict.fromkeys(components, 1.0))
        missing = [k for k in dict.fromkeys(components) if self.kept.get(("pattern", k)) is None]
        if missing:
            changes = Picture(self.decomposition, self.generator).patterns(missing)
            bounded = bounded_share(changes, field_masks(self.decomposition)[missing])
            sizes = magnitude(changes, self.decomposition.provenance.image_range)
            for k, size, share in zip(missing, sizes, bounded, strict=True):
                peak = max(float(size.nan_to_num(0.0).max()), 1e-9)
                image = map_uri(size, ColourScale(peak))
                found = {"component": k, "image": image, "peak": peak, "bounded": _finite(share)}
                self.kept.put(("pattern", k), found, len(image))
        return [self.kept.get(("pattern", k)) for k in components]

    @ordinary()
    @torch.no_grad()
    def build_up(self, order: str) -> list[dict[str, Any]]:
        """Return the strip: pictures of the first 0, 1, 2, 4, … components of a ranking."""
        found = self.kept.get(("build-up", order))
        if found is None:
            decomposition = self.decomposition
            counts = _step_counts(decomposition.count)
            rank = torch.empty(decomposition.count, dtype=torch.long)
            rank[self.order(order)] = torch.arange(decomposition.count)
            scales = (rank < torch.tensor(counts)[:, None]).float()
            images = self.generator.render(decomposition.combine_units(scales))
            departure = (decomposition.baseline_image - decomposition.image).square().sum()
            errors = (images - decomposition.image).square().sum((1, 2, 3)) / departure
            found = [
                {
                    "count": count,
                    "image": picture_uri(image, decomposition.provenance.image_range),
                    "error": _finite(error),
                }
                for count, image, error in zip(counts, images, errors, strict=True)
            ]
            self.kept.put(("build-up", order), found, sum(len(step["image"]) for step in found))
        return found

    @ordinary()
    def describe(self) -> dict[str, Any]:
        """Return all that the page lists, but for what has to be generated."""
        decomposition, origin = self.decomposition, self.decomposition.provenance
        height, width = decomposition.image.shape[-2:]
        regions = decomposition.regions
        fields = decomposition.action_fields
        return {
            "name": self.name,
            "title": self.title,
            "generator": origin.generator,
            "layer": origin.layer,
            "seed": origin.picture_seed,
            "method": origin.method,
            "purpose": origin.purpose,
            "question": QUESTIONS[origin.purpose],
            "patches": regions.description,
            "height": height,
            "width": width,
            "rows": regions.rows,
            "columns": regions.columns,
            "count": regions.count,
            "may": list(decomposition.patches),
            "labels": regions.label_map(height, width).flatten().tolist(),
            "channels": channel_note(len(decomposition.image)),
            "before": picture_uri(decomposition.image, origin.image_range),
            "baseline": picture_uri(decomposition.baseline_image, origin.image_range),
            "limit": self.scale.limit,
            "bar": bar_uri(self.scale),
            "ticks": self.scale.ticks(),
            "fields": [row.nonzero().flatten().tolist() for row in fields],
            "strengths": [_finite(value) for value in decomposition.strengths],
            "visible": [_finite(value) for value in self.visible_change],
            "remainder": decomposition.remainder,
            "folder": None if self.folder is None else self.folder.name,
        }


@ordinary()
def open_session(
    decomposition: Decomposition,
    generator: Generator,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Session:
    """Make a run ready to be explored.

    Args:
        decomposition: what is explored.
        generator: the one that it was made with.
        folder: where it lies, whose exhibits save measuring the visible changes anew.
        progress: told of that.

    Raises:
        GeneratorError: the generator is not the one that the decomposition was made with.
        InputError: a decomposition of no component.
    """
    decomposition.check_generator(generator)
    if decomposition.count == 0:
        raise InputError("this decomposition has no component; there is nothing to explore")
    generator = generator.at(decomposition.latents)
    departure = decomposition.image - decomposition.baseline_image
    return Session(
        name=EditedRun.of(decomposition).components_digest[:12],
        decomposition=decomposition,
        generator=generator,
        folder=folder,
        visible_change=_visible_change(decomposition, generator, folder, progress),
        errors=PatchErrors.of(
            decomposition.image, decomposition.baseline_image, decomposition.regions
        ),
        scale=ColourScale.over([magnitude(departure, decomposition.provenance.image_range)]),
    )


def _visible_change(
    decomposition: Decomposition, generator: Generator, folder: Path | None, progress: Progress
) -> Float[Tensor, " components"]:
    if folder is not None and (folder / EXHIBITS).is_file():
        try:
            return Exhibits.read(folder, decomposition).visible_change
        except StorageError as error:
            _log.warning("what components show is measured anew: %s", error)
    chunks = torch.arange(decomposition.count).split(32)
    measured = []
    for done, chunk in enumerate(chunks):
        changes = Picture(decomposition, generator).removals(chunk.tolist())
        measured.append(structural_change(decomposition, changes))
        progress("visible", done + 1, len(chunks), "what each component shows")
    return torch.cat(measured)


def _step_counts(count: int) -> list[int]:
    """Spread the strip's pictures evenly over the logarithm of how many components they hold."""
    spread = [round((count + 1) ** (i / (_STEPS - 1))) - 1 for i in range(_STEPS)]
    return sorted({*spread, 0, min(1, count), count})


def _finite(value: Tensor) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if bool(value.isfinite()) else None
