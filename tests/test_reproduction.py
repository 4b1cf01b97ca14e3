"""The paper's experiments as one command: results, figures and page; going on; bad input."""

import importlib.util
import json
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.errors import InputError, StorageError
from regional_primitives.regions import visible_foreground
from regional_primitives.runs import reproduce as reproduction
from regional_primitives.runs.reproduce import PICTURES, REPRODUCTION, Protocol, reproduce
from regional_primitives.show import reproduction_page
from regional_primitives.show.reproduction_page import (
    EXPERIMENTS,
    RELATIONS,
    REPRODUCTION_REPORT,
    reproduction_lines,
    reproduction_table,
)
from regional_primitives.show.style import new_figure

TITLES = [experiment.title for experiment in EXPERIMENTS]
QUICK = {
    "protocol": Protocol(images=2, patches=3, redrawn=1, strongest=4),
    "regions": rp.Regions.grid(4, 4),
    "structured": rp.Structured(steps=10, batch=8, probes=1, baseline_count=64),
    "exact": rp.Exact(
        tolerance=0.05, steps=10, joint_steps=3, sparse_steps=20, starts=2, baseline_count=64
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction") / "planted"
    return folder, reproduce("planted", folder, **QUICK)


def test_results_are_written_as_they_are(made):
    folder, result = made
    written = json.loads((folder / REPRODUCTION).read_text())
    assert written == json.loads(json.dumps(result.to_dict()))
    assert written["forms"].keys() == {"structured", "exact"}
    for found in written["forms"].values():
        assert found.keys() == {
            "sparsity", "boundedness", "consistency", "superposition", "control", "spent",
            "relatedness",
        }  # fmt: skip
    assert written["protocol"]["patches"] == 3
    assert len(written["additivity"]["pictures"]) == 2
    assert len(written["redraw"]["pictures"]) == 1


def test_every_picture_has_its_own_patches_and_the_raw_transform_is_exact(made):
    folder, result = made
    chosen = [rp.Decomposition.load(folder / name / "exact-0").patches for name in ("0", "1")]
    again = rp.Decomposition.load(folder / "0" / "exact-1").patches
    assert all(len(patches) == 3 for patches in (*chosen, again))
    assert again != chosen[0]
    summary = result.additivity.summary
    assert summary["raw_deviation"].most < 1e-4
    assert summary["raw_inside_error_over_free"].mean == pytest.approx(1, rel=1e-3)
    assert summary["sparse_top_4_inside_error"].mean >= summary["raw_inside_error"].mean * 0.9
    assert {"evaluations", "obvious_seconds"} <= result.cost.summary.keys()


def test_what_stands_is_not_fitted_again(made, monkeypatch):
    folder, result = made
    monkeypatch.setattr(reproduction, "write_reproduction_report", lambda *_: None)
    for name in ("explain", "fit_exact"):
        monkeypatch.setattr(reproduction, name, lambda *_, **__: pytest.fail("fitted again"))
    told = []
    again = reproduce("planted", folder, **QUICK, progress=lambda *report: told.append(report[:3]))
    assert again.to_dict() == result.to_dict()
    assert (PICTURES, 2, 2) in told


def test_other_settings_are_fitted_anew(made, monkeypatch, tmp_path):
    folder = shutil.copytree(made[0], tmp_path / "other")

    class FittedError(Exception):
        pass

    def refuse(*_, **__):
        raise FittedError

    monkeypatch.setattr(reproduction, "explain", refuse)
    with pytest.raises(FittedError):
        reproduce("planted", folder, **{**QUICK, "exact": rp.Exact(tolerance=0.2)})


def test_fits_that_are_replaced_count_no_more(made, monkeypatch, tmp_path):
    folder, calls = shutil.copytree(made[0], tmp_path / "again"), []

    def ended(*_, **__):
        calls.append(0)
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduction, "explain", ended)
    for exact in (rp.Exact(tolerance=0.2, baseline_count=64), QUICK["exact"]):
        with pytest.raises(KeyboardInterrupt):
            reproduce("planted", folder, **{**QUICK, "exact": exact})
    assert len(calls) == 2, "what an interrupted fit has half replaced was read as whole"
    assert not list(made[0].glob("*/checkpoint-*")), "checkpoints of finished work stay"


def test_leftovers_and_hidden_files_do_not_block(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made[0], tmp_path / "again")
    (folder / ".DS_Store").touch()
    (folder / f".{REPRODUCTION}.primitives-abcd_123").write_text("half")
    (folder / f".{REPRODUCTION}.xxxx").write_text("half, of an earlier release")
    monkeypatch.setattr(reproduction, "explain", lambda *_, **__: pytest.fail("fitted again"))
    monkeypatch.setattr(reproduction, "_experiments", lambda *_: made[1])
    monkeypatch.setattr(reproduction, "write_reproduction_report", lambda *_: None)
    reproduce("planted", folder, **QUICK)
    assert {path.name for path in folder.glob(".*")} == {".DS_Store", f".{REPRODUCTION}.xxxx"}


def test_a_folder_of_something_else_is_refused_before_the_generator_is_loaded(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(reproduction, "load_generator", lambda *_, **__: pytest.fail("loaded"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    for name, message in (("other", "something else than"), ("file", "is a file")):
        with pytest.raises(rp.StorageError, match=message):
            reproduce("planted", tmp_path / name)


class Page(HTMLParser):
    """Collects cells, captions, text alternatives, and what the page points to."""

    def __init__(self):
        super().__init__()
        self.cells, self.outside, self.images, self._inside = [], [], 0, ""
        self.captions, self.alternatives, self.headings = [], [], []

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.alternatives += [value for name, value in attrs if name == "alt"]
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith(("#", "data:")):
                self.outside.append(value)
        self.images += tag == "img"

    def handle_data(self, data):
        kept = {"td": self.cells, "figcaption": self.captions, "h2": self.headings}
        if self._inside in kept:
            kept[self._inside].append(data.strip())

    def handle_endtag(self, tag):
        self._inside = ""


def read(folder):
    page = Page()
    page.feed((folder / REPRODUCTION_REPORT).read_text(encoding="utf-8"))
    return page


def test_page_says_what_the_results_say(made):
    folder, result = made
    page = read(folder)
    assert page.outside == []
    lines = reproduction_lines(result)
    assert len(lines) > 20
    # Each experiment's numbers stand together, in the order of the page.
    assert list(dict.fromkeys(line.experiment for line in lines)) == TITLES
    for line in lines:
        assert {line.structured, line.exact} - {""} <= set(page.cells)
    figures = sorted(path.name for path in (folder / "figures").iterdir())
    assert page.images == len(figures) == 30
    n90 = result.per_form["exact"]["sparsity"].summary["n90"].mean
    assert next(line for line in lines if "90 %" in line.score).exact.startswith(f"{n90:.0f} ± ")
    assert page.headings == [*TITLES, "Origin"]


def test_every_figure_says_of_which_form_and_pictures_it_is(made):
    page = read(made[0])
    assert len(page.captions) == len(set(page.alternatives)) == 30
    for form in ("Structured form", "Exact form"):
        assert page.captions.count(f"{form}, the first picture (seed 0)") == 8
    assert page.captions.count("Structured form, 2 pictures") == 7  # six charts and transfer
    assert page.captions.count("Exact form, 2 pictures") == 6
    assert page.captions.count("Exact form, 1 picture") == 1  # redrawn
    for caption, alternative in zip(page.captions, page.alternatives, strict=True):
        assert alternative.endswith(f": {caption}")


def by_experiment(result, experiment):
    return [line for line in reproduction_lines(result) if line.experiment == experiment]


def test_relations_are_those_of_the_stored_components(made):
    folder, result = made
    found = {"structured": [], "exact": []}
    for form, name in (("structured", "structured"), ("exact", "exact-0")):
        for seed in ("0", "1"):
            fit = rp.Decomposition.load(folder / seed / name)
            related = rp.relations(fit.without(fit.remainder))
            pairs = related.contains.shape[0] * (related.contains.shape[0] - 1) / 2
            found[form].append(float(related.contains.sum()) / pairs)
        summary = result.per_form[form]["relatedness"].summary
        assert summary["contained_pairs"].mean == pytest.approx(sum(found[form]) / 2)
    line = by_experiment(result, RELATIONS)[0]
    assert line.structured.startswith(f"{sum(found['structured']) / 2:.1%}")
    assert line.exact.startswith(f"{sum(found['exact']) / 2:.1%}")


def test_figures_of_relations_name_components_as_the_decomposition_does(made):
    folder, result = made
    exact = rp.Decomposition.load(folder / "0" / "exact-0")
    assert exact.remainder == 0  # so that the numbers differ from the places
    related = result.per_form["exact"]["relatedness"].results[0]
    figure = reproduction_page._drawn("containment", related)
    told = {text.get_text() for text in figure.axes[0].texts}
    assert {str(k) for k in range(1, exact.count)} <= told
    assert "0" not in told


def test_the_ways_of_additivity_stand_in_their_forms_columns(made):
    _, result = made
    lines = by_experiment(result, "Linear additivity")
    assert len(lines) == 12
    for line in lines:
        assert bool(line.structured) == ("structured form" in line.score) != bool(line.exact)
    summary = result.additivity.summary
    kept = next(line for line in lines if line.score == "… sparse form, the 4 strongest")
    assert kept.exact.startswith(f"{summary['sparse_top_4_inside_error'].mean:.2%}")


def test_the_raw_form_has_no_sparse_rows(made):
    _, result = made
    exact = {**result.about["exact"], "form": "raw"}
    raw = replace(result, about={**result.about, "exact": exact})
    assert not any("sparse" in line.score for line in reproduction_lines(raw))
    assert "a sparse OR representation" in " ".join(reproduction_page._forms(result.about))
    assert "the OR transform of these" in " ".join(reproduction_page._forms(raw.about))


def test_the_cost_is_that_of_both_forms(made):
    _, result = made
    spent = result.per_form["exact"]["spent"].summary
    assert spent["evaluations"] == result.cost.summary["evaluations"]
    assert spent["seconds"] == result.cost.summary["seconds"]
    assert all(line.exact for line in by_experiment(result, "Cost"))
    once = {**result.about, "exact": {**result.about["exact"], "noise_floor": False}}
    for about, twice in ((result.about, True), (once, False)):
        section = reproduction_page._section(
            EXPERIMENTS[-1], replace(result, about=about), made[0] / "none"
        )
        assert ("fitted twice" in section.notes[0]) is twice


def test_pictures_of_too_little_foreground_are_skipped_and_named(made, monkeypatch):
    seen = []

    def foreground(image, baseline):
        seen.append(image)
        mask = visible_foreground(image, baseline)
        return torch.zeros_like(mask) if len(seen) == 1 else mask

    monkeypatch.setattr(reproduction, "visible_foreground", foreground)
    planted = rp.load_generator("planted")
    found = reproduction._usable_seeds(
        planted, QUICK["regions"], Protocol(images=2, patches=4), QUICK["exact"].settled(planted)
    )
    assert found == ([1, 2], [0])
    result = made[1]
    about = {**result.about, "seeds": [1, 2], "skipped_seeds": [0]}
    told = replace(result, about=about)
    assert "too little foreground: seeds 0" in reproduction_table(told).title
    assert reproduction_page._seeds(about) == "1, 2; too little foreground: 0"
    assert reproduction_page._seeds(result.about) == ", ".join(map(str, result.about["seeds"]))


@pytest.fixture
def copied(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    for name in (REPRODUCTION, REPRODUCTION_REPORT):
        (folder / name).unlink()
    shutil.rmtree(folder / "figures")
    return folder


@pytest.fixture
def blank_figures(monkeypatch):
    """Spare the drawing where only the page's text matters."""
    blank = new_figure((1.0, 1.0))
    monkeypatch.setattr(reproduction_page, "_drawn", lambda *_: blank)


@pytest.fixture
def without_scipy(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "scipy" else found(name)
    )


def test_without_scipy_only_relations_are_left_out(made, copied, without_scipy, blank_figures):
    told = []
    result = reproduce("planted", copied, **QUICK, progress=lambda *report: told.append(report))
    written = json.loads((copied / REPRODUCTION).read_text())
    whole = made[1].to_dict()
    for form, found in written["forms"].items():
        assert "relatedness" not in found
        assert found["control"]["summary"] == json.loads(
            json.dumps(whole["forms"][form]["control"]["summary"])
        )
    left_out = [report for report in told if report[0].startswith("relatedness")]
    assert [report[0] for report in left_out] == ["relatedness, structured", "relatedness, exact"]
    for _, done, total, note in left_out:
        assert done < total
        assert note.startswith("left out: the hierarchy of components needs packages")
    assert by_experiment(result, RELATIONS) == []
    page = read(copied)
    assert RELATIONS not in page.headings
    assert page.images == 22


def test_without_the_reports_packages_the_numbers_are_still_written(
    copied, without_scipy, monkeypatch
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    told = []
    reproduce("planted", copied, **QUICK, progress=lambda *report: told.append(report))
    assert (copied / REPRODUCTION).is_file()
    assert not (copied / REPRODUCTION_REPORT).exists()
    assert [report[0] for report in told if "left out" in str(report[3:])] == [
        "relatedness, structured", "relatedness, exact", "report",
    ]  # fmt: skip


def test_draws_without_a_common_patch_are_not_compared(copied, monkeypatch):
    monkeypatch.setattr(reproduction, "write_reproduction_report", lambda *_: None)
    first = rp.Decomposition.load(copied / "0" / "exact-0")
    fit = rp.Decomposition.load(copied / "0" / "exact-1")
    others = [k for k in range(16) if k not in first.patches][:3]
    settings = {**fit.provenance.settings, "patches": others}
    apart = replace(fit, provenance=replace(fit.provenance, settings=settings))
    apart.save(copied / "0" / "exact-1", overwrite=True)
    result = reproduce("planted", copied, **QUICK)
    assert result.redraw is None
    assert by_experiment(result, "Redrawn patches") == []


def test_command_prints_the_table(made, monkeypatch, capsys, tmp_path):
    folder, result = made
    monkeypatch.setattr(
        reproduction, "reproduce", lambda *_, **named: asked.append(named) or result
    )
    asked = []
    words = [
        "reproduce",
        "planted",
        "--images",
        "2",
        "--out",
        str(folder),
        "--set",
        "tolerance=0.5",
    ]
    monkeypatch.setattr(sys, "argv", ["primitives", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert asked[0]["exact"].tolerance == 0.5
    assert asked[0]["protocol"] == Protocol(images=2)
    printed = capsys.readouterr().out
    assert re.search(r"planted at express, 2\s+pictures", printed)
    assert "Regional control" in printed
    assert f"report: {folder / REPRODUCTION_REPORT}" in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 0}, "images must be a whole number of at least 1"),
        ({"patches": 0}, "patches must be a whole number"),
        ({"strongest": 0}, "strongest"),
        ({"redrawn": -1}, "redrawn"),
    ],
)
def test_bad_input_protocol(changes, message):
    with pytest.raises(InputError, match=message):
        Protocol(**changes)


def test_bad_input_patches_are_drawn(tmp_path):
    with pytest.raises(InputError, match="patches of the exact form are drawn"):
        reproduce("planted", tmp_path / "out", exact=rp.Exact(patches=(1, 2)))
    assert not (tmp_path / "out").exists()


def test_bad_input_a_folder_of_something_else(tmp_path):
    (tmp_path / "diary.txt").write_text("dear")
    with pytest.raises(StorageError, match="something else than a reproduction"):
        reproduce("planted", tmp_path)


def test_bad_input_more_patches_than_foreground(tmp_path):
    with pytest.raises(InputError, match="asked for 16 foreground patches"):
        reproduce(
            "planted", tmp_path / "out", **{**QUICK, "protocol": Protocol(images=1, patches=16)}
        )
