"""The regional patterns of chosen components: read from a run folder's exhibits, else generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import GeneratorError
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.run_files import EXHIBITS
from regional_primitives.scores.components import component_patterns
from regional_primitives.scores.exhibits import Exhibits

__all__ = ["Patterns", "patterns_of"]


@dataclass(frozen=True, eq=False)
class Patterns:
    """Δx_k = G(f0 + Δf_k) − G(f0) of some components of one picture."""

    changes: Mapping[int, Float[Tensor, "channels height width"]]
    """By component."""
    kept: frozenset[int]
    """Those that the run folder held; the others were generated."""
    missing: str
    """Why some are not there; empty where all are."""


def patterns_of(
    decomposition: Decomposition,
    components: Sequence[int],
    folder: Path | None,
    generator: Callable[[], Generator],
) -> Patterns:
    """Get the patterns of these components.

    Args:
        decomposition: whose components they are.
        components: their numbers.
        folder: the run folder that may hold some; None for none.
        generator: loads the one that the decomposition was made with; only called if it is needed.

    Raises:
        StorageError: the folder's exhibits are corrupt, or those of another run.
    """
    changes: dict[int, Tensor] = {}
    if folder is not None and (folder / EXHIBITS).is_file():
        exhibits = Exhibits.read(folder, decomposition)
        held = dict(zip(exhibits.shown.tolist(), exhibits.patterns, strict=True))
        changes = {k: held[k] for k in components if k in held}
    kept = frozenset(changes)
    wanted = [k for k in dict.fromkeys(components) if k not in changes]
    missing = ""
    if wanted:
        try:
            bound = generator().at(decomposition.latents)
        except GeneratorError as error:
            missing = str(error)
        else:
            found = component_patterns(decomposition, bound, wanted)
            changes |= dict(zip(wanted, found, strict=True))
    return Patterns(changes, kept, missing)
