"""`primitives score`: others' components beside a run's own, edits, and what is refused."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import regional_primitives as rp
from planted_truth import planted_truth
from regional_primitives import cli
from regional_primitives.rivals import Comparison
from regional_primitives.runs import folder as runs

LIGHT = [f"--set={one}" for one in ("demands=8", "components=3", "contexts=2", "free_demands=0")]


@pytest.fixture
def score(monkeypatch, capsys):
    """Run the command in this process; returns (status, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["primitives", "score", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output = capsys.readouterr()
        return stop.value.code, output.out, output.err

    return run


@pytest.fixture(scope="module")
def folder(planted, tmp_path_factory):
    """A run, and files of others' components beside it."""
    root = tmp_path_factory.mktemp("runs")
    settings = rp.Structured(purpose="isolate", steps=5, batch=8, probes=1, baseline_count=64)
    latents, regions = planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4)
    found = rp.explain(planted, latents, regions, settings, picture_seed=3)
    found.save(root / "run")
    truth = planted_truth(found.feature, found.baseline)
    save_file(
        {"components": truth.components, "fields": truth.action_fields, "feature": found.feature},
        root / "truth.safetensors",
    )
    np.savez(root / "axes.npz", directions=np.eye(60, dtype=np.float32))
    other = planted.head(planted.sample_latents(1, seed=4))
    np.savez(root / "other.npz", directions=np.eye(60, dtype=np.float32), feature=other.numpy())
    return root


def test_one_table_beside_the_runs_own(score, folder):
    files = [folder / "truth.safetensors", folder / "axes.npz"]
    status, out, err = score(folder / "run", *files, *LIGHT, "--baselines", "spatial crop")
    assert status == 0, err
    rows = [line.split("  ")[0] for line in out.splitlines()]
    assert rows[-4:] == ["this decomposition", "truth", "axes", "spatial crop"]
    status, out, err = score(folder / "run", *files, *LIGHT, "--json")
    assert status == 0, err
    compared = Comparison.from_dict(json.loads(out)["comparison"])
    truth, axes = compared.baselines
    assert (truth.name, len(truth.points)) == ("truth", 1)
    assert truth.best.inside_error < 1e-9
    assert truth.boundedness == pytest.approx(1)
    assert (axes.name, len(axes.points)) == ("axes", 5)
    assert axes.completeness_gap < 1e-5


def test_their_run_folder_is_one_for_the_other_commands(
    score, folder, tmp_path, planted, monkeypatch
):
    out = tmp_path / "theirs"
    status, _, err = score(folder / "run", folder / "axes.npz", *LIGHT, "--out", out)
    assert status == 0, err
    found = rp.Decomposition.load(out)
    assert found.provenance.settings["name"] == "axes"
    assert found.provenance.purpose == "isolate"
    assert found.baseline_units.equal(rp.Decomposition.load(folder / "run").baseline_units)
    assert (out / "report.html").is_file()
    assert rp.edit(found, planted, {0: 2.0}).isfinite().all()
    monkeypatch.setattr(runs, "write_report", lambda folder: None)  # it has been seen by now
    again = (folder / "run", folder / "truth.safetensors", *LIGHT, "--out", out)
    status, _, err = score(*again)
    assert status == 2
    assert "holds a run already" in err.splitlines()[-1]
    assert score(*again, "--overwrite")[0] == 0
    assert rp.Decomposition.load(out).provenance.settings["name"] == "truth"


def test_an_edit(score, tmp_path):
    before = np.full((8, 8, 3), 100, dtype=np.uint8)
    mask, after = np.zeros((8, 8), dtype=np.uint8), before.copy()
    mask[:4], after[:4] = 255, 200
    for name, one in (("a", before), ("b", after), ("m", mask)):
        Image.fromarray(one).save(tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in "abm"]
    status, out, err = score("--edit", *files)
    assert status == 0, err
    assert "change inside" in out
    assert "39.2%" in out
    status, out, _ = score("--edit", *files, "--json")
    found = json.loads(out)["scores"]
    assert found == pytest.approx(rp.edit_scores(*files).to_dict())
    status, _, err = score("--edit", *files[:2], tmp_path / "none.png")
    assert (status, len(err.splitlines())) == (2, 1)


def test_bad_input(score, folder, tmp_path):
    run, truth = folder / "run", folder / "truth.safetensors"
    (tmp_path / "truth.npz").write_bytes(b"")
    for name in ("PCA", "this decomposition"):
        shutil.copy(folder / "axes.npz", tmp_path / f"{name}.npz")
    for words, message in (
        ([], "give a run folder and a file of components"),
        ([run], "give a run folder and a file of components"),
        ([run, truth, "--edit", "a", "b", "c"], "--edit takes three pictures, and no run"),
        ([run, folder / "other.npz"], "these components are another picture's"),
        ([run, folder / "none.npz"], "there is no file"),
        ([run, tmp_path / "truth.npz"], "cannot be read as a NumPy file"),
        ([run, truth, truth], "two are called alike"),
        ([run, tmp_path / "PCA.npz", "--baselines", "PCA"], "another name for 'PCA'"),
        ([run, tmp_path / "this decomposition.npz"], "another name for 'this decomposition'"),
        ([run, truth, folder / "axes.npz", "--out", tmp_path / "o"], "of one file's components"),
        ([run, truth, "--baselines", "none"], "'none' is no method to compare with"),
        ([tmp_path / "no", truth], "no run"),
        ([run, truth, "--set", "demands=0"], "demands must be"),
    ):
        status, out, err = score(*words)
        assert (status, out, len(err.splitlines())) == (2, "", 1), (words, err)
        assert message in err, (words, err)


def test_a_run_as_it_was_scored_is_left_alone(score, folder):
    run = folder / "run"
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    assert score(run, folder / "axes.npz", *LIGHT)[0] == 0
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before
    assert torch.is_grad_enabled()
