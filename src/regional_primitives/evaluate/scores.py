"""The scores of a decomposition, one definition each, and how much of them is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from regional_primitives.errors import InputError, StorageError
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.settings import check_settings
from regional_primitives.runtime.storage import read_json, write_json

__all__ = ["SCORES", "Evaluation", "Scores"]

SCORES = "scores.json"


@dataclass(frozen=True)
class Evaluation:
    """How much is measured."""

    demands: int = 128
    """Held-out demands for inside error, leak, cost and visual quality."""
    components: int = 40
    """Strongest components measured in contexts, for boundedness there and consistency."""
    contexts: int = 16
    """Random sets of other components that each is measured in."""
    free_demands: int = 16
    """Held-out demands optimised freely, for the additivity gap; 0 leaves it out."""
    free_steps: int = 100
    """Optimisation steps of each."""
    refits: bool = False
    """Whether to fit the picture three times more, for stability and the frontier."""
    seed: int = 0
    """Random stream of demands and contexts."""

    def __post_init__(self) -> None:
        least = {"demands": 1, "components": 1, "contexts": 2, "free_demands": 0, "free_steps": 1}
        check_settings(self, least)


@dataclass(frozen=True)
class Scores(RichResult):
    """Scores of one decomposition. Shares are in [0, 1]; a score that was not measured is None."""

    inside_error: float
    leak: float
    cost: float
    completeness_gap: float
    additivity_gap: float | None
    """Objective of u(S) minus that of the freely optimised u*(S), over the objective at f0."""
    structured_inside_error: float | None
    """Inside error of u(S) on the demands that were also optimised freely."""
    structured_leak: float | None
    free_demands: int
    """How many demands those are."""
    free_inside_error: float | None
    """Inside error of u*(S) on those demands: the bound."""
    free_leak: float | None
    free_cost: float | None
    boundedness: float
    boundedness_in_context: float
    consistency: float
    inconsistency: float
    superposition_error: float
    n50: int
    n90: int
    n95: int
    components: int
    """K."""
    overlap: float
    """Strength-weighted mean IoU of pairs of action fields."""
    field_sizes: dict[int, float]
    """Share of Σ‖Δf_k‖² by the number of patches in the field."""
    top_inside_error: dict[int, float]
    """Inside error on the held-out demands when only the K strongest components are kept."""
    stability: float | None
    """Σ min / Σ max of the fields' strengths in two fits with different random streams."""
    unit_stability: float | None
    """The same over single units of each component."""
    frontier: list[dict[str, float]] | None
    """Inside error and leak as the price of leak varies: outside_weight, inside_error, leak."""
    psnr: float | None
    """Peak signal-to-noise ratio in decibels over the demanded patches, mean over demands."""
    ssim: float | None
    """Structural similarity over the demanded patches, mean over demands."""
    evaluations: int
    """Forward-and-backward evaluations of the tail that the fit took."""
    overhead_ratio: float
    inside_error_spread: float
    """Standard deviation over demands."""
    leak_spread: float
    demands: int
    measured_components: int
    measured_share: float
    """Share of Σ‖Δf_k‖² in the components that were measured in contexts."""

    def to_dict(self) -> dict[str, Any]:
        """Return the scores by name, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def write(self, folder: Path) -> None:
        """Write scores.json into an existing run folder."""
        write_json(folder / SCORES, self.to_dict())

    @staticmethod
    def read(folder: Path) -> Scores:
        """Read what `write` wrote.

        Raises:
            StorageError: missing, corrupt, or of another release.
        """
        content = read_json(folder / SCORES)
        try:
            _refuse_no_numbers(content)
            return Scores.from_dict(content)
        except InputError as error:
            raise StorageError(f"{folder / SCORES}: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StorageError(f"{folder / SCORES} is corrupt: {error}") from error

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Scores:
        """Undo `to_dict`, also after JSON has turned the keys of tables into text.

        Raises:
            InputError: names are missing or unknown.
        """
        known = {field.name for field in fields(Scores)}
        if set(content) != known:
            odd = ", ".join(sorted(set(content) ^ known))
            raise InputError(f"these are not the scores of this release; they differ in: {odd}")
        tables = {
            name: {int(key): value for key, value in content[name].items()}
            for name in ("field_sizes", "top_inside_error")
        }
        return Scores(**{**content, **tables})


def _refuse_no_numbers(content: Mapping[str, Any]) -> None:
    for name, value in content.items():
        tables = value if isinstance(value, list) else [value]
        numbers = [v for one in tables for v in (one.values() if isinstance(one, dict) else [one])]
        if not numbers or not all(v is None or isinstance(v, (int, float)) for v in numbers):
            raise ValueError(f"{name} is {value!r}, not a number or a table of numbers")
