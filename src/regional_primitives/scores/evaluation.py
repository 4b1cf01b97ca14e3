"""How much of a decomposition is measured, and what the scores share while it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from jaxtyping import Bool
from torch import Tensor

from regional_primitives.axes import Demands
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.demands import held_out_demands
from regional_primitives.picture import Picture
from regional_primitives.runtime.arguments import refuse_too_large
from regional_primitives.runtime.progress import Progress
from regional_primitives.runtime.settings import check_settings
from regional_primitives.scores.alone import Alone, measured_alone


@dataclass(frozen=True)
class Evaluation:
    """How much is measured."""

    demands: int = 64
    """Held-out demands for inside error, leak, cost and visual quality."""
    patterns: int = 1024
    """Components that are generated each by itself, for boundedness and the superposition error. Of
    more than these a sample is drawn by energy, and the superposition error is left out."""
    components: int = 24
    """Strongest components measured in contexts, for boundedness there and consistency."""
    contexts: int = 8
    """Random sets of other components that each is measured in."""
    free_demands: int = 4
    """Held-out demands that are optimised each by itself, for the bounds; 0 leaves it out."""
    free_steps: int = 100
    """Steps of each optimisation: one gated, and those of `free_bounds`."""
    free_bounds: bool = False
    """Whether these demands are also optimised with units of any value, for the free bound and the
    additivity gap; and once more for the entanglement, where the purpose is not `generate`."""
    refits: bool = False
    """Whether to fit the picture three times more, for stability and the frontier."""
    seed: int = 0
    """Random stream of demands and contexts."""

    def __post_init__(self) -> None:
        least = {"demands": 1, "patterns": 1, "components": 1, "contexts": 2, "free_demands": 0}
        check_settings(self, least | {"free_steps": 1})

    def thorough(self) -> Evaluation:
        """Return the same with refits and free bounds, as `--thorough` measures."""
        return replace(self, refits=True, free_bounds=True)

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

    def held_out(self, decomposition: Decomposition) -> Demands:
        """Draw demands that no fit saw, out of the patches that may be demanded."""
        return held_out_demands(
            decomposition.regions, self.demands, self.seed, within=decomposition.patches
        )

    def few(self, demands: Demands) -> Bool[Tensor, "few patches"]:
        """Take those that are optimised each by itself; each leaves something out."""
        return demands[~demands.all(1)][: self.free_demands]


@dataclass(frozen=True, eq=False)
class Measurement:
    """One picture being measured; what several families of scores need is made once."""

    whole: Picture
    """With the remainder, which counts for completeness and superposition only."""
    settings: Evaluation
    progress: Progress

    @cached_property
    def parts(self) -> Picture:
        """The picture without its remainder."""
        components = self.whole.decomposition
        return self.whole.showing(components.without(components.remainder))

    @cached_property
    def demands(self) -> Demands:
        """The held-out demands."""
        return self.settings.held_out(self.parts.decomposition)

    @cached_property
    def alone(self) -> Alone:
        """What components do by themselves, without the remainder."""
        settings = self.settings
        return measured_alone(self.parts, settings.patterns, settings.seed, self.progress)
