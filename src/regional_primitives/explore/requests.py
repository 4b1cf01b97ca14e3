"""What the page may ask for: every field named, typed and bounded; anything else is refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from regional_primitives.decompose.purpose import Purpose

__all__ = [
    "MOST_SCALE",
    "All",
    "Base",
    "Demand",
    "Explain",
    "First",
    "Nothing",
    "Number",
    "PictureRequest",
    "State",
]

MOST_SCALE = 10.0
"""Scales run from −MOST_SCALE to MOST_SCALE; farther out a picture tells nothing more."""

Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,6})$")]
"""A component in text. It has one spelling, so that two keys are two components."""
_Scale = Annotated[float, Field(ge=-MOST_SCALE, le=MOST_SCALE, allow_inf_nan=False)]
_Index = Annotated[int, Field(ge=0, le=9_999_999)]


class _Asked(BaseModel):
    """Strict: no field that is not known, no text for a number, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class All(_Asked):
    """Every component that the state does not name is on."""

    kind: Literal["all"]


class Nothing(_Asked):
    """… is off."""

    kind: Literal["none"]


class Demand(_Asked):
    """… is on where its field meets these patches: u(S)."""

    kind: Literal["demand"]
    patches: Annotated[list[_Index], Field(min_length=1, max_length=100_000)]


class First(_Asked):
    """… is on where it is among the first of a ranking."""

    kind: Literal["first"]
    order: Literal["strength", "visible"]
    count: _Index


Base = Annotated[All | Nothing | Demand | First, Field(discriminator="kind")]
"""Which components are on, but for those that a state names."""


class State(_Asked):
    """What the page is set to: a base, and components that are scaled in spite of it."""

    base: Base
    scales: Annotated[dict[Number, _Scale], Field(max_length=100_000)]
    """Scales by component number, as text, since JSON knows no other key."""


class PictureRequest(_Asked):
    """A question for the picture of a state."""

    state: State
    page: Annotated[str, Field(pattern=r"^[0-9a-f-]{8,40}$")]
    """Names the asking page: its newer question drops an older one that still waits."""


class Explain(_Asked):
    """A question for a new explanation by the same generator."""

    run: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    """The run whose generator, patches and kind of settings it shares."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    layer: Annotated[str, Field(min_length=1, max_length=200)]
    quality: Annotated[str, Field(max_length=20)]
    purpose: Purpose
