"""Results as notebooks show them: HTML for light and dark pages, or nothing where packages lack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

from regional_primitives.apply.effects import WAYS, EditEffects
from regional_primitives.compare.comparison import PictureComparison
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.errors import MissingExtraError, StorageError
from regional_primitives.rivals import Comparison
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.sanity.suite import Sanity
from regional_primitives.scores import Exhibits, Scores
from regional_primitives.scores.effort import unfinished
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import form, numerals
from regional_primitives.show.comparison_page import number_rows
from regional_primitives.show.page import fill_template
from regional_primitives.show.pictures import PictureBook
from regional_primitives.show.pixels import ColourScale
from regional_primitives.show.score_table import rival_rows, score_rows, write

_COMPONENTS = 12
"""Strongest components that are shown."""


def in_notebook(result: RichResult) -> str | None:
    """Return a result as HTML for a notebook.

    Returns:
        None where packages of the report's extra are missing, so that the notebook shows the
        result's text instead.
    """
    try:
        return _shown(result)
    except MissingExtraError:
        return None


@singledispatch
def _shown(result: Any) -> str | None:
    return None


@_shown.register
def _decomposition(d: Decomposition) -> str:
    scores, exhibits = _measured(d)
    shown: list[int] = [] if exhibits is None else exhibits.shown.tolist()
    book = PictureBook(d, ColourScale(1.0))
    # Results share one page, where only equal images may share a name.
    digest = hashlib.sha256(d.image.numpy().tobytes() + d.baseline_image.numpy().tobytes())
    digest.update(b"" if exhibits is None else exhibits.patterns.numpy().tobytes())
    return fill_template(
        "notebook.html",
        book,
        d=d,
        form=form,
        unfinished=unfinished(d),
        components=form.apart(d),
        strongest=form.numbers(d)[:_COMPONENTS],
        patterns={} if exhibits is None else dict(zip(shown, exhibits.patterns, strict=True)),
        scores=[]
        if scores is None
        else [row for row in score_rows(scores, headlines(d.provenance.purpose)) if row.measured],
        prefix=f"rp-{digest.hexdigest()[:16]}",
    )


def _measured(d: Decomposition) -> tuple[Scores | None, Exhibits | None]:
    """Read what the folder that a decomposition was loaded from knows of it, if it still does."""
    if d.folder is None:
        return None, None
    try:
        if read_manifest(d.folder).provenance != d.provenance:
            return None, None  # another run has taken its place since
    except StorageError:
        return None, None
    return _known(Scores.read, d.folder), _known(partial(Exhibits.read, of=d), d.folder)


def _known(read: Callable[[Path], Any], folder: Path) -> Any:
    try:
        return read(folder)
    except StorageError:
        return None


@_shown.register
def _scores(scores: Scores) -> str:
    return _table(
        f"Scores of {write(TABLE['components'], scores.components)} components",
        ("score", "value", "good is", "what it says"),
        [
            (row.label, f"{row.value} {row.spread}".strip(), row.good, row.meaning)
            for row in score_rows(scores)
            if row.measured
        ],
    )


@_shown.register
def _rivals(comparison: Comparison) -> str:
    names = ("inside", "leak", "boundedness", "consistency", "evaluations")
    return _table(
        f"The same {numerals.count(comparison.demands)} demands, answered otherwise",
        ("method", "inside error", *names[1:], "what it does"),
        [
            (row["name"], *(row[name] for name in names), f"{row['about']} ({row['source']})")
            for row in rival_rows(comparison)
        ],
    )


@_shown.register
def _checks(sanity: Sanity) -> str:
    return _table(
        "What is left of the explanation",
        ("check", "should", "is left", "what was changed"),
        [(one.name, one.should, _share(one.survives), one.about) for one in sanity.checks],
    )


@_shown.register
def _effects(effects: EditEffects) -> str:
    aims = any(way.target_error is not None for way in effects.ways)
    seam = "" if effects.seam_before is None else f"; seam before {_share(effects.seam_before)}"
    return _table(
        f"Meant to change: {_share(effects.pixels)} of the pixels{seam}",
        ("way", "change inside", "change outside", "share outside", "seam")
        + ("error inside",) * aims,
        [
            (
                WAYS[way.way],
                *map(_share, (way.inside, way.outside, way.outside_share, way.seam)),
                *map(_share, (way.target_error,) * aims),
            )
            for way in effects.ways
        ],
    )


@_shown.register
def _comparison(comparison: PictureComparison) -> str:
    return _table(
        f"{len(comparison.names)} pictures: {', '.join(comparison.names)}",
        ("number", "pictures", "random connected", "random subsets", "what it says"),
        [(row.head, *map(str, row.cells)) for row in number_rows(comparison)],
    )


def _share(value: float | None) -> str:
    return "–" if value is None else numerals.percent(value)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return fill_template("notebook_table.html", title=title, columns=columns, rows=rows)
