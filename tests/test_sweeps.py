import errno
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pandas
import polars
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats

import regional_primitives as rp
from regional_primitives.compare.vocabulary import Vocabulary
from regional_primitives.generators import ZOO
from regional_primitives.regions import described
from regional_primitives.runs import folder as runs
from regional_primitives.runs import sweep as sweeps
from regional_primitives.runs.sweep_runs import layer_folder
from regional_primitives.runtime.storage import read_json
from regional_primitives.scores.sweep_scores import FailedPicture, SweepScores

QUICK = rp.Structured(purpose="isolate", steps=3, batch=4, probes=1, baseline_count=64)
LITTLE = rp.Evaluation(
    demands=8, components=2, contexts=2, free_demands=2, free_steps=2, free_bounds=True
)
LAYERS = ("embed", "express")


def sweep(folder, seeds=(0, 1, 2), layers=LAYERS, **changes):
    arguments = {
        "regions": rp.Regions.grid(4, 4),
        "settings": QUICK,
        "evaluation": LITTLE,
        "device": "cpu",
        **changes,
    }
    return sweeps.sweep("planted", seeds, layers, folder, **arguments)


def stub(name):
    return lambda folder: (folder / name).touch()


@pytest.fixture(autouse=True)
def quick_reports(monkeypatch):
    """Leave stubs in place of reports: tests of reports are elsewhere."""
    monkeypatch.setattr(runs, "write_report", stub("report.html"))
    monkeypatch.setattr(sweeps, "write_sweep_report", stub("sweep.html"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The order in which threads add up changes rounding; one has one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def explained(monkeypatch):
    """Note which picture is fitted at which layer."""
    fitted, explain = [], runs.explain

    def noted(generator, *rest, picture_seed, **named):
        fitted.append((generator.layer, picture_seed))
        return explain(generator, *rest, picture_seed=picture_seed, **named)

    monkeypatch.setattr(runs, "explain", noted)
    return fitted


@pytest.fixture(scope="module")
def swept(tmp_path_factory, one_thread):
    """Two layers, three pictures, with the sweep's own report."""
    folder = tmp_path_factory.mktemp("sweeps") / "planted"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "write_report", stub("report.html"))
        return sweep(folder), folder


@pytest.fixture
def own_folder(swept, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(swept[1], tmp_path / "planted")


def visible(folder):
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def without_times(content):
    """Drop what two equal sweeps may differ in."""
    if isinstance(content, list):
        return [without_times(part) for part in content]
    if isinstance(content, dict):
        other = {"wall_seconds", "overhead_ratio", "machine", "date"}
        return {name: without_times(part) for name, part in content.items() if name not in other}
    return content


def test_each_picture_at_each_layer_is_a_run(swept):
    _, folder = swept
    for layer, seed in itertools.product(LAYERS, (0, 1, 2)):
        run = rp.Decomposition.load(folder / layer / str(seed))
        assert (run.provenance.layer, run.provenance.picture_seed) == (layer, seed)
        assert (folder / layer / str(seed) / "report.html").is_file()
    assert {path.name for path in folder.iterdir()} == {
        "embed", "express", "figures", "sweep.parquet", "sweep.html", "sweep.json",
    }  # fmt: skip
    assert (folder / "figures" / "sweep.png").stat().st_size > 20_000


def test_sweep_json_tells_what_was_asked_and_every_score(swept):
    result, folder = swept
    content = json.loads((folder / "sweep.json").read_text())
    assert content == json.loads(json.dumps(result.to_dict()))
    assert set(content) == {
        "schema_version", "generator", "weights_digest", "options", "regions", "patches", "seeds",
        "settings", "evaluation", "versions", "machine", "date", "layers", "failed",
    }  # fmt: skip
    assert content["schema_version"] == 1
    assert content["generator"] == "planted"
    assert content["seeds"] == [0, 1, 2]
    assert content["regions"] == {"kind": "grid", "rows": 4, "columns": 4}
    assert content["settings"]["steps"] == 3
    assert content["evaluation"]["demands"] == 8
    assert content["options"] == {}
    assert content["machine"]["device"] == "cpu"
    assert {"torch", "python", "regional_primitives"} <= set(content["versions"])
    assert [layer["layer"] for layer in content["layers"]] == list(LAYERS)
    for layer in content["layers"]:
        assert layer["feature_shape"] == [60]
        assert layer["units"] == 60
        assert layer["frontier"] is None
        for seed, picture in enumerate(layer["pictures"]):
            run = folder / picture["run"]
            scores = json.loads((run / "scores.json").read_text())
            assert picture["seed"] == seed
            assert scores.items() <= picture.items()
            manifest = read_json(run / "run.json")
            assert picture["wall_seconds"] == manifest["wall_seconds"]
            assert (folder / picture["report"]).is_file()


def test_means_and_intervals_are_those_of_the_runs(swept):
    result, folder = swept
    for layer in result.layers:
        runs_ = [rp.Scores.read(folder / layer.layer / str(seed)) for seed in (0, 1, 2)]
        for name in ("leak", "inside_error", "boundedness_in_context", "n90", "free_leak"):
            values = [float(getattr(scores, name)) for scores in runs_]
            spread = layer.summary[name]
            half = stats.sem(values) * stats.t.ppf(0.975, 2)
            assert spread.mean == pytest.approx(statistics.fmean(values))
            assert spread.half_interval_95 == pytest.approx(half)
            assert (spread.least, spread.most) == (min(values), max(values))
        sizes = [
            sum(size * share for size, share in scores.field_sizes.items()) for scores in runs_
        ]
        assert layer.summary["field_patches"].mean == pytest.approx(statistics.fmean(sizes))
        assert layer.summary["field_share"].mean == pytest.approx(statistics.fmean(sizes) / 16)
        n90 = statistics.fmean(scores.n90 for scores in runs_)
        assert layer.summary["n90_per_unit"].mean == pytest.approx(n90 / 60)


def test_field_size_is_the_energy_weighted_mean_of_the_components(swept):
    result, folder = swept
    run = rp.Decomposition.load(folder / "embed" / "1")
    energy = run.strengths.double().square()
    expected = float((energy * run.action_fields.sum(1)).sum() / energy.sum())
    assert result.layers[0].values("field_patches")[1] == pytest.approx(expected)


def test_what_was_written_can_be_read(swept):
    result, folder = swept
    assert SweepScores.read(folder) == result


def test_a_sweep_that_stands_is_not_made_again(swept, own_folder, explained):
    before = {path: path.stat().st_mtime_ns for path in own_folder.glob("*/*/*")}
    assert without_times(sweep(own_folder).to_dict()) == without_times(swept[0].to_dict())
    assert explained == []
    assert {path: path.stat().st_mtime_ns for path in own_folder.glob("*/*/*")} == before


def test_only_what_is_missing_is_made(swept, own_folder, explained):
    shutil.rmtree(own_folder / "express" / "1")
    said = []
    result = sweep(
        own_folder,
        seeds=(0, 1, 2, 3),
        progress=lambda stage, done, total, note="": said.append((stage, done, total)),
    )
    assert explained == [("embed", 3), ("express", 1), ("express", 3)]
    assert [(done, total) for stage, done, total in said if stage == sweeps.RUNS] == [
        (5, 8), (6, 8), (7, 8), (8, 8),
    ]  # fmt: skip
    assert ("express/1 fit", 3, 3) in said
    assert result.seeds == (0, 1, 2, 3)
    one, other = (kind.layers[1].pictures[1].scores for kind in (result, swept[0]))
    assert replace(one, overhead_ratio=0.0) == replace(other, overhead_ratio=0.0)


def test_more_measuring_does_not_fit_anew(own_folder, explained):
    result = sweep(own_folder, seeds=[0], evaluation=replace(LITTLE, demands=4))
    assert explained == []
    assert result.layers[0].pictures[0].scores.demands == 4


def test_thorough_sweeps_have_a_frontier(own_folder):
    result = sweep(own_folder, [0, 1], ["express"], evaluation=replace(LITTLE, refits=True))
    points = result.layers[0].frontier
    assert [point.price for point in points] == pytest.approx([0.08, 0.2, 0.4])
    pictures = [picture.scores.frontier for picture in result.layers[0].pictures]
    for place, point in enumerate(points):
        leaks = [frontier[place]["leak"] for frontier in pictures]
        assert point.leak.mean == pytest.approx(statistics.fmean(leaks))
        assert point.leak.pictures == 2
    stored = read_json(own_folder / "sweep.json")["layers"][0]["frontier"]
    assert [point["price"] for point in stored] == pytest.approx([0.08, 0.2, 0.4])


class FullDiskError(OSError):
    def __init__(self):
        super().__init__(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("raised", "told", "message"),
    [
        (KeyboardInterrupt, KeyboardInterrupt, None),
        (FullDiskError, rp.StorageError, "No space left on device"),
        (
            lambda: rp.GeneratorError("the fit diverged"),
            rp.GeneratorError,
            "express, picture 0: the fit diverged",
        ),
    ],
)
def test_what_ends_a_sweep_leaves_the_finished_runs_and_no_debris(
    tmp_path, monkeypatch, explained, raised, told, message
):
    folder = tmp_path / "sweep"
    noted = runs.explain

    def ended(*rest, **named):
        if len(explained) == 2:
            raise raised()
        return noted(*rest, **named)

    monkeypatch.setattr(runs, "explain", ended)
    with pytest.raises(told, match=message):
        sweep(folder, seeds=(0, 1), strict=True)
    assert visible(folder) == {"embed/0", "embed/1"}
    assert [path.name for path in folder.iterdir()] == ["embed"]
    assert not [name for name in everything(folder) if "/." in name or name.startswith(".")]
    monkeypatch.setattr(runs, "explain", noted)
    explained.clear()
    sweep(folder, seeds=(0, 1))
    assert explained == [("express", 0), ("express", 1)]
    assert visible(folder) >= {"embed/0", "embed/1", "express/0", "express/1"}


@pytest.mark.parametrize("existed", [False, True])
def test_what_ends_the_first_run_leaves_nothing(tmp_path, monkeypatch, existed):
    def ended(*_, **__):
        raise KeyboardInterrupt

    folder = tmp_path / "sweep"
    if existed:
        folder.mkdir()
    monkeypatch.setattr(runs, "explain", ended)
    with pytest.raises(KeyboardInterrupt):
        sweep(folder)
    assert everything(tmp_path) == (["sweep"] if existed else [])


def test_the_number_of_workers_changes_nothing(swept, tmp_path):
    said = []
    result = sweep(
        tmp_path / "two",
        [0, 1],
        ["express"],
        workers=2,
        progress=lambda stage, done, total, note="": said.append((stage, done)),
    )
    assert {("runs", 2), ("express/0 fit", 3), ("express/1 fit", 3)} <= set(said)
    assert result.machine["workers"] == 2
    for one, two in zip(swept[0].layers[1].pictures, result.layers[0].pictures, strict=False):
        assert two.seed == one.seed
        assert replace(two.scores, overhead_ratio=0.0) == replace(one.scores, overhead_ratio=0.0)
    assert not [name for name in everything(tmp_path) if "/." in name]


def test_faces_can_be_swept(tmp_path):
    result = sweeps.sweep(
        "faces",
        [0],
        ["main.8", "main.11"],
        tmp_path / "faces",
        regions=rp.Regions.grid(2, 2),
        settings=rp.Structured(steps=1, batch=2, probes=1, baseline_count=4),
        evaluation=rp.Evaluation(demands=2, components=1, contexts=2, free_demands=0),
    )
    assert [layer.layer for layer in result.layers] == ["main.8", "main.11"]
    assert [layer.feature_shape for layer in result.layers] == [(128, 16, 16), (64, 32, 32)]
    assert all(layer.summary["leak"].half_interval_95 is None for layer in result.layers)


def test_one_layer_is_the_generators_own_or_named(tmp_path):
    for name, expected in ((None, "express"), ("embed", "embed"), (["embed", "embed"], "embed")):
        result = sweep(tmp_path / f"sweep {name}", [0, 0], name)
        assert [layer.layer for layer in result.layers] == [expected]
        assert result.seeds == (0,)


def test_all_layers_are_those_that_the_zoo_lists(tmp_path, monkeypatch):
    entry = replace(ZOO["planted"], layers=("embed", "express"))
    monkeypatch.setitem(ZOO, "planted", entry)
    result = sweep(tmp_path / "sweep", [0], "all")
    assert [layer.layer for layer in result.layers] == ["embed", "express"]


class Branches(torch.nn.Module):
    """A network that paints with the sum of two branches."""

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.left, self.right = torch.nn.Linear(60, 20), torch.nn.Linear(60, 10)
        self.paint = torch.nn.Linear(30, 3 * 8 * 8)
        for parameter in self.parameters():
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=rng)

    def forward(self, latent):
        return self.paint(torch.cat([self.left(latent), self.right(latent)], 1)).view(-1, 3, 8, 8)


def test_several_layers_are_one_bundle_with_a_safe_folder(tmp_path, monkeypatch):
    from regional_primitives.generators.zoo import Loaded
    from regional_primitives.generators.zoo.toy import sample_latents

    entry = replace(ZOO["planted"], load=lambda *_: Loaded(Branches(), sample_latents))
    monkeypatch.setitem(ZOO, "planted", entry)
    result = sweep(tmp_path / "sweep", [0], ["left + right"])
    assert result.layers[0].layer == "left+right"
    assert result.layers[0].feature_shape == ((20,), (10,))
    assert visible(tmp_path / "sweep") >= {"left+right/0"}
    assert SweepScores.read(tmp_path / "sweep") == result


def test_folder_names_are_safe_and_differ_where_layers_differ():
    names = [
        "main.5", "unet.mid#3", "unet.mid#4", "unet.mid[0]", "a/b", "a_b", "figures", "a b", "日本",
        ".hidden", "x" * 300, "x" * 301, "sweep.json", "vocabulary.json", "ein+zwei",
        "b8.conv#1[0]+b9", "..", "con#",
    ]  # fmt: skip
    folders = [layer_folder(name) for name in names]
    assert folders[0] == "main.5"
    assert folders[names.index("ein+zwei")] == "ein+zwei"
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.isascii()
        assert len(folder) <= 80
        assert not set(folder) & set("/\\#[]%?*:<>|\"' ")
        assert not folder.startswith(".")
        assert folder not in ("figures", "sweep.json", "sweep.html", "vocabulary.json")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0:4", (0, 1, 2, 3)),
        (" 5 : 7 ", (5, 6)),
        ("1,5,9", (1, 5, 9)),
        ("7", (7,)),
        ("0", (0,)),
        ("0:2,8,1", (0, 1, 8)),
        ("18446744073709551615", (2**64 - 1,)),
    ],
)
def test_seeds_are_read(text, seeds):
    assert sweeps.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "4:4",
            r"seeds '4:4' name no picture; STOP is not part of START:STOP, so that 4:8 is four",
        ),
        ("0:2,9:3", "seeds '9:3' name no picture"),
        ("", "not of the form START:STOP, such as 0:4, or a list"),
        ("a", "seeds 'a' are not of the form"),
        ("-1", "seeds '-1' are not of the form"),
        ("1,", "seeds '1,' are not of the form"),
        ("0:4:2", "not of the form"),
        (":4", "not of the form"),
        ("1.5", "not of the form"),
        ("0:1000000000", "name more than 100,000 pictures"),
    ],
)
def test_malformed_seeds_are_told(text, message):
    with pytest.raises(rp.InputError, match=message):
        sweeps.parse_seeds(text)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        (None, None),
        ("all", "all"),
        ("main.5", ("main.5",)),
        ("main.2, b8[0]+b9#2", ("main.2", "b8[0]+b9#2")),
    ],
)
def test_layers_are_read(text, layers):
    assert sweeps.parse_layers(text) == layers


@pytest.mark.parametrize("text", ["", "main.2,", ",", " , "])
def test_malformed_layers_are_told(text):
    with pytest.raises(rp.InputError, match=r"not of the form NAME,NAME,… or all"):
        sweeps.parse_layers(text)


@pytest.fixture
def nothing_runs(monkeypatch):
    monkeypatch.setattr(runs, "explain", lambda *_, **__: pytest.fail("a run has started"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ["express", "nosuch"]}, "layer 'nosuch' is not in this network; cut points"),
        ({"layers": []}, "at least one layer"),
        ({"seeds": []}, "at least one seed"),
        ({"workers": 0}, "workers must be a whole number of at least 1, not 0"),
        ({"layers": 5}, "layers is a name, several of them, or all, not 5"),
        ({"ray": 5}, "ray is HOST:PORT of a Ray cluster's head, auto, or local"),
        ({"ray": "127.0.0.1:1"}, "no Ray cluster at '127.0.0.1:1' .*give HOST:PORT"),
        ({"ray": "127.0.0.1:99999"}, "no Ray cluster at '127.0.0.1:99999'"),
        ({"together": 0}, "together must be a whole number of at least 1, not 0"),
        ({"regions": "segments:8"}, "superpixels are those of one picture"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_bad_input_is_told_before_anything_is_run(tmp_path, nothing_runs, changes, message):
    with pytest.raises(rp.RegionalPrimitivesError, match=message):
        sweep(tmp_path / "sweep", **changes)
    assert everything(tmp_path) == []


def test_an_unknown_generator_is_told(tmp_path, nothing_runs):
    for layers in (None, "all", ["express"]):
        with pytest.raises(rp.InputError, match=r"'nosuch' is not in the zoo; there are: faces"):
            sweeps.sweep("nosuch", [0], layers, tmp_path / "sweep")
    assert everything(tmp_path) == []


def spoil(name, **changes):
    def change(folder):
        content = read_json(folder / name)
        (folder / name).write_text(json.dumps({**content, **changes}))

    return change


@pytest.mark.parametrize(
    ("spoiled", "changes", "message"),
    [
        (None, {"settings": replace(QUICK, steps=4)}, r"other settings \(steps=3, not 4\)"),
        (
            None,
            {"regions": rp.Regions.grid(2, 2)},
            r"other patches \(\d × \d grid, not 2 × 2 grid\); choose another folder",
        ),
        (spoil("express/2/run.json", weights_digest="ab"), {}, "other generator weights"),
        (spoil("express/2/run.json", picture_seed=7), {}, r"another picture seed \(7, not 2\)"),
        (spoil("sweep.json", generator="faces"), {}, "holds a sweep of 'faces'"),
        (lambda folder: (folder / "sweep.json").write_text("{"), {}, "not valid JSON"),
        (lambda folder: (folder / "express/2/run.json").write_text("{"), {}, "not valid JSON"),
    ],
)
def test_another_sweep_is_not_mixed_in(own_folder, nothing_runs, spoiled, changes, message):
    if spoiled:
        spoiled(own_folder)
    before = {path: path.read_bytes() for path in own_folder.rglob("*") if path.is_file()}
    with pytest.raises(rp.StorageError, match=message):
        sweep(own_folder, **changes)
    assert {path: path.read_bytes() for path in own_folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "is a file; choose a folder"),
        ("file/below", "cannot write to"),
        ("letters", "exists and is not a sweep's folder"),
        ("photos", "exists and is not a sweep's folder"),
        ("run", "exists and is not a sweep's folder"),
    ],
)
def test_a_folder_of_something_else_is_refused(swept, tmp_path, nothing_runs, name, message):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("mine")
    (tmp_path / "photos" / "summer").mkdir(parents=True)
    (tmp_path / "photos" / "summer" / "beach.jpg").write_text("mine")
    shutil.copytree(swept[1] / "express" / "0", tmp_path / "run")
    before = everything(tmp_path)
    with pytest.raises(rp.StorageError, match=message):
        sweep(tmp_path / name)
    assert everything(tmp_path) == before


def test_a_folder_in_use_by_hidden_files_is_a_new_one(tmp_path):
    (tmp_path / ".DS_Store").touch()
    sweep(tmp_path, [0], None)
    assert (tmp_path / "sweep.html").is_file()


def test_without_the_report_extra_the_numbers_are_whole(own_folder, monkeypatch):
    def missing(*_):
        raise rp.MissingExtraError("the report", "report")

    said = []
    monkeypatch.setattr(sweeps, "write_sweep_report", missing)
    sweep(own_folder, [0], progress=lambda stage, done, total, note="": said.append(note))
    assert SweepScores.read(own_folder).seeds == (0,)
    assert not (own_folder / "sweep.html").exists(), "an older page stands beside newer numbers"
    assert not (own_folder / "figures" / "sweep.png").exists()
    assert any('pip install "regional_primitives[report]"' in note for note in said)


def test_the_default_folder_is_named_after_the_generator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep(None, [0], None)
    assert (Path("runs") / "sweep-planted" / "sweep.json").is_file()


def test_a_sweep_takes_named_regions_and_a_function_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "import regional_primitives as rp\n\n"
        "def make(layer='express'):\n    return rp.load_generator('planted', layer)\n"
    )
    regions = rp.Regions.from_labels(torch.arange(32)[:, None].expand(32, 32) // 16, ["up", "down"])
    found = sweeps.sweep(
        "own.py:make", [0, 1], regions=regions, settings=rp.Structured(steps=2, baseline_count=4),
        evaluation=rp.Evaluation(demands=2, components=1, contexts=2, free_demands=0),
    )  # fmt: skip
    assert found.to_dict()["regions"]["names"] == ["up", "down"]
    assert described(found.regions) == "2 regions: up, down"
    assert SweepScores.read(tmp_path / "runs/sweep-own-make").regions == found.regions
    runs = sorted((tmp_path / "runs" / "sweep-own-make" / "express").iterdir())
    assert [rp.Decomposition.load(run).names for run in runs] == [("up", "down")] * 2


def test_the_index_opens_in_three_tools_and_is_the_table(tmp_path):
    swept = sweep(tmp_path / "sweep", seeds=(0, 2**63 + 1))
    table = rp.load_sweep(tmp_path / "sweep").table
    pandas.testing.assert_frame_equal(table, swept.table)
    assert list(table["layer"]) == ["embed", "embed", "express", "express"]
    assert list(table["seed"]) == [0, 2**63 + 1] * 2
    first = swept.layers[0].pictures[0]
    assert table["inside_error"][0] == first.scores.inside_error
    assert (tmp_path / "sweep" / table["run"][3] / "run.json").is_file()
    index = tmp_path / "sweep" / "sweep.parquet"
    pandas.testing.assert_frame_equal(pandas.read_parquet(index), table, check_dtype=False)
    assert polars.read_parquet(index)["seed"].to_list() == list(table["seed"])
    asked = duckdb.sql(f"select layer, avg(leak) from '{index}' group by layer order by layer")
    means = dict(asked.fetchall())
    assert means == pytest.approx(
        {name: own["leak"].mean() for name, own in table.groupby("layer")}
    )


def test_without_the_tables_packages_a_sweep_leaves_the_index_out(tmp_path, monkeypatch):
    sweep(tmp_path / "sweep", seeds=(0,), layers="express")
    assert (tmp_path / "sweep" / "sweep.parquet").is_file()
    told = []
    monkeypatch.setitem(sys.modules, "pandas", None)
    swept = sweep(
        tmp_path / "sweep",
        seeds=(0, 1),
        layers="express",
        progress=lambda stage, done, total, note="": told.append(note),
    )
    assert not (tmp_path / "sweep" / "sweep.parquet").exists()  # an older one would be wrong
    assert any("regional_primitives[sweeps]" in note for note in told)
    with pytest.raises(rp.MissingExtraError, match="sweeps"):
        swept.table  # noqa: B018


def without_second(monkeypatch):
    noted = runs.explain

    def explained(generator, latents, *rest, **named):
        if named["picture_seed"] == 1 and generator.layer == "express":
            raise rp.InputError("blank")
        return noted(generator, latents, *rest, **named)

    monkeypatch.setattr(runs, "explain", explained)


def test_a_picture_that_cannot_be_explained_is_told_and_the_rest_goes_on(tmp_path, monkeypatch):
    folder, said = tmp_path / "sweep", []
    with monkeypatch.context() as changed:
        without_second(changed)
        swept = sweep(folder, progress=lambda *news: said.append(news))
    assert swept.seeds == (0, 2)
    assert [[one.seed for one in layer.pictures] for layer in swept.layers] == [[0, 2], [0, 2]]
    assert swept.failed == (FailedPicture(1, "express", "express, picture 1: blank"),)
    assert rp.load_sweep(folder) == swept
    assert any("express/1 failed: express, picture 1: blank" in str(news) for news in said)
    assert visible(folder) >= {"embed/1", "express/2"}
    again = sweep(folder)  # tried again, and whole now
    assert again.failed == ()
    assert again.seeds == (0, 1, 2)


def test_nothing_of_a_sweep_can_be_explained(tmp_path, monkeypatch):
    without_second(monkeypatch)
    with pytest.raises(rp.GeneratorError, match=r"no picture could be explained; .*blank"):
        sweep(tmp_path / "sweep", seeds=(1,), layers="express")
    assert not (tmp_path / "sweep").exists()


def test_seeds_below_zero_and_folders_of_something_else(tmp_path):
    with pytest.raises(rp.InputError, match="at least 0"):
        sweep(tmp_path / "sweep", seeds=(-1, 0))
    with pytest.raises(rp.StorageError, match=r"is no sweep: it holds no sweep\.json"):
        rp.load_sweep(tmp_path)


def small(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_sweep_that_keeps_scores_alone_has_the_same_numbers(swept, tmp_path, explained):
    folder = tmp_path / "sweep"
    light = sweep(folder, seeds=(0, 1), keep="scores")
    whole = without_times(swept[0].to_dict())
    for one, other in zip(without_times(light.to_dict())["layers"], whole["layers"], strict=True):
        for mine, theirs in zip(one["pictures"], other["pictures"][:2], strict=True):
            assert mine == {**theirs, "report": None}
    for layer, seed in itertools.product(LAYERS, (0, 1)):
        run, kept = swept[1] / layer / str(seed), folder / layer / str(seed)
        assert small(kept) == ["fields.safetensors", "run.json", "scores.json"]
        d, tensors = rp.Decomposition.load(run), load_file(kept / "fields.safetensors")
        assert tensors["fields"].equal(d.action_fields)
        assert tensors["strengths"].equal(d.strengths)
    with pytest.raises(rp.StorageError, match="missing"):
        rp.Decomposition.load(folder / "embed" / "0")
    explained.clear()
    assert sweep(folder, seeds=(0, 1), keep="scores") == light
    assert explained == []
    sweep(folder, seeds=(0,), layers="express")  # whole, on top of it
    assert explained == [("express", 0)]
    assert "tensors.safetensors" in small(folder / "express" / "0")
    assert "fields.safetensors" not in small(folder / "express" / "0")


def test_scores_alone_are_not_kept_where_a_whole_run_stands(own_folder, explained):
    more = replace(LITTLE, demands=9)
    sweep(own_folder, keep="scores", evaluation=more)
    assert explained == []  # measured anew, and not thrown away
    assert rp.Decomposition.load(own_folder / "embed" / "0").count


def test_kept_scores_are_measured_anew_and_nothing_else_is_replaced(tmp_path, explained):
    folder = tmp_path / "sweep"
    sweep(folder, seeds=(0, 1), layers="express", keep="scores")
    more = sweep(folder, [0], "express", keep="scores", evaluation=replace(LITTLE, demands=9))
    assert more.evaluation["demands"] == 9
    own = folder / "express" / "5"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    with pytest.raises(rp.StorageError):
        sweep(folder, seeds=(5,), layers="express", keep="scores")
    assert small(own) == ["notes.txt"]


BLANK = """
import torch
import regional_primitives as rp

def make(layer=None):
    torch.manual_seed(0)
    layers = torch.nn.ConvTranspose2d(4, 8, 4), torch.nn.ConvTranspose2d(8, 3, 9)
    module = torch.nn.Sequential(*layers)

    def sample_latents(count, rng):
        drawn = torch.randn(count, 4, 1, 1, generator=rng)
        return torch.zeros_like(drawn) if rng.initial_seed() == 1 else drawn

    return rp.cut(module, layer or "0", sample_latents=sample_latents,
                  baseline_latents=torch.zeros(2, 4, 1, 1))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_picture_like_the_baseline_is_told_by_any_number_of_workers(tmp_path, workers):
    (tmp_path / "own.py").write_text(BLANK)
    asked = {"regions": rp.Regions.grid(2, 2), "settings": QUICK, "evaluation": LITTLE}
    model, folder = f"{tmp_path / 'own.py'}:make", tmp_path / "sweep"
    swept = rp.sweep(model, [0, 1, 2], None, folder, workers=workers, keep="scores", **asked)
    assert swept.seeds == (0, 2)
    ((seed, layer, why),) = (vars(one).values() for one in swept.failed)
    assert (seed, layer) == (1, "0")
    assert why.startswith("0, picture 1: ")
    with pytest.raises(rp.GeneratorError, match="0, picture 1: "):
        rp.sweep(model, [1], None, tmp_path / "strict", workers=workers, strict=True, **asked)


def test_what_a_sweep_keeps_has_two_names(tmp_path):
    with pytest.raises(rp.InputError, match="keep is one of runs, scores, not 'all'"):
        sweep(tmp_path / "sweep", keep="all")


WAITING = """
import os, time
from pathlib import Path
import torch
import regional_primitives as rp

class Waiting(torch.nn.Module):
    def forward(self, x):
        if "SWEEP_WAITS" in os.environ and list(Path({folder!r}).glob("0/.0.*")):
            Path({begun!r}).touch()
            while not Path({go_on!r}).exists():
                time.sleep(0.02)
        return x

def make(layer=None):
    torch.manual_seed(0)
    layers = torch.nn.ConvTranspose2d(4, 8, 4), torch.nn.ConvTranspose2d(8, 3, 9), Waiting()
    return rp.cut(torch.nn.Sequential(*layers), layer or "0",
                  sample_latents=lambda count, rng: torch.randn(count, 4, 1, 1, generator=rng),
                  baseline_latents=torch.zeros(2, 4, 1, 1))
"""
"""In the process that waits, picture 0 does so until a file is there."""


@pytest.fixture
def first_sweep(tmp_path):
    """Begin a sweep in another process, which waits in its first picture."""
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    own = tmp_path / "own.py"
    names = {"folder": tmp_path / "sweep", "begun": begun, "go_on": go_on}
    own.write_text(WAITING.format(**{name: str(path) for name, path in names.items()}))
    words = ["sweep", f"{own}:make", "--seeds", "0:3", "--grid", "2x2", "--set", "steps=3"]
    words += ["--measure", "demands=4", "--out", str(tmp_path / "sweep")]
    command = [sys.executable, "-c", "import primitives_command as p; p.main()", *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "SWEEP_WAITS": "1"}
    )
    while not begun.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)

    def ended():
        go_on.touch()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return err

    ended.killed = process.kill
    yield partial(
        rp.sweep, f"{own}:make", range(3), folder=tmp_path / "sweep", regions=rp.Regions.grid(2, 2),
        settings=rp.Structured(steps=3), evaluation=rp.Evaluation(demands=4),
    ), ended  # fmt: skip
    process.kill()
    process.wait()


def test_a_second_sweep_on_a_folder_leaves(first_sweep, tmp_path):
    again, ended = first_sweep
    with pytest.raises(rp.StorageError, match=r"another sweep is at work in .*--share"):
        again()
    assert "runs 3/3" in ended()
    assert len(again().seeds) == 3  # nobody is at work there any more


def test_a_second_sweep_on_a_folder_shares_the_work(first_sweep, tmp_path):
    again, ended = first_sweep
    said = []

    def progress(*news):
        said.append(" ".join(map(str, news)))
        if "waiting" in said[-1]:  # all that is left is what the first one makes
            errors.append(ended())

    errors = []
    swept = again(share=True, progress=progress)
    (error,) = errors
    assert swept.seeds == (0, 1, 2)
    assert [f"0/{n} finished" in error for n in range(3)] == [True, False, False]
    assert [any(f"0/{n} finished" in news for news in said) for n in range(3)] == [
        False,
        True,
        True,
    ]
    assert "runs 3 3 made by another process" in said
    assert without_times(rp.load_sweep(tmp_path / "sweep").to_dict()) == without_times(
        swept.to_dict()
    )
    assert not [name for name in everything(tmp_path) if "/." in name]


def test_what_a_killed_sweep_has_begun_its_sharer_makes(first_sweep, tmp_path):
    again, ended = first_sweep
    said = []

    def progress(*news):
        said.append(str(news[-1]))
        if "waiting" in said[-1]:
            (tmp_path / "go on").touch()
            ended.killed()

    assert again(share=True, progress=progress).seeds == (0, 1, 2)
    assert any("0/0 finished" in note for note in said)
    assert not [name for name in everything(tmp_path) if "/." in name]


def test_progress_tells_how_many_pictures_an_hour(tmp_path):
    said = []
    sweep(tmp_path / "sweep", progress=lambda stage, done, total, note="": said.append(note))
    paces = [re.search(r"finished, ([\d,]+) an hour", note) for note in said]
    paces = [int(found[1].replace(",", "")) for found in paces if found]
    assert len(paces) == 6
    assert all(60 < pace < 10**6 for pace in paces)


def test_the_vocabulary_is_the_same_whatever_is_kept(tmp_path, monkeypatch):
    asked = {"seeds": range(14), "layers": "express"}
    sweep(tmp_path / "runs", **asked)
    sweep(tmp_path / "scores", keep="scores", **asked)
    whole, light = (Vocabulary.read(tmp_path / name) for name in ("runs", "scores"))
    assert whole == light
    (layer,) = whole.layers
    assert (layer.layer, layer.pictures) == ("express", 14)
    assert layer.random_pictures >= 256
    assert layer.words
    said = []
    monkeypatch.setattr(rp.Decomposition, "load", lambda *_: pytest.fail("a whole run was read"))
    again = sweep(tmp_path / "runs", progress=lambda *news: said.append(news), **asked)
    assert again == rp.load_sweep(tmp_path / "runs")
    assert ("vocabulary", 14, 14, "express") in said
    sweep(tmp_path / "runs", range(3), "express")
    assert not (tmp_path / "runs" / "vocabulary.json").exists()  # of other pictures than these


def test_pictures_fitted_in_lockstep_are_the_same_sweep_and_go_on_in_the_same_bytes(
    swept, tmp_path
):
    folder, said = tmp_path / "sweep", []
    asked = {"seeds": (0, 1, 2), "together": 2}
    found = sweep(folder, progress=lambda *news: said.append(news), **asked)
    assert [news[1:3] for news in said if news[0] == sweeps.RUNS] == [
        (0, 6), (2, 6), (3, 6), (5, 6), (6, 6),
    ]  # fmt: skip
    for one, other in zip(found.layers, swept[0].layers, strict=True):
        for name in ("inside_error", "leak", "departure"):
            assert one.values(name) == pytest.approx(other.values(name), rel=1e-3)
    tensors = sorted(folder.glob("*/*/tensors.safetensors"))
    before = [path.read_bytes() for path in tensors]
    for name in ("embed/0", "express/1"):
        shutil.rmtree(folder / name)
    kept = (folder / "embed" / "1" / "run.json").stat().st_mtime_ns
    sweep(folder, **asked)
    assert [path.read_bytes() for path in tensors] == before
    assert (folder / "embed" / "1" / "run.json").stat().st_mtime_ns == kept


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("strict", [False, True])
def test_one_of_the_pictures_in_lockstep_cannot_be_explained(tmp_path, workers, strict):
    (tmp_path / "own.py").write_text(BLANK)
    asked = partial(
        rp.sweep, f"{tmp_path / 'own.py'}:make", range(4), folder=tmp_path / "sweep",
        regions=rp.Regions.grid(2, 2), settings=QUICK, evaluation=LITTLE, together=2,
        workers=workers, keep="scores", strict=strict,
    )  # fmt: skip
    if strict:
        with pytest.raises(rp.GeneratorError, match="0, picture 1: "):
            asked()
        assert "0/0" in visible(tmp_path / "sweep")  # what was finished stays
        return
    swept = asked()
    assert swept.seeds == (0, 2, 3)
    assert [one.why.startswith("0, picture 1: ") for one in swept.failed] == [True]


def test_all_of_the_pictures_in_lockstep_cannot_be_explained(tmp_path):
    (tmp_path / "own.py").write_text(BLANK.replace("== 1", "< 2"))
    asked = {"regions": rp.Regions.grid(2, 2), "settings": QUICK, "evaluation": LITTLE}
    model = f"{tmp_path / 'own.py'}:make"
    swept = rp.sweep(model, range(4), folder=tmp_path / "sweep", together=2, **asked)
    assert swept.seeds == (2, 3)
    assert [one.why[:12] for one in swept.failed] == ["0, picture 0", "0, picture 1"]


def test_a_folder_that_is_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    sweep(tmp_path / "link", [0], "express")
    assert (tmp_path / "real" / "express" / "0" / "run.json").is_file()
    with pytest.raises(rp.StorageError, match="File name too long"):
        sweep(tmp_path / ("x" * 300), [0], "express")


def test_a_sweep_without_its_summary_writes_it_anew(own_folder, explained):
    (own_folder / "sweep.json").write_text("{")
    with pytest.raises(rp.StorageError, match=r"not valid JSON.*; remove it, and the sweep writes"):
        sweep(own_folder)
    (own_folder / "sweep.json").unlink()
    assert len(sweep(own_folder).seeds) == 3
    assert explained == []
    (own_folder / "sweep.json").unlink()
    (own_folder / "figures" / "mine.png").touch()
    with pytest.raises(rp.StorageError, match="is not a sweep's folder"):
        sweep(own_folder)


def test_pictures_of_other_sizes_and_samplers_that_fail(tmp_path):
    drawn = "return torch.zeros_like(drawn) if rng.initial_seed() == 1 else drawn"
    assert drawn in BLANK
    other = """seed = rng.initial_seed()
        if seed == 3:
            raise ValueError("no such picture")
        return torch.randn(count, 4, 2, 2, generator=rng) if seed == 4 else drawn"""
    (tmp_path / "own.py").write_text(BLANK.replace(drawn, other))
    for together in (1, 4):
        swept = rp.sweep(
            f"{tmp_path / 'own.py'}:make", range(2, 7), folder=tmp_path / f"sweep-{together}",
            regions=rp.Regions.grid(2, 2), settings=QUICK, evaluation=LITTLE, together=together,
        )  # fmt: skip
        told = {one.seed: one.why for one in swept.failed}
        assert "sample_latents(1, rng) fails: no such picture" in told[3]
        assert set(told) <= {3, 4}  # of 4, what its generator makes of it
        assert swept.seeds == tuple(seed for seed in range(2, 7) if seed not in told)


def test_only_what_is_made_counts_in_progress_and_pace(tmp_path):
    sweep(tmp_path / "sweep", range(5), "express", together=5)
    shutil.rmtree(tmp_path / "sweep" / "express" / "3")
    said = []
    sweep(
        tmp_path / "sweep", range(5), "express", together=5,
        progress=lambda stage, done, total, note="": said.append((stage, done, total, note)),
    )  # fmt: skip
    told = [news for news in said if news[0] == sweeps.RUNS]
    assert told[0] == (sweeps.RUNS, 4, 5, "4 stand already")
    assert told[-1][1:3] == (5, 5)
    fast = re.search(r"([\d,]+) an hour", told[-1][3])
    assert int(fast[1].replace(",", "")) < 3600 / 0.05


def test_a_run_that_another_sweep_has_measured_otherwise_is_told(own_folder, monkeypatch):
    written = sweeps.work_off

    def meanwhile(*rest, **named):
        written(*rest, **named)
        for run in own_folder.glob("express/*/run.json"):
            spoil("run.json", evaluation={**read_json(run)["evaluation"], "demands": 5})(run.parent)

    monkeypatch.setattr(sweeps, "work_off", meanwhile)
    with pytest.raises(rp.StorageError, match="measured otherwise by another sweep meanwhile"):
        sweep(own_folder)
