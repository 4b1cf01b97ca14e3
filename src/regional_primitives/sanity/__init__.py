"""Would the explanation look the same on nonsense? Checks that should change it, or should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regional_primitives.decompose import Decomposition, Structured
    from regional_primitives.generators.generator import Generator
    from regional_primitives.runtime.progress import Progress
    from regional_primitives.sanity.suite import Sanity


def sanity(
    decomposition: Decomposition,
    generator: Generator,
    settings: Structured | None = None,
    *,
    seed: int = 0,
    progress: Progress | bool | None = False,
) -> Sanity:
    """Check whether an explanation of the structured form changes and stays where it should.

    The picture is explained a dozen times with `settings`: as it is, for reference, and then under
    every check (docs/sanity.md).

    Args:
        decomposition: of `rp.explain`; its picture, regions and purpose are taken.
        generator: that it was made with.
        settings: of all fits; those of quality `fast` for the run's own purpose unless given.
        seed: random stream of what is shuffled and drawn.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: a malformed argument, or components of the exact form or of another method,
            which these fits would say nothing about.
        GeneratorError: another generator.
    """
    from regional_primitives.sanity.suite import check

    return check(decomposition, generator, settings, seed, progress)
