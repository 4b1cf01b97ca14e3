"""The explorer: a page on 127.0.0.1 on which a run's components are asked for, scaled and played.

serving (the address, the server's life), server (what can be asked), guard (who may ask, how much
and for how long), explorer (the runs that are open, the thread that renders, a new explanation),
session (one run and what it answers). The page is show/templates/board/, whose board reports have
too.
"""

from __future__ import annotations

import sys
import time
import webbrowser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regional_primitives.decompose.decomposition import Decomposition
    from regional_primitives.generators.generator import Generator
    from regional_primitives.runtime.arguments import AnyPath
    from regional_primitives.runtime.progress import Progress


def explore(
    run: Decomposition | AnyPath,
    generator: Generator | None = None,
    *,
    others: Sequence[Decomposition | AnyPath] = (),
    port: int = 0,
    show: bool = True,
    progress: Progress | bool | None = False,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve the explorer of a run on 127.0.0.1 until it is interrupted (Ctrl-C).

    The page is reached from this machine only, loads nothing from elsewhere and sends nothing.

    Args:
        run: a run folder, or a decomposition in memory.
        generator: that it was made with; needed where the zoo does not know it.
        others: further runs of that generator and layer, which are open beside it.
        port: of the address; any free one for 0.
        show: open the page in a browser.
        progress: told of what has to be measured first.
        tell: told the page's address; it is printed unless given.

    Raises:
        MissingExtraError: packages that only the explorer needs are not installed.
        StorageError: no run folder, or a corrupt one.
        GeneratorError: a generator that the zoo does not know, or another than the run's.
        InputError: a port that is taken or is none, or something else than a run.
        KeyboardInterrupt: it was interrupted; all is closed by then.
    """
    from regional_primitives.explore.serving import serving

    with serving(run, generator, port, progress, others) as address:
        if tell is not None:
            tell(address)
        else:
            sys.stdout.write(f"{address}\n")
            sys.stdout.flush()
        if show:
            webbrowser.open(address)
        while True:
            time.sleep(1.0)
