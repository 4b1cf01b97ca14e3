"""The runs that are open in one explorer, and what happens to them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import Purpose
from regional_primitives.explore.explanations import Explanations, Wish, choices
from regional_primitives.explore.renderer import Renderer
from regional_primitives.explore.session import Session, open_session
from regional_primitives.generators.generator import Generator
from regional_primitives.runs import folder as runs
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of
from regional_primitives.runtime.progress import Progress, reporting

__all__ = ["Explorer"]


class Explorer:
    """Open runs by name, one renderer for all, and the explanation at work."""

    def __init__(self, session: Session) -> None:
        self._sessions = {session.name: session}
        self._lock = threading.Lock()
        self.first = session.name
        self.renderer = Renderer()
        self.explanations = Explanations(self._open_folder)

    @staticmethod
    def of(
        run: Decomposition | AnyPath,
        generator: Generator | None = None,
        progress: Progress | bool | None = False,
    ) -> Explorer:
        """Open a run folder, or a decomposition in memory.

        Args:
            run: the folder, or the decomposition.
            generator: that it was made with; for generators of the zoo it is found.
            progress: told of what has to be measured first.

        Raises:
            StorageError: no run folder, or a corrupt one.
            GeneratorError: a generator that the zoo does not know, or another than the run's.
            InputError: something else than a run.
        """
        folder = None
        if isinstance(run, (str, bytes, os.PathLike)):
            folder = path_of(run, "the run folder")
            run = Decomposition.load(folder)
        of_kind(run, Decomposition, "a run folder or a decomposition is explored")
        if generator is None:
            generator = runs.generator_of(run)
        with reporting(progress) as report:
            return Explorer(open_session(run, generator, folder, report))

    def session(self, name: str) -> Session | None:
        """Return the open run of that name, or None."""
        with self._lock:
            return self._sessions.get(name)

    def listing(self) -> dict[str, Any]:
        """Return the open runs, and the explanation at work."""
        with self._lock:
            sessions = list(self._sessions.values())
        return {
            "first": self.first,
            "runs": [{"name": session.name, "title": session.title} for session in sessions],
            "explanation": self.explanations.status(),
        }

    def explain(
        self, session: Session, seed: int, layer: str, quality: str, purpose: Purpose
    ) -> None:
        """Begin a new explanation beside a run; raises what `Explanations.start` raises."""
        parent = Path("runs") if session.folder is None else session.folder.absolute().parent
        self.explanations.start(Wish(session.decomposition, seed, layer, quality, purpose, parent))

    def describe(self, session: Session) -> dict[str, Any]:
        """Return what the page shows of a run."""
        return {**session.describe(), "explain": choices(session.decomposition)}

    def close(self) -> None:
        """End the renderer, and cancel the explanation at work."""
        self.explanations.close()
        self.renderer.close()

    def _open_folder(self, folder: Path) -> str:
        decomposition = Decomposition.load(folder)
        session = open_session(decomposition, runs.generator_of(decomposition), folder)
        with self._lock:
            return self._sessions.setdefault(session.name, session).name
