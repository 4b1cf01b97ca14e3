"""Tasks done on a Ray cluster: on many machines, or in processes of this one.

Every task is a task of Ray's: it goes wherever there is room, also to machines that join later, and
is done again where its process or machine is lost. Processes live on from task to task, so that
what one has loaded serves the next.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from unittest import mock

import torch

from regional_primitives.errors import (
    InputError,
    MissingExtraError,
    RegionalPrimitivesError,
    first_line,
)
from regional_primitives.runtime.interrupts import ENDING
from regional_primitives.runtime.progress import Progress

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")

LOCAL = "local"
"""The address of a cluster that is begun on this machine, and ended with the work."""
_LOOK_EVERY = 0.2  # seconds between two looks at what is done
_TELL_EVERY = 0.5  # seconds between two reports of one stage
_TRIES = 3  # again, where a process or machine is lost
_PATIENCE = 5.0  # seconds in which the head of a cluster answers
_GRACE = 20.0  # seconds that tasks may take to stop


@dataclass
class Cluster:
    """A Ray cluster, reached when it is first asked."""

    address: str
    """HOST:PORT of its head, "auto", or `LOCAL`."""
    workers: int | None = None
    """How many tasks at once; as many as there is room for unless given."""
    gpus: int = 0
    """How many each of them needs."""
    processes: dict[str, Any] = field(default_factory=dict)
    """How many workers and threads the last tasks had room for."""
    _ours: bool = False

    def perform(
        self,
        work: Callable[[_Task, Progress], _Made],
        tasks: Sequence[_Task],
        ended: Callable[[_Task, Callable[[], _Made]], None],
        progress: Progress,
    ) -> None:
        """Do the tasks there, as `Perform` says, no more of them at a time than there is room for.

        Raises:
            InputError: the cluster cannot be reached, or has no GPU where one is needed.
            RegionalPrimitivesError: the process of a task was lost again and again.
        """
        ray = self._reached()
        from ray.util import queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        threads = self._threads()
        self.processes = {"workers": self._room(threads), "threads_per_worker": threads}
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        news = queue.Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        afar = ray.remote(num_cpus=threads, num_gpus=self.gpus, max_retries=_TRIES, max_calls=0)(
            _perform
        )
        # Handed over once; the folder is that in which relative names mean what they mean here.
        shared = ray.put((work, os.getcwd(), threads))  # noqa: PTH109
        waiting, running = deque(tasks), dict[Any, _Task]()
        try:
            while waiting or running:
                while waiting and len(running) < self._room(threads):
                    task = waiting.popleft()
                    running[afar.remote(shared, task, news)] = task
                done, _ = ray.wait(list(running), timeout=_LOOK_EVERY)
                for told in _taken(ray, news):
                    progress(*told)
                for one in done:
                    ended(running.pop(one), partial(_result, ray, one))
        finally:
            for one in running:
                ray.cancel(one)  # a KeyboardInterrupt, which lets it clean up, if it comes through
            news.shutdown(force=True)  # which ends a task at its next report
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=_GRACE)

    def _reached(self) -> Any:
        with _caller_as_before():
            ray = _ray()
        if not ray.is_initialized():
            self._refuse_absent()
            where: dict[str, Any] = {"address": self.address}
            if self.address == LOCAL:
                # As many at once as asked for, however many cores there are.
                where = {"num_cpus": self.workers, "include_dashboard": False, "address": LOCAL}
            quiet = {"log_to_driver": False, "logging_level": "ERROR"}
            # Nothing is told to anybody about a cluster that we begin.
            told = {"RAY_USAGE_STATS_ENABLED": os.environ.get("RAY_USAGE_STATS_ENABLED", "0")}
            try:
                with _caller_as_before(), mock.patch.dict(os.environ, told):
                    ray.init(**where, **quiet)
            except SystemExit as ended:  # Ray's own handler of signals, while it begins
                raise KeyboardInterrupt from ended
            except Exception as error:  # of many kinds, also bare ones
                raise self._absent(error) from error
            self._ours = True
        if self.gpus and self.workers is None and not ray.cluster_resources().get("GPU"):
            raise InputError(
                f"the Ray cluster at {self.address!r} has no GPU; leave device= at cpu, or say "
                "with workers= how many will join"
            )
        return ray

    def close(self) -> None:
        """Leave the cluster, which ends one that was begun here."""
        if self._ours:
            with _caller_as_before():
                _ray().shutdown()
            self._ours = False

    def _refuse_absent(self) -> None:
        """Refuse an address where nobody listens, which Ray would try for minutes."""
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdecimal():
            return  # local, auto, or what Ray refuses at once
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise self._absent(error) from error

    def _absent(self, error: Exception) -> InputError:
        return InputError(
            f"no Ray cluster at {self.address!r} ({first_line(error)}); give HOST:PORT of its "
            f"head, auto, or {LOCAL}"
        )

    def _threads(self) -> int:
        """Divide the processors among the workers, each of which has its own on one machine."""
        if self.workers is None or self.gpus:
            return 1
        machines = [int(node["Resources"].get("CPU", 0)) for node in _ray().nodes()]
        machines = [processors for processors in machines if processors]
        if not machines:
            return 1
        return max(1, min(sum(machines) // self.workers, *machines))

    def _room(self, threads: int) -> int:
        if self.workers is not None:
            return self.workers
        found = _ray().cluster_resources()
        room = found.get("GPU", 0) // self.gpus if self.gpus else found.get("CPU", 0) // threads
        return max(1, int(room))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("a sweep on a cluster", "ray") from error
    return ray


@contextmanager
def _caller_as_before() -> Iterator[None]:
    """Keep what Ray changes in a process that begins it, and what signals do."""
    numbers = ENDING if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    drawn, places, hook = random.getstate(), list(sys.path), sys.excepthook
    try:
        with mock.patch.dict(os.environ):
            yield
    finally:
        random.setstate(drawn)
        sys.path[:], sys.excepthook = places, hook
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _taken(ray: Any, news: Any) -> list[tuple[str, int, int, str]]:
    """Take what was told."""
    try:
        return news.get_nowait_batch(news.qsize())
    except ray.exceptions.RayActorError as error:
        raise RegionalPrimitivesError(
            f"the process that gathers the news was lost ({first_line(error)}); what was finished "
            "stands; go on with the same command"
        ) from error


def _perform(
    shared: tuple[Callable[[_Task, Progress], _Made], str, int], task: _Task, news: Any
) -> tuple[RegionalPrimitivesError | None, _Made | None]:
    """Do one task, in a process of Ray's; an error of ours is a result, as it was raised."""
    ray = _ray()
    work, folder, threads = shared
    before = os.getcwd(), torch.get_num_threads()  # noqa: PTH109
    with suppress(OSError):  # a machine that does not have it
        os.chdir(folder)
    torch.set_num_threads(threads)
    told: dict[str, float] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if done >= total or now - told.get(stage, 0.0) > _TELL_EVERY:
            told[stage] = now
            try:
                news.put((stage, done, total, note))
            except ray.exceptions.RayActorError:
                raise KeyboardInterrupt from None  # nobody waits for this any more

    try:
        return None, work(task, report)
    except RegionalPrimitivesError as error:
        return error, None
    finally:  # the process is perhaps not ours alone
        os.chdir(before[0])
        torch.set_num_threads(before[1])


def _result(ray: Any, one: Any) -> Any:
    try:
        error, made = ray.get(one)
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours, with its traceback
    except ray.exceptions.RayError as lost:
        raise RegionalPrimitivesError(
            f"a worker process was lost {_TRIES + 1} times at one task, most likely for want of "
            f"memory ({first_line(lost)}); what was finished stands; go on with fewer workers"
        ) from lost
    if error is not None:
        raise error
    return made
