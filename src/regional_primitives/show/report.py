"""A run folder becomes one self-contained page, report.html, without model, GPU or network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import QUESTIONS, varied_price
from regional_primitives.decompose.stored import Manifest, read_manifest
from regional_primitives.generators.feature import describe_shape
from regional_primitives.rivals import Comparison
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.run_files import REPORT, figure_file
from regional_primitives.runtime.staging import staged_file
from regional_primitives.sanity.suite import Sanity
from regional_primitives.scores import Exhibits, Relations, Scores
from regional_primitives.scores.effort import unfinished
from regional_primitives.scores.quality import NOTICEABLE
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import form, reproduce
from regional_primitives.show.extras import require_extra
from regional_primitives.show.figures import draw_figures, write_figure
from regional_primitives.show.page import fill_template
from regional_primitives.show.pictures import PictureBook
from regional_primitives.show.pixels import ColourScale, channel_note, magnitude
from regional_primitives.show.score_table import in_sentences, rival_rows, score_rows, write
from regional_primitives.show.style import Figure
from regional_primitives.show.switchboard import switchboard

_BOARD = tuple(
    f"board/{name}.js"
    for name in ("words", "outline", "state", "grid", "components", "buildup", "board", "stored")
)
"""The board's modules, each after those that it imports."""


@ordinary()
def write_report(folder: AnyPath) -> Path:
    """Read a run folder; write its figures and then its report.html, whole or not at all.

    Raises:
        StorageError: the folder is no run folder, is incomplete or corrupt, or cannot be written.
        MissingExtraError: packages that only the report needs are not installed.
    """
    folder = path_of(folder, "the run folder")
    require_extra()
    decomposition = Decomposition.load(folder)
    scores = Scores.read(folder)
    exhibits = Exhibits.read(folder, decomposition)
    comparison = Comparison.read(folder)
    related = form.related(decomposition)
    figures = draw_figures(decomposition, scores, exhibits, comparison, related)
    page = render(
        decomposition,
        scores,
        exhibits,
        read_manifest(folder),
        comparison,
        related,
        figures,
        Sanity.read(folder),
    )
    for name, figure in figures.items():
        write_figure(folder / figure_file(name), figure)
    report = folder / REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report


def render(
    decomposition: Decomposition,
    scores: Scores,
    exhibits: Exhibits,
    manifest: Manifest | None = None,
    comparison: Comparison | None = None,
    related: Relations | None = None,
    figures: Mapping[str, Figure] | None = None,
    sanity: Sanity | None = None,
) -> str:
    """Return the page; everything that a run brings along is escaped.

    Args:
        decomposition: the result that the report is about.
        scores: its scores.
        exhibits: its pictures.
        manifest: what run.json tells beyond the decomposition, such as how scores were measured.
        comparison: with baselines, where they were scored.
        related: how the components relate; found here unless given.
        figures: those that the page shows, by name.
        sanity: what nonsense leaves of it, where that was checked.
    """
    d, origin = decomposition, decomposition.provenance
    components, exact = form.apart(d), form.is_exact(d)
    departure = magnitude(d.image - d.baseline_image, origin.image_range)
    scale = ColourScale.over([departure, magnitude(exhibits.patterns, origin.image_range)])
    book = PictureBook(d, scale)
    places = {k: place for place, k in enumerate(exhibits.shown.tolist())}

    def leading(order: Iterable[int]) -> list[int]:
        """Of a ranking, the components up to the first without pictures."""
        return list(takewhile(places.__contains__, order))

    shares, others = form.shares_of_energy(d)
    by_strength = form.numbers(d)
    counted = set(by_strength)
    return fill_template(
        REPORT,
        book,
        "report.css",
        "board/board.css",
        scripts=_BOARD,
        d=d,
        e=exhibits,
        scores=scores,
        manifest=manifest,
        comparison=comparison,
        sanity=sanity,
        related=form.related(d) if related is None else related,
        figures=figures or {},
        components=components,
        form=form,
        unfinished=unfinished,
        book=book,
        board=switchboard(book, exhibits),
        places=places,
        leading=leading,
        by_strength=by_strength,
        by_sight=[k for k in exhibits.seen if k in counted],
        looked=len(counted.intersection(range(exhibits.looked_at or d.count))),
        noticeable=NOTICEABLE,
        energy=float(components.strengths.double().square().sum()),
        share_of=lambda count: form.strongest_share(components, count),
        rows=score_rows(scores, exact=exact),
        headlines=[row for row in score_rows(scores, headlines(origin.purpose)) if row.measured],
        rivals=rival_rows(comparison) if comparison else [],
        parts=form.parts_in_word(d),
        shares=shares,
        others=others,
        sentences=in_sentences(scores, headlines(origin.purpose), form.parts_in_word(d)),
        told=lambda name: write(TABLE[name], getattr(scores, name)),
        question=QUESTIONS[origin.purpose],
        varied=varied_price(origin.settings),
        channel_note=channel_note(len(d.image)),
        feature_shape=describe_shape(d.feature_shape),
        changed=reproduce.changed_settings(d),
        command=reproduce.command(d),
        python=reproduce.python_lines(d),
    )
