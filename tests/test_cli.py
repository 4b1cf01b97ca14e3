import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata

import pytest
import torch
from rich.table import Table

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.runtime.run_files import MANIFEST

QUICK = ["--set", "steps=6", "--set", "batch=8", "--set", "probes=1", "--set", "baseline_count=64"]


@pytest.fixture
def primitives(monkeypatch, capsys):
    """Run the command in this process; returns (status, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["primitives", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output = capsys.readouterr()
        return stop.value.code, output.out, output.err

    return run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """One explained planted picture."""
    folder = tmp_path_factory.mktemp("runs") / "planted"
    words = ["explain", "planted", "--seed", "3", "--grid", "4x4", "--out", str(folder), *QUICK]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["primitives", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0
    return folder


@pytest.mark.parametrize("rest", [False, True])
def test_pixels_in_no_region_are_told(primitives, tmp_path, rest):
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:8] = True
    named = {"top": mask} | ({"the rest": ~mask} if rest else {})
    rp.Regions.from_masks(named).write(tmp_path / "map.png")
    words = ["explain", "planted", "--regions", tmp_path / "map.png", "--out", tmp_path / "run"]
    status, _, err = primitives(*words, *QUICK)
    assert status == 0
    assert ("75% of the picture is in no region" in err) is not rest


def test_a_run_folder_holds_what_is_promised(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    assert {MANIFEST, "tensors.safetensors", "scores.json", "report.html", "figures"} <= names
    assert list((run_folder / "figures").glob("*.png"))
    manifest = json.loads((run_folder / MANIFEST).read_text())
    assert manifest["schema_version"] == 2
    assert manifest["generator"] == "planted"
    assert manifest["picture_seed"] == 3
    assert len(manifest["weights_digest"]) == 64
    assert manifest["settings"]["steps"] == 6
    assert manifest["regions"] == {"kind": "grid", "rows": 4, "columns": 4}
    assert {"torch", "python", "regional_primitives"} <= set(manifest["versions"])
    assert manifest["wall_seconds"] > 0
    scores = rp.Scores.from_dict(json.loads((run_folder / "scores.json").read_text()))
    assert scores.evaluations == 16 + 6 * (8 + 2 * 2)
    assert [path.name for path in run_folder.parent.iterdir()] == ["planted"]


def test_the_picture_is_the_one_that_the_seed_names(run_folder, planted):
    found = rp.Decomposition.load(run_folder)
    expected = planted.image(planted.sample_latents(1, seed=3))[0]
    assert (found.image - expected).abs().max() < 1e-5


def test_the_same_run_is_not_made_twice(run_folder, primitives):
    before = (run_folder / MANIFEST).stat().st_mtime_ns
    status, out, err = primitives(
        "explain", "planted", "--seed", 3, "--grid", "4x4", "--out", run_folder, *QUICK
    )
    assert status == 0
    assert "holds this very run already" in err
    assert "report:" in out
    assert (run_folder / MANIFEST).stat().st_mtime_ns == before


def test_another_run_is_not_replaced_unasked(run_folder, primitives):
    words = ["explain", "planted", "--seed", 4, "--grid", "4x4", "--out", run_folder, *QUICK]
    status, _, err = primitives(*words)
    assert status == 2
    assert "holds a run already" in err
    assert rp.Decomposition.load(run_folder).provenance.picture_seed == 3


def test_json_goes_to_standard_output_alone(run_folder, primitives):
    words = ["explain", "planted", "--seed", 3, "--grid", "4x4", "--out", run_folder, *QUICK]
    status, out, _ = primitives(*words, "--json")
    assert status == 0
    content = json.loads(out)
    assert content["run"] == str(run_folder)
    assert content["scores"] == json.loads((run_folder / "scores.json").read_text())


def test_evaluate_measures_anew_and_renews_the_report(run_folder, primitives, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    (folder / "report.html").write_text("old")
    small = [f"--set={name}" for name in ("components=2", "contexts=2", "free_demands=0")]
    status, out, _ = primitives("evaluate", folder, "--set", "demands=16", *small, "--json")
    assert status == 0
    assert json.loads(out)["scores"]["demands"] == 16
    assert json.loads((folder / "scores.json").read_text())["demands"] == 16
    assert "<html" in (folder / "report.html").read_text()
    one, other = rp.Decomposition.load(folder), rp.Decomposition.load(run_folder)
    assert one.provenance == other.provenance


def test_evaluate_tells_that_scores_are_of_a_sample(run_folder, primitives, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.fitting.runs, "write_report", lambda folder: None)
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    small = [f"--set={name}" for name in ("components=2", "contexts=2", "free_demands=0")]
    count = rp.Decomposition.load(folder).count
    for patterns in (count - 1, count):
        status, out, _ = primitives("evaluate", folder, "--set", f"patterns={patterns}", *small)
        assert status == 0
        assert (f"{patterns} of {count}" in out) == (patterns < count)
        assert ("share measured alone" in out) == (patterns < count)
    assert rp.Scores.read(folder).superposition_error is not None


def test_evaluate_scores_baselines_and_forgets_them_when_measured_otherwise(
    run_folder, primitives, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    small = [f"--set={name}" for name in ("components=2", "contexts=2", "free_demands=0")]
    words = ["evaluate", folder, *small, "--set", "demands=8"]
    asked = ["--baselines", "spatial crop, random fields"]
    status, out, _ = primitives(*words, *asked, "--json")
    assert status == 0
    found = json.loads(out)["baselines"]
    assert [one["name"] for one in found["baselines"]] == ["spatial crop", "random fields"]
    assert found["own"]["points"][0]["leak"] == json.loads(out)["scores"]["leak"]
    assert found == json.loads((folder / "baselines.json").read_text())
    assert (folder / "figures" / "baselines.png").is_file()
    assert 'id="baselines"' in (folder / "report.html").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli.fitting.runs, "write_report", lambda folder: None)
        status, out, _ = primitives(*words, *asked)
        assert "spatial crop" in out
    status, out, _ = primitives(*words, "--json")
    assert status == 0
    assert "baselines" not in json.loads(out)
    assert 'id="baselines"' in (folder / "report.html").read_text()
    assert primitives("evaluate", folder, *small, "--set", "demands=9")[0] == 0
    assert not (folder / "baselines.json").exists()
    assert not (folder / "figures" / "baselines.png").exists()
    assert 'id="baselines"' not in (folder / "report.html").read_text()
    status, _, err = primitives(*words, "--baselines", "crop")
    assert status == 2
    assert "'crop' is no method to compare with; there are: all, spatial crop" in err


def test_edit_writes_the_picture_that_python_gives(run_folder, primitives, planted, tmp_path):
    import numpy as np
    from PIL import Image

    out = tmp_path / "edited.png"
    status, _, _ = primitives(
        "edit", run_folder, "--scale", "0=0", "--scale", "2=1.5", "--out", out
    )
    assert status == 0
    expected = rp.edit(rp.Decomposition.load(run_folder), planted, {0: 0.0, 2: 1.5})[0]
    expected = ((expected + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(Image.open(out)).astype(float) - expected).max() <= 0.51


def test_models_lists_the_zoo(primitives):
    status, out, _ = primitives("models", "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["faces"]["installed"] == "yes"
    assert "main.5" in rows["faces"]["layers"]


def test_without_a_verb_the_help_is_printed(primitives):
    status, out, _ = primitives()
    assert status == 0
    assert "explain" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "nosuch"], "'nosuch' is not in the zoo; there are: faces, terrain, photos"),
        (
            ["explain", "faces", "--layer", "main.99"],
            "not in this network; cut points: main, main.0",
        ),
        (["explain", "faces", "--grid", "6"], "regions '6' are none of: 6x6"),
        (
            ["explain", "faces", "--grid", "65x6", "--set", "baseline_count=16"],
            "65 rows needs as many pixels; the picture has 64",
        ),
        (["explain", "faces", "--seed", "-1"], "Invalid value for '--seed'"),
        (["explain", "faces", "--set", "steps"], "'steps' is not of the form NAME=VALUE"),
        (["explain", "faces", "--set", "steps=0"], "steps must be a whole number of at least 1"),
        (
            ["explain", "faces", "--set", "step=5"],
            "there is no setting 'step'; there are: purpose, steps",
        ),
        (["explain", "faces", "--quality", "superb"], "quality is fast, balanced, best, not"),
        (["explain", "faces", "--exact", "1,2", "--quality", "best"], "--exact has none"),
        (["explain", "faces", "--set", "give_back=much"], "give_back is a number, not 'much'"),
        (["explain", "faces", "--weights", "/dev/null"], "is not the published file"),
        (["explain", "faces", "--out", "/dev/null"], "is a file; choose a folder"),
        (["explain", "faces", "--out", "/dev/null/run"], "cannot write to /dev/null/run"),
        (["explain", "faces", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["sweep", "planted"], "Missing option '--seeds'"),
        (["sweep", "planted", "--seeds", "4:4"], "seeds '4:4' name no picture"),
        (["sweep", "planted", "--seeds", "x"], "seeds 'x' are not of the form START:STOP"),
        (["sweep", "nosuch", "--seeds", "0"], "generator 'nosuch' is not in the zoo"),
        (
            ["sweep", "planted", "--seeds", "0", "--layers", "express,nosuch"],
            "layer 'nosuch' is not in this network; cut points: embed, express",
        ),
        (["sweep", "planted", "--seeds", "0", "--layers", "express,"], "NAME,NAME,… or all"),
        (["sweep", "planted", "--seeds", "0", "--workers", "0"], "workers must be a whole number"),
        (["sweep", "planted", "--seeds", "0", "--grid", "6"], "are none of: 6x6"),
        (["sweep", "planted", "--seeds", "0", "--out", "/dev/null"], "is a file; choose a folder"),
        (["sweep", "planted", "--seeds", "0", "--out", "/usr"], "is not a sweep's folder"),
        (["sweep", "planted", "--seeds", "0", "--measure", "demand=1"], "no setting 'demand'"),
        (["explain"], "Missing argument"),
        (["explode"], "No such command"),
        (["evaluate", "/nowhere"], "/nowhere is not a run folder"),
        (["edit", "/nowhere", "--scale", "0:1", "--out", "x.png"], "'0:1' is not of the form"),
    ],
)
def test_bad_input_is_one_line_and_status_two(primitives, words, message):
    status, out, err = primitives(*words)
    assert status == 2
    assert out == ""
    lines = [line for line in err.splitlines() if line.strip() and "━" not in line]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def _shell(line):
    """Run a line in a shell, `primitives` being the command; returns (status, output, messages)."""
    command = f'primitives() {{ {sys.executable} -m regional_primitives "$@"; }}; {line}'
    found = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
    return found.returncode, found.stdout.decode(), found.stderr.decode()


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        ("primitives models > /dev/full", 2, "error: standard output cannot be written: No space"),
        ("primitives --help > /dev/full", 2, "error: standard output cannot be written: No space"),
        ("primitives models >&-", 2, "error: standard output is closed; send it to a file"),
        ("primitives nosuch 2> /dev/full", 2, ""),
        ("primitives models 2>&- | true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_output_that_nobody_takes_is_told(line, status, told):
    if "/dev/full" in line and not os.path.exists("/dev/full"):  # noqa: PTH110
        line, told = line.replace("> /dev/full", ">&-"), told and "error: standard output is closed"
    found, _, messages = _shell(line)
    assert found == status, messages
    assert "Traceback" not in messages
    lines = [one for one in messages.splitlines() if one.startswith("error")]
    assert len(lines) == bool(told)
    assert messages.startswith(told)


def test_output_suits_every_encoding(tmp_path):
    status, out, messages = _shell("PYTHONUTF8=0 PYTHONIOENCODING=ascii primitives models")
    assert (status, "Traceback" in messages) == (0, False)
    assert "64 ? 64" in out
    status, out, _ = _shell("PYTHONUTF8=0 PYTHONIOENCODING=ascii primitives models --json")
    assert "64 × 64" in str(json.loads(out))


def test_a_narrow_terminal_loses_no_words(primitives, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    status, out, _ = primitives("models")
    assert status == 0
    assert "faces" in out


NAMES = ("input_blocks.12.0.in_layers.2", "output_blocks.24.1.proj_out[0]", "vae-dsprites")


@pytest.mark.parametrize("terminal", [True, False])
def test_names_are_whole_in_80_columns_and_in_pipes(primitives, monkeypatch, capsys, terminal):
    monkeypatch.setenv("COLUMNS", "80")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table("layer", "about", "flows past", title="of [some] network")
    table.add_row(NAMES[0], "prose that may well be told in several lines " * 3, NAMES[1])
    cli.output.print_table(table)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert all(name in printed for name in ("of [some] network", *NAMES[:2]))
    assert ("━" in printed) == terminal
    assert len(printed.splitlines()) == 3 or terminal  # the title, the names, the row
    _, printed, _ = primitives("models")
    assert all(name in printed for name in (NAMES[2], "convT1_relu", "main.11"))


def test_bugs_keep_their_traceback(primitives, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli.fitting, "load_generator", broken)
    monkeypatch.setattr(sys, "argv", ["primitives", "explain", "faces"])
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main()


def _heed_interrupts():
    """A shell starts background jobs deaf to interrupts, and so would be what the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "runs" / "interrupted"
    words = ["explain", "planted", "--grid", "4x4", "--out", str(folder), "--set", "steps=100000"]
    words += ["--set", "tolerance=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "regional_primitives", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
        preexec_fn=_heed_interrupts,
    )
    for _ in range(600):
        if folder.parent.is_dir() and any(folder.parent.iterdir()):
            break
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in re.sub(r"\s+", " ", err)
    assert "Traceback" not in err
    assert not folder.parent.exists(), "neither debris nor the folder made for it"


SWEEP = ["sweep", "planted", "--layers", "embed,express", "--seeds", "0:2", "--grid", "4x4", *QUICK]
SWEEP += ["--measure", "demands=8", "--measure", "components=2", "--measure", "free_demands=0"]


@pytest.fixture(scope="module")
def swept_folder(tmp_path_factory):
    """Two pictures at two layers; the runs' own reports are stubs."""
    folder = tmp_path_factory.mktemp("sweeps") / "planted"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cli.fitting.runs, "write_report", lambda folder: (folder / "report.html").touch()
        )
        patch.setattr(sys, "argv", ["primitives", *SWEEP, "--out", str(folder)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0
    return folder


def test_a_sweep_tells_the_layers_and_where_its_page_is(swept_folder, primitives, monkeypatch):
    monkeypatch.setattr(cli.fitting.runs, "explain", lambda *_, **__: pytest.fail("fitted again"))
    status, out, err = primitives(*SWEEP, "--out", swept_folder)
    assert status == 0
    assert "4/4" in err
    assert "4 stand already" in err
    for text in ("planted, mean over 2 pictures", "embed", "express", "pooled", "±", "--thorough"):
        assert text in out
    assert f"report: {swept_folder / 'sweep.html'}" in out
    page = (swept_folder / "sweep.html").read_text()
    assert "primitives sweep planted --layers embed,express --seeds 0:2 --grid 4x4" in page
    assert (swept_folder / "figures" / "sweep.png").is_file()


def test_a_sweep_as_json_is_what_sweep_json_holds(swept_folder, primitives):
    status, out, _ = primitives(*SWEEP, "--out", swept_folder, "--json")
    assert status == 0
    content = json.loads(out)
    assert content == json.loads((swept_folder / "sweep.json").read_text())
    assert content["evaluation"]["demands"] == 8
    assert content["settings"]["steps"] == 6


def test_thorough_is_the_same_as_measuring_refits_and_free_bounds(
    swept_folder, primitives, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        cli.fitting.sweeps,
        "sweep",
        lambda *_, **named: asked.append(named["evaluation"]) or sys.exit(0),
    )
    primitives(*SWEEP, "--thorough")
    more = ("refits=true", "free_bounds=true")
    primitives(*SWEEP, *(f"--measure={one}" for one in more))
    primitives(*SWEEP)
    assert asked[0] == asked[1] == rp.Evaluation(demands=8, components=2, free_demands=0).thorough()
    assert not asked[2].refits
    assert not asked[2].free_bounds


def test_an_interrupted_sweep_keeps_finished_runs_and_no_debris(swept_folder, tmp_path):
    folder = tmp_path / "sweep"
    shutil.copytree(swept_folder / "embed", folder / "embed")
    words = [*SWEEP, "--out", str(folder), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "regional_primitives", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )
    for _ in range(600):
        if any(folder.glob("express/.*")):  # a run has begun
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"finished runs stay in {folder}" in re.sub(r"\s+", " ", err)
    assert "Traceback" not in err
    assert {path.name for path in folder.iterdir()} == {"embed"}
    assert {path.name for path in (folder / "embed").iterdir()} == {"0", "1"}


def test_the_version_is_told(primitives):
    status, out, _ = primitives("--version")
    assert status == 0
    assert out == f"primitives {metadata.version('regional_primitives')}\n"


def test_bad_input_of_verbs_and_names_says_what_may_be_meant(primitives):
    for words, meant in (
        (["explian", "faces"], "Did you mean 'explain'"),
        (["explain", "facs"], "did you mean 'faces'"),
        (["explain", "planted", "--sed", "3"], "--seed"),
    ):
        status, _, err = primitives(*words)
        assert status == 2
        assert meant in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "planted", "--exact", "+-1,2"], "there is no region '+-1'"),
        (["explain", "planted", "--exact=--5"], "there is no region '--5'"),
        (["explain", "planted", "--option", "layer=1"], "layer has an option of its own: --layer"),
        (["explain", "planted", "--option", "model=1"], "cannot be called 'model'"),
        (["explain", "planted", "--option", "a=1", "--option", "a=2"], "each name once"),
        (["explain", "planted", "--option", "a=" + "[" * 10**5], "takes no option 'a'"),
        (["explain", "planted", "--option", "a=NaN"], "takes no option 'a'"),
        (["sweep", "x.py:make", "--seeds", "0", "--layers", "all"], "name those of x.py:make"),
        (["explain", "planted", "--regions", "segments:0"], "into 2 superpixels or more"),
        (["explain", "planted", "--resize-regions"], "--resize-regions belongs to --regions FILE"),
        (["explain", "planted", "--grid", "2x2", "--resize-regions"], "belongs to --regions FILE"),
    ],
)
def test_bad_input_of_options_and_names(primitives, words, message):
    status, out, err = primitives(*words)
    assert (status, out) == (2, "")
    lines = [line for line in err.splitlines() if line.strip() and "━" not in line]
    assert len(lines) == 1
    assert message in lines[0]
