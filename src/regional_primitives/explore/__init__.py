"""The explorer: a page on 127.0.0.1 on which a run's components are asked for, scaled and played.

serving (the address, the server's life), server (what can be asked), guard (who may ask), requests
(what a question must look like), explorer (the runs that are open), session (one run and what it
answers), renderer (one thread, newest question first), explanations (a new picture, with progress)
and page/ (the front end: plain HTML, CSS and modules, no build step).
"""

from regional_primitives.explore.serving import explore

__all__ = ["explore"]
