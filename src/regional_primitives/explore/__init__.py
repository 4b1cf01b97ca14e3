"""The explorer: a page on 127.0.0.1 on which a run's components are asked for, scaled and played.

serving (the address, the server's life), server (what can be asked), guard (who may ask, how much
and for how long), explorer (the runs that are open, the thread that renders, a new explanation),
session (one run and what it answers). The page is show/templates/board/, whose board reports have
too.
"""

from regional_primitives.explore.serving import explore

__all__ = ["explore"]
