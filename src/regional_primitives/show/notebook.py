"""Results as notebooks show them: HTML for light and dark pages, or nothing where packages lack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.compare import PictureComparison
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.errors import MissingExtraError, StorageError
from regional_primitives.rivals import Comparison
from regional_primitives.scores import Exhibits, Scores
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import form, numerals
from regional_primitives.show.baseline_view import baseline_rows
from regional_primitives.show.comparison_page import number_rows
from regional_primitives.show.outlines import borders, outline, surroundings
from regional_primitives.show.page import fill_template
from regional_primitives.show.pixels import bytes_of, data_uri, png
from regional_primitives.show.score_table import ScoreRow, score_rows, write

__all__ = ["in_notebook"]

_COMPONENTS = 12
"""Strongest components that are shown."""
_WIDTH = 128.0
"""CSS pixels of a picture's width."""


def in_notebook(result: Decomposition | Scores | Comparison | PictureComparison) -> str | None:
    """Return a result as HTML for a notebook.

    Returns:
        None where packages of the report's extra are missing, so that the notebook shows the
        result's text instead.
    """
    makers: dict[type, Callable[[Any], str]] = {
        Decomposition: _decomposition,
        Scores: _scores,
        Comparison: _baselines,
        PictureComparison: _comparison,
    }
    try:
        for kind, make in makers.items():
            if isinstance(result, kind):
                return make(result)
    except MissingExtraError:
        return None
    return None


@dataclass(frozen=True)
class Sketch:
    """An image with lines over it."""

    source: str
    label: str
    lines: str = ""
    field: str = ""
    dimmed: str = ""


@dataclass(frozen=True)
class Strong:
    """One of the strongest components."""

    title: str
    facts: str
    sketches: tuple[Sketch, ...]


@dataclass(frozen=True)
class DecompositionView:
    """A decomposition in a notebook."""

    title: str
    facts: str
    images: Mapping[str, str]
    """Data URIs by a name that no other image on the page has."""
    width: int
    height: int
    shown_width: float
    shown_height: float
    picture: Sketch
    baseline: Sketch
    components: tuple[Strong, ...]
    components_title: str
    scores: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class TableView:
    """Scores, baselines, or the numbers of compared pictures, in a notebook."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _decomposition(d: Decomposition) -> str:
    easel = _Easel(d)
    components = form.apart(d)
    scores, exhibits = _measured(d)
    remainder = d.remainder
    strongest = [k for k in range(d.count) if k != remainder][:_COMPONENTS]
    held: dict[int, Tensor] = {}
    if exhibits is not None:
        held = dict(zip(exhibits.shown.tolist(), exhibits.patterns, strict=True))
    origin = d.provenance
    height, width = d.image.shape[-2:]
    picture = easel.sketch("The picture and the borders of its patches", d.image, grid=True)
    baseline = easel.sketch("The baseline picture", d.baseline_image)
    cards = tuple(_strong(easel, k, held.get(k)) for k in strongest)
    more = form.remainder_in_words(d)
    return fill_template(
        "notebook.html",
        DecompositionView(
            title=f"{origin.generator}, {origin.cut_and_picture}",
            facts=f"{numerals.count(components.count)} components{f' and {more}' if more else ''}, "
            f"{d.regions.description}; {origin.method}, {numerals.count(origin.evaluations)} "
            f"evaluations{'' if origin.converged else ', not converged'}",
            images=easel.images,
            width=width,
            height=height,
            shown_width=_WIDTH,
            shown_height=_WIDTH * height / width,
            picture=picture,
            baseline=baseline,
            components=cards,
            components_title=f"The {len(strongest)} strongest of {components.count} components"
            + (", and what each makes of the baseline picture alone" if held else ""),
            scores=()
            if scores is None
            else tuple(
                row for row in score_rows(scores, headlines(origin.purpose)) if row.measured
            ),
        ),
    )


def _strong(easel: _Easel, k: int, pattern: Tensor | None) -> Strong:
    d = easel.decomposition
    patches = d.action_fields[k]
    sketches = [
        easel.sketch(f"The picture, the action field of component {k} outlined", d.image,
                     patches=patches, dim=True)
    ]  # fmt: skip
    if pattern is not None:
        sketches.append(
            easel.sketch(f"The baseline picture with component {k} alone",
                         d.baseline_image + pattern, patches=patches)
        )  # fmt: skip
    noise = form.noise_in_words(d, k)
    return Strong(
        title=f"Component {k}",
        facts=f"strength {numerals.decimal(float(d.strengths[k]))}, "
        f"{numerals.patches(int(patches.sum()))}{f', {noise}' if noise else ''}",
        sketches=tuple(sketches),
    )


def _measured(d: Decomposition) -> tuple[Scores | None, Exhibits | None]:
    """Read what the folder that a decomposition was loaded from knows of it, if it still does."""
    if d.folder is None:
        return None, None
    found: list[Any] = []
    try:
        now = read_manifest(d.folder).provenance
    except StorageError:
        return None, None
    if now != d.provenance:
        return None, None  # another run has taken its place since
    for read in (Scores.read, partial(Exhibits.read, of=d)):
        try:
            found.append(read(d.folder))
        except StorageError:
            found.append(None)
    scores, exhibits = found
    return scores, exhibits


@dataclass
class _Easel:
    """Collects images, each once, and puts lines over them."""

    decomposition: Decomposition
    images: dict[str, str] = field(default_factory=dict)

    def sketch(
        self,
        label: str,
        image: Float[Tensor, "channels height width"],
        *,
        patches: Bool[Tensor, " patches"] | None = None,
        dim: bool = False,
        grid: bool = False,
    ) -> Sketch:
        content = png(bytes_of(image, self.decomposition.provenance.image_range))
        # Results share one page, where equal images may share a name, and others must not.
        name = f"rp-{hashlib.sha256(content).hexdigest()[:16]}"
        self.images.setdefault(name, data_uri(content))
        height, width = image.shape[-2:]
        regions = self.decomposition.regions
        mask = torch.zeros(height, width, dtype=torch.bool)
        if patches is not None:
            mask = regions.pixel_mask(patches, height, width)
        path = outline(mask)
        return Sketch(
            source=name,
            label=label,
            lines=borders(regions.label_map(height, width)) if grid else "",
            field=path,
            dimmed=surroundings(path, height, width) if dim else "",
        )


def _scores(scores: Scores) -> str:
    rows = score_rows(scores)
    return fill_template(
        "notebook_table.html",
        TableView(
            title=f"Scores of {write(TABLE['components'], scores.components)} components",
            columns=("score", "value", "good is", "what it says"),
            rows=tuple(
                (row.label, f"{row.value} {row.spread}".strip(), row.good, row.meaning)
                for row in rows
            ),
        ),
    )


def _baselines(comparison: Comparison) -> str:
    return fill_template(
        "notebook_table.html",
        TableView(
            title=f"The same {numerals.count(comparison.demands)} demands, answered otherwise",
            columns=("method", "inside error", "leak", "boundedness", "consistency",
                     "evaluations", "what it does"),
            rows=tuple(
                (row.name, row.inside, row.leak, row.boundedness, row.consistency,
                 row.evaluations, row.about)
                for row in baseline_rows(comparison)
            ),
        ),
    )  # fmt: skip


def _comparison(comparison: PictureComparison) -> str:
    return fill_template(
        "notebook_table.html",
        TableView(
            title=f"{len(comparison.names)} pictures: {', '.join(comparison.names)}",
            columns=("number", "pictures", "random connected", "random subsets", "what it says"),
            rows=tuple((row.head, *map(str, row.cells)) for row in number_rows(comparison)),
        ),
    )
