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
from typing import Any, TypeVar

import torch

from regional_primitives.errors import RegionalPrimitivesError
from regional_primitives.runtime.interrupts import ENDING, endings_held_back
from regional_primitives.runtime.progress import Progress

_Task = TypeVar("_Task")

_LOOK_EVERY = 0.2  # seconds between two looks at the workers' news
_TELL_EVERY = 0.1  # seconds between two reports of one stage
_GRACE = 20.0  # seconds that a task may take to stop once its parent has gone


def work_off(
    work: Callable[[_Task, Progress], None],
    tasks: Sequence[_Task],
    stands: Callable[[_Task], bool],
    stage: str,
    progress: Progress,
    workers: int = 1,
    *,
    excuse: Callable[[_Task, Exception], bool] = lambda *_: False,
) -> None:
    """Do the tasks that do not stand yet, in this order, and tell `stage` of each that is done.

    A task that fails ends the work, unless `excuse(task, error)` is true.
    """
    waiting = [task for task in tasks if not stands(task)]
    done = len(tasks) - len(waiting)
    progress(stage, done, len(tasks), f"{done} stand already" if done else "")

    def ended(task: _Task, result: Callable[[], None]) -> None:
        nonlocal done
        how = "finished"
        try:
            result()
        except Exception as error:
            if not excuse(task, error):
                raise
            how = f"failed: {error}"
        done += 1
        progress(stage, done, len(tasks), f"{task} {how}")

    workers = min(workers, len(waiting))
    if workers > 1:
        in_workers(work, waiting, workers, ended, progress)
        return
    for task in waiting:
        ended(task, partial(work, task, progress))


def threads_per_worker(workers: int) -> int:
    """Divide this process's threads among workers."""
    return max(1, torch.get_num_threads() // workers)


def in_workers(
    work: Callable[[_Task, Progress], None],
    tasks: Sequence[_Task],
    workers: int,
    ended: Callable[[_Task, Callable[[], None]], None],
    progress: Progress,
) -> None:
    """Run `work(task, progress)` for every task in fresh processes; both must be picklable.

    A KeyboardInterrupt out of its `progress` gives a task up. Reports come to this process, and of
    each task that ended a call of `ended`, whose second argument raises what the task raised; what
    leaves `ended` stops the others.
    """
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


def _perform(work: Callable[[_Task, Progress], None], task: _Task) -> None:
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
    work(task, report)
