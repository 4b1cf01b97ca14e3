"""What a sweep's page shows of its pictures: those at either end, and the fields that recur."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from regional_primitives.compare.kept import Kept
from regional_primitives.compare.vocabulary import (
    VOCABULARY,
    LayerVocabulary,
    Vocabulary,
    Word,
    WordChannel,
)
from regional_primitives.decompose.purpose import Purpose
from regional_primitives.errors import StorageError
from regional_primitives.regions import Regions
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.scores.sweep_scores import (
    ENOUGH,
    SEPARABLE,
    SWEEP,
    LayerScores,
    PictureScores,
    SweepScores,
)
from regional_primitives.scores.table import TABLE
from regional_primitives.show import numerals
from regional_primitives.show.outlines import outline, surroundings
from regional_primitives.show.pictures import Picture
from regional_primitives.show.pixels import data_uri, png
from regional_primitives.show.score_table import write
from regional_primitives.show.sections import Section

_ENDS = 4
"""Pictures at either end."""
_MOST_WORDS = 12
"""Words that are not folded away."""
_MOST_CHANNELS = 3
_SCREEN = 128
"""Pixels of the screen for a thumbnail's longer side."""
_WHY: dict[Purpose, str] = {
    "generate": "what is asked for comes out right.",
    "isolate": "what is asked for leaves the rest alone.",
}


@dataclass
class Album:
    """Collects thumbnails of a sweep's pictures, each once."""

    folder: Path
    """The sweep's."""
    images: dict[str, str] = field(default_factory=dict)
    """Data URIs by name."""
    sizes: dict[str, int | float] = field(default_factory=dict)
    """As `Page` has them; nothing where there is no image."""

    def picture(
        self, one: PictureScores, label: str, regions: dict[str, Any], *patches: int
    ) -> Picture | None:
        """Show a picture, some patches outlined; None where its run folder holds none."""
        if not (self.folder / one.run / MANIFEST).is_file():
            return None
        kept = Kept.read(self.folder / one.run)
        if kept.thumbnail is None:
            return None
        height, width, _ = kept.thumbnail.shape
        if not self.sizes:
            zoom = max(1, _SCREEN // max(height, width))
            names = ("zoom", "zoom-large", "zoom-narrow")
            self.sizes |= {"width": width, "height": height, **dict.fromkeys(names, zoom)}
        name = one.run.replace("/", "-")
        self.images.setdefault(name, data_uri(png(kept.thumbnail)))
        labels = kept.labels
        if labels is None:
            labels = Regions.grid(regions["rows"], regions["columns"]).label_map(height, width)
        path = outline(torch.isin(labels, torch.tensor(patches))) if patches else ""
        around = surroundings(path, height, width) if path else ""
        return Picture(name, label, field=path, dimmed=around)


def picture_sections(sweep: SweepScores, album: Album) -> list[Section]:
    """Return what is told of sweeps with enough pictures."""
    return [_extremes(sweep, album), _vocabulary(sweep, album)] if enough(sweep) else []


def enough(sweep: SweepScores) -> bool:
    """Tell whether there are so many pictures that they are looked at as many."""
    return len(sweep.seeds) >= ENOUGH


def _extremes(sweep: SweepScores, album: Album) -> Section:
    score = TABLE[SEPARABLE[sweep.purpose]]

    def told(one: PictureScores) -> dict[str, Any]:
        return {
            "seed": one.seed,
            "href": one.report and quote(one.report),
            "told": write(score, getattr(one.scores, score.name)),
            "picture": album.picture(one, f"Picture {one.seed}", sweep.regions),
        }

    layers = []
    for layer in sweep.layers:
        ordered = layer.by_separability(sweep.purpose)
        ends = {"The most separable": ordered[:_ENDS], "The least": ordered[: -_ENDS - 1 : -1]}
        if len(ordered) >= ENOUGH:
            layers.append((layer.layer, [(end, [*map(told, some)]) for end, some in ends.items()]))
    return Section(
        "pictures",
        "The most and the least separable pictures",
        prose=[
            f"A picture is the more separable, the smaller its {score.phrase}: "
            f"{_WHY[sweep.purpose]} {SWEEP} has that score of every picture."
        ],
        template="sweep_extremes.html",
        values={"layers": layers},
    )


def _vocabulary(sweep: SweepScores, album: Album) -> Section:
    title = "Vocabulary: what recurs from picture to picture"
    if not (album.folder / VOCABULARY).is_file():
        missing = (
            f"There is no {VOCABULARY} beside this page; the same sweep again collects it from "
            "the runs that stand, and fits nothing."
        )
        return Section("vocabulary", title, notes=[missing])
    told = {one.layer: one for one in Vocabulary.read(album.folder).layers}
    words = [word for one in told.values() for word in one.words]
    if any(patch >= sweep.patches for word in words for patch in word.patches):
        raise StorageError(
            f"{album.folder / VOCABULARY} is corrupt: it tells of patches beyond {sweep.patches}"
        )
    layers = []
    for layer in sweep.layers:
        if found := told.get(layer.layer):
            cards = [_word(sweep, album, layer, found, word) for word in found.words]
            layers.append((layer.layer, _held(found), cards[:_MOST_WORDS], cards[_MOST_WORDS:]))
    same = (
        "Fields are the same where they are of the same parts."
        if sweep.regions.get("names")
        else "Fields count as the same where their intersection is at least 0.8 of their union. "
        "Random fields are more ragged than those of a fit, so that compact ones exceed chance "
        "easily."
    )
    return Section(
        "vocabulary",
        title,
        prose=[
            "Which action fields do many pictures have, and which channels of the feature make "
            "them? Told is what is found clearly oftener than by chance."
        ],
        notes=[
            "Of each picture only the strongest components are asked, the fewest that hold 90 % "
            f"of its energy. {same} By chance is in how many pictures such a field would be, if "
            "fields were random connected ones of the same sizes. Channels are those that lead in "
            "the component of the field, the fewest that hold half of its energy; by chance is in "
            "how many pictures they would, if the components of each were shuffled."
        ],
        template="sweep_vocabulary.html",
        values={"layers": layers},
    )


def _held(found: LayerVocabulary) -> str:
    if not found.words:
        return (
            f"In {numerals.count(found.pictures)} pictures, no field is found clearly oftener than "
            "by chance."
        )
    return numerals.unbroken(
        f"{len(found.words)} field{'s' if found.words[1:] else ''}, those that exceed chance the "
        f"most first. Together they hold {numerals.percent(found.held)} of a picture’s energy, "
        f"on average over {numerals.count(found.pictures)} pictures."
    )


def _word(
    sweep: SweepScores, album: Album, layer: LayerScores, found: LayerVocabulary, word: Word
) -> dict[str, Any]:
    names = sweep.regions.get("names")
    title = (
        ", ".join(names[patch] for patch in word.patches)
        if names
        else numerals.patches(len(word.patches))
    )
    seen = next((one for one in layer.pictures if one.seed == word.seed), None)
    by_chance = f"by chance {_some(word.by_chance)}"
    facts = [
        ("pictures", f"{numerals.count(word.pictures)} of {found.pictures}, {by_chance}"),
        ("share of their energy, mean", numerals.percent(word.share)),
        ("channels, those found oftenest", _channels(word)),
    ]
    picture = None
    if seen is not None:
        label = f"Picture {word.seed} with this field outlined: {title}"
        picture = album.picture(seen, label, sweep.regions, *word.patches)
    return {
        "title": title,
        "facts": facts,
        "seed": word.seed,
        "href": seen and seen.report and quote(seen.report),
        "picture": picture,
    }


def _channels(word: Word) -> str:
    def told(one: WordChannel) -> str:
        return f"{one.channel} in {numerals.count(one.pictures)}, by chance {_some(one.by_chance)}"

    if not word.known:
        return "not known: kept by an earlier release"
    lines = [told(one) for one in word.channels[:_MOST_CHANNELS]] or ["none oftener than by chance"]
    if word.known < word.pictures:
        lines.append(f"of {numerals.count(word.known)} pictures whose channels are known")
    return "\n".join(lines)


def _some(pictures: float) -> str:
    return numerals.count(round(pictures)) if pictures >= 10 else f"{pictures:.1f}"
