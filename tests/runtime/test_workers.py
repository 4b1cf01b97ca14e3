import os
import time
from functools import partial

import pytest
import torch

import regional_primitives as rp
from regional_primitives.runtime.progress import silent
from regional_primitives.runtime.workers import in_workers, threads_per_worker


def note(folder, task, progress):
    """Write which process did the task, with how many threads."""
    progress(f"{task} stage", 1, 1, "done")
    (folder / str(task)).write_text(f"{os.getpid()} {torch.get_num_threads()}")


def run_or_wait(folder, task, progress):
    """Task 0 fails once task 1 is at work, which goes on until it is stopped."""
    if task == 0:
        while not (folder / "begun").exists():
            time.sleep(0.05)
        raise rp.GeneratorError("task 0 has failed")
    try:
        (folder / "begun").touch()
        while True:
            progress("wait", 0, 1)
            time.sleep(0.05)
    finally:
        (folder / "cleaned up").touch()


def die(task, progress):
    os._exit(9)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_tasks_run_elsewhere_and_their_news_comes_here(tmp_path, two_threads):
    finished, said = [], []
    in_workers(
        partial(note, tmp_path),
        list(range(4)),
        lambda task, result: finished.append((task, result())),
        lambda stage, done, total, note="": said.append((stage, done, total, note)),
        workers=1,
    )
    assert sorted(finished) == [(task, None) for task in range(4)]
    told = [(tmp_path / str(task)).read_text().split() for task in range(4)]
    assert str(os.getpid()) not in {pid for pid, _ in told}
    assert {threads for _, threads in told} == {"2"}
    assert sorted(said) == [(f"{task} stage", 1, 1, "done") for task in range(4)]


def test_the_first_failure_stops_the_others_which_clean_up(tmp_path):
    ended = []

    def end(task, result):
        ended.append(task)
        result()

    with pytest.raises(rp.GeneratorError, match="task 0 has failed"):
        in_workers(partial(run_or_wait, tmp_path), [0, 1], end, silent, workers=2)
    assert ended == [0]
    assert (tmp_path / "cleaned up").exists()


def test_a_killed_worker_is_told_in_one_line():
    with pytest.raises(rp.RegionalPrimitivesError, match=r"worker process was killed.*memory"):
        in_workers(die, [0], lambda _, result: result(), silent, workers=1)


def test_threads_are_shared_out(two_threads):
    assert [threads_per_worker(workers) for workers in (1, 2, 3)] == [2, 1, 1]
