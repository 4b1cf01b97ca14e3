"""Two questions that a decomposition may answer, and the settings that each of them decides.

`generate`: what generates S, the paper's minimal features (arXiv 2410.04421), whatever else comes
along. `isolate`: what can be changed in S alone, with the least change elsewhere, for edits. The
second question is ours, and so are all figures here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Purpose = Literal["generate", "isolate"]

QUESTIONS: dict[Purpose, str] = {
    "generate": "What generates S?",
    "isolate": "What can be changed in S alone?",
}
"""Each purpose in words; S are the patches that are asked for."""

GENERATING: dict[str, float] = {"outside_weight": 0.0, "cost_weight": 0.005, "error_floor": 0.1}
"""The objective of `generate` in both routes: leak has no price, the departure one that falls."""

BY_PURPOSE: Any = None
"""The default of a setting that the purpose decides."""


def decide(settings: object, purpose: object, defaults: Mapping[str, Mapping[str, Any]]) -> None:
    """Fill in what a frozen dataclass of settings leaves to its purpose: `defaults[purpose]`.

    A purpose that is nonsense is told by whoever checks the settings.
    """
    for name, value in (defaults[purpose] if purpose in list(defaults) else {}).items():
        if getattr(settings, name) is BY_PURPOSE:
            object.__setattr__(settings, name, value)


def varied_price(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Name the setting that a frontier varies, and what it prices, in words."""
    if settings.get("outside_weight", 0.1) > 0:
        return "outside_weight", "leak"
    return "cost_weight", "the departure"
