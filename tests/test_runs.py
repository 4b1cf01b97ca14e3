import errno
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import regional_primitives as rp
from regional_primitives.errors import MissingExtraError
from regional_primitives.runs import folder as runs
from regional_primitives.runs.key import Work, content_key

QUICK = rp.Structured(steps=3, batch=4, probes=1, baseline_count=64)
LITTLE = rp.Evaluation(demands=4, components=1, contexts=2, free_demands=0)


@pytest.fixture
def stub_report(monkeypatch):
    """Leave a stub in place of the report, where a test is of something else."""

    def stub(folder):
        (folder / "figures").mkdir()
        (folder / "report.html").touch()

    monkeypatch.setattr(runs, "write_report", stub)


def explain(planted, folder, **changes):
    said = []
    arguments = {
        "regions": rp.Regions.grid(4, 4),
        "settings": QUICK,
        "evaluation": LITTLE,
        "progress": lambda stage, done, total, note="": said.append((stage, done, note)),
        **changes,
    }
    return runs.explain_to_folder(planted, 0, folder, **arguments), said


def test_without_the_report_extra_the_run_is_whole_and_the_pip_line_is_said(
    planted, tmp_path, monkeypatch
):
    def missing(*_):
        raise MissingExtraError("the report", "report")

    monkeypatch.setattr(runs, "write_report", missing)
    (scores, stood), said = explain(planted, tmp_path / "run")
    assert not stood
    assert rp.Scores.read(tmp_path / "run") == scores
    assert rp.Decomposition.load(tmp_path / "run").count == scores.components
    assert not (tmp_path / "run" / "report.html").exists()
    notes = [note for stage, _, note in said if stage == "report"]
    assert 'pip install "regional_primitives[report]"' in notes[0]


def test_an_unwritable_folder_is_told_before_the_work_starts(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "explain", lambda *_, **__: pytest.fail("the fit has started"))
    (tmp_path / "file").write_text("")
    with pytest.raises(rp.StorageError, match="cannot write to"):
        explain(planted, tmp_path / "file" / "run")


@pytest.mark.parametrize("stage", ["write", "report"])
def test_a_full_disk_leaves_no_run_and_no_debris(planted, tmp_path, monkeypatch, stage):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if stage == "write":
        monkeypatch.setattr(rp.Decomposition, "write", full)
    else:
        monkeypatch.setattr(runs, "write_report", full)
    with pytest.raises(rp.StorageError, match="No space left on device"):
        explain(planted, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stub_report")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_ends_the_work_leaves_an_older_run_untouched(
    planted, tmp_path, monkeypatch, error
):
    explain(planted, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}

    def ended(*_, **__):
        raise error

    monkeypatch.setattr(runs, "evaluate", ended)
    with pytest.raises(error):
        explain(planted, tmp_path / "run", overwrite=True)
    after = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    assert after == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_standing_run_is_measured_anew_where_more_is_asked(planted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # a run without its page is measured anew
        patch.setattr(runs, "write_report", lambda folder: None)
        explain(planted, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    monkeypatch.setattr(runs, "explain", lambda *_, **__: pytest.fail("it was fitted again"))
    more = replace(LITTLE, refits=True)
    (scores, stood), _ = explain(planted, tmp_path / "run", evaluation=more)
    assert stood
    assert scores.frontier is not None
    assert rp.Scores.read(tmp_path / "run") == scores
    assert (tmp_path / "run" / "figures" / "frontier.png").is_file()
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    (_, stood), said = explain(planted, tmp_path / "run", evaluation=more)
    assert stood
    assert said == [], "measured again although nothing had changed"


def test_measuring_anew_leaves_no_older_report_or_figure(planted, tmp_path, monkeypatch):
    def drawn(folder):
        (folder / "figures").mkdir()
        for name in ("report.html", "figures/frontier.png"):
            (folder / name).touch()

    monkeypatch.setattr(runs, "write_report", drawn)
    explain(planted, tmp_path / "run", evaluation=replace(LITTLE, refits=True))
    assert (tmp_path / "run" / "figures" / "frontier.png").is_file()

    def missing(*_):
        raise MissingExtraError("the report", "report")

    monkeypatch.setattr(runs, "write_report", missing)
    explain(planted, tmp_path / "run")
    assert rp.Scores.read(tmp_path / "run").frontier is None
    assert not (tmp_path / "run" / "report.html").exists()
    assert not (tmp_path / "run" / "figures").exists()


def test_a_fit_that_was_only_saved_gets_its_scores_and_page(planted, tmp_path):
    folder = tmp_path / "run"
    d = rp.explain(planted, planted.sample_latents(1), rp.Regions.grid(4, 4), QUICK)
    d.save(folder)
    (folder / "notes.txt").write_text("mine")
    scores = rp.report(d, planted, folder, LITTLE)
    assert rp.Scores.read(folder) == scores
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "tensors.safetensors", "scores.json", "exhibits.json", "exhibits.safetensors",
        "report.html", "figures", "notes.txt",
    }  # fmt: skip
    assert rp.Decomposition.load(folder).provenance == d.provenance


@pytest.mark.usefixtures("stub_report")
def test_a_report_of_something_else_takes_no_folder_unasked(planted, tmp_path):
    latents = planted.sample_latents(2)
    one, other = (
        rp.explain(planted, one, rp.Regions.grid(4, 4), QUICK) for one in latents.split(1)
    )
    one.save(tmp_path / "run")
    with pytest.raises(rp.StorageError, match="holds a run already"):
        rp.report(other, planted, tmp_path / "run", LITTLE)
    assert rp.Decomposition.load(tmp_path / "run").count == one.count
    rp.report(other, planted, tmp_path / "run", LITTLE, overwrite=True)
    assert rp.Decomposition.load(tmp_path / "run").strengths.equal(other.strengths)


def test_a_folder_is_named_after_what_was_asked_for():
    named = partial(runs.default_folder, "faces", "main.5")
    assert named(8, "generate") == Path("runs/faces-main.5-8")
    assert named(8, "generate", "balanced") == Path("runs/faces-main.5-8")
    assert named("some/cat.png", "isolate", "best") == Path("runs/faces-main.5-cat-best-isolate")


@pytest.mark.usefixtures("stub_report")
def test_label_maps_that_differ_are_other_runs(planted, tmp_path):
    labels = rp.Regions.grid(4, 4).label_map(32, 32)
    explain(planted, tmp_path / "run", regions=rp.Regions.from_labels(labels))
    with pytest.raises(rp.StorageError, match="holds a run already"):
        explain(planted, tmp_path / "run", regions=rp.Regions.from_labels(15 - labels))


def test_a_single_patch_can_be_explained(planted, tmp_path):
    (scores, _), _ = explain(
        planted,
        tmp_path / "run",
        regions=rp.Regions.grid(1, 1),
        evaluation=replace(LITTLE, free_demands=2, refits=True),
    )
    assert scores.leak == 0.0
    assert scores.components == 1
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.usefixtures("stub_report")
def test_changed_settings_are_another_run(planted, tmp_path):
    explain(planted, tmp_path / "run")
    (_, stood), _ = explain(planted, tmp_path / "run")
    assert stood
    with pytest.raises(rp.StorageError, match="holds a run already"):
        explain(planted, tmp_path / "run", regions=rp.Regions.grid(2, 2))


@pytest.mark.usefixtures("stub_report")
def test_a_run_of_a_strange_generator_says_how_to_go_on(planted, tmp_path):
    explain(planted, tmp_path / "run")
    found = rp.Decomposition.load(tmp_path / "run")
    strange = replace(found, provenance=replace(found.provenance, generator="MyNetwork"))
    with pytest.raises(rp.GeneratorError, match=r"not in the zoo, .* rp\.edit or rp\.sanity"):
        runs.generator_of(strange)


@pytest.mark.usefixtures("stub_report")
@pytest.mark.parametrize("ended", [False, True])
def test_a_file_saved_into_a_run_while_it_is_measured_stays(planted, tmp_path, monkeypatch, ended):
    explain(planted, tmp_path / "run")
    kept = {
        path.name: path.read_bytes()
        for path in (tmp_path / "run").iterdir()
        if path.is_file() and path.name in ("tensors.safetensors", "exhibits.safetensors")
    }

    def evaluate(*words, real=runs.evaluate, **named):
        rp.Edit.remove([0]).write(tmp_path / "run" / "edit.json")
        (tmp_path / "run" / "figures" / "notes.txt").write_text("mine")
        if ended:
            raise KeyboardInterrupt
        return real(*words, **named)

    monkeypatch.setattr(runs, "evaluate", evaluate)
    if ended:
        with pytest.raises(KeyboardInterrupt):
            runs.rescore(tmp_path / "run", LITTLE)
    else:
        runs.rescore(tmp_path / "run", LITTLE)
    assert rp.Edit.read(tmp_path / "run" / "edit.json").scales == {0: 0.0}
    assert (tmp_path / "run" / "figures" / "notes.txt").read_text() == "mine"
    assert all((tmp_path / "run" / name).read_bytes() == kept[name] for name in kept)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.usefixtures("stub_report")
def test_a_folder_that_cannot_be_replaced_is_refused_before_baselines_are_run(
    planted, tmp_path, monkeypatch
):
    explain(planted, tmp_path / "run")
    monkeypatch.setattr(runs, "compare", lambda *_, **__: pytest.fail("the work has begun"))
    monkeypatch.chdir(tmp_path / "run")
    with pytest.raises(rp.StorageError, match="is where this process works"):
        runs.rescore(tmp_path / "run", LITTLE, baselines="all")


def test_all_files_of_a_run_are_known_as_ours(planted, tmp_path, monkeypatch):
    from regional_primitives.runtime.run_files import is_run_file

    everything = replace(LITTLE, refits=True, free_steps=2)
    with monkeypatch.context() as patch:  # the page is drawn when all is there
        patch.setattr(runs, "write_report", lambda folder: None)
        explain(planted, tmp_path / "run", evaluation=LITTLE)
    runs.rescore(tmp_path / "run", everything, baselines=["random fields"])
    exact = rp.Exact(
        patches=[0, 1], tolerance=0.3, joint_steps=1, sparse_steps=2, starts=2, baseline_count=64,
        noise_floor=True,
    )  # fmt: skip
    explain(planted, tmp_path / "exact", settings=exact)
    found = set()
    for run in tmp_path.iterdir():
        found |= {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    assert len(found) == 7 + 12, found
    assert all(is_run_file(path) for path in found)


def test_other_work_is_told_by_what_differs(planted):
    asked = Work.asked(planted, 0, rp.Regions.grid(4, 4), QUICK.settled(planted))
    assert list(asked.differences(asked)) == []
    for changes, told in (
        ({"hold": "normalisation"}, "another hold (normalisation, not none)"),
        ({"weights_digest": "ab"}, "other generator weights"),
        ({"layer": "embed"}, "another layer (embed, not express)"),
        ({"picture_seed": 7}, "another picture seed (7, not 0)"),
        (
            {"regions": rp.Regions.grid(2, 2).to_dict()},
            "other patches (2 × 2 grid, not 4 × 4 grid)",
        ),
        ({"settings": {"tolerance": 0.1}}, "settings of another form or of another release"),
        ({"settings": {**asked.settings, "steps": 9}}, "other settings (steps=9, not 3)"),
    ):
        (difference,) = asked.differences(replace(asked, **changes))
        assert difference == told


def test_keys_of_stored_work_stay():
    """Fits of a reproduction that stands are found by this key."""
    told = ("weights", "layer", {"rows": 6}, (1, 2), 0.5, None)
    assert content_key(*told) == hashlib.sha256(repr(told).encode()).hexdigest()
    assert content_key(*told) != content_key(*told[:-1])
