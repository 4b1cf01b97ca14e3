"""One thread that renders, the newest question of each page first; and answers that are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

__all__ = ["Kept", "Renderer"]


class Renderer:
    """Runs pieces of work one at a time, so that a click never waits for more than one of them."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, tuple[Callable[[], Any], Future[Any]]] = OrderedDict()
        self._later: OrderedDict[Hashable, tuple[Callable[[], Any], Future[Any]]] = OrderedDict()
        self._changed = threading.Condition()
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
        queue = self._later if later else self._waiting
        with self._changed:
            if not self._open:
                future.cancel()
                return future
            stale = queue.pop(lane, None)
            queue[lane] = (work, future)
            self._changed.notify()
        if stale is not None:
            stale[1].cancel()
        return future

    def close(self) -> None:
        """Cancel what waits and end the thread after the work at hand."""
        with self._changed:
            self._open = False
            dropped = [*self._waiting.values(), *self._later.values()]
            self._waiting.clear()
            self._later.clear()
            self._changed.notify()
        for _, future in dropped:
            future.cancel()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._open and not self._waiting and not self._later:
                    self._changed.wait()
                if not self._open:
                    return
                queue = self._waiting or self._later
                _, (work, future) = queue.popitem(last=False)
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)


class Kept:
    """The answers used last, up to a number of characters in all."""

    def __init__(self, most_characters: int = 64 * 2**20) -> None:
        self._answers: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._most, self._held = most_characters, 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return the answer, or None."""
        with self._lock:
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            return self._answers[key][0]

    def put(self, key: Hashable, answer: Any, characters: int) -> None:
        """Keep an answer and drop the oldest ones that no longer fit beside it."""
        with self._lock:
            if key in self._answers:
                self._held -= self._answers.pop(key)[1]
            self._answers[key] = (answer, characters)
            self._held += characters
            while self._held > self._most and len(self._answers) > 1:
                self._held -= self._answers.popitem(last=False)[1][1]
