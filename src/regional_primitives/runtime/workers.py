"""Tasks worked off here or in several processes, which stop without debris when one must stop.

Workers ignore the interrupt that a terminal sends to all; the parent tells them to stop, and at
its next report of progress the task of each is left as if interrupted, so that it can clean up.
TERM and HUP, sent to a worker, do the same to its task.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, Protocol, TypeVar

import torch

from regional_primitives.errors import BusyError, RegionalPrimitivesError
from regional_primitives.runtime.interrupts import ENDING, endings_held_back
from regional_primitives.runtime.progress import Progress

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")

_LOOK_EVERY = 0.2  # seconds between two looks at the workers' news
_WAIT = 1.0  # seconds between two looks at what another process does
_TELL_EVERY = 0.1  # seconds between two reports of one stage
_GRACE = 20.0  # seconds that a task may take to stop once its parent has gone


class Perform(Protocol):
    """A way to do tasks: `here`, `in_workers` (its number bound), or on a cluster."""

    def __call__(
        self,
        work: Callable[[Any, Progress], Any],
        tasks: Sequence[Any],
        ended: Callable[[Any, Callable[[], Any]], None],
        progress: Progress,
    ) -> None:
        """Do `work(task, progress)` for every task.

        Of each that ended `ended(task, result)` is called in this process; `result()` returns what
        the work returned, or raises what it raised. What leaves `ended` stops the others.
        """


def work_off(
    work: Callable[[_Task, Progress], _Made],
    tasks: Sequence[_Task],
    stands: Callable[[_Task], bool],
    stage: str,
    progress: Progress,
    perform: Perform | None = None,
    *,
    receive: Callable[[_Task, _Made], tuple[int, str]] = lambda *_: (1, "finished"),
    busy: Callable[[_Task], bool] = lambda _: False,
    parts: Callable[[_Task], int] = lambda _: 1,
    missing: Callable[[_Task], int] = lambda _: 1,
) -> None:
    """Do the tasks that do not stand yet, in this order, and tell `stage` of each that is done.

    Args:
        work: what is done for a task.
        tasks: all of them.
        stands: whether a task is done already.
        stage: its name in the reports.
        progress: told of each task, and how many an hour are done here.
        perform: how; `here` unless given.
        receive: what is done in this process with what the work returned; says how many parts of
            the task were made, and what became of it.
        busy: whether another process does a task right now. Such tasks, and those whose work raises
            BusyError, wait until all others are done, and are done here if they do not stand then.
        parts: of how many parts a task consists, which are what is counted.
        missing: how many of them do not stand yet.
    """
    waiting, later = [task for task in tasks if not stands(task)], list[_Task]()
    sizes = {id(task): missing(task) for task in waiting}

    def many(some: Sequence[_Task]) -> int:
        return sum(sizes[id(task)] for task in some)

    total, made, began = sum(map(parts, tasks)), 0, time.monotonic()
    done = total - many(waiting)
    progress(stage, done, total, f"{done} stand already" if done else "")

    def ended(task: _Task, result: Callable[[], _Made]) -> None:
        nonlocal done, made
        try:
            count, how = receive(task, result())
        except BusyError:
            later.append(task)
            return
        done, made = done + sizes[id(task)], made + count
        pace = f", {3600 * made / (time.monotonic() - began):,.0f} an hour" if made else ""
        progress(stage, done, total, f"{task} {how}{pace}")

    while waiting:
        later, free = [], list[_Task]()
        for task in waiting:
            (later if busy(task) else free).append(task)
        if free:
            (perform or here)(work, free, ended, progress)
        else:
            note = f"{', '.join(map(str, later[:3]))} made by another process; waiting"
            progress(stage, done, total, note)
            time.sleep(_WAIT)
        waiting = [task for task in later if not stands(task)]
        if len(waiting) < len(later):
            done += many(later) - many(waiting)
            progress(stage, done, total, "made by another process")


def here(
    work: Callable[[_Task, Progress], _Made],
    tasks: Sequence[_Task],
    ended: Callable[[_Task, Callable[[], _Made]], None],
    progress: Progress,
) -> None:
    """Do the tasks in this process, one after another."""
    for task in tasks:
        ended(task, partial(work, task, progress))


def threads_per_worker(workers: int) -> int:
    """Divide this process's threads among workers."""
    return max(1, torch.get_num_threads() // workers)


def in_workers(
    work: Callable[[_Task, Progress], _Made],
    tasks: Sequence[_Task],
    ended: Callable[[_Task, Callable[[], _Made]], None],
    progress: Progress,
    *,
    workers: int,
) -> None:
    """Do the tasks in so many fresh processes; work, tasks and results must be picklable.

    A KeyboardInterrupt out of its `progress` gives a task up. Reports come to this process.
    """
    workers = min(workers, len(tasks))
    context = multiprocessing.get_context("spawn")
    # A simple queue: what a task told has arrived once the task has ended.
    news, stop = context.SimpleQueue(), context.Event()
    pool = ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_begin,
        initargs=(threads_per_worker(workers), news, stop),
    )
    try:
        with endings_held_back():  # also in the processes, until they have begun
            pending = {pool.submit(_perform, work, task): task for task in tasks}
        while pending:
            done, _ = wait(pending, timeout=_LOOK_EVERY, return_when=FIRST_COMPLETED)
            while not news.empty():
                progress(*news.get())
            for future in done:
                task = pending.pop(future)
                ended(task, future.result)
    except BrokenProcessPool as error:
        raise RegionalPrimitivesError(
            "a worker process was killed, most likely for want of memory; what was finished "
            "stands; go on with fewer workers"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        news.close()


_parent: dict[str, Any] = {}
"""In a worker: the ways to its parent, `news` and `stop`, and whether it was `ended` itself."""


def _begin(threads: int, news: Any, stop: Any) -> None:
    for number in ENDING:
        # Not stop.set(): the signal may come while this very thread holds the lock of `stop`.
        signal.signal(number, lambda *_: _parent.update(ended=True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    torch.set_num_threads(threads)
    _parent.update(news=news, stop=stop)


def _end_with_parent(stop: Any) -> None:
    """Wait for a parent that is killed or gives up waiting; let the task clean up, then go."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        stop.set()
        time.sleep(_GRACE)
        os._exit(1)


def _perform(work: Callable[[_Task, Progress], _Made], task: _Task) -> _Made:
    told: dict[str, float] = {}

    def go_on() -> None:
        if _parent["stop"].is_set() or "ended" in _parent:
            raise KeyboardInterrupt

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        go_on()
        now = time.monotonic()
        if done >= total or now - told.get(stage, 0.0) > _TELL_EVERY:
            told[stage] = now
            _parent["news"].put((stage, done, total, note))

    go_on()
    return work(task, report)
