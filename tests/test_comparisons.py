import json
import re
import shutil
import sys
from dataclasses import replace
from html import unescape

import pytest
import torch

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.runs import compare as comparisons
from regional_primitives.runs import folder as run_folders
from regional_primitives.runs.compare import compare_runs
from regional_primitives.runs.folder import explain_to_folder, generator_of
from regional_primitives.runtime.storage import read_json, write_json
from regional_primitives.scores import Evaluation, Exhibits
from regional_primitives.scores.exhibits import patterns_of
from regional_primitives.show.comparison_plots import plot_shared_fields, plot_transfer_matrix

QUICK = rp.Structured(steps=6, batch=8, probes=1, baseline_count=64)
MEASURED = Evaluation(demands=8, components=4, contexts=2, free_demands=0)


@pytest.fixture(scope="module")
def runs(planted, tmp_path_factory):
    """Three runs; the name of one is markup."""
    folder = tmp_path_factory.mktemp("runs")
    paths = []
    with pytest.MonkeyPatch.context() as patch:  # nothing here reads their own reports
        patch.setattr(run_folders, "write_report", lambda folder: (folder / "report.html").touch())
        for seed, name in ((3, "one"), (4, "two"), (5, "<b>three")):
            explain_to_folder(
                planted, seed, folder / name, regions=rp.Regions.grid(4, 4), settings=QUICK,
                evaluation=MEASURED,
            )  # fmt: skip
            paths.append(folder / name)
    return paths


@pytest.fixture(scope="module")
def compared(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "all"
    return compare_runs(runs, out, draws=2), out


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


def test_the_numbers_are_those_of_compare(runs, compared):
    found, out = compared
    own = rp.compare(
        [rp.Decomposition.load(run) for run in runs], names=["one", "two", "<b>three"], draws=2
    )
    assert found.to_dict() == own.to_dict()  # the same operations, twice in one process
    written = read_json(out / "compare.json")
    assert written.pop("runs") == [str(run) for run in runs]
    assert written == json.loads(json.dumps(own.to_dict()))


def test_the_page_loads_nothing_and_escapes_names(compared):
    page = (compared[1] / "compare.html").read_text(encoding="utf-8")
    assert "<b>three" not in page
    assert "&lt;b&gt;three" in page
    assert "<script" not in page
    for value in re.findall(r'(?:src|href|srcset)="([^"]*)"', page):
        assert value.startswith(("data:image/", "#"))
    # Every picture that is used is stored, and the other way round.
    used = set(re.findall(r'<use href="#(image-[^"]+)"', page))
    assert used == set(re.findall(r'<image id="(image-[^"]+)"', page))


def test_the_page_says_the_numbers_and_shows_what_is_shared(compared):
    found, out = compared
    page = (out / "compare.html").read_text(encoding="utf-8")
    text = unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u00a0", " ")
    assert f"Transfer t({found.a}, {found.b})" in text
    assert f"{100 * found.summary['strength_overlap'].mean:.0f} %" in text
    assert page.count('class="shared"') == 24
    first = found.common[0]
    for name, k in zip(found.names, first.components, strict=True):
        assert f"{name} component {k}," in re.sub(r" +", " ", text)
    assert f"{len(found.common)} action fields are ones that at least two" in text
    assert "that the run folders keep" in text
    assert text.count("Every pair") == 1


def test_two_pictures_also_show_the_change_and_no_matrix(runs, tmp_path):
    compare_runs(runs[:2], tmp_path / "pair", draws=1)
    page = (tmp_path / "pair" / "compare.html").read_text(encoding="utf-8")
    assert page.count("change it makes") == 48
    assert "Matrix of" not in page
    assert "says nothing about others" in page


def test_patterns_are_read_where_they_are_kept_and_generated_elsewhere(runs, planted, tmp_path):
    d = rp.Decomposition.load(runs[0])
    exhibits = Exhibits.read(runs[0])
    shown = exhibits.shown.tolist()
    absent = next(k for k in range(d.count) if k not in shown)
    found = patterns_of(d, [shown[0], absent], runs[0], lambda: planted)
    assert found.kept == {shown[0]}
    assert torch.equal(found.changes[shown[0]], exhibits.patterns[0])
    expected = planted.tail(d.baseline + d.component(absent))[0] - d.baseline_image
    torch.testing.assert_close(found.changes[absent], expected, atol=1e-5, rtol=0)

    def never():
        raise AssertionError("loaded in vain")

    assert patterns_of(d, [shown[0]], runs[0], never).kept == {shown[0]}
    anew = patterns_of(d, [shown[0]], tmp_path, lambda: planted)
    assert anew.kept == frozenset()
    torch.testing.assert_close(anew.changes[shown[0]], exhibits.patterns[0], atol=1e-5, rtol=0)


def test_pictures_of_another_run_are_refused(runs, planted, tmp_path):
    run = shutil.copytree(runs[0], tmp_path / "run")
    exhibits = Exhibits.read(run)
    names = ("patterns", "removals", "build_up", "demanded")
    smaller = {name: getattr(exhibits, name)[:, :, :5] for name in names}
    replace(exhibits, **smaller).write(run)
    with pytest.raises(rp.StorageError, match="pictures do not belong to its components"):
        patterns_of(rp.Decomposition.load(run), [0], run, lambda: planted)


def test_of_many_pictures_the_page_shows_some_and_says_so(runs, tmp_path):
    found = compare_runs(runs[:2] * 7, tmp_path / "out", draws=1)
    assert len(found.pairs) == 91
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert "Pictures beyond the first 12 are counted, not shown." in page
    assert page.count('class="shared"') == 20
    assert page.count('class="cell"') == 240


def test_a_generator_that_is_not_in_the_zoo_leaves_gaps_and_says_why(runs, tmp_path, monkeypatch):
    def gone(decomposition, model):
        return generator_of(replace(decomposition, provenance=replace(
            decomposition.provenance, generator="my-own")))  # fmt: skip

    monkeypatch.setattr(comparisons, "generator_of", gone)
    compare_runs(runs[:2], tmp_path / "out", draws=1)
    page = unescape((tmp_path / "out" / "compare.html").read_text(encoding="utf-8"))
    assert "The other patterns are not shown: this run was made with 'my-own'" in page
    assert 0 < page.count("change it makes") < 48


def test_equal_folder_names_are_told_apart(runs, tmp_path):
    for parent in ("a", "b"):
        shutil.copytree(runs[0], tmp_path / parent / "run")
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert compare_runs(paths, draws=1).names == tuple(map(str, paths))


def test_the_command_prints_a_table_or_json(runs, tmp_path, primitives):
    status, out, _ = primitives("compare", *runs[:2], "--draws", 1, "--out", tmp_path / "out")
    assert status == 0
    assert "Overlap of strengths" in out
    assert "shared action fields, 10 of" in out
    assert f"report: {tmp_path / 'out' / 'compare.html'}" in out.replace("\n", "")
    status, out, _ = primitives("compare", *runs, "--draws", 1, "--a", 3, "--b", 9, "--json")
    told = json.loads(out)
    assert (status, told["a"], told["b"], len(told["pairs"])) == (0, 3, 9, 3)


def test_a_comparison_may_be_made_anew_but_nothing_else_is_replaced(runs, tmp_path, primitives):
    out = tmp_path / "out"
    for _ in range(2):
        assert primitives("compare", *runs[:2], "--draws", 1, "--out", out)[0] == 0
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".compare.json.primitives-abcd_123").touch()
    (tmp_path / "hidden" / ".DS_Store").touch()
    assert primitives("compare", *runs[:2], "--draws", 1, "--out", tmp_path / "hidden")[0] == 0
    assert {path.name for path in (tmp_path / "hidden").glob(".*")} == {".DS_Store"}
    before = {path: path.read_bytes() for path in runs[2].iterdir() if path.is_file()}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("words")
    (tmp_path / "file").write_text("words")
    for place, message in (
        (runs[2], "is a run folder; choose another"),
        (tmp_path / "other", "exists and holds no comparison"),
        (tmp_path / "file", "is a file; choose a folder"),
    ):
        status, _, err = primitives("compare", *runs[:2], "--out", place)
        assert status == 2
        assert message in err
    assert {path: path.read_bytes() for path in runs[2].iterdir() if path.is_file()} == before
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_bad_input_is_one_line(runs, tmp_path, primitives):
    other = shutil.copytree(runs[0], tmp_path / "other")
    write_json(other / "run.json", {**read_json(other / "run.json"), "layer": "elsewhere"})
    corrupt = shutil.copytree(runs[0], tmp_path / "corrupt")
    (corrupt / "tensors.safetensors").write_bytes(b"no")
    strange = shutil.copytree(runs[0], tmp_path / "strange")
    (strange / "exhibits.safetensors").write_bytes(b"no")
    for words, message in (
        ([runs[0]], "at least two run folders; got 1"),
        ([runs[0], tmp_path / "none"], "is not a run folder"),
        ([runs[0], other], "layers differ: express and elsewhere"),
        ([runs[0], corrupt], "is corrupt"),
        ([strange, runs[1], "--out", tmp_path / "out"], "is corrupt"),
        ([runs[0], runs[1], "--a", 0], "a must be a whole number of at least 1"),
    ):
        status, out, err = primitives("compare", *words)
        assert (status, out) == (2, "")
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
    assert not (tmp_path / "out").exists()


def test_figures_show_the_numbers_on_the_callers_axis(compared):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    found, _ = compared
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_shared_fields(found, left) is figure
    assert plot_transfer_matrix(found, right) is figure
    mean = torch.stack([pair.curve for pair in found.pairs]).mean(0)
    assert list(left.lines[0].get_ydata()) == pytest.approx((100 * mean).tolist())
    written = [text.get_text() for text in right.texts]
    off_diagonal = ~torch.eye(3, dtype=torch.bool)
    assert written == [f"{100 * value:.0f}" for value in found.transfer[off_diagonal].tolist()]
    assert [label.get_text() for label in right.get_xticklabels()] == list(found.names)
    assert plot_transfer_matrix(found) is not figure
    assert pyplot.get_fignums() == []


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A file of one's own with a generator; runs of one picture under two checkpoints, another."""
    folder = tmp_path_factory.mktemp("own")
    file = folder / "models.py"
    file.write_text(OWN)
    make = f"{file}:make"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folders, "write_report", lambda folder: (folder / "report.html").touch())
        for scale, seed, name in ((1, 3, "first"), (4, 3, "last"), (1, 4, "other")):
            explain_to_folder(
                rp.load_generator(make, scale=scale), seed, folder / name, settings=QUICK,
                regions=rp.Regions.grid(1, 2).named(["left", "right"]), evaluation=MEASURED,
            )  # fmt: skip
    return make, folder


OWN = """
import torch

import regional_primitives as rp


def make(layer="0", scale=1):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 48),
                                 torch.nn.Unflatten(1, (3, 4, 4)), torch.nn.Tanh())
    with torch.no_grad():  # what the right half is made from
        module[2].weight.view(3, 4, 4, 8)[:, :, 2:] *= scale
    return rp.cut(module, layer, image_range=(-1.0, 1.0),
                  sample_latents=lambda count, rng: torch.randn(count, 4, generator=rng))
"""


def test_two_checkpoints_are_compared_by_parts(own, primitives, tmp_path):
    _, folder = own
    words = ["compare", folder / "first", folder / "last", "--draws", 1]
    status, text, _ = primitives(*words, "--out", tmp_path / "out")
    assert status == 0
    assert "one picture, two checkpoints: first, last" in text
    written = read_json(tmp_path / "out" / "compare.json")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.json"}
    parts = {part["part"]: part for part in written["parts"]}
    one, two = (rp.Decomposition.load(folder / name) for name in ("first", "last"))
    change = (one.image - two.image)[..., 2:].square().mean().sqrt() / 2
    assert parts["right"]["picture_change"] == pytest.approx(float(change), rel=1e-5)
    assert parts["left"]["picture_change"] == pytest.approx(0, abs=1e-6)
    for place, d in enumerate((one, two)):
        d = d.without(d.remainder)
        fields, energy = d.action_fields.float(), d.strengths.square()
        left = float((energy * fields[:, 0] / fields.sum(1)).sum() / energy.sum())
        assert parts["left"]["shares"][place] == pytest.approx(left, rel=1e-4)
    assert len({one["weights_digest"] for one in written["checkpoints"]}) == 2
    assert [one["options"]["factory"]["options"] for one in written["checkpoints"]] == [
        {"scale": 1}, {"scale": 4},
    ]  # fmt: skip
    again = primitives(*words, "--json")
    assert json.loads(again[1]) == written


def test_checkpoints_are_compared_on_one_picture(own, primitives):
    _, folder = own
    status, _, err = primitives("compare", folder / "last", folder / "other")
    assert status == 2
    assert "two checkpoints are compared on one picture: explain it, of one seed, with both" in err


def test_patterns_of_ones_own_generator_are_shown_where_it_is_named(own, primitives, tmp_path):
    make, folder = own
    words = ["compare", folder / "first", folder / "other", "--draws", 1, "--out"]
    named = ["--model", make, "--option", "scale=1"]
    assert primitives(*words, tmp_path / "named", *named)[0] == 0
    assert primitives(*words, tmp_path / "without")[0] == 0
    alone = 'id="image-part-'
    assert alone in (tmp_path / "named" / "compare.html").read_text()
    assert alone not in (tmp_path / "without" / "compare.html").read_text()
    status, _, err = primitives(*words, tmp_path / "wrong", "--model", make, "--option", "scale=3")
    assert (status, "weights" in err) == (2, True)


def test_parts_are_told_by_name_and_shown_alone(planted, primitives, tmp_path):
    halves = rp.Regions.grid(1, 2).named(["left half", "right half"])
    for seed in (3, 4):
        d = rp.explain(planted, planted.sample_latents(1, seed=seed), halves, QUICK)
        d.save(tmp_path / str(seed))
    words = [tmp_path / "3", tmp_path / "4", "--out", tmp_path / "both", "--draws", 1]
    status, text, _ = primitives("compare", *words)
    assert status == 0
    assert "what makes each part" in text
    assert "left half, right half" in text
    page = (tmp_path / "both" / "compare.html").read_text()
    assert "The same part in each picture" in page
    for name in ("part-0-0", "part-0-1", "part-1-0", "part-1-1"):
        assert f'id="image-{name}"' in page
    assert "What right half of 4 needs, alone" in page
    assert [p["part"] for p in read_json(tmp_path / "both" / "compare.json")["parts"]] == [
        "left half", "right half",
    ]  # fmt: skip
