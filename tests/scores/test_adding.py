"""A new score is one row and one function, a new rival one registration: everything tells them."""

import json
from dataclasses import dataclass

import pytest
import torch

import regional_primitives as rp
from regional_primitives.cli.output import print_run
from regional_primitives.rivals import BASELINES, Way, rival
from regional_primitives.scores import Scores, measure, table
from regional_primitives.scores.sweep_scores import (
    AVERAGED,
    LayerScores,
    PictureScores,
    SweepScores,
)
from regional_primitives.show.notebook import in_notebook
from regional_primitives.show.score_table import rival_rows, score_rows
from regional_primitives.show.sweep_page import scores_table

FEW = rp.Evaluation(demands=4, components=2, contexts=2, free_demands=0)
LABEL, MEANING = "Redness", "Which share of the change is in the first channel."


@dataclass(frozen=True)
class WithRedness(Scores):
    """The scores of a release that has one more."""

    redness: float | None = table.row(
        LABEL, MEANING, group="axioms", good="no target", first={"isolate": 99}, sweep="Sparsity"
    )


def redness(measurement):
    change = measurement.whole.change.square()
    return {"redness": float(change[0].sum() / change.sum())}


@pytest.fixture
def added(monkeypatch):
    """The row and the function, as if they stood in the library."""
    row = table.table_of(WithRedness)["redness"]
    monkeypatch.setattr(table, "Scores", WithRedness)
    monkeypatch.setitem(table.TABLE, "redness", row)
    monkeypatch.setitem(AVERAGED, "redness", row)
    monkeypatch.setattr(measure, "FAMILIES", (*measure.FAMILIES, redness))


@pytest.fixture
def folder(added, planted, result, tmp_path):
    result.save(tmp_path / "run")
    rp.evaluate(result, planted, FEW).write(tmp_path / "run")
    return tmp_path / "run"


def test_a_new_score_is_measured_stored_and_read(folder, result):
    change = (result.image - result.baseline_image).square()
    expected = float(change[0].sum() / change.sum())
    assert json.loads((folder / "scores.json").read_text())["redness"] == expected
    assert rp.Scores.read(folder).redness == expected


def test_a_new_score_is_in_the_reports_table(folder):
    told = {row.name: row for row in score_rows(rp.Scores.read(folder))}
    assert told["redness"].group == "axioms"  # whose rows the report lists, whatever they are
    assert told["redness"].label == LABEL
    assert told["redness"].meaning == MEANING
    assert "%" in told["redness"].value


def test_a_new_score_is_in_the_commands_output(folder, capsys):
    scores = rp.Scores.read(folder)
    print_run(folder, scores, as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "redness" in line]
    assert f"{scores.redness:.1%}" in line
    print_run(folder, scores, as_json=True)
    assert json.loads(capsys.readouterr().out)["scores"]["redness"] == scores.redness


def test_a_new_score_is_in_the_sweeps_table(folder):
    picture = PictureScores(0, "0", None, True, 1.0, rp.Scores.read(folder))
    sweep = SweepScores(
        generator="planted", weights_digest="ab", options={},
        regions={"kind": "grid", "rows": 4, "columns": 4}, patches=16, seeds=(0,), settings={},
        evaluation={}, versions={}, machine={}, date="2025-01-31",
        layers=(LayerScores("express", (60,), 16, (picture,)),),
    )  # fmt: skip
    table = scores_table(sweep).table
    (row,) = table.rows
    told = dict(zip((column.label for column in table.columns), row.cells, strict=True))
    assert "%" in told[LABEL].text


def test_a_new_score_is_in_notebooks(folder):
    assert LABEL in in_notebook(rp.Scores.read(folder))
    assert LABEL in in_notebook(rp.Decomposition.load(folder))


def test_a_run_from_before_the_score_still_loads(added, scores):
    read = rp.Scores.from_dict({**vars(scores), "redness": None, "of_a_later_release": 0.5})
    older = rp.Scores.from_dict({"leak": scores.leak})
    assert (read.leak, read.redness) == (scores.leak, None)
    assert (older.leak, older.redness, older.inside_error) == (scores.leak, None, None)


def test_a_new_rival_is_one_function_under_its_registration(planted, result, monkeypatch):
    for name, known in list(BASELINES.items()):
        monkeypatch.setitem(BASELINES, name, known)

    @rival("nothing at all", "answers every demand with the baseline", "ours", "none")
    def nothing(scene):
        off = torch.zeros(1, result.unit_count)
        yield Way("once", lambda demands: scene.switched(off.expand(len(demands), -1)))

    try:
        found = rp.baselines(result, planted, "nothing at all", FEW)
        everything = list(BASELINES)
    finally:
        del BASELINES["nothing at all"]
    assert everything.index("semi-NMF") < everything.index("nothing at all")
    assert everything[-1] == "free optimum"
    (point,) = found.baselines[0].points
    assert point.inside_error == pytest.approx(1.0, rel=1e-5)
    assert point.leak == pytest.approx(0.0, abs=1e-9)
    assert rival_rows(found)[1]["name"] == "nothing at all"
    assert rp.Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found
