"""What a fit will take, told before it starts: evaluations, time and memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.structured.shares import bytes_of_shares
from regional_primitives.generators.cut_points import CutPoint
from regional_primitives.generators.feature import unit_count
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.precision import full_precision
from regional_primitives.runtime.arguments import of_kind, whole
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.settings import settings_or
from regional_primitives.runtime.streams import stream

_BACKWARD = 1.0
"""What a backward pass to the feature takes, in forward passes: 0.4 to 1.1 on one thread, at three
layers of `faces` and one of `terrain`; weights get no gradient here."""
_FEATURES = 3
"""Copies of a step's features that are at work: they, their slopes, and one between."""


@dataclass(frozen=True)
class Forecast:
    """What a structured fit of one picture takes at most, beside the network itself."""

    evaluations: int
    """Forward-and-backward evaluations of the tail; fewer where the fit converges before."""
    seconds: float
    """Of them all, at the pace of the one batch that was timed. Shares, which a large feature has
    many of, take time besides."""
    bytes: int
    """Memory: values within the tail, of as many pictures as go through it at once, and shares."""
    chunk: int
    """How many pictures go through the tail at once."""

    def __str__(self) -> str:
        """Tell it in words."""
        return f"{self.in_short}, {self.evaluations:,} evaluations"

    @property
    def in_short(self) -> str:
        """Time and memory in words."""
        time = f"{self.seconds / 60:.0f} min" if self.seconds >= 120 else f"{self.seconds:.0f} s"
        size = f"{self.bytes / 2**30:.1f} GiB" if self.bytes > 2**29 else f"{self.bytes >> 20} MiB"
        return f"{time}, {size}"


@ordinary()
@full_precision()
def forecast(
    place: Generator | CutPoint, settings: Structured | None = None, *, patches: int = 36
) -> Forecast:
    """Forecast what the structured fit of one picture takes on this machine.

    Args:
        place: a generator that is bound to a picture (`generator.at(latents)`), whose tail is run
            for it once on one item and once on a step's; or an entry of `rp.layers`, which was
            timed as the network ran.
        settings: `rp.Structured()` unless given.
        patches: how many regions there are.

    Raises:
        InputError: a malformed argument.
        GeneratorError: a generator whose tail depends on a picture, bound to none.
    """
    of_kind(place, (Generator, CutPoint), "a forecast is of a generator or an entry of rp.layers")
    settings = settings_or(settings, (Structured,), Structured())
    patches = whole("patches", patches, 1)
    a_step = settings.batch + 2 * settings.trials
    evaluations = patches * settings.probes_a_patch(patches) + settings.steps * a_step
    together = min(place.chunk, a_step)
    if isinstance(place, CutPoint):
        pace = place.seconds_per_item * (1 + _BACKWARD)
    else:
        pace = _pace(place, together)
    return Forecast(
        evaluations=evaluations,
        seconds=evaluations * pace,
        bytes=bytes_of_fit(place, settings, patches),
        chunk=together,
    )


def bytes_of_fit(place: Generator | CutPoint, settings: Structured, patches: int) -> int:
    """Estimate the memory that a fit takes beside the network; `place` as in `forecast`."""
    units, a_step = unit_count(place.feature_shape), settings.batch + 2 * settings.trials
    within_tail = min(place.chunk, a_step) * place.bytes_per_item
    features = 4 * _FEATURES * a_step * units
    return within_tail + features + bytes_of_shares(units, patches, settings)


def _pace(generator: Generator, count: int) -> float:
    """Time an evaluation as one of a batch."""
    units = unit_count(generator.feature_shape)
    features = torch.randn(count, units, generator=stream(0, "forecast")).to(generator.device)
    for some in (features[:1], features):  # what runs first prepares itself
        timed = Evaluations(generator)
        timed.pulled_back(some, lambda images: (torch.ones_like(images), None))
    return timed.seconds / timed.count
