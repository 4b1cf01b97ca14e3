"""The scores of a decomposition, one definition each, and how much of them is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError, StorageError
from regional_primitives.runtime.memory import refuse_too_large
from regional_primitives.runtime.paths import AnyPath, path_of
from regional_primitives.runtime.rich_display import RichResult
from regional_primitives.runtime.settings import check_settings
from regional_primitives.runtime.storage import (
    AtLeastZero,
    Count,
    Real,
    read_json,
    typed,
    write_json,
)

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

    def afford(self, decomposition: Decomposition) -> None:
        """Refuse to measure more at once than memory holds; told before anything is measured.

        Raises:
            InputError: so it is.
        """
        item = 4 * (3 * decomposition.unit_count + 4 * decomposition.image.numel())
        for name, count, each in (
            ("demands", self.demands, item + 8 * decomposition.count),
            ("contexts", 2 * self.contexts, item + 8 * decomposition.count),
        ):
            refuse_too_large(f"{name}={getattr(self, name):,}", count * each, f"lower {name}")


@dataclass(frozen=True)
class Scores(RichResult):
    """Scores of one decomposition. Shares are in [0, 1]; a score that was not measured is None."""

    inside_error: Real
    leak: Real
    cost: Real
    completeness_gap: Real
    additivity_gap: Real | None
    """Objective of u(S) minus that of the freely optimised u*(S), over the objective at f0."""
    structured_inside_error: Real | None
    """Inside error of u(S) on the demands that were also optimised freely."""
    structured_leak: Real | None
    free_demands: Count
    """How many demands those are."""
    free_inside_error: Real | None
    """Inside error of u*(S) on those demands: the bound."""
    free_leak: Real | None
    free_cost: Real | None
    boundedness: Real
    boundedness_in_context: Real
    consistency: Real
    inconsistency: Real
    superposition_error: Real
    n50: Count
    n90: Count
    n95: Count
    components: Count
    """K."""
    overlap: Real
    """Strength-weighted mean IoU of pairs of action fields."""
    field_sizes: dict[Count, AtLeastZero]
    """Share of Σ‖Δf_k‖² by the number of patches in the field."""
    top_inside_error: dict[Count, AtLeastZero]
    """Inside error on the held-out demands when only the K strongest components are kept."""
    stability: Real | None
    """Σ min / Σ max of the fields' strengths in two fits with different random streams."""
    unit_stability: Real | None
    """The same over single units of each component."""
    frontier: list[dict[str, Real]] | None
    """Inside error and leak as the price of leak varies: outside_weight, inside_error, leak."""
    psnr: Real | None
    """Peak signal-to-noise ratio in decibels over the demanded patches, mean over demands."""
    ssim: Real | None
    """Structural similarity over the demanded patches, mean over demands."""
    evaluations: Count
    """Forward-and-backward evaluations of the tail that the fit took."""
    overhead_ratio: Real
    inside_error_spread: Real
    """Standard deviation over demands."""
    leak_spread: Real
    demands: Count
    measured_components: Count
    measured_share: Real
    """Share of Σ‖Δf_k‖² in the components that were measured in contexts."""

    def to_dict(self) -> dict[str, Any]:
        """Return the scores by name, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def write(self, folder: AnyPath) -> None:
        """Write scores.json into an existing run folder."""
        write_json(path_of(folder, "the run folder") / SCORES, self.to_dict())

    @staticmethod
    def read(folder: AnyPath) -> Scores:
        """Read what `write` wrote.

        Raises:
            StorageError: missing, corrupt, or of another release.
        """
        path = path_of(folder, "the run folder") / SCORES
        content = read_json(path)
        try:
            return Scores.from_dict(content)
        except InputError as error:
            raise StorageError(f"{path} is corrupt: {error}") from error

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Scores:
        """Undo `to_dict`, also after JSON has turned the keys of tables into text.

        Raises:
            InputError: names are missing or unknown, or values that no score has.
        """
        known = {field.name for field in fields(Scores)}
        if set(content) != known:
            odd = ", ".join(map(repr, sorted(set(content) ^ known)))[:500]
            raise InputError(f"these are not the scores of this release; they differ in: {odd}")
        try:
            scores = typed(dict(content), Scores)
        except ValueError as error:
            raise InputError(str(error)) from error
        if not sum(scores.field_sizes.values()) > 0:
            raise InputError("field_sizes share out nothing")
        if not all(point.keys() == _POINT for point in scores.frontier or ()):
            raise InputError(f"every point of frontier tells {', '.join(sorted(_POINT))}")
        return scores


_POINT = {"outside_weight", "inside_error", "leak"}
