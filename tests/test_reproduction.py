"""The paper's experiments as one command: results, figures and page; going on; bad input."""

import json
import re
import sys
from html.parser import HTMLParser

import pytest

import regional_primitives as rp
from regional_primitives import cli, reproduction
from regional_primitives.errors import InputError, StorageError
from regional_primitives.reproduction import PICTURES, REPRODUCTION, Protocol, reproduce
from regional_primitives.show.reproduction_report import REPRODUCTION_REPORT
from regional_primitives.show.reproduction_table import reproduction_lines

QUICK = {
    "protocol": Protocol(images=2, patches=3, redrawn=1, strongest=4),
    "regions": rp.Regions.grid(4, 4),
    "structured": rp.Structured(steps=10, batch=8, probes=1, baseline_count=64),
    "exact": rp.Exact(tolerance=0.05, joint_steps=3, sparse_steps=20, baseline_count=64),
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
            "sparsity", "boundedness", "consistency", "superposition", "control",
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
    for name in ("explain", "fit_exact"):
        monkeypatch.setattr(reproduction, name, lambda *_, **__: pytest.fail("fitted again"))
    told = []
    again = reproduce("planted", folder, **QUICK, progress=lambda *report: told.append(report[:3]))
    assert again.to_dict() == result.to_dict()
    assert (PICTURES, 2, 2) in told


def test_other_settings_are_fitted_anew(made, monkeypatch, tmp_path):
    folder, _ = made

    class FittedError(Exception):
        pass

    def refuse(*_, **__):
        raise FittedError

    monkeypatch.setattr(reproduction, "explain", refuse)
    with pytest.raises(FittedError):
        reproduce("planted", folder, **{**QUICK, "exact": rp.Exact(tolerance=0.2)})


class Page(HTMLParser):
    """Collects cells and what the page points to."""

    def __init__(self):
        super().__init__()
        self.cells, self.outside, self.images, self._inside = [], [], 0, False

    def handle_starttag(self, tag, attrs):
        self._inside = tag == "td"
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith(("#", "data:")):
                self.outside.append(value)
        self.images += tag == "img"

    def handle_data(self, data):
        if self._inside:
            self.cells.append(data.strip())


def test_page_says_what_the_results_say(made):
    folder, result = made
    page = Page()
    page.feed((folder / REPRODUCTION_REPORT).read_text(encoding="utf-8"))
    assert page.outside == []
    lines = reproduction_lines(result)
    assert len(lines) > 20
    for line in lines:
        assert {line.structured, line.exact} - {""} <= set(page.cells)
    figures = sorted(path.name for path in (folder / "figures").iterdir())
    assert page.images == len(figures) == 22
    n90 = result.per_form["exact"]["sparsity"].summary["n90"].mean
    assert next(line for line in lines if "90 %" in line.score).exact.startswith(f"{n90:.0f} ± ")


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
