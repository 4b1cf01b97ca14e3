"""The vocabulary of a generator: action fields that recur over pictures, and what makes them; ours.

At one layer, in a picture only its strongest components have a say, the fewest that hold 90 % of
Σ‖Δf_k‖² over all that act on a patch. A word is one action field, and a component belongs to the
first word whose field is nearly its own: intersection over union of at least 0.8, in patches; where
patches have names, the same. Candidates are the fields of most pictures, then of most energy, each
that belongs to none before it, up to 256. In a picture, a word is made by the strongest component
that belongs to it.

By chance: pictures with random connected fields of the same sizes each (see
`transfer.random_alike`); there are R of them, one a picture but at least 256 and at most 512. Of
the channels that lead in a component (see `channels.leading`; at most 16), by chance: those of the
same picture's components shuffled among these, which is worked out and not drawn. A candidate is a
word, and a channel is told, if it is found in more of N pictures than by chance by over
4 √(v + 1), where v = c (1 − c / N) (1 + N / R) is the variance of what chance finds in c of them,
and in what is drawn (R is infinite for channels); the 1 keeps rare ones out. Fits prefer compact
fields, and random ones are ragged: where fields are squares, some of the excess is only that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.axes import Fields
from regional_primitives.compare.kept import Kept
from regional_primitives.compare.transfer import random_alike
from regional_primitives.errors import StorageError
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.storage import (
    AtLeastZero,
    Count,
    check_version,
    read_as,
    typed,
    write_json,
)
from regional_primitives.scores.sweep_scores import ENOUGH, LayerScores, SweepScores

VOCABULARY = "vocabulary.json"
SCHEMA_VERSION = 1
_NEARLY = 0.8
_CANDIDATES = 256
_LEAST_RANDOM, _MOST_RANDOM = 256, 512
_SURE = 4.0
_MOST_WORDS = 24
_MOST_CHANNELS = 5


@dataclass(frozen=True)
class WordChannel:
    """A channel that leads in the components that make a word."""

    channel: Count
    """Its number; of features that are vectors or several tensors, one after the other."""
    pictures: Count
    """In how many pictures it leads there."""
    by_chance: AtLeastZero
    """In how many it would, if each picture's components were shuffled."""


@dataclass(frozen=True)
class Word:
    """An action field that recurs."""

    patches: tuple[Count, ...]
    pictures: Count
    """How many have it, or one that is nearly the same."""
    by_chance: AtLeastZero
    """How many pictures with random connected fields would."""
    share: AtLeastZero
    """Which share of Σ‖Δf_k‖² its component holds, mean over the pictures that have it."""
    known: Count
    """Of how many of these the channels are known."""
    channels: tuple[WordChannel, ...]
    """Those found the most oftener than by chance; at most 5."""
    seed: Count
    """Of the picture in which it holds the largest share."""


@dataclass(frozen=True)
class LayerVocabulary:
    """What recurs at one layer."""

    layer: str
    pictures: Count
    random_pictures: Count
    held: AtLeastZero
    """Which share of a picture's Σ‖Δf_k‖² is in components that belong to these words, mean."""
    words: tuple[Word, ...]
    """Those found the most oftener than by chance first; at most 24."""


@dataclass(frozen=True)
class Vocabulary:
    """What recurs over the pictures of a sweep, by layer; what vocabulary.json holds."""

    layers: tuple[LayerVocabulary, ...]

    def write(self, folder: AnyPath) -> None:
        """Write vocabulary.json into an existing folder."""
        content = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        write_json(path_of(folder, "the sweep's folder") / VOCABULARY, content)

    @staticmethod
    def read(folder: AnyPath) -> Vocabulary:
        """Read what `write` wrote.

        Raises:
            StorageError: missing, as where a sweep has fewer than 8 pictures, or corrupt.
        """
        file = path_of(folder, "the sweep's folder") / VOCABULARY

        def made(content: dict[str, Any]) -> Vocabulary:
            check_version(file, content, SCHEMA_VERSION)
            del content["schema_version"]
            vocabulary: Vocabulary = typed(content, Vocabulary)
            return vocabulary

        return read_as(file, made)


def write_vocabulary(
    folder: Path, sweep: SweepScores, regions: Regions, progress: Progress = silent
) -> None:
    """Collect what recurs in a sweep's run folders, read one after another, as vocabulary.json.

    Of fewer than 8 pictures nothing recurs: an older file goes.

    Raises:
        StorageError: a run is missing or corrupt, or the disk refuses.
    """
    if len(sweep.seeds) < ENOUGH:
        (folder / VOCABULARY).unlink(missing_ok=True)
        return
    layers = (_layer(folder, layer, regions, progress) for layer in sweep.layers)
    Vocabulary(tuple(layers)).write(folder)


@dataclass(frozen=True, eq=False)
class _Said:
    """What one picture says; fields as bits, since all pictures' are held at once."""

    seed: int
    fields: np.ndarray
    """uint8 [strongest, ⌈patches / 8⌉]."""
    shares: Float[Tensor, " strongest"]
    channels: Int[Tensor, "strongest most"]
    drawn: tuple[np.ndarray, ...]
    """Random fields of the same sizes, once a draw."""


class _Candidates:
    """Fields that may be words, and which of them a field belongs to."""

    def __init__(self, said: Iterable[_Said], regions: Regions) -> None:
        self._patches = regions.count
        self._nearly = _NEARLY if regions.given_names is None else 1.0
        found: dict[bytes, tuple[int, float]] = {}
        for one in said:
            for row, share in zip(one.fields, one.shares.tolist(), strict=True):
                count, energy = found.get(row.tobytes(), (0, 0.0))
                found[row.tobytes()] = (count + 1, energy + share)
        keys = sorted(found, key=lambda key: (-found[key][0], -found[key][1], key))
        rows = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)
        fields, left = self.unpacked(rows), torch.ones(len(keys), dtype=torch.bool)
        chosen: list[int] = []
        while len(chosen) < _CANDIDATES and bool(left.any()):
            chosen.append(int(left.nonzero()[0]))
            left &= ~self._near(fields, fields[chosen[-1:]])[:, 0]
            left[chosen[-1]] = False
        self.fields = fields[chosen]

    def unpacked(self, rows: np.ndarray) -> Fields:
        """Return fields that `_packed` made bits of."""
        return torch.from_numpy(np.unpackbits(rows, axis=1, count=self._patches).astype(bool))

    def of(self, rows: np.ndarray) -> Int[Tensor, " fields"]:
        """Return which candidate each field belongs to, −1 for none."""
        near = self._near(self.unpacked(rows), self.fields)
        return torch.where(near.any(1), near.int().argmax(1), torch.tensor(-1))

    def occurrences(self, belong: Iterable[Int[Tensor, " _"]]) -> Float[Tensor, " candidates"]:
        """Count the pictures that have each candidate, given what the fields of each belong to."""
        found = torch.zeros(len(self.fields))
        for own in belong:
            found[own[own >= 0].unique()] += 1
        return found

    def _near(
        self, fields: Bool[Tensor, "some patches"], others: Bool[Tensor, "others patches"]
    ) -> Bool[Tensor, "some others"]:
        both = fields.float() @ others.float().T
        either = fields.sum(1)[:, None] + others.sum(1) - both
        return both >= self._nearly * either - 1e-6


def _layer(
    folder: Path, layer: LayerScores, regions: Regions, progress: Progress
) -> LayerVocabulary:
    count = len(layer.pictures)
    draws, every = math.ceil(_LEAST_RANDOM / count), math.ceil(count / _MOST_RANDOM)
    said = []
    for place, picture in enumerate(layer.pictures):
        times = draws if place % every == 0 else 0
        run = folder / picture.run
        said.append(of_picture(picture.seed, Kept.read(run), layer.units, regions, times))
        progress("vocabulary", place + 1, count, layer.layer)
    candidates = _Candidates(said, regions)
    belong = [candidates.of(one.fields) for one in said]
    drawn = [candidates.of(rows) for one in said for rows in one.drawn]
    pictures = candidates.occurrences(belong)
    chance = candidates.occurrences(drawn) * count / max(len(drawn), 1)
    words = _oftener(pictures, chance, count, max(len(drawn), 1))[:_MOST_WORDS]
    held = [float(one.shares[torch.isin(own, words)].sum())
            for one, own in zip(said, belong, strict=True)]  # fmt: skip
    return LayerVocabulary(
        layer.layer,
        pictures=count,
        random_pictures=len(drawn),
        held=sum(held) / count,
        words=tuple(
            _word(candidates.fields[word], float(chance[word]), said,
                  [(own == word).nonzero().flatten().tolist()[:1] for own in belong])
            for word in words.tolist()
        ),
    )  # fmt: skip


def of_picture(seed: int, kept: Kept, units: int, regions: Regions, draws: int) -> _Said:
    """Return what a picture says, and so many random ones like it.

    Raises:
        StorageError: other patches than these, or a channel beyond so many units.
    """
    fields, channels = kept.fields[kept.strongest], kept.channels
    if fields.shape[1] != regions.count or int(channels.max() if channels.numel() else 0) >= units:
        raise StorageError(
            f"picture {seed} is of other patches or of another feature than its sweep tells"
        )
    alike = random_alike([fields], regions, draws, seed) if len(fields) else ()
    drawn = tuple(_packed(connected) for (connected,), _ in alike)
    return _Said(seed, _packed(fields), kept.shares, channels, drawn)


def _packed(fields: Fields) -> np.ndarray:
    return np.packbits(fields.numpy(), axis=1)


def _oftener(
    found: Tensor, chance: Tensor, pictures: int, drawn: int | None = None
) -> Int[Tensor, " some"]:
    """List what is found oftener than by chance, what exceeds it the most first."""
    excess = found - chance
    variance = chance * (1 - chance / pictures).clamp_min(0)
    if drawn is not None:  # what is drawn varies too
        variance *= 1 + pictures / drawn
    order = excess.argsort(descending=True, stable=True)
    return order[(excess > _SURE * (variance + 1).sqrt())[order]]


def _word(field: Tensor, by_chance: float, said: list[_Said], made_by: list[list[int]]) -> Word:
    """Tell of a word that in each picture is made by one of its components, or by none."""
    having = [(one, k) for one, own in zip(said, made_by, strict=True) for k in own]
    shares = [float(one.shares[k]) for one, k in having]
    known = [(one.channels, k) for one, k in having if one.channels.shape[1]]
    count = 1 + max((int(channels.max()) for channels, _ in known), default=-1)
    pictures, chance = torch.zeros(count), torch.zeros(count)
    for channels, k in known:
        pictures[channels[k][channels[k] >= 0].long()] += 1
        every = channels[channels >= 0].long()
        chance += torch.bincount(every, minlength=count) / len(channels)
    told = _oftener(pictures, chance, max(len(known), 1))[:_MOST_CHANNELS]
    return Word(
        patches=tuple(field.nonzero().flatten().tolist()),
        pictures=len(having),
        by_chance=by_chance,
        share=sum(shares) / len(shares),
        known=len(known),
        channels=tuple(
            WordChannel(c, int(pictures[c]), float(chance[c])) for c in told.tolist()
        ),
        seed=having[max(range(len(shares)), key=shares.__getitem__)][0].seed,
    )  # fmt: skip
