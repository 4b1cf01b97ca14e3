"""One run that is explored: what the page lists of it, and the picture of each state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from regional_primitives.apply import WAYS, Edit, edit_ways, measured_ways
from regional_primitives.apply.edits import EditedRun
from regional_primitives.axes import Image, PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import QUESTIONS
from regional_primitives.errors import InputError, StorageError
from regional_primitives.picture import Picture
from regional_primitives.runtime.eight_bit import bytes_of, picture_digest
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.run_files import EXHIBITS
from regional_primitives.scores.alone import bounded_share, field_masks
from regional_primitives.scores.exhibits import Exhibits
from regional_primitives.scores.quality import structural_change
from regional_primitives.show.pixels import ColourScale, channel_note, data_uri, magnitude, png
from regional_primitives.show.switchboard import finite, listing

_log = logging.getLogger(__name__)

REGIONS = "regions.png"
"""In the folder of a run whose regions were drawn: their map."""
MOST_SCALE = 10.0
"""Scales run from −MOST_SCALE to MOST_SCALE; farther out a picture tells nothing more."""
_STEPS = 14
"""Pictures in the strip of the build-up."""
_MOST_BYTES = 64 * 2**20
"""About what the answers may take that are kept."""

Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,6})$")]
"""A component in text. It has one spelling, so that two keys are two components."""
Run = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
"""The name of an open run."""
_Scale = Annotated[float, Field(ge=-MOST_SCALE, le=MOST_SCALE, allow_inf_nan=False)]
_Index = Annotated[int, Field(ge=0, le=9_999_999)]


class Asked(BaseModel):
    """Strict: no field that is not known, no text for a number, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class Alike(Asked):
    """Every component that the state does not name is on, or off."""

    kind: Literal["all", "none"]


class Demand(Asked):
    """… is on where its field meets these patches: u(S)."""

    kind: Literal["demand"]
    patches: Annotated[list[_Index], Field(min_length=1, max_length=100_000)]


class First(Asked):
    """… is on where it is among the first of a ranking."""

    kind: Literal["first"]
    order: Literal["strength", "visible"]
    count: _Index


class RegionEdit(Asked):
    """Patches whose content is scaled, or shown as in another open run."""

    patches: Annotated[list[_Index], Field(min_length=1, max_length=100_000)]
    scale: _Scale | None = None
    other: Run | None = None


class State(Asked):
    """What the page is set to: a base, and components that are scaled in spite of it."""

    base: Annotated[Alike | Demand | First, Field(discriminator="kind")]
    scales: Annotated[dict[Number, _Scale], Field(max_length=100_000)]
    """Scales by component number, as text, since JSON knows no other key."""
    regions: Annotated[list[RegionEdit], Field(max_length=64)] = []
    """Edits of regions; a component that `scales` names has the scale that is named."""


def _kept(method: Callable[..., Any]) -> Callable[..., Any]:
    """Call a method unless its answer is one of those used last."""

    @wraps(method)
    def answer(session: Session, *given: Any) -> Any:
        return session.answers(method, session, *given)

    return answer


@dataclass(frozen=True, eq=False)
class Session:
    """An explained picture, and the answers given so far."""

    picture: Picture
    folder: Path | None
    """The run folder; None for a decomposition in memory."""
    visible_change: PerComponent
    """1 − SSIM(x, G(f − Δf_k))."""

    @staticmethod
    @ordinary()
    def of(picture: Picture, folder: Path | None, progress: Progress = silent) -> Session:
        """Open a run; the exhibits of its folder save measuring what components show.

        Raises:
            InputError: a decomposition of no component.
        """
        if picture.decomposition.count == 0:
            raise InputError("this decomposition has no component; there is nothing to explore")
        return Session(picture, folder, _visible_change(picture, folder, progress))

    @property
    def run(self) -> Decomposition:
        """The decomposition."""
        return self.picture.decomposition

    @cached_property
    def name(self) -> str:
        """12 hexadecimal digits that know the components; no path."""
        return EditedRun.of(self.run).components_digest[:12]

    @property
    def title(self) -> str:
        """The generator, the layer and the picture."""
        return f"{self.run.provenance.generator}, {self.run.provenance.cut_and_picture}"

    @property
    def place(self) -> str:
        """Where the run is, and its map of regions; no more of the path than its last part."""
        if self.folder is None:
            return ""
        name, has_map = self.folder.name, (self.folder / REGIONS).is_file()
        told = f" Its regions are in {name}/{REGIONS}, which --regions takes." if has_map else ""
        return f"Run folder: {name}.{told}"

    @cached_property
    def scale(self) -> ColourScale:
        """Of all maps of difference: it ends where |x − x0| does."""
        return ColourScale.over([self._size(self.picture.change)])

    @cached_property
    def answers(self) -> Callable[..., Any]:
        """Calls a function unless its answer is one of those used last."""
        # A PNG takes no more than its pixels, and a third more as text; of each there are two.
        most = _MOST_BYTES // (6 * self.picture.image[0].numel())
        return lru_cache(max(16, most))(lambda function, *given: function(*given))

    def order(self, name: str) -> list[int]:
        """List all components, the first of a ranking first: by `strength` or `visible` change."""
        if name == "strength":
            return list(range(self.run.count))
        return self.visible_change.argsort(descending=True, stable=True).tolist()

    def edit(self, state: State, other: Decomposition | None = None) -> Edit:
        """Turn a state into an edit: the scale of each component.

        Args:
            state: of the page.
            other: the run from which its edits of regions take components, if any does.

        Raises:
            InputError: a component or patch that does not exist, more components than there are, or
                another run that does not go with this one.
        """
        named = {int(k): scale for k, scale in state.scales.items()}
        self.run.scales(named)  # refuses components that do not exist
        base = state.base
        regions = [self._region_edit(one, other) for one in state.regions]
        edit = Edit.together(regions) if regions else Edit()
        if base.kind == "all":
            return replace(edit, scales={**edit.scales, **named})
        on: list[int] = []
        if isinstance(base, Demand):
            rows = self.run.demand_rows(base.patches)
            on = (self.run.action_fields & rows).any(1).nonzero().flatten().tolist()
        elif isinstance(base, First):
            if base.count > (there := self.run.count):
                raise InputError(
                    f"the first {base.count} components were asked for; there are {there}"
                )
            on = self.order(base.order)[: base.count]
        scales = {k: edit.scales.get(k, 1.0) for k in on}
        return replace(edit, scales={**scales, **named}, others=0.0)

    def _region_edit(self, asked: RegionEdit, other: Decomposition | None) -> Edit:
        if (asked.scale is None) == (asked.other is None):
            raise InputError("an edit of regions has a scale, or another run; give one of them")
        if asked.scale is not None:
            return Edit.of_regions(self.run, asked.patches, asked.scale)
        if other is None:
            raise InputError("no run of that name is open here to take components from")
        return Edit.blend(self.run, other, asked.patches)

    @_kept
    @ordinary()
    @torch.no_grad()
    def show(self, state: State, other: Decomposition | None = None) -> dict[str, Any]:
        """Generate the picture of a state and measure it; raises what `edit` raises."""
        picture, edit = self.picture, self.edit(state, other)
        row = edit.row(self.run)
        # The same two calls as `rp.edit` makes, so that the pixels are the same.
        units = edit.units(self.run, other)
        image = picture.render(units)
        spent = (units - self.run.baseline_units).abs().sum()
        size = self._size(image[0] - picture.image)
        distance = (image[0] - picture.image).square().sum() / picture.change.square().sum()
        answer = {
            "picture": self._drawn(image[0]),
            "difference": data_uri(self.scale.png(size, quickly=True)),
            "digest": picture_digest(image[0], self.run.provenance.image_range),
            "cost": finite(spent / picture.difference.abs().sum().clamp_min(1e-20)),
            "on": int((row != 0).sum()),
            "distance": finite(distance),
        }
        if isinstance(state.base, Demand):
            rows = self.run.demand_rows(state.base.patches)
            answer["inside"] = finite(picture.errors.inside(image, rows)[0])
            if not bool(rows.all()):
                answer["leak"] = finite(picture.errors.outside(image, rows)[0])
        return answer

    @ordinary()
    @torch.no_grad()
    def edit_file(self, state: State, other: Decomposition | None = None) -> dict[str, Any]:
        """Return the state's edit as `primitives edit --replay` reads it."""
        edit = self.edit(state, other)
        image = self.picture.render(edit.units(self.run, other))
        return edit.recorded(self.run, image, other).to_dict()

    @_kept
    @ordinary()
    @torch.no_grad()
    def effects(self, state: State, other: Decomposition | None = None) -> dict[str, Any]:
        """Measure the state's edit beside pasted pixels and crops, each with its picture."""
        edit = self.edit(state, other)
        pictures = edit_ways(self.run, self.picture.generator, edit, other)
        found = measured_ways(self.run, edit, pictures, other).to_dict()
        for way in found["ways"]:
            way["words"] = WAYS[way["way"]]
            way["picture"] = self._drawn(pictures[way["way"]][0])
        return found

    @_kept
    @ordinary()
    @torch.no_grad()
    def patterns(self, *components: int) -> list[dict[str, Any]]:
        """Return what each component alone generates, and its pattern's map and boundedness.

        G(f0 + Δf_k) as a picture, and |G(f0 + Δf_k) − x0| as a map on a scale of its own.

        Raises:
            InputError: a component that does not exist.
        """
        self.run.scales(dict.fromkeys(components, 1.0))
        changes = self.picture.patterns(components)
        bounded = bounded_share(changes, field_masks(self.run)[list(components)])
        found = []
        for k, change, share in zip(components, changes, bounded, strict=True):
            size = self._size(change)
            peak = max(float(size.nan_to_num(0.0).max()), 1e-9)
            drawn = {
                "picture": self._drawn(self.picture.baseline_image + change),
                "map": data_uri(ColourScale(peak).png(size, quickly=True)),
            }
            found.append({"component": k, "bounded": finite(share), **drawn})
        return found

    @_kept
    @ordinary()
    @torch.no_grad()
    def build_up(self, order: str) -> list[dict[str, Any]]:
        """Return the strip: pictures of the first 0, 1, 2, 4, … components of a ranking."""
        # Spread evenly over the logarithm of how many components a picture holds.
        count = self.run.count
        spread = {round((count + 1) ** (i / (_STEPS - 1))) - 1 for i in range(_STEPS)}
        counts = sorted({*spread, 0, min(1, count), count})
        rank = torch.tensor(self.order(order)).argsort()
        images = self.picture.combine((rank < torch.tensor(counts)[:, None]).float())
        distances = (images - self.picture.image).square().sum((1, 2, 3))
        errors = distances / self.picture.change.square().sum()
        return [
            {"count": held, "image": self._drawn(image), "error": finite(error)}
            for held, image, error in zip(counts, images, errors, strict=True)
        ]

    @ordinary()
    def describe(self) -> dict[str, Any]:
        """Return all that the page lists, but for what has to be generated."""
        origin, regions = self.run.provenance, self.run.regions
        return {
            **listing(self.run, self.scale, self.visible_change),
            "name": self.name,
            "title": self.title,
            "layer": origin.layer,
            "seed": origin.picture_seed,
            "method": origin.method,
            "purpose": origin.purpose,
            "question": QUESTIONS[origin.purpose],
            "patches": regions.description,
            "labels": regions.label_map(*self.picture.image.shape[-2:]).flatten().tolist(),
            "channel_note": channel_note(len(self.picture.image)),
            "before": self._drawn(self.picture.image),
            "baseline": self._drawn(self.picture.baseline_image),
            "place": self.place,
        }

    def _size(self, change: Image) -> Float[Tensor, "height width"]:
        return magnitude(change, self.run.provenance.image_range)

    def _drawn(self, image: Image) -> str:
        """Encode a picture; its pixels are those that `primitives edit` writes."""
        return data_uri(png(bytes_of(image, self.run.provenance.image_range), quickly=True))


def _visible_change(picture: Picture, folder: Path | None, progress: Progress) -> PerComponent:
    """Return 1 − SSIM(x, G(f − Δf_k)) of each component."""
    if folder is not None and (folder / EXHIBITS).is_file():
        try:
            return Exhibits.read(folder, picture.decomposition).visible_change
        except StorageError as error:
            _log.warning("what components show is measured anew: %s", error)
    chunks = torch.arange(picture.decomposition.count).split(32)
    measured = []
    for done, chunk in enumerate(chunks):
        changes = picture.removals(chunk.tolist())
        measured.append(structural_change(picture.decomposition, changes))
        progress("visible", done + 1, len(chunks), "what each component shows")
    return torch.cat(measured)
