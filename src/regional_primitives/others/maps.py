"""Heat maps as gates: what of the feature lies where a map is high, a word's or an attribution's.

Cross-attention maps of words in the manner of DAAM (Tang et al. 2023), segmentations, saliency: a
map covers the whole picture, and is brought to the feature's sites by antialiased bilinear
interpolation. How it becomes a share of the feature: `gates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.cells import side_of
from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.others.answer import Answer, numbers
from regional_primitives.others.gates import gates
from regional_primitives.runtime.arguments import of_kind, real, whole


@dataclass(frozen=True, eq=False)
class Maps(Answer):
    """Heat maps over the picture, by name or in a stack."""

    maps: Any
    """[K, rows, columns], or {word: [rows, columns]}; of any resolution."""
    normalise: str = "peak"
    """See `gates`."""
    threshold: float | None = None
    """A map's field is the patches where its gate is at least so high on average, or the highest;
    None leaves fields to the one rule, see `fields`."""

    @staticmethod
    def of_attention(
        attention: Mapping[str, Any], words: Mapping[str, int], **settings: Any
    ) -> Maps:
        """Take cross-attention probabilities: a map a word, the mean over heads and layers.

        Args:
            attention: by layer, [heads, places, tokens] of square maps, as diffusers'
                `Attention.get_attention_scores` returns them; or [heads, rows, columns, tokens].
            words: which token each word is.
            settings: others of `Maps`.

        Raises:
            InputError: other shapes, or a token that is not there.
        """
        of_kind(attention, Mapping, "attention is told by layer, {name: probabilities}")
        layers = [_spatial(numbers(one, f"attention of {name}"), name)
                  for name, one in attention.items()]  # fmt: skip
        if not layers or not words:
            raise InputError("attention of one layer and one word is needed at least")
        size = max(tuple(one.shape[:2]) for one in layers)
        tokens = min(one.shape[2] for one in layers)
        found = {}
        for word, token in words.items():
            at = whole(f"the token of {word!r}", token, 0, tokens - 1)
            each = [
                interpolate(one[None, None, :, :, at], size, mode="bilinear", antialias=True)
                for one in layers
            ]
            found[word] = torch.cat(each).mean((0, 1))
        return Maps(found, **settings)

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return what each map's gate lets through of f − f0."""
        maps, difference = self._stack(), subject.difference.cpu()
        found = []
        for layout in Layout.of(subject.feature_shape):
            side = side_of(layout)
            if side == (1, 1):
                raise InputError(
                    "heat maps need a feature with places, [channels, rows, columns] or square "
                    f"tokens; this one has the shape {list(layout.shape)}"
                )
            at_sites = gates(self._resized(maps, side).flatten(1), self.normalise)
            at_sites = at_sites.repeat(1, layout.sites // at_sites.shape[1])
            found.append(layout.flat(at_sites[:, :, None] * layout.by_site(difference)))
        return torch.cat(found, 1)

    def fields(self, subject: Subject) -> Dictionary | None:
        """Return the patches where a map is high, if there is a threshold for it."""
        if self.threshold is None:
            return None
        least = real("threshold", self.threshold, 0, 1)
        height, width = subject.image.shape[-2:]
        at_pixels = gates(self._resized(self._stack(), (height, width)).flatten(1), self.normalise)
        pixels = subject.regions.masks(height, width).flatten(1).float()
        mean = at_pixels @ pixels.T / pixels.sum(1)
        return (mean >= least) | (mean == mean.amax(1, keepdim=True))

    def labels(self) -> tuple[str, ...]:
        """Return the words."""
        return tuple(map(str, self.maps)) if isinstance(self.maps, Mapping) else ()

    def _stack(self) -> Float[Tensor, "maps rows columns"]:
        given = self.maps
        if isinstance(given, Mapping):
            each = [numbers(one, f"the map of {word!r}") for word, one in given.items()]
            if len({one.shape for one in each}) != 1:
                raise InputError("maps of words are [rows, columns], all of one size")
            given = torch.stack(each)
        found = numbers(given, "maps")
        if found.ndim != 3 or not found.numel():
            raise InputError(f"maps are [K, rows, columns], not {list(found.shape)}")
        return found

    @staticmethod
    def _resized(maps: Tensor, size: tuple[int, int]) -> Float[Tensor, "maps rows columns"]:
        return interpolate(maps[:, None], size, mode="bilinear", antialias=True)[:, 0]


def _spatial(scores: Tensor, layer: str) -> Float[Tensor, "rows columns tokens"]:
    """Return the mean over heads, by place."""
    if scores.ndim == 3:
        side = isqrt(scores.shape[1])
        if side * side == scores.shape[1]:
            scores = scores.unflatten(1, (side, side))
    if scores.ndim != 4 or not scores.numel():
        raise InputError(
            f"attention of {layer} is [heads, places, tokens] of square maps or "
            f"[heads, rows, columns, tokens], not {list(scores.shape)}"
        )
    return scores.mean(0)
