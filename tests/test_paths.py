"""Every public function that takes a path takes it in every way, and refuses what is none."""

import os
from pathlib import Path

import pytest

import regional_primitives as rp
from regional_primitives.runs.compare import compare_runs
from regional_primitives.runs.folder import rescore
from regional_primitives.runs.reproduce import reproduce
from regional_primitives.runs.sweep import sweep
from regional_primitives.scores.sweep_scores import SweepScores
from regional_primitives.show.pixels import write_picture
from regional_primitives.show.report import write_report

READS = {
    "load": rp.Decomposition.load,
    "scores": rp.Scores.read,
    "comparison": rp.Comparison.read,
    "edit": rp.Edit.read,
    "sweep scores": SweepScores.read,
    "report": write_report,
    "explore": rp.explore,
    "rescore": lambda path: rescore(path, rp.Evaluation()),
    "weights": lambda path: rp.load_generator("faces", weights=path),
    "compare runs": lambda path: compare_runs([path, path]),
}
WRITES = {
    "edit": lambda path, d: rp.Edit.remove([0]).write(path),
    "save": lambda path, d: d.save(path),
    "picture": lambda path, d: write_picture(path, d.image, (-1.0, 1.0)),
    "sweep": lambda path, d: sweep("planted", [0], folder=path),
    "reproduce": lambda path, d: reproduce("planted", path),
    "compare runs": lambda path, d: compare_runs(["a", "b"], path),
}


@pytest.fixture(scope="module")
def d(planted):
    settings = rp.Structured(steps=1, batch=2, probes=1, baseline_count=8)
    return rp.explain(planted, planted.sample_latents(1), rp.Regions.grid(2, 2), settings)


@pytest.mark.parametrize("name", ["", "a\0b", b"a\0b", "~nobody-of-this-name/x", 5])
def test_bad_input_that_is_no_path_is_refused_in_one_line(d, name):
    calls = [(what, call, (name,)) for what, call in READS.items()]
    calls += [(what, call, (name, d)) for what, call in WRITES.items()]
    for what, call, arguments in calls:
        with pytest.raises(rp.InputError) as error:
            call(*arguments)
        assert "\n" not in str(error.value), what


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_bad_input_of_every_kind_means_the_same_place(d, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HOME", str(tmp_path))
    for what, call in READS.items():
        if what == "comparison":
            assert call(kind("~/none")) is None
            continue
        with pytest.raises(rp.RegionalPrimitivesError, match=str(tmp_path / "none")):
            call(kind("~/none"))
    for what in ("edit", "save", "picture"):
        WRITES[what](kind(f"~/{what}"), d)
    assert rp.Edit.read(kind("~/edit")).scales == {0: 0.0}
    assert rp.Decomposition.load(kind("~/save")).count == d.count
    assert {path.name for path in tmp_path.iterdir()} == {"edit", "save", "picture"}
