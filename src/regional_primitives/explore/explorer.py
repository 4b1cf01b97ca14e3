"""The runs that are open in one explorer, the thread that renders, and a new explanation."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, PriorityQueue
from typing import Any
from weakref import WeakValueDictionary

from regional_primitives.apply.pairs import check_pair
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.purpose import QUESTIONS, Purpose
from regional_primitives.decompose.structured import QUALITIES, Structured
from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.explore.session import REGIONS, Session, State
from regional_primitives.generators import ZOO, load_generator, load_recorded
from regional_primitives.generators.generator import Generator
from regional_primitives.picture import Picture
from regional_primitives.regions import Regions
from regional_primitives.runs.folder import (
    default_folder,
    explain_to_folder,
    generator_of,
    report,
)
from regional_primitives.runtime.arguments import AnyPath, of_kind, path_of
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.storage import tensors_digest


class Renderer:
    """Runs pieces of work one at a time, so that a click never waits for more than one of them."""

    def __init__(self) -> None:
        self._queue: PriorityQueue[tuple[bool, int, Callable[[], Any] | None, Future[Any]]]
        self._queue, self._number = PriorityQueue(), itertools.count()
        # Only what waits, or is waited for, is still there.
        self._newest: WeakValueDictionary[Hashable, Future[Any]] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="renderer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[], Any], lane: Hashable, *, later: bool = False
    ) -> Future[Any]:
        """Queue work; what waits in the same lane is cancelled, since nobody needs it any more.

        Args:
            work: called in the renderer's thread.
            lane: who asks, and for what.
            later: only when nothing else waits.
        """
        future: Future[Any] = Future()
        with self._lock:
            if not self._open:
                future.cancel()
                return future
            stale, self._newest[lane] = self._newest.get(lane), future
            self._queue.put((later, next(self._number), work, future))
        if stale is not None:
            stale.cancel()
        return future

    def close(self) -> None:
        """Cancel what waits and end the thread after the work at hand."""
        with self._lock:
            self._open = False
        with suppress(Empty):
            while True:
                self._queue.get_nowait()[-1].cancel()
        self._queue.put((False, next(self._number), None, Future()))
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            *_, work, future = self._queue.get()
            if work is None:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)


@dataclass
class Explanation:
    """How far a new explanation is."""

    title: str
    state: str = "running"
    """… or done, cancelled, failed."""
    stage: str = ""
    done: int = 0
    total: int = 1
    note: str = ""
    error: str = ""
    run: str | None = None
    """The name of the finished run."""
    seconds: float = 0.0


class _CancelledError(Exception):
    pass


class Explorer:
    """Open runs by name, one renderer for all, and at most one explanation at work."""

    def __init__(self, session: Session) -> None:
        self._sessions = {session.name: session}
        self._lock = threading.Lock()
        self._explanation: Explanation | None = None
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self.first = session.name
        self.renderer = Renderer()
        self._make = _maker(session)

    @staticmethod
    def of(
        run: Decomposition | AnyPath,
        generator: Generator | None = None,
        progress: Progress | bool | None = False,
        others: Sequence[Decomposition | AnyPath] = (),
    ) -> Explorer:
        """Open run folders, or decompositions in memory; raises what `explore` raises."""
        (run, folder), *beside = map(_opened, (run, *others))
        if generator is None:
            generator = generator_of(run)
        with reporting(progress) as told:
            first, *more = (
                Session.of(Picture.of(one, generator), place, told)
                for one, place in ((run, folder), *beside)
            )
        explorer = Explorer(first)
        explorer._sessions |= {session.name: session for session in more}
        return explorer

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
            "explanation": self.status(),
        }

    def describe(self, session: Session) -> dict[str, Any]:
        """Return what the page shows of a run, and what may be explained beside it."""
        with self._lock:
            others = [one for one in self._sessions.values() if one is not session]
        fitting = [one for one in others if _go_together(session.run, one.run)]
        return {
            **session.describe(),
            "explain": self._choices(session.run),
            "others": [{"name": one.name, "title": one.title} for one in fitting],
        }

    def other(self, state: State) -> Decomposition | None:
        """Return the run from which a state takes components; None where there is none.

        Raises:
            InputError: it takes from several.
        """
        names = {one.other for one in state.regions if one.other is not None}
        if len(names) > 1:
            raise InputError(f"an edit takes components of one other run, not of {len(names)}")
        session = self.session(names.pop()) if names else None
        return None if session is None else session.run

    def status(self) -> dict[str, Any] | None:
        """Return how far the last explanation is; None where none was begun."""
        return None if self._explanation is None else asdict(self._explanation)

    def explain(
        self,
        session: Session,
        seed: int | None,
        layer: str,
        quality: str,
        purpose: Purpose,
        drawn: Regions | None = None,
    ) -> None:
        """Begin to explain another picture or other regions, in a thread of its own.

        The run folder appears whole or not at all, beside the run's own, named as the command
        names it. Raises an InputError where it cannot be had, or another one is at work.

        Args:
            session: whose generator explains.
            seed: of the picture; None is the one that the run shows.
            layer: where it is cut.
            quality: of the fit.
            purpose: which question it answers.
            drawn: regions; None takes those of the run.
        """
        offered, make = self._choices(session.run), self._make
        if make is None:
            raise InputError(offered["why"])
        for what, value, allowed in (
            ("layer", layer, offered["layers"]),
            ("quality", quality, offered["qualities"]),
        ):
            if value not in allowed:
                raise InputError(f"{what} {value[:60]!r} is none of: {', '.join(allowed)}")
        like, origin = session.run, session.run.provenance
        settings = Structured.of_quality(quality, purpose)
        own = origin.picture_file if origin.picture_seed is None else origin.picture_seed
        shown = (own or "picture") if seed is None else seed
        folder = default_folder(origin.generator, layer, shown, purpose, quality)
        title = f"{origin.generator}, layer {layer}, picture {shown}"
        if drawn is not None:
            told = tensors_digest({"labels": drawn.label_map(*like.image.shape[-2:])})
            folder = folder.with_name(f"{folder.name}-drawn-{told[:6]}")
            title = f"{title}, {drawn.description}"
        if session.folder is not None:
            folder = session.folder.absolute().parent / folder.name
        regions = like.regions if drawn is None else drawn

        def work(progress: Progress) -> Session:
            progress("loading", 0, 1)
            # A network of its own: the page's pictures go on through the other one meanwhile.
            generator = make(layer)
            if seed is not None:
                explain_to_folder(
                    generator, seed, folder, regions=regions, settings=settings, progress=progress
                )
            else:
                found = explain(
                    generator,
                    like.latents,
                    regions,
                    settings,
                    picture_seed=origin.picture_seed,
                    picture_file=origin.picture_file,
                    progress=progress,
                )
                report(found, generator, folder, progress=progress)
            if drawn is not None:
                drawn.write(folder / REGIONS)
            progress("opening", 0, 1)
            return Session.of(Picture.of(Decomposition.load(folder), generator), folder)

        with self._lock:
            last = self._explanation
            if last is not None and last.state == "running":
                raise InputError("another explanation is at work; cancel it or wait for its end")
            self._explanation = Explanation(title)
            self._cancelled.clear()
            given = (self._explanation, work)
            self._thread = threading.Thread(target=self._run, args=given, daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Ask the explanation at work to end; nothing is left of it."""
        self._cancelled.set()

    def close(self) -> None:
        """Cancel the explanation, wait until what it began is cleared away; end the renderer."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(timeout=20)
        self.renderer.close()

    def _choices(self, run: Decomposition) -> dict[str, Any]:
        """Tell what a new explanation may be asked for, or why there can be none."""
        name, layer = run.provenance.generator, run.provenance.layer
        known = "factory" not in run.provenance.options and name in ZOO
        return {
            "can": self._make is not None,
            "why": ""
            if self._make is not None
            else f"{name!r} is not in the zoo; start the explorer with --model file.py:function, "
            "or use rp.explain",
            "layers": list(dict.fromkeys([*(ZOO[name].layers if known else ()), layer])),
            "qualities": list(QUALITIES),
            "purposes": QUESTIONS,
        }

    def _run(self, job: Explanation, work: Callable[[Progress], Session]) -> None:
        began = time.monotonic()

        def progress(stage: str, done: int, total: int, note: str = "") -> None:
            if self._cancelled.is_set():
                raise _CancelledError
            job.stage, job.done, job.total, job.note = stage, done, total, note
            job.seconds = round(time.monotonic() - began, 1)

        try:
            session = work(progress)
            with self._lock:
                job.run = self._sessions.setdefault(session.name, session).name
            job.note = session.place
            job.state = "done"
        except _CancelledError:
            job.state = "cancelled"
        except RegionalPrimitivesError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:  # a bug ends this explanation, not the server
            job.state, job.error = "failed", f"{type(error).__name__}: {error}"


def _opened(run: Decomposition | AnyPath) -> tuple[Decomposition, Path | None]:
    if isinstance(run, (str, bytes, os.PathLike)):
        folder = path_of(run, "the run folder")
        return Decomposition.load(folder), folder
    return of_kind(run, Decomposition, "a run folder or a decomposition is explored"), None


def _go_together(one: Decomposition, other: Decomposition) -> bool:
    try:
        check_pair(one, other)
    except InputError:
        return False
    return True


def _maker(session: Session) -> Callable[[str], Generator] | None:
    """Return what makes the generator anew, cut at a layer; None where nobody has named it."""
    origin = session.run.provenance
    # What made the generator that is at work here, not what a file says of it.
    own = session.picture.generator.options.get("factory")
    if own is not None:
        return lambda _: load_generator(own["model"], **own["options"])
    if origin.generator in ZOO:
        return lambda layer: load_recorded(origin.generator, layer, origin.options)
    return None
