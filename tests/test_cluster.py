"""Sweeps on a real Ray cluster: two nodes on this machine, workers that are killed, runs sent."""

import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import ray
import torch
from ray.cluster_utils import Cluster as Machines

import regional_primitives as rp
from regional_primitives.runs import folder as runs
from regional_primitives.runs import sweep as sweeps
from regional_primitives.runs import sweep_runs
from regional_primitives.runtime import cluster
from regional_primitives.runtime.interrupts import ENDING
from regional_primitives.runtime.progress import silent

QUICK = rp.Structured(steps=3, batch=4, probes=1, baseline_count=16)
LITTLE = rp.Evaluation(demands=4, components=1, contexts=2, free_demands=0)
ASKED = {"regions": rp.Regions.grid(2, 2), "settings": QUICK, "evaluation": LITTLE}


@pytest.fixture(scope="module")
def machines():
    """The address of a cluster of two raylets, each with a processor."""
    with pytest.MonkeyPatch.context() as changed:  # their processes import this file
        places = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        changed.setenv("PYTHONPATH", os.pathsep.join(places))
        started = Machines(initialize_head=True, head_node_args={"num_cpus": 1})
        started.add_node(num_cpus=1)
    yield started.address
    started.shutdown()


@pytest.fixture(scope="module")
def two_nodes(machines):
    """The same, reached once, so that its processes serve test after test."""
    ray.init(address=machines, log_to_driver=False, logging_level="ERROR")
    yield machines
    ray.shutdown()


def done_on(address, work, tasks, **asked):
    """Do the tasks there; return results by task, and the news."""
    made, news = {}, []
    there = cluster.Cluster(address, **asked)
    try:
        there.perform(
            work,
            tasks,
            lambda task, result: made.update({task: result()}),
            lambda *told: news.append(told),
        )
    finally:
        there.close()
    return made, news


def where(folder, count, task, progress):
    """Tell node, process and threads, once `count` of these tasks are at work."""
    (folder / str(task)).touch()
    progress(f"{task} waits", 0, 1)
    while len(list(folder.iterdir())) < count:
        pass
    progress(f"{task} waits", 1, 1, "met")
    return ray.get_runtime_context().get_node_id(), os.getpid(), torch.get_num_threads()


def test_a_cluster_is_reached_and_left(machines, tmp_path):
    signals = [signal.getsignal(number) for number in ENDING]
    variables = dict(os.environ)
    before = random.getstate(), list(sys.path), sys.excepthook
    made, news = done_on(machines, partial(where, tmp_path, 2), list(range(4)))
    assert len({node for node, _, _ in made.values()}) == 2
    assert os.getpid() not in {pid for _, pid, _ in made.values()}
    assert len({pid for _, pid, _ in made.values()}) == 2  # a process serves task after task
    assert {threads for _, _, threads in made.values()} == {1}
    assert {(f"{task} waits", 1, 1, "met") for task in range(4)} <= set(news)
    assert [signal.getsignal(number) for number in ENDING] == signals
    assert dict(os.environ) == variables
    assert (random.getstate(), sys.path, sys.excepthook) == before
    assert not ray.is_initialized()


def test_where_there_is_no_cluster_or_no_gpu(machines, tmp_path):
    with pytest.raises(rp.InputError, match=r"no Ray cluster at 'nowhere'.*HOST:PORT"):
        done_on("nowhere", fail, [0])
    with pytest.raises(rp.InputError, match="has no GPU; leave device= at cpu"):
        rp.sweep("planted", [0], folder=tmp_path / "sweep", ray=machines, device="cuda", **ASKED)
    assert not ray.is_initialized()
    assert list(tmp_path.iterdir()) == []


def at_work(folder, task, progress):
    (folder / f"{task}-{os.getpid()}").touch()
    return task


def test_no_more_tasks_are_handed_over_than_there_is_room_for(two_nodes, tmp_path, monkeypatch):
    begun = []
    there = cluster.Cluster(two_nodes, workers=1)
    monkeypatch.setattr(cluster, "_LOOK_EVERY", 30.0)

    def ended(task, result):
        assert result() == task
        begun.append(len(list(tmp_path.iterdir())))

    try:
        there.perform(partial(at_work, tmp_path), list(range(3)), ended, silent)
        assert begun == [1, 2, 3]
        assert there.processes == {"workers": 1, "threads_per_worker": 1}
    finally:
        there.close()


def die(folder, times, task, progress):
    """Kill this process the first times that a task comes to it."""
    died = folder / f"{task}-{os.getpid()}"
    if len(list(folder.glob(f"{task}-*"))) < times:
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_a_task_whose_process_is_killed_is_done_again(two_nodes, tmp_path):
    made, _ = done_on(two_nodes, partial(die, tmp_path, 1), [0, 1])
    assert made == {0: 0, 1: 1}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_task_that_kills_its_process_again_and_again_is_told(two_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_TRIES", 1)
    with pytest.raises(rp.RegionalPrimitivesError, match=r"lost 2 times .*memory.*fewer workers"):
        done_on(two_nodes, partial(die, tmp_path, 9), [0])


def fail(error, task, progress):
    raise error


@pytest.mark.parametrize(
    "error", [rp.StorageError("no space left"), rp.MissingExtraError("a drawing", "report")]
)
def test_an_error_of_ours_comes_back_as_it_was(two_nodes, error):
    with pytest.raises(type(error)) as raised:
        done_on(two_nodes, partial(fail, error), [0])
    assert str(raised.value) == str(error)


def test_a_fault_has_its_traceback(two_nodes):
    with pytest.raises(ZeroDivisionError, match="in fail"):
        done_on(two_nodes, partial(fail, ZeroDivisionError("fault")), [0])


def wait(folder, task, progress):
    try:
        (folder / "begun").touch()
        while True:
            progress("wait", 0, 1)
    finally:
        (folder / "cleaned up").touch()


@pytest.mark.parametrize("interrupted", [True, False])
def test_what_ends_the_work_lets_the_others_clean_up(two_nodes, tmp_path, interrupted, monkeypatch):
    """Also where Ray's own interrupt does not come through, as happens while it is at work."""
    if not interrupted:
        monkeypatch.setattr(ray, "cancel", lambda *_: None)

    def give_up(*_):
        if (tmp_path / "begun").exists():
            raise KeyboardInterrupt

    there = cluster.Cluster(two_nodes, workers=1)
    try:
        with pytest.raises(KeyboardInterrupt):
            there.perform(partial(wait, tmp_path), [0], lambda *_: None, give_up)
        deadline = time.monotonic() + 60  # of a busy machine
        while not (tmp_path / "cleaned up").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (tmp_path / "cleaned up").exists()
    finally:
        there.close()


def test_a_cluster_that_somebody_has_reached_stays(two_nodes, tmp_path):
    assert done_on("auto", partial(at_work, tmp_path), [7])[0] == {7: 7}
    assert ray.is_initialized()


def test_without_ray_the_pip_line_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(rp.MissingExtraError, match=r"regional_primitives\[ray\]"):
        rp.sweep("planted", [0], folder=tmp_path / "sweep", ray="local", **ASKED)
    with pytest.raises(rp.InputError, match="give ray= too"):
        rp.sweep("planted", [0], folder=tmp_path / "sweep", stream=True, **ASKED)
    assert list(tmp_path.iterdir()) == []


# Whole sweeps

OWN = """
import os, signal
import torch
import regional_primitives as rp

def make(layer=None):
    torch.manual_seed(0)
    layers = torch.nn.ConvTranspose2d(4, 8, 4), torch.nn.ConvTranspose2d(8, 3, 9)
    module = torch.nn.Sequential(*layers)

    def sample_latents(count, rng):
        if rng.initial_seed() == 2 and not os.path.exists({marker!r}):
            open({marker!r}, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        drawn = torch.randn(count, 4, 1, 1, generator=rng)
        return torch.zeros_like(drawn) if rng.initial_seed() == 1 else drawn

    return rp.cut(module, layer or "0", sample_latents=sample_latents,
                  baseline_latents=torch.zeros(2, 4, 1, 1))
"""
"""Picture 2 kills its process where there is no marker; picture 1 cannot be explained."""


def bytes_of(folder):
    """What a sweep has made but for what tells times, and pages and figures that show them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.safetensors")
    }


@pytest.fixture(scope="module")
def undrawn():
    """Leave empty files in place of pages that are drawn in this process: nobody looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "write_report", lambda folder: (folder / "report.html").touch())
        patch.setattr(sweeps, "write_sweep_report", lambda folder: (folder / "sweep.html").touch())
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory, undrawn):
    """A folder with a generator, and what a sweep of it is in this process."""
    place = tmp_path_factory.mktemp("own")
    (place / "own.py").write_text(OWN.format(marker=str(place / "marker")))
    (place / "marker").touch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = rp.sweep(f"{place / 'own.py'}:make", range(4), folder=place / "alone", **ASKED)
    torch.set_num_threads(before)
    return place, alone


@pytest.fixture
def own(swept, monkeypatch):
    """The same sweep by a name that depends on the working folder, and the sweep alone."""
    monkeypatch.chdir(swept[0])
    return partial(rp.sweep, "own.py:make", range(4), **ASKED), swept[1]


@pytest.mark.parametrize("how", ["scores shared", "runs sent"])
def test_a_sweep_on_a_cluster_is_the_same_sweep(two_nodes, own, how, tmp_path):
    asked, alone = own
    Path("marker").unlink()
    there = tmp_path / "there"
    keep = "scores" if "scores" in how else "runs"
    swept = asked(folder=there, ray=two_nodes, stream="sent" in how, keep=keep)
    assert Path("marker").exists()  # a process was killed on the way
    assert (swept.seeds, swept.failed) == (alone.seeds, alone.failed)
    assert swept.machine["cluster"] == two_nodes
    assert (swept.machine["workers"], swept.machine["threads_per_worker"]) == (2, 1)
    if keep == "runs":
        made, expected = bytes_of(there), bytes_of(Path("alone"))
        assert made == expected
        assert made
        assert all((there / "0" / str(n) / "report.html").is_file() for n in (0, 2, 3))
    for mine, theirs in zip(swept.layers[0].pictures, alone.layers[0].pictures, strict=True):
        assert replace(mine.scores, overhead_ratio=0) == replace(theirs.scores, overhead_ratio=0)
    assert not [path for path in there.rglob("*") if path.name.startswith(".")]


def test_whole_runs_are_measured_anew_and_not_replaced_by_what_is_sent(two_nodes, own, tmp_path):
    asked, _ = own
    shutil.copytree("alone/0", tmp_path / "sweep" / "0")
    before = bytes_of(tmp_path / "sweep")
    swept = asked(
        folder=tmp_path / "sweep", ray=two_nodes, stream=True, keep="scores",
        evaluation=replace(LITTLE, demands=5),
    )  # fmt: skip
    assert bytes_of(tmp_path / "sweep").keys() == before.keys()
    assert rp.Decomposition.load(tmp_path / "sweep" / "0" / "0").count
    assert {picture.scores.demands for picture in swept.layers[0].pictures} == {5}


def test_failures_on_a_cluster(two_nodes, own, tmp_path):
    asked, _ = own
    with pytest.raises(rp.GeneratorError, match="0, picture 1: "):
        asked(folder=tmp_path / "strict", ray=two_nodes, strict=True)


def test_machines_of_other_versions_are_told(two_nodes, own, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sweep_runs, "current_versions", lambda: {"python": "2.7", "torch": torch.__version__}
    )
    with pytest.raises(
        rp.RegionalPrimitivesError, match=r"machine of the cluster has python .*, not 2\.7; install"
    ):
        own[0](folder=tmp_path / "other", ray=two_nodes)
