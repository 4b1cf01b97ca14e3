"""A run made with held normalisations is remembered, scored, edited, shown and compared as one."""

import json
import shutil
import sys

import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.apply.pairs import check_pair
from regional_primitives.generators import ZOO, ZooEntry
from regional_primitives.generators.zoo import Loaded
from regional_primitives.runs import folder as runs
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.scores import Exhibits
from regional_primitives.show.reproduce import command, python_lines

QUICK = [
    *("--set", "steps=3", "--set", "batch=4", "--set", "probes=1", "--set", "baseline_count=32"),
]
HELD = ("--hold", "normalisation")


def _load(weights, size):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Unflatten(1, (8, 4, 4)), nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(),
        nn.Upsample(scale_factor=4), nn.Conv2d(8, 3, 3, padding=1), nn.Tanh(),
    )  # fmt: skip
    return Loaded(network, lambda count, rng: torch.randn(count, 128, generator=rng))


@pytest.fixture(scope="module", autouse=True)
def _zoo():
    """Let the zoo have a small network with a normalisation behind its cut."""
    entry = ZooEntry(
        name="normed", family="a test's own", sizes=(16,), licence="", layers=("1", "3"),
        default_layer="1", image_range=(-1.0, 1.0), load=_load, installed=lambda: True,
        how_to_get="", baseline_count=32,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ZOO, "normed", entry)
        yield


def _run(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["primitives", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run as the command makes it."""
    folder = tmp_path_factory.mktemp("runs") / "held"
    assert _run("explain", "normed", "--grid", "2x2", "--out", folder, *HELD, *QUICK) == 0
    return folder


@pytest.fixture
def held(folder):
    return rp.Decomposition.load(folder)


@pytest.fixture
def plain(folder):
    """The same with nothing held, in Python, as it was before there was the option."""
    settings = rp.Structured(steps=3, batch=4, probes=1, baseline_count=32)
    generator = rp.load_generator("normed")
    latents = generator.sample_latents(1)
    return rp.explain(generator, latents, rp.Regions.grid(2, 2), settings, picture_seed=0)


@pytest.fixture
def stub_report(monkeypatch):
    """Leave empty files in place of the reports of runs, where no test looks at them."""
    monkeypatch.setattr(runs, "write_report", lambda folder: (folder / "report.html").touch())


@pytest.mark.usefixtures("stub_report")
def test_the_run_remembers_it_and_all_commands_do_as_it_says(folder, tmp_path):
    assert json.loads((folder / MANIFEST).read_text())["options"] == {"hold": "normalisation"}
    again = shutil.copytree(folder, tmp_path / "again")
    before = rp.Scores.read(folder)
    assert _run("evaluate", again) == 0
    assert rp.Scores.read(again).inside_error == pytest.approx(before.inside_error, rel=1e-3)
    assert _run("edit", folder, "--scale", "0=0", "--out", tmp_path / "edited.png") == 0
    assert runs.generator_of(rp.Decomposition.load(folder)).hold == "normalisation"


def test_a_run_is_made_again_by_the_lines_that_its_report_tells(held):
    assert "--hold normalisation" in command(held)
    told = {}
    exec(python_lines(held).split("scores")[0], told)
    torch.testing.assert_close(told["decomposition"].image, held.image)
    assert told["generator"].hold == "normalisation"


def test_the_report_names_it_and_shows_both_pictures_of_the_baseline_feature(folder, held):
    exhibits = Exhibits.read(folder, held)
    generator = rp.load_generator("normed", hold="normalisation").at(held.latents)
    plain = rp.load_generator("normed").at(held.latents)
    torch.testing.assert_close(exhibits.baseline_as_it_is, plain.tail(held.baseline)[0])
    torch.testing.assert_close(held.baseline_image, generator.tail(held.baseline)[0])
    assert float((exhibits.baseline_as_it_is - held.baseline_image).abs().max()) > 0.01
    page = (folder / "report.html").read_text()
    assert page.count("each normalisation, at the statistics that it has") == 1
    assert "layer 1, normalisation held, picture seed 0" in page
    assert "Each normalisation that torch computes behind the cut is held" in page
    assert "x₀ of the network as it is, nothing held" in page
    assert "statistics of 2" in page  # among what flows past the cut


def test_a_run_without_it_shows_nothing_of_it(plain, tmp_path):
    plain.save(tmp_path / "run")
    loaded = rp.Decomposition.load(tmp_path / "run")
    assert loaded.provenance.hold is None
    assert json.loads((tmp_path / "run" / MANIFEST).read_text())["options"] == {}
    runs.rescore(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    for told in ("normalisation", "as it is", "--hold"):
        assert told not in page
    assert Exhibits.read(tmp_path / "run").baseline_as_it_is is None


def test_runs_of_earlier_releases_load(plain, tmp_path):
    plain.save(tmp_path / "run")
    content = json.loads((tmp_path / "run" / MANIFEST).read_text())
    del content["options"]
    (tmp_path / "run" / MANIFEST).write_text(json.dumps(content))
    assert runs.generator_of(rp.Decomposition.load(tmp_path / "run")).hold is None


def test_bad_input_a_hold_that_cannot_be(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    content = json.loads((run / MANIFEST).read_text())
    for hold, message in ((7, "is corrupt: hold is a text"), ("much", "not 'much'")):
        (run / MANIFEST).write_text(json.dumps({**content, "options": {"hold": hold}}))
        with pytest.raises(rp.RegionalPrimitivesError, match=message):
            runs.generator_of(rp.Decomposition.load(run))


def test_the_picture_and_the_baseline_feature_are_those_of_the_network(held, plain):
    torch.testing.assert_close(held.image, plain.image, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(held.baseline, plain.baseline)


def test_bad_input_a_run_and_a_generator_of_which_one_is_held(held, plain):
    generators = {hold: rp.load_generator("normed", hold=hold) for hold in (None, "normalisation")}
    for d, wrong in ((held, None), (plain, "normalisation")):
        for use in (rp.evaluate, lambda d, g: rp.edit(d, g, {0: 0.0})):
            with pytest.raises(rp.GeneratorError, match=f"hold={wrong!r}: pass the former"):
                use(d, generators[wrong])
    with pytest.raises(rp.InputError, match="values of hold differ: normalisation and None"):
        rp.compare([held, plain])
    with pytest.raises(rp.InputError, match="values of hold differ: normalisation and None"):
        check_pair(held, plain)


@pytest.mark.usefixtures("stub_report")
def test_bad_input_a_folder_holds_the_run_with_another_hold(folder, tmp_path, capsys):
    words = ["explain", "normed", "--grid", "2x2", "--out", folder, *QUICK]
    assert _run(*words, *HELD) == 0
    assert "not fitted again" in capsys.readouterr().err
    assert _run(*words) == 2
    assert "holds a run already" in capsys.readouterr().err
    words = ["sweep", "normed", "--seeds", "0", "--grid", "2x2", "--out", tmp_path / "s", *QUICK]
    assert _run(*words, *HELD) == 0
    assert "--hold normalisation" in (tmp_path / "s" / "sweep.html").read_text()
    assert _run(*words) == 2
    assert "another hold (normalisation, not none)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hold", "everything"], "hold is 'normalisation' or None, not 'everything'"),
        (["--layer", "3", *HELD], "there is no normalisation to hold behind layer '3'"),
    ],
)
def test_bad_input_what_cannot_be_held_ends_the_command(words, message, capsys, tmp_path):
    assert _run("explain", "normed", "--out", tmp_path / "run", *words) == 2
    assert message in capsys.readouterr().err
