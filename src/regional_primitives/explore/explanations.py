"""A new explanation asked for from the page: one at a time, with progress; it can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import QUESTIONS, Purpose
from regional_primitives.decompose.structured import QUALITIES, Structured
from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.generators import ZOO, load_recorded
from regional_primitives.runs import folder as runs
from regional_primitives.scores import Evaluation

__all__ = ["Explanations", "Wish", "choices"]


@dataclass(frozen=True)
class Wish:
    """Which picture of which generator is to be explained, and where the run goes."""

    like: Decomposition
    """Shares generator, options and patches."""
    seed: int
    layer: str
    quality: str
    purpose: Purpose
    parent: Path
    """The folder that the run folder is made in."""

    @property
    def folder(self) -> Path:
        """The run folder, named as `primitives explain` names it."""
        origin = self.like.provenance
        named = runs.default_folder(
            origin.generator, self.layer, self.seed, self.purpose, self.quality
        )
        return self.parent / named.name


@dataclass
class _Job:
    number: int
    title: str
    cancelled: threading.Event = field(default_factory=threading.Event)
    state: str = "running"
    stage: str = ""
    done: int = 0
    total: int = 1
    note: str = ""
    error: str = ""
    run: str | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None


class _CancelledError(Exception):
    pass


class Explanations:
    """At most one explanation at work, in a thread of its own."""

    def __init__(self, opened: Callable[[Path], str]) -> None:
        """Take what opens a finished run folder and returns the run's name."""
        self._opened = opened
        self._lock = threading.Lock()
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None

    def start(self, wish: Wish) -> None:
        """Begin; the run folder appears whole or not at all.

        Raises:
            InputError: the generator, layer or quality cannot be had, or another explanation is
                at work.
        """
        offered = choices(wish.like)
        if not offered["can"]:
            raise InputError(offered["why"])
        for what, value, allowed in (
            ("layer", wish.layer, offered["layers"]),
            ("quality", wish.quality, offered["qualities"]),
        ):
            if value not in allowed:
                raise InputError(f"{what} {value[:60]!r} is none of: {', '.join(allowed)}")
        with self._lock:
            if self._job is not None and self._job.state == "running":
                raise InputError("another explanation is at work; cancel it or wait for its end")
            number = 1 if self._job is None else self._job.number + 1
            title = f"{wish.like.provenance.generator}, layer {wish.layer}, picture {wish.seed}"
            job = self._job = _Job(number, title)
            self._thread = threading.Thread(
                target=self._run, args=(job, wish), name="explanation", daemon=True
            )
            self._thread.start()

    def cancel(self) -> None:
        """Ask the one at work to end; nothing is left of it."""
        with self._lock:
            if self._job is not None:
                self._job.cancelled.set()

    def close(self) -> None:
        """Cancel, and wait until what was begun is cleared away."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(timeout=20)

    def status(self) -> dict[str, Any] | None:
        """Return how far the last one is; None where none was begun."""
        job = self._job
        if job is None:
            return None
        seconds = (job.ended or time.monotonic()) - job.began
        names = ("number", "title", "state", "stage", "done", "total", "note", "error", "run")
        return {**{name: getattr(job, name) for name in names}, "seconds": round(seconds, 1)}

    def _run(self, job: _Job, wish: Wish) -> None:
        def progress(stage: str, done: int, total: int, note: str = "") -> None:
            if job.cancelled.is_set():
                raise _CancelledError
            job.stage, job.done, job.total, job.note = stage, done, total, note

        try:
            progress("loading", 0, 1)
            origin = wish.like.provenance
            # A network of its own: the page's pictures go on through the other one meanwhile.
            generator = load_recorded(origin.generator, wish.layer, origin.options)
            runs.explain_to_folder(
                generator,
                wish.seed,
                wish.folder,
                regions=wish.like.regions,
                settings=Structured.of_quality(wish.quality, wish.purpose),
                evaluation=Evaluation(),
                progress=progress,
            )
            progress("opening", 0, 1)
            job.run = self._opened(wish.folder)
            job.state = "done"
        except _CancelledError:
            job.state = "cancelled"
        except RegionalPrimitivesError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:  # a bug ends this explanation, not the server
            job.state, job.error = "failed", f"{type(error).__name__}: {error}"
        finally:
            job.ended = time.monotonic()


def choices(decomposition: Decomposition) -> dict[str, Any]:
    """Tell what a new explanation may be asked for, or why there can be none."""
    origin = decomposition.provenance
    nothing: dict[str, Any] = {"can": False, "layers": [], "qualities": [], "purposes": QUESTIONS}
    if origin.generator not in ZOO:
        why = f"{origin.generator!r} is not in the zoo; explain another picture with rp.explain"
        return {**nothing, "why": why}
    layers = list(ZOO[origin.generator].layers)
    if origin.layer not in layers:
        layers.append(origin.layer)
    return {**nothing, "can": True, "why": "", "layers": layers, "qualities": list(QUALITIES)}
